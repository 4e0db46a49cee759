"""All cases of the truth table."""

from collections.abc import Iterator

from benchmarks.gate_truth import bad_answers, bad_runs, bad_trees, good, good_runs
from benchmarks.gate_truth.case import Case


def all_cases() -> tuple[Case, ...]:
    """Good changes first; every name once."""
    cases = tuple(_each())
    names = [case.name for case in cases]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles:
        raise ValueError(f"several cases are named {', '.join(sorted(doubles))}")
    return cases


def _each() -> Iterator[Case]:
    for module in (good, good_runs, bad_answers, bad_trees, bad_runs):
        yield from module.TABLE.cases
