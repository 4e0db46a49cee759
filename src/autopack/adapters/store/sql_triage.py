"""The record of blockers over SQL: each method is one transaction."""

from collections.abc import Mapping, Sequence

from autopack.adapters.store import blockers
from autopack.adapters.store.database import Database
from autopack.domain.attempt import Attempt
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState, Release
from autopack.domain.phase import Phase


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
        state: BlockerState,
        event: BlockerEvent,
        *,
        fix_commit: str | None = None,
    ) -> Blocker:
        """Note what happened to a blocker and the state that it is in now."""
        with self._database.writing() as db:
            blockers.move(db, blocker.number, state, event, fix_commit=fix_commit)
            return blockers.read(db, blocker.name)

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
            return blockers.held_phases(db, fingerprint, limit=limit)

    def hold_phases(self, blocker: Blocker) -> int:
        """Note which phases the blocker holds, before its stop is lifted; how many there are."""
        with self._database.writing() as db:
            return blockers.hold_phases(db, blocker.number, blocker.cause.fingerprint)

    def release_counts(self, blocker: Blocker) -> Mapping[Release, tuple[int, int]]:
        """How many of the blocker's phases are where, and what their last answers had cost, in tokens."""
        with self._database.reading() as db:
            return blockers.release_counts(db, blocker.number)

    def runs_to_release(self, blocker: Blocker) -> Sequence[str]:
        """The runs with phases that the blocker held and that were not tried since, or need work."""
        with self._database.reading() as db:
            return blockers.released_runs(db, blocker.number)

    def mark_needs_work(self, blocker: Blocker, run_id: str) -> None:
        """Note that no answer of the run can be judged on the fixed base as it is."""
        with self._database.writing() as db:
            blockers.mark_needs_work(db, blocker.number, run_id)
