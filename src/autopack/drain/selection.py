"""What a drain would do, and why it would not do more."""

from collections.abc import Sequence
from dataclasses import dataclass

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.session import DrainKind, DrainScope, HeldBack
from autopack.ports import Drains


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPlan:
    """A look ahead; nothing was taken."""

    scope: DrainScope
    limits: DrainLimits
    next_attempts: tuple[AttemptAddress, ...]
    """In order, as far as it is known before the first outcome; at most the batch."""
    held_back: tuple[HeldBack, ...]


def look_ahead(drains: Drains, scope: DrainScope, limits: DrainLimits, *, most: int = 100) -> DrainPlan:
    """What a session would try first, and what it would leave alone and why."""
    size = most if limits.batch_size is None else min(limits.batch_size, most)
    return DrainPlan(
        scope=scope,
        limits=limits,
        next_attempts=tuple(drains.preview(scope, limits, limit=size)),
        held_back=why_held(drains, scope, limits),
    )


def why_held(
    drains: Drains, scope: DrainScope, limits: DrainLimits, *, session_id: str = ""
) -> tuple[HeldBack, ...]:
    """Why phases are left alone; a drain of queued phases leaves none alone that may go."""
    if scope.kind is DrainKind.QUEUED:
        return ()
    return tuple(drains.held_back(scope, limits, session_id=session_id))


def command_that_helps(held: Sequence[HeldBack]) -> str:
    """The command that would let the most phases go; empty when none is known."""
    with_hint = [one for one in held if one.hint]
    return max(with_hint, key=lambda one: one.phases).hint if with_hint else ""
