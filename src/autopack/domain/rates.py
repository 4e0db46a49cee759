"""How often a provider may be asked by all workers together, over any minute."""

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRates:
    """Limits over any minute; 0 sets none."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.requests_per_minute or self.tokens_per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Leave to ask a provider, or how long to wait for it."""

    turn_id: int | None = None
    """None when there is nothing to settle: it must be waited, or nothing is limited."""
    wait_seconds: float = 0.0
    reason: str = ""
    """Why it must be waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A request of the last minute."""

    at: float
    """Seconds since the epoch."""
    tokens: int
    """Estimated until its answer is known."""


def wait_for_turn(taken: Sequence[Taken], tokens: int, rates: ProviderRates, *, now: float) -> Turn:
    """How long until another request fits beside those of the last minute; a turn without a wait fits now.

    A request that is larger than a whole minute holds goes when nothing else is in its minute.

    Args:
        taken: In any order; those older than a minute count no more.
        tokens: What the next one is expected to use.
        rates: The limits.
        now: Seconds since the epoch.
    """
    inside = sorted((it for it in taken if it.at > now - WINDOW_SECONDS), key=lambda it: it.at)
    waits = (_for_requests(inside, rates), _for_tokens(inside, tokens, rates))
    leaving, reason = max(waits)
    if not leaving:
        return Turn()
    # The last one that has to leave the minute first.
    return Turn(wait_seconds=max(0.001, inside[leaving - 1].at + WINDOW_SECONDS - now), reason=reason)


def _for_requests(inside: Sequence[Taken], rates: ProviderRates) -> tuple[int, str]:
    limit = rates.requests_per_minute
    leaving = max(0, len(inside) + 1 - limit) if limit else 0
    return leaving, f"{len(inside)} of {limit} requests a minute are made"


def _for_tokens(inside: Sequence[Taken], tokens: int, rates: ProviderRates) -> tuple[int, str]:
    limit = rates.tokens_per_minute
    used = sum(it.tokens for it in inside)
    reason = f"{used} of {limit} tokens a minute are used, and about {tokens} more are needed"
    if not limit:
        return 0, reason
    left = used
    for leaving, oldest in enumerate(inside):
        if left + tokens <= limit:
            return leaving, reason
        left -= oldest.tokens
    return len(inside), reason
