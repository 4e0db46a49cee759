"""What each event makes of a phase: a claim, a verdict, a crash, an operator's word."""

from dataclasses import replace

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.run import is_own
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import IllegalTransitionError, NotClaimableError

_FINAL_STATES = frozenset({PhaseState.COMPLETE, PhaseState.FAILED, PhaseState.QUEUED, PhaseState.GATE})


def next_number(phase: Phase, newest: Attempt | None) -> int:
    """The number of the attempt that is due: the newest one's while it has no verdict, else the one after it."""
    if newest is not None and not newest.is_finished:
        return newest.address.number
    return phase.last_attempt + 1


def check_claim(phase: Phase, address: AttemptAddress, *, due: int, missing: tuple[str, ...]) -> None:
    """Refuse an attempt that may not be made now; whether a process holds the run is not asked here.

    Args:
        phase: The phase as it is.
        address: The attempt that is asked for.
        due: The number of the attempt that is due.
        missing: The phases that it needs and that are not COMPLETE.

    Raises:
        NotClaimableError: The message says why, the hint what would help.
    """
    if phase.awaits_approval:
        raise NotClaimableError(f"{address} awaits an approval", hint="Approve or deny it first.")
    if phase.state is not PhaseState.QUEUED:
        hint = "Requeue the phase first." if phase.state in {PhaseState.FAILED, PhaseState.SKIPPED} else ""
        raise NotClaimableError(f"{address} cannot be taken: its phase is {phase.state}", hint=hint)
    if address.number != due:
        raise NotClaimableError(f"{address} cannot be taken: attempt {due} of its phase is due")
    if missing:
        raise NotClaimableError(f"{address} cannot be taken: it needs {', '.join(missing)}")


def check_foreseen(then: Phase, now: Phase, *, is_begun: bool, is_run_as_then: bool) -> None:
    """Refuse a verdict that was foreseen from something which is not so any more.

    Args:
        then: The phase as it was looked at.
        now: The phase as it is.
        is_begun: Whether a process took the attempt before, which may have an answer.
        is_run_as_then: Whether no attempt of the run was taken since, and none is held.

    Raises:
        NotClaimableError: The attempt has to be made.
    """
    if then != now or is_begun or not is_run_as_then:
        raise NotClaimableError(f"{now.run_id}/{now.phase_id} moved while its attempt was looked at")


def claimed(phase: Phase, number: int, *, now: float) -> Phase:
    """The phase when an attempt takes it."""
    return replace(phase.enter(PhaseState.EXECUTING), last_attempt=number, retry_at=None, updated_at=now)


def entered(phase: Phase, state: PhaseState, *, now: float) -> Phase:
    """The phase when its attempt goes on to another step.

    Raises:
        IllegalTransitionError: The state does not follow the phase's, or ends the attempt.
    """
    if not state.is_in_flight:
        raise IllegalTransitionError(
            f"{phase.run_id}/{phase.phase_id} enters no {state} by a step",
            hint="Finish the attempt instead.",
        )
    return replace(phase.enter(state), updated_at=now)


def finished(phase: Phase, outcome: AttemptOutcome, *, now: float) -> Phase:
    """The phase after an attempt's verdict.

    COMPLETE and FAILED count the attempt unless its failure is retryable; a phase of Autopack's own that failed is
    SKIPPED at once. Crashes in a row are forgotten by
    every end that is not one itself, faults of the surroundings by every end that is none; waiting neither counts nor
    forgets.

    Raises:
        IllegalTransitionError: The outcome's state does not follow the phase's, or ends nothing.
    """
    state, failure = outcome.final_state, outcome.failure
    if state not in _FINAL_STATES:
        raise IllegalTransitionError(f"{phase.run_id}/{phase.phase_id} cannot end an attempt in {state}")
    is_crash = failure is not None and failure.kind is FailureKind.CRASHED
    is_free = failure is not None and (failure.retryable or failure.kind is FailureKind.INFRASTRUCTURE)
    moved = replace(
        phase.enter(state),
        attempts=phase.attempts + (state.is_terminal and not is_free),
        crashes=phase.crashes if is_crash else 0,
        requeues=_requeues(phase, failure) if state is PhaseState.QUEUED else 0,
        retry_at=outcome.retry_at if state is PhaseState.QUEUED else None,
        awaits_approval=state is PhaseState.GATE,
        updated_at=now,
    )
    if state is PhaseState.COMPLETE:
        return replace(
            moved,
            commit=outcome.commit,
            failure_kind=None,
            failure_message="",
            failure_fingerprint=None,
            is_stopped=False,
        )
    if state is PhaseState.FAILED and failure is not None:
        return _failed(moved, outcome, failure, now=now)
    return moved


def _failed(moved: Phase, outcome: AttemptOutcome, failure: FailureReport, *, now: float) -> Phase:
    told = replace(
        moved,
        failure_kind=failure.kind,
        failure_message=failure.message,
        failure_fingerprint=outcome.fingerprint,
        is_stopped=False,
    )
    # Nobody's backlog: no triage is to count what is Autopack's own, and no blocker to hold it.
    return skipped(told, now=now) if is_own(moved.run_id) else told


def _requeues(phase: Phase, failure: FailureReport | None) -> int:
    if failure is None:
        return 0
    # Waiting is no fault, and ends no row of them: a Builder that is paused after each fault must not go on for ever.
    return phase.requeues + (not failure.is_wait)


def released(phase: Phase, failure: FailureReport, *, now: float) -> Phase:
    """The phase after the process of its attempt went away without a verdict: a crash, or another fault."""
    is_crash = failure.kind is FailureKind.CRASHED
    return replace(
        phase.enter(PhaseState.QUEUED),
        crashes=phase.crashes + is_crash,
        updated_at=now,
    )


def requeued(phase: Phase, *, now: float) -> Phase:
    """The phase when an operator puts it back into the queue.

    Raises:
        IllegalTransitionError: It is neither FAILED nor SKIPPED.
    """
    if phase.state not in {PhaseState.FAILED, PhaseState.SKIPPED}:
        raise IllegalTransitionError(
            f"{phase.run_id}/{phase.phase_id} is {phase.state} and cannot be requeued",
            hint="Only a FAILED or SKIPPED phase can be put back into the queue.",
        )
    return replace(
        phase.enter(PhaseState.QUEUED),
        crashes=0,
        requeues=0,
        retry_at=None,
        is_stopped=False,
        updated_at=now,
    )


def skipped(phase: Phase, *, now: float) -> Phase:
    """The phase when nobody is to try it again.

    Raises:
        IllegalTransitionError: It is neither QUEUED nor FAILED.
    """
    return replace(phase.enter(PhaseState.SKIPPED), retry_at=None, is_stopped=False, updated_at=now)


def approved(phase: Phase, *, now: float) -> Phase:
    """The phase when an operator lets its parked attempt go on."""
    return replace(phase.enter(PhaseState.QUEUED), awaits_approval=False, updated_at=now)


def denial(parked: AttemptOutcome | None, *, by: str, why: str) -> AttemptOutcome:
    """What a parked attempt ends with when an operator denies it; its gates and usage stay on record."""
    failure = FailureReport(kind=FailureKind.APPROVAL_DENIED, message=f"{by} did not approve: {why}")
    before = parked or AttemptOutcome(final_state=PhaseState.GATE)
    return replace(before, final_state=PhaseState.FAILED, failure=failure, commit=None)


def crash_of(attempt: Attempt) -> FailureReport:
    """The failure of an attempt whose process was found dead."""
    return FailureReport(
        kind=FailureKind.CRASHED,
        message=f"the process of {attempt.address} died in {attempt.state} without a verdict",
        details=(f"owner {attempt.owner}",),
    )
