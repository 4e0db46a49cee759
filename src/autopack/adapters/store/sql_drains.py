"""The record of drains over SQL: each method is a transaction around functions of this package."""

from collections.abc import Callable, Sequence
from math import inf

from autopack.adapters.store import drain_items, fingerprints, held_back, picks, sessions
from autopack.adapters.store.database import Database
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Stop
from autopack.domain.session import (
    AttemptOrders,
    DrainKind,
    DrainResult,
    DrainScope,
    HeldBack,
    KnownFingerprint,
    Pick,
    Session,
    Spent,
)
from autopack.errors import StoreError

_RACES = 1000
"""Lost races for the next phase in a row that are no races any more."""


class SqlDrains:
    """Implements the port of drains on SQLite and PostgreSQL; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(
        self,
        scope: DrainScope,
        limits: DrainLimits,
        *,
        preset: str,
        owner: str,
        now: float,
        is_owner_dead: Callable[[str, float], bool],
        continues: str | None = None,
    ) -> Session:
        """Begin a session; it takes over the attempts that sessions of dead processes left under way."""
        with self._database.writing() as db:
            session = sessions.start(
                db,
                scope,
                limits,
                preset=preset,
                owner=owner,
                now=now,
                is_owner_dead=is_owner_dead,
                continues=continues,
            )
        with self._database.writing() as db:
            session = sessions.adopt(db, session.session_id)
        self._mark_stopped()
        return session

    def resume(
        self,
        session_id: str | None,
        *,
        owner: str,
        now: float,
        is_owner_dead: Callable[[str, float], bool],
    ) -> Session:
        """Go on with a session that was left: the named one, else the newest that is not ended."""
        with self._database.writing() as db:
            session = sessions.resume(db, session_id, owner=owner, now=now, is_owner_dead=is_owner_dead)
        self._mark_stopped()
        return session

    def _mark_stopped(self) -> None:
        # A process may have died between noting a stop and marking its phases.
        with self._database.reading() as db:
            keys = fingerprints.stale_keys(db)
        for key in keys:
            self._mark(key)

    def _mark(self, key: str) -> int:
        """Make every phase of a fingerprint say whether it is stopped, some runs at a time; how many changed."""
        return sum(iter(lambda: self._mark_some(key), 0))

    def _mark_some(self, key: str) -> int:
        with self._database.writing() as db:
            return fingerprints.mark_some(db, key)

    def touch(self, session_id: str, *, owner: str, now: float) -> None:
        """Say that the session is worked on, and count the time; raises LeaseLostError when another took it."""
        with self._database.writing() as db:
            sessions.touch(db, session_id, owner=owner, now=now)

    def finish(self, session_id: str, stop: Stop, *, now: float) -> None:
        """End the session; the first word on why stays."""
        with self._database.writing() as db:
            sessions.finish(db, session_id, stop, now=now)

    def session(self, session_id: str) -> Session:
        """One session with its totals; raises StoreError when there is none."""
        with self._database.reading() as db:
            return sessions.read(db, session_id)

    def sessions(self, *, limit: int) -> Sequence[Session]:
        """The newest sessions, newest first."""
        with self._database.reading() as db:
            return sessions.read_all(db, limit=limit)

    def results(self, session_id: str) -> Sequence[DrainResult]:
        """The booked results of a session in the order of picking."""
        with self._database.reading() as db:
            return drain_items.results(db, session_id)

    def pick(self, session: Session, *, now: float) -> Pick | None:
        """Take the next attempt upon the session and put its phase into the queue; None when nothing may go."""
        for _ in range(_RACES):
            with self._database.writing() as db:
                found = drain_items.find(db, session, now=now)
                made = None if found is None else drain_items.take(db, session, found, now=now)
            # One run is locked in one transaction: who held a second one would wait for others who wait for it.
            if found is None or made is not None:
                return made
        raise StoreError(f"others took what was next {_RACES} times in a row", hint="Try again.")

    def preview(self, scope: DrainScope, limits: DrainLimits, *, limit: int) -> Sequence[AttemptAddress]:
        """What a session would try first, in order, if nothing changed meanwhile; nothing is taken."""
        with self._database.reading() as db:
            if scope.kind is DrainKind.QUEUED:
                return picks.queued_candidates(db, ("",), scope, limits, now=inf, limit=limit)
            rows = picks.failed_candidates(db, ("",), scope, limits, limit=limit)
        return tuple(
            AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.last_attempt + 1)
            for row in rows
        )

    def count_queued(self, scope: DrainScope) -> int:
        """How many phases of the operator's runs in a scope are QUEUED, whether they may go or not."""
        with self._database.reading() as db:
            return picks.count_queued(db, scope)

    def held_back(
        self, scope: DrainScope, limits: DrainLimits, *, session_id: str = ""
    ) -> Sequence[HeldBack]:
        """Failed phases that would not be taken now, by reason; a phase with two reasons counts for both."""
        with self._database.reading() as db:
            steps = sessions.steps_of(db, session_id)
            return held_back.held_back(db, steps, scope, limits)

    def open_picks(self, session_id: str | None = None) -> Sequence[Pick]:
        """Attempts of a session, or of all, whose result is not booked yet, in the order of picking."""
        with self._database.reading() as db:
            return drain_items.open_picks(db, session_id)

    def drop_pick(self, pick: Pick) -> None:
        """Forget a pick whose phase somebody else decided on; it counts for nothing."""
        with self._database.writing() as db:
            drain_items.drop_pick(db, pick)

    def book(self, pick: Pick, result: DrainResult, *, now: float) -> Stop | None:
        """Write what became of a pick, once; the fingerprint's stop, where this result reached its limit."""
        with self._database.writing() as db:
            stop = drain_items.book(db, pick, result, now=now)
        if stop is not None:
            self._mark(stop.subject)
        return stop

    def orders(self, address: AttemptAddress) -> AttemptOrders | None:
        """How the session which picked an attempt wants it made; None when none did."""
        with self._database.reading() as db:
            return drain_items.orders(db, address)

    def spent(self, pick: Pick) -> Spent:
        """What the Builder calls of a pick used since it was picked; one under way counts as expected."""
        with self._database.reading() as db:
            return drain_items.spent(db, pick)

    def fingerprints(self, *, limit: int) -> Sequence[KnownFingerprint]:
        """The most frequent fingerprints."""
        with self._database.reading() as db:
            return fingerprints.read(db, limit=limit)

    def fingerprint(self, key: str) -> KnownFingerprint:
        """One fingerprint; raises StoreError when there is none."""
        with self._database.reading() as db:
            found = fingerprints.read(db, limit=1, key=key)
        if not found:
            raise StoreError(
                f"there is no fingerprint {key!r}", hint="`autopack drain fingerprints` lists them."
            )
        return found[0]

    def lift(self, key: str, *, why: str, now: float) -> int:
        """Let a fingerprint's phases be tried again and count it from nothing; how many phases that frees."""
        with self._database.writing() as db:
            fingerprints.lift(db, key, why=why, now=now)
        return self.mark(key)

    def mark(self, key: str) -> int:
        """Make every failed phase of a fingerprint say whether it is stopped; how many changed."""
        changed = self._mark(key)
        if self.fingerprint(key).stopped_at is None:
            while self._forget_samples(key):
                pass
        return changed

    def _forget_samples(self, key: str) -> int:
        with self._database.writing() as db:
            return fingerprints.forget_samples(db, key)
