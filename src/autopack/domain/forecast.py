"""What another attempt at some phases will cost and bring, told from attempts that were made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, lgamma, sqrt
from statistics import fmean, stdev

from autopack.domain.estimate import LEAST_FOR_INTERVAL
from autopack.domain.interval import CONFIDENCE, Interval, Share, student_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """An attempt like those that are forecast, which has its verdict."""

    tokens: int
    is_complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one attempt at each of some phases will cost and bring."""

    phases: int
    tries: int
    """Attempts that it is told from."""
    tokens: float | None
    """Expected in all; None where no attempt is known."""
    tokens_interval: Interval | None
    """Where their sum will lie, 19 times in 20; None where too few attempts are known to tell."""
    completion_share: Share
    """Of the attempts that it is told from."""
    completions: float
    """Phases that are expected to complete."""
    completions_interval: Interval
    """Where their number will lie, 19 times in 20; whole numbers."""

    def __str__(self) -> str:
        bring = self.completions_interval
        return (
            f"retrying {self.phases} phases: {self._cost()}, {self.completions:.1f} completions"
            f" ({bring.low:.0f} to {bring.high:.0f}), told from {self.tries} attempts"
        )

    def _cost(self) -> str:
        if self.tokens is None:
            return "an unknown number of tokens"
        if self.tokens_interval is None:
            return f"about {self.tokens:,.0f} tokens, give or take what {self.tries} attempts cannot tell"
        return f"{self.tokens:,.0f} ± {self.tokens_interval.high - self.tokens:,.0f} tokens"


def forecast(phases: int, record: Iterable[Try]) -> Forecast:
    """What one attempt at each of ``phases`` phases will cost and bring, if they are like those of the record.

    Args:
        phases: How many will be tried, each once.
        record: Attempts under the circumstances that are forecast: after a mend, those made since it. Those that
            ended with a cause that is mended by now tell nothing of what comes.

    Source: docs/triage.md
    """
    tries = list(record)
    share = Share(hits=sum(one.is_complete for one in tries), total=len(tries))
    tokens = [one.tokens for one in tries]
    return Forecast(
        phases=phases,
        tries=len(tries),
        tokens=phases * fmean(tokens) if tokens else None,
        tokens_interval=_sum_interval(phases, tokens),
        completion_share=share,
        completions=phases * (share.hits + 0.5) / (share.total + 1),
        completions_interval=count_interval(phases, share),
    )


def _sum_interval(count: int, sample: Sequence[int]) -> Interval | None:
    """Where the sum of ``count`` further values lies: their own scatter, and that of the mean that is known."""
    size = len(sample)
    if size < LEAST_FOR_INTERVAL:
        return None
    centre = count * fmean(sample)
    reach = student_t(size - 1) * stdev(sample) * sqrt(count + count**2 / size)
    return Interval(low=max(0.0, centre - reach), high=centre + reach)


def count_interval(count: int, share: Share, *, confidence: float = CONFIDENCE) -> Interval:
    """How many of ``count`` further cases will be hits, when any share was thought as likely by Jeffreys' prior.

    The share's uncertainty and chance itself are both in it: the beta-binomial distribution with ``hits + 1/2`` and
    ``misses + 1/2``, from which the same weight is cut at either end.

    Source: L. D. Brown, T. T. Cai, A. DasGupta, Statistical Science 16 (2001), pages 101 to 133, for the prior.
    """
    hits, misses = share.hits + 0.5, share.total - share.hits + 0.5
    weights = [_beta_binomial(k, count, hits, misses) for k in range(count + 1)]
    whole = sum(weights)
    tail = (1 - confidence) / 2 * whole
    below = list(accumulate(weights))
    return Interval(
        low=next(k for k, weight in enumerate(below) if weight > tail),
        high=next(k for k, weight in enumerate(below) if weight >= whole - tail),
    )


def _beta_binomial(k: int, count: int, hits: float, misses: float) -> float:
    ways = lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1)
    return exp(ways + _log_beta(k + hits, count - k + misses) - _log_beta(hits, misses))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
