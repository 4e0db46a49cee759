"""What a Builder call is going to use, judged by earlier calls of like phases, and how far off that was before.

A call is predicted from three widening circles: calls of the same sort (category, complexity, number of
deliverables), of the same category, and all of the same Builder. Each circle's median is drawn towards the wider
one's, the more so the fewer calls it holds. The error is what the same rule would have got wrong on each earlier
call, had it known all the others.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from autopack.domain.phase import PhaseSpec

# A guess, used until the first call is known: what a prompt holds beside its files, and one file of an answer.
PRIOR_PROMPT_TOKENS = 4_000
PRIOR_DELIVERABLE_TOKENS = 1_500
SHRINKAGE = 4
"""How many calls a circle needs to count as much as the wider one that it lies in."""
LEAST_FOR_INTERVAL = 5
"""Earlier calls that an interval is told from; of fewer, none is told."""
_TRIED = 40
_FOLDER_WEIGHT = 5


class Complexity(StrEnum):
    """How much a phase may touch."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """Which calls are alike, as far as the plan tells."""

    category: str
    """The phase's kind and the commonest suffix of its files: ``build .py``."""
    complexity: Complexity
    deliverables: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An earlier call that was answered."""

    sort: Sort | None
    prompt_tokens: int
    """The size of its prompt, as estimated before."""
    tokens: int
    """What it used, input and output together; above zero."""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a call is expected to use."""

    sort: Sort
    tokens: int
    samples: int
    """Earlier calls that it was learned from; 0 makes it a guess."""
    alike: int = 0
    """Those of the same sort."""
    error: float | None = None
    """Median of the absolute errors on earlier calls, as a share of what they used; None below two."""
    low: int | None = None
    high: int | None = None
    """Eight of ten earlier calls ended between the two, in proportion; None below five."""
    cost_usd: float | None = None
    """None when no earlier call's price is known."""


def sort_of(spec: PhaseSpec) -> Sort:
    """The sort of a phase's calls: the same for every attempt, whatever the prompt holds."""
    paths = (*spec.scope.paths, *spec.scope.read_only)
    weight = sum(_FOLDER_WEIGHT if path.endswith("/") else 1 for path in paths)
    size = Complexity.SMALL if weight <= 2 else Complexity.MEDIUM if weight <= 8 else Complexity.LARGE
    files = [path for path in (*spec.deliverables, *spec.scope.paths) if not path.endswith("/")]
    suffixes = Counter(_suffix(path) for path in files)
    # Of equally common ones the first in the alphabet, so that the order of a plan's lists says nothing.
    common = min(suffixes, key=lambda suffix: (-suffixes[suffix], suffix), default="-")
    return Sort(category=f"{spec.kind} {common}", complexity=size, deliverables=len(spec.deliverables))


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and stem else name


def estimate(sort: Sort, samples: Sequence[Sample], *, prompt_tokens: int | None = None) -> Estimate:
    """What a call is expected to use.

    Args:
        sort: The call's sort.
        samples: Earlier calls of the same Builder, newest first.
        prompt_tokens: The size of its prompt, where that is known already.
    """
    rule, ratios = _best_rule(sort, samples, has_prompt=prompt_tokens is not None)
    tokens = max(1, round(rule(sort, samples, prompt_tokens)))
    interval = len(ratios) >= LEAST_FOR_INTERVAL
    return Estimate(
        sort=sort,
        tokens=tokens,
        samples=len(samples),
        alike=sum(sample.sort == sort for sample in samples),
        error=_error(ratios) if len(ratios) > 1 else None,
        low=round(tokens * _quantile(ratios, 0.1)) if interval else None,
        high=round(tokens * _quantile(ratios, 0.9)) if interval else None,
        cost_usd=_cost(samples, tokens),
    )


_Rule = Callable[[Sort, Sequence[Sample], int | None], float]


def _by_total(sort: Sort, samples: Sequence[Sample], prompt_tokens: int | None) -> float:
    """The prompt says nothing: an agent that reads for itself."""
    known = PRIOR_PROMPT_TOKENS if prompt_tokens is None else prompt_tokens
    return _circled(sort, samples, lambda it: float(it.tokens), prior=known + _prior_answer(sort))


def _by_rest(sort: Sort, samples: Sequence[Sample], prompt_tokens: int | None) -> float:
    """What comes on top of the prompt is alike: one question, one answer."""
    rest = _circled(sort, samples, lambda it: float(it.tokens - it.prompt_tokens), prior=_prior_answer(sort))
    return (prompt_tokens or 0) + rest


def _by_share(sort: Sort, samples: Sequence[Sample], prompt_tokens: int | None) -> float:
    """The prompt is sent again and again: an agent with many turns."""
    size = prompt_tokens or PRIOR_PROMPT_TOKENS
    prior = (size + _prior_answer(sort)) / size
    return size * _circled(sort, samples, lambda it: it.tokens / max(1, it.prompt_tokens), prior=prior)


def _prior_answer(sort: Sort) -> float:
    return float(PRIOR_DELIVERABLE_TOKENS * max(1, sort.deliverables))


def _circled(
    sort: Sort, samples: Sequence[Sample], value: Callable[[Sample], float], *, prior: float
) -> float:
    circles: tuple[Callable[[Sample], bool], ...] = (
        lambda _: True,
        lambda it: it.sort is not None and it.sort.category == sort.category,
        lambda it: it.sort == sort,
    )
    found = prior
    for is_in in circles:
        inside = [value(sample) for sample in samples if is_in(sample)]
        if inside:
            found = (len(inside) * median(inside) + SHRINKAGE * found) / (len(inside) + SHRINKAGE)
    return found


def _best_rule(sort: Sort, samples: Sequence[Sample], *, has_prompt: bool) -> tuple[_Rule, list[float]]:
    """The rule that erred least on earlier calls, and what those used as shares of its predictions."""
    if not has_prompt:
        return _by_total, _ratios(_by_total, sort, samples, has_prompt=False)
    rules: tuple[_Rule, ...] = (_by_rest, _by_total, _by_share)
    tried = [(rule, _ratios(rule, sort, samples, has_prompt=True)) for rule in rules]
    return min(tried, key=lambda it: _error(it[1]))


def _ratios(rule: _Rule, sort: Sort, samples: Sequence[Sample], *, has_prompt: bool) -> list[float]:
    # Calls of the same sort tell most of the next one; where there are few, others stand in for them.
    order = sorted(range(len(samples)), key=lambda index: samples[index].sort != sort)
    ratios = []
    for index in order[:_TRIED]:
        one = samples[index]
        others = [*samples[:index], *samples[index + 1 :]]
        predicted = rule(one.sort or sort, others, one.prompt_tokens if has_prompt else None)
        ratios.append(one.tokens / max(1.0, predicted))
    return ratios


def _error(ratios: Sequence[float]) -> float:
    """Median of ``|predicted - actual| / actual``, from actual over predicted; 0 of nothing."""
    return median(abs(1 / max(ratio, 1e-9) - 1) for ratio in ratios) if ratios else 0.0


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which the next one falls with a chance of ``share``, between neighbours in proportion."""
    ordered = sorted(values)
    # Of n values the k-th has k/(n + 1) of those to come below it.
    place = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _cost(samples: Sequence[Sample], tokens: int) -> float | None:
    prices = [sample.cost_usd / sample.tokens for sample in samples if sample.cost_usd is not None]
    return tokens * median(prices) if prices else None
