"""A cause that holds up more than one phase: what is known of it, and how far its mending is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.attempt import AttemptAddress
from autopack.domain.session import KnownFingerprint
from autopack.errors import IllegalTransitionError


class BlockerState(StrEnum):
    """How far a blocker is on its way out."""

    OPEN = "open"
    FIX_PROPOSED = "fix proposed"
    VALIDATED = "validated"
    """Its validation command passed on the fixed commit; its phases may be tried again."""
    RELEASED = "released"
    """Its phases were tried again, and none failed of it."""
    RECURRED = "recurred"
    """It came back after its fix was validated."""


LEGAL_MOVES: Mapping[BlockerState, frozenset[BlockerState]] = {
    BlockerState.OPEN: frozenset({BlockerState.FIX_PROPOSED, BlockerState.VALIDATED}),
    BlockerState.FIX_PROPOSED: frozenset(
        {BlockerState.FIX_PROPOSED, BlockerState.VALIDATED, BlockerState.OPEN}
    ),
    BlockerState.VALIDATED: frozenset(
        {BlockerState.RELEASED, BlockerState.RECURRED, BlockerState.FIX_PROPOSED}
    ),
    BlockerState.RELEASED: frozenset({BlockerState.RECURRED, BlockerState.VALIDATED}),
    BlockerState.RECURRED: frozenset({BlockerState.FIX_PROPOSED, BlockerState.VALIDATED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """One blocker; its number stays the same when fingerprints are made anew."""

    number: int
    cause: KnownFingerprint
    state: BlockerState
    opened_at: float
    updated_at: float
    place: str = ""
    """``path`` or ``path:line`` where the cause is believed to be; empty when nothing names one."""
    introduced_by: str = ""
    """The commit that brought the cause, where a bisection found it."""
    fix_commit: str | None = None
    fixed_at: float | None = None
    recurred_in: str | None = None
    """The attempt, as ``run/phase/number``, that failed of it after its fix."""
    recurrences: int = 0

    @property
    def name(self) -> str:
        """``B1``: what an operator types."""
        return f"B{self.number}"

    @property
    def is_holding(self) -> bool:
        """Whether its phases wait for a fix."""
        return self.state in {BlockerState.OPEN, BlockerState.FIX_PROPOSED, BlockerState.RECURRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerEvent:
    """Something that was done about a blocker, or that it did."""

    at: float
    event: str
    """``opened``, ``mend begun``, ``fix proposed``, ``validation passed``, ``validation failed``, ``mend put away``,
    ``released``, ``release stopped``, ``late``, ``recurred``."""
    text: str = ""
    session_id: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """An attempt that ended with a mended cause and was begun after its fix; git knows whether its base had it."""

    number: int
    """The blocker's."""
    fix_commit: str
    address: AttemptAddress
    base_commit: str | None
    """What the attempt was made on; None for one that ended before that was known."""


class Release(StrEnum):
    """What became of a phase that a blocker held, once its fix was validated."""

    HELD = "held"
    """Not tried yet."""
    REPLAYED = "replayed"
    """COMPLETE with the change that was paid for before; the Builder was not asked."""
    NEEDS_WORK = "needs work"
    """There was no such change, or it does not pass on the fixed base."""
    DRAINED = "drained"
    """COMPLETE with a new change."""
    FAILED = "failed"
    """Failed again with a new change, of whatever cause."""
    CONFLICT = "conflict"
    """The fix does not merge into the branch of its run; nothing is tried until somebody merges it."""
    LATE = "late"
    """Failed of it after the fix was validated, in a run that lacks the fix; the next release brings it there."""


LEFT = frozenset({Release.HELD, Release.NEEDS_WORK, Release.CONFLICT, Release.LATE})
"""Phases that were not tried to their end: while there is one, a release is not over."""


def release_of(*, is_complete: bool, is_replay: bool) -> Release:
    """What an attempt of a released phase makes of it."""
    if is_complete:
        return Release.REPLAYED if is_replay else Release.DRAINED
    return Release.NEEDS_WORK if is_replay else Release.FAILED


def check_move(blocker: Blocker, state: BlockerState) -> None:
    """Refuse a move that the table does not hold.

    Raises:
        IllegalTransitionError: ``state`` does not follow the blocker's.
    """
    if state not in LEGAL_MOVES[blocker.state]:
        legal = ", ".join(sorted(LEGAL_MOVES[blocker.state]))
        raise IllegalTransitionError(
            f"{blocker.name} is {blocker.state} and cannot become {state}",
            hint=f"From {blocker.state} may follow: {legal}.",
        )
