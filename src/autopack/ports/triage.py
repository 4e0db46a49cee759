"""The record of what holds a backlog up: blockers, what was done about each, and decisions to go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState, Release, Return
from autopack.domain.bucket import FailedPhase
from autopack.domain.drain_record import DrainRecord
from autopack.domain.forecast import Try
from autopack.domain.go_no_go import Judgement, Observation
from autopack.domain.phase import Phase
from autopack.domain.session import DrainResult
from autopack.domain.waste import BookedCall, SavedCall


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJudgement:
    """An answer that was given, with everything that it was judged by."""

    session_id: str | None
    """The drain session that was judged; None for the newest attempts of all."""
    at: float
    """Seconds since the epoch."""
    judgement: Judgement


class Triage(Protocol):
    """Every method is one transaction."""

    def open_blockers(self, *, now: float) -> Sequence[Blocker]:
        """Make a blocker of every fingerprint that more than one failed phase ended with; all blockers, by number."""
        ...

    def blockers(self) -> Sequence[Blocker]:
        """All blockers, by number."""
        ...

    def blocker(self, name: str) -> Blocker:
        """The blocker called ``B1``, or of that fingerprint.

        Raises:
            StoreError: There is none.
        """
        ...

    def move_blocker(
        self,
        blocker: Blocker,
        state: BlockerState | None,
        event: BlockerEvent,
        *,
        fix_commit: str | None = None,
    ) -> Blocker:
        """Note what happened to a blocker and the state that it is in now; None leaves it in the one that it has.

        Raises:
            IllegalTransitionError: The state does not follow the one it has by now.
        """
        ...

    def returns(self, *, address: AttemptAddress | None = None) -> Sequence[Return]:
        """Attempts that ended with the cause of a mended blocker, begun after its fix, on whatever base.

        Those that ``note_late`` was told of are known, and left out.

        Args:
            address: The attempt that is asked about; None for all, oldest first.
        """
        ...

    def reopen(self, found: Return, *, now: float) -> None:
        """Note that a mended cause is here again; a blocker that is open anyway stays as it is."""
        ...

    def note_late(self, found: Return, *, now: float) -> str | None:
        """Note that a phase failed of a mended blocker in a run that lacks its fix, for the next release to bring it.

        A blocker that was released is validated again by it, and its fingerprint stopped: without the fix every phase
        that shares it would be paid for in vain.

        Returns:
            The fingerprint that this stopped, for ``Drains.mark``; None where nothing was stopped.
        """
        ...

    def begin_release(self, blocker: Blocker, *, why: str, now: float) -> None:
        """Lift the blocker's stop, where late phases set it again, and note which phases it holds by now.

        One that is not VALIDATED any more stays as it is.
        """
        ...

    def end_release(self, blocker: Blocker, event: BlockerEvent) -> Blocker | None:
        """Put the blocker to RELEASED, as the event says.

        Returns:
            The blocker; None, with nothing noted, where it is not VALIDATED any more or has phases that are left.
        """
        ...

    def place_blocker(self, blocker: Blocker, *, place: str, introduced_by: str, now: float) -> Blocker:
        """Note where the cause is believed to be, and which commit brought it; an empty text is left as it was."""
        ...

    def events(self, blocker: Blocker) -> Sequence[BlockerEvent]:
        """What happened to a blocker, oldest first."""
        ...

    def evidence(self, fingerprint: str, *, limit: int) -> Sequence[Attempt]:
        """The newest attempts that ended with a fingerprint, newest first."""
        ...

    def held_phases(self, fingerprint: str, *, limit: int) -> Sequence[Phase]:
        """Failed phases whose last attempt ended with a fingerprint, in the order of runs and positions."""
        ...

    def validated(self, blocker: Blocker, event: BlockerEvent, *, fix_commit: str, why: str) -> Blocker:
        """Note at once that the fix passed, which phases the blocker holds, and that its stop is lifted.

        Phases that were noted stay noted; one that failed of the blocker again counts as held again. The phases
        themselves say that they are free after ``Drains.mark``.
        """
        ...

    def hold_phases(self, blocker: Blocker) -> None:
        """Note which phases the blocker holds; those that were noted stay noted."""
        ...

    def begun_phases(self, blocker: Blocker) -> Sequence[Phase]:
        """Phases that the blocker holds and that are queued or in flight: somebody began to try them again."""
        ...

    def resting_phases(self, blocker: Blocker, *, limit: int) -> Sequence[Phase]:
        """Phases that are left to the blocker's release, and that it does not take as they are.

        They await an approval, are queued, under way or skipped, need others that are not COMPLETE, or failed since of
        another cause, which is stopped. In the order of runs and positions.
        """
        ...

    def drained_since(self, blocker: Blocker, *, since: float) -> Sequence[DrainResult]:
        """What became of the blocker's phases that were tried with new work since a time, in the order of booking."""
        ...

    def release_counts(self, blocker: Blocker) -> Mapping[Release, tuple[int, int]]:
        """How many of the blocker's phases are where, and what their last answers had cost, in tokens."""
        ...

    def runs_to_release(self, blocker: Blocker) -> Sequence[str]:
        """The runs with phases that the blocker held and that were not tried since, or need work."""
        ...

    def mark_conflict(self, blocker: Blocker, run_id: str, *, is_conflict: bool) -> None:
        """Note whether the fix could be brought into a run's branch; once it is, the run's phases are held again."""
        ...

    def mark_unpaid(self, blocker: Blocker) -> None:
        """Note which held phases never got an answer, and need the Builder in any case."""
        ...

    # the whole record

    def failed_phases(self, *, at: float | None = None) -> Sequence[FailedPhase]:
        """The phases that stand FAILED now, or whose newest verdict was that at a time; by run and phase.

        Args:
            at: Seconds since the epoch; None is now. A phase that an operator had put back or skipped by then
                counts as failed, for only verdicts are dated.
        """
        ...

    def booked_calls(self, *, session_id: str | None = None) -> Sequence[BookedCall]:
        """Every Builder call, or those of a session, with what became of its attempt; oldest first."""
        ...

    def saved_calls(self, *, session_id: str | None = None) -> Sequence[SavedCall]:
        """Builder calls that were not made, or those that a session's attempts did not make.

        An answer that was used again saves what it had cost, a doomed attempt what its session expected of its call;
        one that no session made saves a call of 0 tokens.
        """
        ...

    def observations(self, *, session_id: str | None = None, newest: int) -> Sequence[Observation]:
        """The newest booked attempts of a session, or of all of them, at most ``newest``; oldest first."""
        ...

    def tries(self, *, since: float = 0.0) -> Mapping[str, Sequence[Try]]:
        """What became of drained phases that had failed before, by the fingerprint that they had failed with.

        Args:
            since: Seconds since the epoch; attempts that were picked earlier are left out.
        """
        ...

    def drain_record(self, session_ids: Sequence[str] = ()) -> DrainRecord:
        """What the named sessions did, or all of them.

        Raises:
            StoreError: A session that is named is not there.
        """
        ...

    def save_decision(self, judgement: Judgement, *, session_id: str | None, now: float) -> None:
        """Keep an answer."""
        ...

    def decisions(self, *, session_id: str | None = None, limit: int) -> Sequence[StoredJudgement]:
        """The newest answers, of a session or of all, newest first."""
        ...
