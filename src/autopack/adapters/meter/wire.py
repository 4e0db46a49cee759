"""JSON as it comes from the wire, and what it says about one request."""

from dataclasses import dataclass, field

from autopack.domain.budget import Usage, estimate_tokens
from autopack.ports import FaultKind


def table(value: object, *keys: str) -> dict[str, object]:
    """The object under ``keys``; empty where there is none, whatever stands in its place."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, object]]:
    """The objects of a list; empty for anything else."""
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []


def count(value: object) -> int:
    """A number of tokens; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def text(value: object) -> str:
    """The text; empty for anything else."""
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireUsage:
    """What a provider counted, in one convention for all dialects."""

    input_tokens: int = 0
    """All input: served from a cache, written to one, and neither."""
    output_tokens: int = 0
    """All output, thoughts included."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def most(self, other: "WireUsage") -> "WireUsage":
        """The larger of each number: a stream tells its usage in parts, each a total so far."""
        return WireUsage(
            input_tokens=max(self.input_tokens, other.input_tokens),
            output_tokens=max(self.output_tokens, other.output_tokens),
            cached_tokens=max(self.cached_tokens, other.cached_tokens),
            cache_write_tokens=max(self.cache_write_tokens, other.cache_write_tokens),
        )

    def as_usage(self, *, cost_usd: float | None, is_estimated: bool) -> Usage:
        """The same as budgets count it."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cost_usd=cost_usd,
            is_estimated=is_estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a request brought no whole answer."""

    kind: FaultKind
    message: str = ""
    """The upstream's own words, which are masked before they are kept."""
    retry_after_seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class Reading:
    """What has been read of one answer so far."""

    usage: WireUsage | None = None
    has_last_usage: bool = False
    """Whether ``usage`` is what the provider bills, and not a count on the way."""
    is_complete: bool = False
    """Whether the answer came to its own end."""
    model: str = ""
    stop_reason: str = ""
    fault: Fault | None = field(default=None)
    text_bytes: int = 0
    """Size of what the model wrote, to estimate by where the provider gives no numbers."""

    def add_usage(self, usage: WireUsage, *, is_last: bool) -> None:
        """Take a count over."""
        self.usage = usage if self.usage is None else self.usage.most(usage)
        self.has_last_usage = self.has_last_usage or is_last

    def wrote(self, *parts: object) -> None:
        """Count what the model wrote."""
        self.text_bytes += sum(
            len(part.encode("utf-8", "replace")) for part in parts if isinstance(part, str)
        )

    def total(self, expected_tokens: int) -> tuple[WireUsage, bool]:
        """What the request used, and whether that is an estimate.

        Args:
            expected_tokens: The size of the request, as estimated.
        """
        if self.usage is not None and self.has_last_usage:
            return self.usage, False
        known = self.usage or WireUsage()
        written = estimate_tokens(self.text_bytes) if self.text_bytes else 0
        guess = WireUsage(input_tokens=known.input_tokens or expected_tokens, output_tokens=written)
        return known.most(guess), True
