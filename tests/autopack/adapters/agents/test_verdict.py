"""What an agent's call came to, told from the worktree, the wire and the agent's error in that order."""

import pytest
from agents import seen

from autopack.adapters.agents.ending import Cause, Ending
from autopack.adapters.agents.verdict import judge
from autopack.domain.failure import FailureKind
from autopack.ports import FaultKind

BUILDER, BUDGET, TIMEOUT = FailureKind.BUILDER_ERROR, FailureKind.BUDGET_EXCEEDED, FailureKind.TIMEOUT
WELL = Ending(cause=Cause.ANSWERED, stop_reason="end_turn")
SILENT = Ending(cause=Cause.SILENT, message="Nothing was heard")
DIED = Ending(cause=Cause.DIED, message="It died", returncode=3)
ERROR = Ending(cause=Cause.ERROR, message="It said no")
STOPPED = Ending(cause=Cause.CANCELLED, message="Stopped at its budget")


@pytest.mark.parametrize("has_changed", [True, False])
@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        (FaultKind.BUDGET, BUDGET, False),
        (FaultKind.RATE_LIMIT, BUILDER, True),
        (FaultKind.OVERLOAD, BUILDER, True),
        (FaultKind.NETWORK, BUILDER, True),
        (FaultKind.QUOTA, BUILDER, False),
        (FaultKind.AUTH, BUILDER, False),
        (FaultKind.BAD_REQUEST, BUILDER, False),
        (FaultKind.CONTEXT_LENGTH, BUILDER, False),
        (FaultKind.REFUSAL, BUILDER, False),
        (FaultKind.TRUNCATED, BUILDER, False),
    ],
)
@pytest.mark.parametrize("ending", [WELL, SILENT, DIED, ERROR], ids=lambda it: it.cause)
def test_a_fault_at_the_end_is_the_failure_however_the_agent_ended(
    fault, kind, retryable, ending, has_changed
):
    ledger = (seen(1), seen(2, fault=fault, message="the provider's words", retry_after_seconds=9.0))
    failure = judge(ending, ledger, has_changed=has_changed)
    assert failure is not None
    assert (failure.kind, failure.retryable) == (kind, retryable)
    assert failure.retry_after_seconds == (9.0 if retryable else None)
    assert ("not applied" in failure.message) == has_changed
    assert "no. 2" in failure.message
    assert retryable or failure.hint


@pytest.mark.parametrize(
    ("fault", "to_set"),
    [
        pytest.param(FaultKind.AUTH, "key_env", id="wrong key"),
        pytest.param(FaultKind.BAD_REQUEST, "?model=NAME", id="unknown model"),
        pytest.param(FaultKind.NETWORK, "base_url", id="nobody there"),
        pytest.param(FaultKind.BUDGET, "budget_tokens", id="budget"),
    ],
)
def test_what_can_be_set_right_is_named(fault, to_set):
    assert to_set in judge(Ending(cause=Cause.ANSWERED), (seen(1, fault=fault),), has_changed=False).hint


def test_every_fault_but_a_hang_up_of_the_agents_own_has_a_verdict():
    for fault in set(FaultKind) - {FaultKind.CANCELLED}:
        assert judge(WELL, (seen(fault=fault),), has_changed=False) is not None


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        ((seen(1, fault=FaultKind.RATE_LIMIT), seen(2)), "a later request made it good"),
        ((seen(1), seen(2, fault=FaultKind.CANCELLED)), "the agent dropped a side call"),
        ((seen(1),), "all went well"),
        ((), "it asked no model of ours"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_the_worktree_shows_is_left_to_the_gates(ledger, why):
    assert judge(WELL, ledger, has_changed=True) is None
    assert judge(WELL, ledger, has_changed=False) is None


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(STOPPED, BUDGET), (SILENT, TIMEOUT), (DIED, BUILDER), (ERROR, BUILDER)],
    ids=lambda it: getattr(it, "cause", it),
)
def test_with_a_clean_ledger_the_agents_own_end_decides(ending, kind):
    failure = judge(ending, (seen(1), seen(2, fault=FaultKind.CANCELLED)), has_changed=True)
    assert failure is not None
    assert (failure.kind, failure.retryable) == (kind, False)
    assert failure.message == ending.message


def test_an_agent_without_a_room_is_tried_again():
    failure = judge(Ending(cause=Cause.ROOMLESS, message="no room"), (), has_changed=False)
    assert (failure.kind, failure.retryable) == (FailureKind.INFRASTRUCTURE, True)


def test_a_fault_that_was_dropped_at_the_end_hides_none_before_it():
    ledger = (seen(1), seen(2, fault=FaultKind.OVERLOAD), seen(3, fault=FaultKind.CANCELLED))
    failure = judge(WELL, ledger, has_changed=True)
    assert failure is not None
    assert failure.retryable
