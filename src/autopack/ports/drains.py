"""The record of drains: sessions, the attempts they took, and the fingerprints that are stopped."""

from collections.abc import Callable, Sequence
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Stop
from autopack.domain.session import (
    AttemptOrders,
    DrainResult,
    DrainScope,
    HeldBack,
    KnownFingerprint,
    Pick,
    Session,
    Spent,
)


class Drains(Protocol):
    """Every method is one transaction, but for ``book`` and ``lift``, which may be cut in two without harm."""

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
        """Begin a session; it takes over the attempts that sessions of dead processes left under way.

        Args:
            scope: Which phases it may take.
            limits: When it gives up.
            preset: What the limits are called.
            owner: This process.
            now: Seconds since the epoch.
            is_owner_dead: Gets a session's ``owner`` and its last heartbeat.
            continues: The ended session whose next step this is: what limits count goes on, but for the batch.
        """
        ...

    def resume(
        self,
        session_id: str | None,
        *,
        owner: str,
        now: float,
        is_owner_dead: Callable[[str, float], bool],
    ) -> Session:
        """Go on with a session that was left: the named one, else the newest that is not ended.

        Raises:
            StoreError: There is none, it is ended, or a live process works on it.
        """
        ...

    def touch(self, session_id: str, *, owner: str, now: float) -> None:
        """Say that the session is worked on, and count the time; raises LeaseLostError when another took it."""
        ...

    def finish(self, session_id: str, stop: Stop, *, now: float) -> None:
        """End the session; the first word on why stays."""
        ...

    def session(self, session_id: str) -> Session:
        """One session with its totals; raises StoreError when there is none."""
        ...

    def sessions(self, *, limit: int) -> Sequence[Session]:
        """The newest sessions, newest first."""
        ...

    def results(self, session_id: str) -> Sequence[DrainResult]:
        """The booked results of a session in the order of picking."""
        ...

    def pick(self, session: Session, *, now: float) -> Pick | None:
        """Take the next attempt upon the session and put its phase into the queue.

        Failed phases come in the order: runs not yet sampled, promising runs, the others; inside each by
        ``FailureRank``, then by position in the run; then runs with fewer failures, then older ones. The cost
        does not grow with the backlog.

        Returns:
            None when nothing may be tried now; ``open_picks`` may change that.
        """
        ...

    def preview(self, scope: DrainScope, limits: DrainLimits, *, limit: int) -> Sequence[AttemptAddress]:
        """What a session would try first, in order, if nothing changed meanwhile; nothing is taken."""
        ...

    def count_queued(self, scope: DrainScope) -> int:
        """How many phases of the operator's runs in a scope are QUEUED, whether they may go or not."""
        ...

    def held_back(
        self, scope: DrainScope, limits: DrainLimits, *, session_id: str = ""
    ) -> Sequence[HeldBack]:
        """Failed phases that would not be taken now, by reason; a phase with two reasons counts for both."""
        ...

    def open_picks(self, session_id: str | None = None) -> Sequence[Pick]:
        """Attempts of a session, or of all, whose result is not booked yet, in the order of picking."""
        ...

    def drop_pick(self, pick: Pick) -> None:
        """Forget a pick whose phase somebody else decided on; it counts for nothing."""
        ...

    def book(self, pick: Pick, result: DrainResult, *, now: float) -> Stop | None:
        """Write what became of a pick; the second time changes nothing.

        Returns:
            The stop of the result's fingerprint, where this result reached its limit: every phase that failed
            with it is held back from now on.
        """
        ...

    def orders(self, address: AttemptAddress) -> AttemptOrders | None:
        """How the session which picked an attempt wants it made; None when none did."""
        ...

    def spent(self, pick: Pick) -> Spent:
        """What the Builder calls of a pick used since it was picked; one under way counts as expected."""
        ...

    def fingerprints(self, *, limit: int) -> Sequence[KnownFingerprint]:
        """The most frequent fingerprints."""
        ...

    def fingerprint(self, key: str) -> KnownFingerprint:
        """One fingerprint; raises StoreError when there is none."""
        ...

    def mark(self, key: str) -> int:
        """Make every failed phase of a fingerprint say whether it is stopped; how many changed.

        What ``lift`` ends with. Whoever begins a session does it for those that died before.
        """
        ...

    def lift(self, key: str, *, why: str, now: float) -> int:
        """Let a fingerprint's phases be tried again and count it from nothing; how many phases that frees.

        Raises:
            StoreError: There is no such fingerprint.
        """
        ...
