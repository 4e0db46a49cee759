"""What a claim, a verdict, a crash and an operator make of a phase."""

from dataclasses import replace

import pytest

from autopack.domain import moves
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.verdicts import AttemptOutcome, passed
from autopack.errors import IllegalTransitionError, NotClaimableError

NOW = 9.0
QUEUED = Phase(run_id="shop", index=0, spec=PhaseSpec(phase_id="build", goal="g"), crashes=2, requeues=1)
TESTING = replace(QUEUED, state=PhaseState.CI_RUNNING, last_attempt=1, failure_message="before")
ADDRESS = AttemptAddress(run_id="shop", phase_id="build", number=1)
TIMEOUT = FailureReport(kind=FailureKind.TIMEOUT, message="too slow")
OVERLOADED = FailureReport(kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True)
CRASH = FailureReport(kind=FailureKind.CRASHED, message="gone")


def ended(state, **fields):
    return moves.finished(TESTING, AttemptOutcome(final_state=state, **fields), now=NOW)


@pytest.mark.parametrize(
    ("outcome", "changes"),
    [
        pytest.param(
            AttemptOutcome(final_state=PhaseState.COMPLETE, commit="c"),
            {"commit": "c", "attempts": 1, "crashes": 0, "requeues": 0, "failure_message": ""},
            id="complete",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.FAILED, failure=TIMEOUT),
            {
                "attempts": 1,
                "crashes": 0,
                "requeues": 0,
                "failure_kind": FailureKind.TIMEOUT,
                "failure_message": "too slow",
            },
            id="failed",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.FAILED, failure=OVERLOADED),
            {
                "crashes": 0,
                "requeues": 0,
                "failure_kind": FailureKind.BUILDER_ERROR,
                "failure_message": "overloaded",
            },
            id="failed by its surroundings",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.FAILED, failure=CRASH),
            {"attempts": 1, "requeues": 0, "failure_kind": FailureKind.CRASHED, "failure_message": "gone"},
            id="given up after crashes",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.QUEUED, failure=OVERLOADED, retry_at=40.0),
            {"crashes": 0, "requeues": 2, "retry_at": 40.0},
            id="given back after a fault",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.QUEUED),
            {"crashes": 0, "requeues": 0},
            id="given back without one",
        ),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.GATE),
            {"crashes": 0, "requeues": 0, "awaits_approval": True},
            id="parked",
        ),
    ],
)
def test_a_verdict_changes_these_things_and_no_others(outcome, changes):
    expected = replace(TESTING, state=outcome.final_state, updated_at=NOW, **changes)
    assert moves.finished(TESTING, outcome, now=NOW) == expected


@pytest.mark.parametrize("state", [PhaseState.EXECUTING, PhaseState.CI_RUNNING, PhaseState.SKIPPED])
def test_no_attempt_ends_in_a_state_that_is_no_end(state):
    with pytest.raises(IllegalTransitionError):
        moves.finished(replace(TESTING, state=PhaseState.GATE), AttemptOutcome(final_state=state), now=NOW)


def test_an_attempt_enters_states_in_flight_only():
    executing = replace(TESTING, state=PhaseState.EXECUTING)
    assert moves.entered(executing, PhaseState.GATE, now=NOW) == replace(
        executing, state=PhaseState.GATE, updated_at=NOW
    )
    with pytest.raises(IllegalTransitionError):
        moves.entered(executing, PhaseState.FAILED, now=NOW)


def test_a_claim_forgets_the_time_that_was_waited_for():
    waiting = replace(QUEUED, retry_at=5.0)
    assert moves.claimed(waiting, 3, now=NOW) == replace(
        QUEUED, state=PhaseState.EXECUTING, last_attempt=3, updated_at=NOW
    )


@pytest.mark.parametrize(
    ("failure", "crashes", "requeues"),
    [pytest.param(CRASH, 3, 1, id="crash"), pytest.param(OVERLOADED, 2, 1, id="a stop by the operator")],
)
def test_a_process_that_is_gone_is_counted(failure, crashes, requeues):
    phase = moves.released(TESTING, failure, now=NOW)
    assert (phase.state, phase.crashes, phase.requeues) == (PhaseState.QUEUED, crashes, requeues)


@pytest.mark.parametrize("state", [PhaseState.FAILED, PhaseState.SKIPPED])
def test_a_requeued_phase_begins_with_a_clean_slate(state):
    phase = moves.requeued(replace(TESTING, state=state, retry_at=4.0), now=NOW)
    assert (phase.state, phase.crashes, phase.requeues, phase.retry_at) == (PhaseState.QUEUED, 0, 0, None)
    assert phase.failure_message == "before"


@pytest.mark.parametrize("state", sorted(set(PhaseState) - {PhaseState.FAILED, PhaseState.SKIPPED}))
def test_no_other_phase_is_requeued(state):
    with pytest.raises(IllegalTransitionError, match="cannot be requeued"):
        moves.requeued(replace(TESTING, state=state), now=NOW)


@pytest.mark.parametrize(
    ("phase", "due", "missing", "message"),
    [
        pytest.param(replace(QUEUED, state=PhaseState.FAILED), 2, (), "is FAILED", id="failed"),
        pytest.param(TESTING, 1, (), "is CI_RUNNING", id="under way"),
        pytest.param(replace(TESTING, awaits_approval=True), 1, (), "awaits an approval", id="parked"),
        pytest.param(QUEUED, 2, (), "attempt 2 of its phase is due", id="another number"),
        pytest.param(QUEUED, 1, ("a", "b"), "needs a, b", id="needs"),
    ],
)
def test_a_refused_claim_says_why(phase, due, missing, message):
    with pytest.raises(NotClaimableError, match=message):
        moves.check_claim(phase, ADDRESS, due=due, missing=missing)


@pytest.mark.parametrize(
    ("finished_at", "number"), [pytest.param(None, 1, id="open"), pytest.param(3.0, 2, id="finished")]
)
def test_the_attempt_that_is_due(finished_at, number):
    newest = Attempt(
        address=ADDRESS,
        state=PhaseState.EXECUTING,
        token=1,
        owner="me",
        base_commit=None,
        started_at=1.0,
        heartbeat_at=1.0,
        finished_at=finished_at,
    )
    assert moves.next_number(TESTING, newest) == number
    assert moves.next_number(QUEUED, None) == 1


def test_a_denial_keeps_what_the_attempt_had_shown():
    parked = AttemptOutcome(final_state=PhaseState.GATE, gates=(passed("ci"),), duration_seconds=3.0)
    denied = moves.denial(parked, by="ann", why="no")
    assert (denied.final_state, denied.gates, denied.duration_seconds) == (
        PhaseState.FAILED,
        parked.gates,
        3.0,
    )
    assert denied.failure is not None
    assert denied.failure.kind is FailureKind.APPROVAL_DENIED
