"""One event for each Builder call, and what the events of many attempts say together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import ZeroYield
from autopack.domain.failure import FailureKind
from autopack.domain.session import DrainResult


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """A Builder call; one that is under way, or whose process died, has no end, and the usage that was told by then.

    Where none was told, its input is what was expected.
    """

    call_id: int
    address: AttemptAddress
    session_id: str | None
    """The drain session that picked the attempt."""
    turn: int
    builder: str
    """As the operator wrote it; a command line may stand in it."""
    begun_at: float
    """Seconds since the epoch."""
    ended_at: float | None = None
    latency_seconds: float | None = None
    model: str = ""
    booked_tokens: int = 0
    predicted_tokens: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    is_estimated: bool = False
    is_truncated: bool = False
    stop_reason: str = ""
    failure_kind: FailureKind | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    """Words by name: which prompts it was asked with, in which format it answered, how its lines were found."""

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def error(self) -> float | None:
        """How far the prediction was off, as a share of what was used: 0.5 is half too much, -0.5 half too little."""
        if (
            self.ended_at is None
            or self.predicted_tokens is None
            or self.failure_kind is not None
            or not self.tokens
        ):
            return None
        return self.predicted_tokens / self.tokens - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySummary:
    """What a session's events say together."""

    attempts: int
    events: int
    tokens: int
    cost_usd: float | None
    minutes: float
    """Wall time of the attempts, added up."""
    yield_per_attempt: float
    yield_per_minute: float
    zero_yield: Mapping[ZeroYield, int] = field(default_factory=dict)
    """Why attempts made no call, the commonest reason first."""
    predicted: int = 0
    """Answered calls whose tokens had been predicted."""
    median_error: float | None = None
    """Median of the absolute errors, as a share of what was used."""
    bias: float | None = None
    """Median of the errors with their sign: above 0 the estimator says too much."""


def summarise(events: Sequence[CallEvent], results: Sequence[DrainResult]) -> TelemetrySummary:
    """What the events and the booked results of one session say together."""
    minutes = sum(result.subprocess_duration_seconds for result in results) / 60
    costs = [event.cost_usd for event in events if event.cost_usd is not None]
    errors = [event.error for event in events if event.error is not None]
    reasons = Counter(result.zero_yield_reason for result in results if result.zero_yield_reason is not None)
    return TelemetrySummary(
        attempts=len(results),
        events=len(events),
        tokens=sum(event.tokens for event in events),
        cost_usd=sum(costs) if costs else None,
        minutes=minutes,
        yield_per_attempt=len(events) / len(results) if results else 0.0,
        yield_per_minute=len(events) / minutes if minutes else 0.0,
        zero_yield=dict(reasons.most_common()),
        predicted=len(errors),
        median_error=median(abs(error) for error in errors) if errors else None,
        bias=median(errors) if errors else None,
    )
