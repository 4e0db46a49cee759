"""The record of blockers over SQL: each method is one transaction."""

from collections.abc import Mapping, Sequence

from autopack.adapters.store import blockers, bookings, drain_history, fingerprints, records, releases
from autopack.adapters.store.database import Database
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState, Release, Return
from autopack.domain.bucket import FailedPhase
from autopack.domain.drain_record import DrainRecord
from autopack.domain.forecast import Try
from autopack.domain.go_no_go import Judgement, Observation
from autopack.domain.phase import Phase
from autopack.domain.session import DrainResult
from autopack.domain.waste import BookedCall, SavedCall
from autopack.ports.triage import StoredJudgement


class SqlTriage:
    """Implements the port of triage on SQLite and PostgreSQL; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_blockers(self, *, now: float) -> Sequence[Blocker]:
        """Make a blocker of every fingerprint that more than one failed phase ended with; all blockers."""
        with self._database.writing() as db:
            blockers.open_new(db, now=now)
            return blockers.read_all(db)

    def blockers(self) -> Sequence[Blocker]:
        """All blockers, by number."""
        with self._database.reading() as db:
            return blockers.read_all(db)

    def blocker(self, name: str) -> Blocker:
        """The blocker called ``B1``, or of that fingerprint."""
        with self._database.reading() as db:
            return blockers.read(db, name)

    def move_blocker(
        self,
        blocker: Blocker,
        state: BlockerState | None,
        event: BlockerEvent,
        *,
        fix_commit: str | None = None,
    ) -> Blocker:
        """Note what happened to a blocker and the state that it is in now."""
        with self._database.writing() as db:
            blockers.move(db, blocker.number, state, event, fix_commit=fix_commit)
            return blockers.read(db, blocker.name)

    def returns(self, *, address: AttemptAddress | None = None) -> Sequence[Return]:
        """Attempts that ended with the cause of a mended blocker, begun after its fix."""
        with self._database.reading() as db:
            return blockers.returns(db, address)

    def reopen(self, found: Return, *, now: float) -> None:
        """Note that a mended cause is here again."""
        with self._database.writing() as db:
            blockers.reopen(db, found.number, found.address, now=now)

    def note_late(self, found: Return, *, now: float) -> str | None:
        """Note that a phase failed of a mended blocker where its fix is not; the fingerprint that this stopped."""
        with self._database.writing() as db:
            return blockers.note_late(db, found, now=now)

    def begin_release(self, blocker: Blocker, *, why: str, now: float) -> None:
        """Lift the blocker's stop, where late phases set it again, and note what it holds by now."""
        with self._database.writing() as db:
            known = fingerprints.lock(db, blocker.cause.fingerprint)
            if not blockers.is_validated(db, blocker.number):
                return
            if known is not None and known.stopped_at is not None:
                fingerprints.lift(db, blocker.cause.fingerprint, why=why, now=now)
            releases.hold_phases(db, blocker.number, blocker.cause.fingerprint)

    def end_release(self, blocker: Blocker, event: BlockerEvent) -> Blocker | None:
        """Put the blocker to RELEASED where nothing of it is left; None where something is."""
        with self._database.writing() as db:
            is_over = blockers.end_release(db, blocker.number, event)
            return blockers.read(db, blocker.name) if is_over else None

    def place_blocker(self, blocker: Blocker, *, place: str, introduced_by: str, now: float) -> Blocker:
        """Note where the cause is believed to be, and which commit brought it."""
        with self._database.writing() as db:
            blockers.place(db, blocker.number, place=place, introduced_by=introduced_by, now=now)
            return blockers.read(db, blocker.name)

    def events(self, blocker: Blocker) -> Sequence[BlockerEvent]:
        """What happened to a blocker, oldest first."""
        with self._database.reading() as db:
            return blockers.read_events(db, blocker.number)

    def evidence(self, fingerprint: str, *, limit: int) -> Sequence[Attempt]:
        """The newest attempts that ended with a fingerprint, newest first."""
        with self._database.reading() as db:
            return blockers.evidence(db, fingerprint, limit=limit)

    def held_phases(self, fingerprint: str, *, limit: int) -> Sequence[Phase]:
        """Failed phases whose last attempt ended with a fingerprint, in the order of runs and positions."""
        with self._database.reading() as db:
            return releases.held_phases(db, fingerprint, limit=limit)

    def validated(self, blocker: Blocker, event: BlockerEvent, *, fix_commit: str, why: str) -> Blocker:
        """Note at once that the fix passed, which phases the blocker holds, and that its stop is lifted."""
        key = blocker.cause.fingerprint
        with self._database.writing() as db:
            fingerprints.lift(db, key, why=why, now=event.at)
            releases.hold_phases(db, blocker.number, key)
            blockers.move(db, blocker.number, BlockerState.VALIDATED, event, fix_commit=fix_commit)
            return blockers.read(db, blocker.name)

    def hold_phases(self, blocker: Blocker) -> None:
        """Note which phases the blocker holds; those that were noted stay noted."""
        with self._database.writing() as db:
            releases.hold_phases(db, blocker.number, blocker.cause.fingerprint)

    def begun_phases(self, blocker: Blocker) -> Sequence[Phase]:
        """Phases that the blocker holds and that are queued or in flight."""
        with self._database.reading() as db:
            return releases.begun_phases(db, blocker.number)

    def resting_phases(self, blocker: Blocker, *, limit: int) -> Sequence[Phase]:
        """Phases that are left to the blocker's release, and that it does not take as they are."""
        with self._database.reading() as db:
            return releases.resting_phases(db, blocker.number, limit=limit)

    def drained_since(self, blocker: Blocker, *, since: float) -> Sequence[DrainResult]:
        """What became of the blocker's phases that were tried with new work since a time."""
        with self._database.reading() as db:
            return releases.drained_since(db, blocker.number, since=since)

    def release_counts(self, blocker: Blocker) -> Mapping[Release, tuple[int, int]]:
        """How many of the blocker's phases are where, and what their last answers had cost, in tokens."""
        with self._database.reading() as db:
            return releases.release_counts(db, blocker.number)

    def runs_to_release(self, blocker: Blocker) -> Sequence[str]:
        """The runs with phases that the blocker held and that were not tried since, or need work."""
        with self._database.reading() as db:
            return releases.released_runs(db, blocker.number)

    def mark_conflict(self, blocker: Blocker, run_id: str, *, is_conflict: bool) -> None:
        """Note whether the fix could be brought into the run's branch."""
        with self._database.writing() as db:
            releases.mark_conflict(db, blocker.number, run_id, is_conflict=is_conflict)

    def mark_unpaid(self, blocker: Blocker) -> None:
        """Note which held phases never got an answer, and need the Builder in any case."""
        with self._database.writing() as db:
            releases.mark_unpaid(db, blocker.number)

    def failed_phases(self, *, at: float | None = None) -> Sequence[FailedPhase]:
        """The phases that stand FAILED now, or whose newest verdict was that at a time; by run and phase."""
        with self._database.reading() as db:
            return records.failed_phases(db, at=at)

    def booked_calls(self, *, session_id: str | None = None) -> Sequence[BookedCall]:
        """Every Builder call, or those of a session, with what became of its attempt; oldest first."""
        with self._database.reading() as db:
            return bookings.booked_calls(db, session_id=session_id)

    def saved_calls(self, *, session_id: str | None = None) -> Sequence[SavedCall]:
        """Builder calls that were not made, or those that a session's attempts did not make."""
        with self._database.reading() as db:
            return bookings.saved_calls(db, session_id=session_id)

    def observations(self, *, session_id: str | None = None, newest: int) -> Sequence[Observation]:
        """The newest booked attempts of a session, or of all of them, at most ``newest``; oldest first."""
        with self._database.reading() as db:
            return records.observations(db, session_id=session_id, newest=newest)

    def tries(self, *, since: float = 0.0) -> Mapping[str, Sequence[Try]]:
        """What became of drained phases that had failed before, by the fingerprint that they had failed with."""
        with self._database.reading() as db:
            return records.tries(db, since=since)

    def drain_record(self, session_ids: Sequence[str] = ()) -> DrainRecord:
        """What the named sessions did, or all of them."""
        with self._database.reading() as db:
            return drain_history.read_record(db, session_ids)

    def save_decision(self, judgement: Judgement, *, session_id: str | None, now: float) -> None:
        """Keep an answer."""
        with self._database.writing() as db:
            records.save_decision(db, judgement, session_id=session_id, now=now)

    def decisions(self, *, session_id: str | None = None, limit: int) -> Sequence[StoredJudgement]:
        """The newest answers, of a session or of all, newest first."""
        with self._database.reading() as db:
            return records.read_decisions(db, session_id=session_id, limit=limit)
