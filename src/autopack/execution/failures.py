"""What an attempt ends with when something other than a gate stopped it."""

import traceback
from collections.abc import Sequence

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.domain.verdicts import AttemptOutcome, GateVerdict
from autopack.errors import (
    AutopackError,
    PatchError,
    ProcessError,
    ProcessLostError,
    RoomError,
    StoreError,
    WorkspaceError,
)
from autopack.ports import BuildAnswer


def failed(failure: FailureReport, gates: Sequence[GateVerdict] = ()) -> AttemptOutcome:
    """The outcome of an attempt that this failure ended."""
    return AttemptOutcome(final_state=PhaseState.FAILED, failure=failure, gates=tuple(gates))


def fault(error: Exception, *, may_pass: bool = True) -> FailureReport:
    """What an error that is no verdict is a failure of.

    Args:
        error: Raised by what the attempt needs, or by a bug of ours.
        may_pass: Whether the same may go well later, for errors of the kinds of which that is true.
    """
    passing = (StoreError, WorkspaceError, ProcessError, RoomError, ProcessLostError, OSError)
    if isinstance(error, passing):
        return _surroundings(error, retryable=may_pass)
    return _surroundings(error, retryable=False) if isinstance(error, AutopackError) else _bug(error)


def _surroundings(error: AutopackError | OSError, *, retryable: bool) -> FailureReport:
    # The store, git, the disk, a process.
    hint = (
        error.hint if isinstance(error, AutopackError) else "Free the disk or mend the folder that is named."
    )
    return FailureReport(
        kind=FailureKind.INFRASTRUCTURE,
        message=str(error) or type(error).__name__,
        hint=hint,
        retryable=retryable,
    )


def _bug(error: Exception) -> FailureReport:
    return FailureReport(
        kind=FailureKind.CRASHED,
        message=f"The executor itself failed: {type(error).__name__}: {error}",
        evidence="".join(traceback.format_exception(error))[-4000:],
        hint="This is a bug of Autopack; the evidence is what to report.",
    )


def rejected(error: PatchError, answer: BuildAnswer) -> FailureReport:
    """An answer that is no change, or one that does not apply."""
    return FailureReport(
        kind=FailureKind.PATCH_REJECTED,
        message=str(error).splitlines()[0],
        details=error.problems,
        hint=error.hint,
        evidence=_evidence(error, answer),
    )


def _evidence(error: PatchError, answer: BuildAnswer) -> str:
    pairs = zip(error.problems, error.excerpts, strict=True)
    near = [f"{problem}\nThe file has:\n{excerpt}\n" for problem, excerpt in pairs if excerpt]
    return "\n".join([*near, answer.text])[:4000]


def nothing_to_replay() -> FailureReport:
    """An attempt that may only judge an earlier answer, of a phase that has none worth judging."""
    return FailureReport(
        kind=FailureKind.EMPTY_CHANGE,
        message="No earlier attempt of the phase left a change that is worth judging again",
        hint="Drain the phase: it needs the Builder.",
    )


def not_approved(review: ReviewDecisionRecord) -> FailureReport:
    """Research that its review turned down without a human."""
    return FailureReport(
        kind=FailureKind.APPROVAL_DENIED,
        message=f"{review.reviewer} did not approve: {review.comments}",
        hint="Name further sources, ask other questions, or lower min_confidence in the plan.",
    )
