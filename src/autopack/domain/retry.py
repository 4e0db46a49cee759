"""How long to wait after a fault of the surroundings, and the pause of a provider that asked for patience."""

from dataclasses import dataclass
from zlib import crc32

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.masking import mask_secrets
from autopack.domain.rates import Turn

_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A Builder that is not to be called for a while, by any phase."""

    builder: str
    until: float
    """Seconds since the epoch."""
    faults: int
    """Waves of faults in a row, without an answer between them; 0 when there was one since."""
    reason: str


def pause_seconds(faults: int, *, asked_seconds: float | None, seed: str) -> float:
    """How long to wait before the next try: what was asked for, else doubling from 2 s to 300 s.

    Up to a quarter is added, by ``seed``, so that what failed together does not come back together.

    Args:
        faults: How many came in a row before this one.
        asked_seconds: What the provider asked for (``Retry-After``), if it did.
        seed: What waits.
    """
    base = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(faults, 16), _LONGEST_PAUSE_SECONDS)
    if asked_seconds is not None:
        base = max(asked_seconds, 0.0)
    return base * (1 + crc32(seed.encode("utf-8", "replace")) % 256 / 1024)


def pauses_builder(failure: FailureReport | None) -> bool:
    """Whether a failed call says that the provider, not the phase, needs time: rate limit, overload, network."""
    return failure is not None and failure.kind is FailureKind.BUILDER_ERROR and failure.retryable


def paused(before: Pause | None, builder: str, failure: FailureReport, *, now: float) -> Pause:
    """The pause after another fault.

    Calls that were under way together fail together: a fault that comes while the Builder is paused is of the same
    wave, which may make the pause longer but does not double it.
    """
    is_same_wave = before is not None and before.until > now
    known = before.faults if before is not None else 0
    faults = known if is_same_wave else known + 1
    seconds = pause_seconds(faults - 1, asked_seconds=failure.retry_after_seconds, seed=f"{builder} {faults}")
    until = max(now + seconds, before.until if before is not None else 0.0)
    return Pause(builder=builder, until=until, faults=faults, reason=mask_secrets(failure.message))


def provider_key(provider: str) -> str:
    """The name under which a provider's pause is kept, beside those of Builders."""
    return f"provider {provider}"


def turn_under_pause(pause: Pause | None, *, now: float) -> Turn | None:
    """The wait that a pause asks for; None when it is over, or there is none."""
    if pause is None or pause.until <= now:
        return None
    return Turn(wait_seconds=pause.until - now, reason=f"it asked to be left alone: {pause.reason}")


def pause_failure(pause: Pause, *, now: float) -> FailureReport:
    """What an attempt ends with that waits for its Builder; it counts for nothing."""
    rest = max(0.0, pause.until - now)
    return FailureReport(
        kind=FailureKind.BUILDER_ERROR,
        message=f"Builder {pause.builder} is paused for {rest:.0f} s more: {pause.reason}",
        retryable=True,
        is_wait=True,
        retry_after_seconds=rest,
        hint="Nothing is to be done; the attempt goes on when the pause is over.",
    )
