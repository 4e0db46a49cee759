"""How far a number that was counted on few cases may be off; a confidence of 0.95 unless told otherwise."""

from dataclasses import dataclass
from math import cos, pi, sin, sqrt, tan
from statistics import NormalDist

CONFIDENCE = 0.95
_MOST_DEGREES = 1_000
_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The values that the evidence does not exclude, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many cases of a sample are of one sort."""

    hits: int
    """From 0 to ``total``."""
    total: int

    @property
    def value(self) -> float | None:
        """From 0 to 1; None of no cases, which is not the same as 0."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> Interval:
        """Where the share of all such cases lies, by Wilson's rule."""
        return wilson(self.hits, self.total)

    def __str__(self) -> str:
        if self.value is None:
            return "0 of 0, nothing is known"
        low, high = (f"{100 * end:.1f}" for end in (self.interval.low, self.interval.high))
        return f"{self.hits} of {self.total}, {100 * self.value:.1f} % ({low} % to {high} %)"


def wilson(hits: int, total: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The shares that a sample does not exclude: Wilson's score interval, without continuity correction.

    Args:
        hits: Cases of the sort that is counted, from 0 to ``total``.
        total: Cases in all; of 0 nothing is known, and the interval is from 0 to 1.
        confidence: Two-sided, above 0 and below 1.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), pages 209 to 212.
    """
    if total == 0:
        return Interval(low=0.0, high=1.0)
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre = (hits + z2 / 2) / (total + z2)
    reach = sqrt(z2) / (total + z2) * sqrt(hits * (total - hits) / total + z2 / 4)
    # At either end the rule gives 0 or 1 exactly, which rounding would miss.
    return Interval(
        low=0.0 if hits == 0 else max(0.0, centre - reach),
        high=1.0 if hits == total else min(1.0, centre + reach),
    )


def student_t(degrees: int, *, confidence: float = CONFIDENCE) -> float:
    """How many standard errors either side of a mean are not excluded.

    Args:
        degrees: Degrees of freedom, at least 1; above 1,000 the value of 1,000 is given, a little too wide.
        confidence: Two-sided, above 0 and below 1.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4, solved by halving.
    """
    degrees = min(degrees, _MOST_DEGREES)
    low, high = 0.0, pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return sqrt(degrees) * tan(low)


def _within(angle: float, degrees: int) -> float:
    """The chance that Student's t lies within ``tan(angle) * sqrt(degrees)`` of 0."""
    is_odd = degrees % 2
    if degrees == 1:
        return 2 * angle / pi
    term = cos(angle) if is_odd else 1.0
    terms = term
    for step in range(2 + is_odd, degrees - 1, 2):
        term *= (step - 1) / step * cos(angle) ** 2
        terms += term
    return 2 / pi * (angle + sin(angle) * terms) if is_odd else sin(angle) * terms
