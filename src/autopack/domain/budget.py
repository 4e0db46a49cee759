"""What may be spent on Builder calls, and what was."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one or several Builder calls used, in tokens and money."""

    input_tokens: int = 0
    """All input, cached input included."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """The part of the input that the provider served from its cache."""
    cost_usd: float | None = None
    """None when the price is not known, which is not the same as free."""
    unpriced_tokens: int = 0
    """Tokens of a sum whose price is not known, so that ``cost_usd`` holds nothing for them."""
    is_estimated: bool = False
    """True when the provider gave no numbers and these were derived from sizes."""

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def _without_price(self) -> int:
        return self.total_tokens if self.cost_usd is None else self.unpriced_tokens

    def __add__(self, other: "Usage") -> "Usage":
        known = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_usd=sum(known) if known else None,
            unpriced_tokens=self._without_price + other._without_price if known else 0,
            is_estimated=self.is_estimated or other.is_estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit in tokens, and what is already spent or promised under it."""

    limit_tokens: int
    spent_tokens: int = 0
    """Settled usage and reservations that are still open, so that two calls cannot both take the rest."""

    @property
    def left_tokens(self) -> int:
        """What may still be spent; never below zero."""
        return max(0, self.limit_tokens - self.spent_tokens)

    def allows(self, tokens: int) -> bool:
        """Whether a call that is expected to use ``tokens`` fits into what is left."""
        return tokens <= self.left_tokens


def estimate_tokens(size_bytes: int) -> int:
    """Tokens to expect for a text of ``size_bytes``: a quarter of them, rounded up, at least one."""
    return max(1, -(-size_bytes // 4))
