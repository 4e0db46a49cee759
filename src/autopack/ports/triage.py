"""The record of what holds a backlog up: blockers, what was done about each, and decisions to go on."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from autopack.domain.attempt import Attempt
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState, Release
from autopack.domain.phase import Phase


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
        state: BlockerState,
        event: BlockerEvent,
        *,
        fix_commit: str | None = None,
    ) -> Blocker:
        """Note what happened to a blocker and the state that it is in now; an event may leave it where it is.

        Raises:
            IllegalTransitionError: The state does not follow the one it has by now.
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

    def hold_phases(self, blocker: Blocker) -> int:
        """Note which phases the blocker holds, before its stop is lifted; how many there are.

        Those that were noted stay noted; one that failed of the blocker again counts as held again.
        """
        ...

    def release_counts(self, blocker: Blocker) -> Mapping[Release, tuple[int, int]]:
        """How many of the blocker's phases are where, and what their last answers had cost, in tokens."""
        ...

    def runs_to_release(self, blocker: Blocker) -> Sequence[str]:
        """The runs with phases that the blocker held and that were not tried since, or need work."""
        ...

    def mark_needs_work(self, blocker: Blocker, run_id: str) -> None:
        """Note that no answer of the run can be judged on the fixed base as it is."""
        ...
