"""What the events of a session say together."""

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import ZeroYield
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainResult
from autopack.domain.telemetry import CallEvent, summarise


def event(**fields):
    address = AttemptAddress(run_id="shop", phase_id="build", number=1)
    ended = {"begun_at": 1.0, "ended_at": 2.0} | fields
    return CallEvent(call_id=1, address=address, session_id="s", turn=1, builder="b", **ended)


def result(seconds, why=None):
    return DrainResult(
        run_id="shop",
        phase_id="build",
        phase_index=0,
        attempt=1,
        initial_state=PhaseState.FAILED,
        final_state=PhaseState.FAILED,
        success=False,
        subprocess_duration_seconds=seconds,
        zero_yield_reason=why,
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"predicted_tokens": 150, "input_tokens": 60, "output_tokens": 40}, 0.5, id="too much"),
        pytest.param({"predicted_tokens": 50, "input_tokens": 100}, -0.5, id="too little"),
        pytest.param({"input_tokens": 100}, None, id="nothing was predicted"),
        pytest.param({"predicted_tokens": 50, "input_tokens": 40, "ended_at": None}, None, id="under way"),
        pytest.param(
            {"predicted_tokens": 50, "input_tokens": 10, "failure_kind": FailureKind.BUILDER_ERROR},
            None,
            id="no answer",
        ),
    ],
)
def test_a_prediction_is_held_against_what_an_answer_used(fields, error):
    assert event(**fields).error == error


def test_a_session_tells_yield_reasons_and_the_estimators_error():
    events = [
        event(predicted_tokens=150, input_tokens=100, cost_usd=0.25),
        event(predicted_tokens=90, input_tokens=100, cost_usd=0.5),
        event(predicted_tokens=80, input_tokens=60, output_tokens=40),
        event(predicted_tokens=80, ended_at=None),
    ]
    doomed, late = ZeroYield.DOOMED, ZeroYield.TIMEOUT
    results = [result(60), result(90, late), result(15, doomed), result(15, doomed)]
    summary = summarise(events, results)
    assert (summary.events, summary.attempts, summary.tokens, summary.cost_usd) == (4, 4, 300, 0.75)
    assert (summary.minutes, summary.yield_per_attempt) == (3.0, 1.0)
    assert summary.yield_per_minute == pytest.approx(4 / 3)
    assert list(summary.zero_yield.items()) == [(doomed, 2), (late, 1)]
    assert summary.predicted == 3
    assert summary.median_error == pytest.approx(0.2)
    assert summary.bias == pytest.approx(-0.1)


def test_nothing_is_told_of_nothing():
    summary = summarise([], [])
    assert (summary.yield_per_attempt, summary.yield_per_minute, summary.cost_usd) == (0.0, 0.0, None)
    assert (summary.median_error, summary.bias) == (None, None)
