"""How long a Builder rests after faults of its provider."""

import pytest

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.retry import Pause, pause_failure, pause_seconds, paused, pauses_builder

NOW = 1000.0


def fault(**fields):
    return FailureReport(kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True, **fields)


def resting(until, faults=1):
    return Pause(builder="b", until=until, faults=faults, reason="overloaded")


@pytest.mark.parametrize(
    ("failure", "pauses"),
    [
        pytest.param(None, False, id="an answer"),
        pytest.param(fault(), True, id="overload"),
        pytest.param(FailureReport(kind=FailureKind.BUILDER_ERROR, message="bad key"), False, id="refused"),
        pytest.param(
            FailureReport(kind=FailureKind.INFRASTRUCTURE, message="disk full", retryable=True),
            False,
            id="not the provider's fault",
        ),
    ],
)
def test_only_a_passing_fault_of_the_provider_pauses_it(failure, pauses):
    assert pauses_builder(failure) is pauses


@pytest.mark.parametrize(
    ("faults", "asked", "least", "most"),
    [
        pytest.param(0, None, 2, 2.5, id="first"),
        pytest.param(3, None, 16, 20, id="doubling"),
        pytest.param(9, None, 300, 375, id="no longer than five minutes"),
        pytest.param(10_000, None, 300, 375, id="for ever no longer"),
        pytest.param(3, 45.0, 45, 56.25, id="what was asked for"),
        pytest.param(0, -1.0, 0, 0, id="a past that was asked for"),
    ],
)
def test_pauses_grow_with_jitter_and_honour_what_was_asked_for(faults, asked, least, most):
    drawn = {pause_seconds(faults, asked_seconds=asked, seed=f"phase-{n}") for n in range(200)}
    assert least <= min(drawn)
    assert max(drawn) <= most
    assert len(drawn) > 50 or most == 0


@pytest.mark.parametrize(
    ("before", "failure", "faults", "least", "most"),
    [
        pytest.param(None, fault(), 1, 2, 2.5, id="the first fault"),
        pytest.param(resting(NOW - 1), fault(), 2, 4, 5, id="one after the pause"),
        pytest.param(resting(NOW + 2), fault(), 1, 2, 2.5, id="one of the same wave"),
        pytest.param(resting(NOW + 60), fault(), 1, 60, 60, id="a longer pause stays"),
        pytest.param(
            resting(NOW + 2), fault(retry_after_seconds=90.0), 1, 90, 112.5, id="a longer one is asked for"
        ),
        pytest.param(resting(NOW - 1, faults=0), fault(), 1, 2, 2.5, id="after an answer"),
    ],
)
def test_a_fault_pauses_the_builder(before, failure, faults, least, most):
    pause = paused(before, "b", failure, now=NOW)
    assert pause.faults == faults
    assert least <= pause.until - NOW <= most


def test_waiting_for_a_builder_tells_how_long_and_counts_for_nothing():
    failure = pause_failure(resting(NOW + 12.5), now=NOW)
    assert (failure.kind, failure.retryable, failure.is_wait) == (FailureKind.BUILDER_ERROR, True, True)
    assert failure.retry_after_seconds == 12.5
    assert failure.message == "Builder b is paused for 12 s more: overloaded"
