"""Breaks real repositories one file at a time and measures the collection gate against full collection.

    python -m benchmarks.collection_gate [--quick] [--only NAME]

Every share of cost is taken in this one run, as CPU time of this process and of all that it starts, against the
full collection of the same repository by pytest alone, with warm bytecode; "of own" is the share of the gate's own full
collection, which is faster. The bar is on what L0 to L3 cost up to their verdict, the median over the mutations, since a
step that blocks ends the ladder, and on "clean", the sum of all steps' medians, what a change without fault costs. The truth about each mutation is the full collection of
the whole suite; it is kept, since it does not change. Exit code 1 when a bar is missed.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from dataclasses import asdict, dataclass

from benchmarks.collection_gate.false_greens import false_greens
from benchmarks.collection_gate.lab import Judged, open_lab
from benchmarks.collection_gate.mutations import draw
from benchmarks.collection_gate.repositories import REPOSITORIES, WORK, Repository, prepare

RECALL_BAR = 0.98
"""Of the mutations that break collection, the share that L0 to L3 catch, or that they hand to L4 at once."""
STEPS = ("L0", "L1", "L2", "L3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One repository's figures."""

    repository: str
    plain_seconds: float
    """CPU time of a full collection by pytest alone."""
    full_seconds: float
    """CPU time of the gate's own full collection."""
    full_runs: list[float]
    scan_cold_seconds: float
    scan_warm_seconds: float
    step_seconds: dict[str, float]
    """Median CPU time of each step, over the mutations for which it was taken."""
    to_verdict_seconds: float
    """Median CPU time up to the verdict, for mutations that were not handed to L4."""
    bar: float | None
    """The greatest share of full collection that L0 to L3 may cost; None where L4 is always taken."""
    judged: list[Judged]

    @property
    def clean_share(self) -> float:
        """Cost of taking all steps, as for a change that is clean, beside full collection by pytest alone."""
        return self._all_seconds / self.plain_seconds

    @property
    def own_clean_share(self) -> float:
        """The same beside the gate's own full collection."""
        return self._all_seconds / self.full_seconds

    @property
    def _all_seconds(self) -> float:
        return sum(self.step_seconds[step] for step in STEPS)

    @property
    def to_verdict_share(self) -> float:
        """Cost up to the first step that blocks beside full collection by pytest alone."""
        return self.to_verdict_seconds / self.plain_seconds


def measure(repository: Repository, count: int) -> Result:
    """Judge ``count`` mutations of the repository."""
    with open_lab(repository) as lab:
        base, runs = lab.measure_base(3)
        plain = lab.measure_plain(3)
        cold, warm = lab.measure_scan()
        sources, importers = lab.sources()
        judged = []
        for number, mutation in enumerate(draw(repository.name, sources, importers, count), 1):
            judged.append(lab.judge(mutation, base))
            last = judged[-1]
            print(
                f"  {repository.name} {number}/{count} {last.kind:18} {last.caught_by or '-':3}"
                f"{'broken' if last.is_broken else 'fine':7} {last.path} {last.what[:50]}",
                flush=True,
            )
    full = statistics.median(runs)
    return Result(
        repository=repository.name,
        plain_seconds=plain,
        full_seconds=full,
        full_runs=runs,
        scan_cold_seconds=cold,
        scan_warm_seconds=warm,
        step_seconds={step: _median(judged, step) for step in STEPS},
        to_verdict_seconds=statistics.median(
            [sum(each.seconds.values()) for each in judged if "L4" not in each.seconds] or [0.0]
        ),
        bar=0.15 if plain >= 10 else 0.25 if plain >= 2 else None,
        judged=judged,
    )


def _median(judged: list[Judged], step: str) -> float:
    return statistics.median([each.seconds[step] for each in judged if step in each.seconds] or [0.0])


def report(results: list[Result]) -> list[str]:
    """Print the tables; the bars that were missed."""
    missed = []
    print(f"\n{'repository':11}{'pytest s':>9}{'own s':>7}{'L0':>7}{'L1':>7}{'L2':>7}{'L3':>7}{'clean':>8}{'of own':>8}"
          f"{'L0-L3':>8}{'bar':>6}"
          f"{'scan cold/warm s':>19}")  # fmt: skip
    for result in results:
        steps = "".join(f"{result.step_seconds[step]:7.2f}" for step in STEPS)
        bar = f"{result.bar:6.2f}" if result.bar else "  (L4)"
        print(f"{result.repository:11}{result.plain_seconds:9.2f}{result.full_seconds:7.2f}{steps}"
              f"{result.clean_share:8.2f}{result.own_clean_share:8.2f}"
              f"{result.to_verdict_share:8.2f}{bar}{result.scan_cold_seconds:12.2f} / {result.scan_warm_seconds:.2f}")  # fmt: skip
        for share, when in (
            (result.to_verdict_share, "until the verdict"),
            (result.clean_share, "on a sound change"),
        ):
            if result.bar and share > result.bar:
                missed.append(
                    f"{result.repository}: L0-L3 cost {share:.2f} of full collection {when}, bar {result.bar}"
                )
    judged = [each for result in results for each in result.judged]
    missed.extend(_report_recall(results, judged))
    _report_alarms(judged)
    return missed


def _report_recall(results: list[Result], judged: list[Judged]) -> list[str]:
    broken = [each for each in judged if each.is_broken]
    early = [each for each in broken if each.caught_by in STEPS]
    at_once = [each for each in broken if each.caught_by]
    at_end = [each for each in broken if each.caught_at_end]
    print(f"\n{len(judged)} mutations, {len(broken)} of them break collection")
    for result in results:
        counts = Counter(each.caught_by or "missed" for each in result.judged if each.is_broken)
        print(
            f"  {result.repository:11}"
            + "  ".join(f"{step} {count}" for step, count in sorted(counts.items()))
        )
    lazy = {result.repository for result in results if result.bar is None}
    asked = [
        each
        for result in results
        if result.repository not in lazy
        for each in result.judged
        if each.is_broken
    ]
    by_ladder = [each for each in asked if each.caught_by in STEPS]
    escalated = [
        each for each in judged if each.escalated and not each.escalated.startswith("the whole suite was")
    ]
    print(
        f"caught by L0-L3: {len(by_ladder)} of {len(asked)} ({_share(by_ladder, asked):.1%}) where L4 is not always taken"
    )
    print(
        f"caught by L0-L3 or by an L4 that the change itself asked for: {len(at_once)} of {len(broken)} ({_share(at_once, broken):.1%})"
    )
    print(f"caught by the end of the run: {len(at_end)} of {len(broken)} ({_share(at_end, broken):.1%})")
    print(
        f"handed to L4 by the change itself: {len(escalated)} of {len(judged)}; caught by L0-L3 in all: {len(early)}"
    )
    missed = []
    if _share(by_ladder, asked) < RECALL_BAR:
        missed.append(f"L0-L3 caught {_share(by_ladder, asked):.1%}, bar {RECALL_BAR:.0%}")
    if len(at_end) < len(broken):
        missed.append(f"{len(broken) - len(at_end)} mutations escaped to the end of the run")
    for each in broken:
        if each.caught_by not in STEPS:
            print(
                f"  not by L0-L3: {each.kind}: {each.path}: {each.what} ({each.caught_by or each.escalated or 'missed'})"
            )
    return missed


def _report_alarms(judged: list[Judged]) -> None:
    alarms = [each for each in judged if each.caught_by and not each.is_broken]
    defects = [each for each in alarms if each.is_defect]
    false = [each for each in alarms if not each.is_defect]
    print(
        f"blocked although full collection is green: {len(alarms)}; {len(defects)} of them break a module that no test imports"
    )
    print(f"false alarms: {len(false)}")
    for each in false:
        print(f"  {each.kind}: {each.path}: {each.what}: {each.message}")


def _share(part: list[Judged], whole: list[Judged]) -> float:
    return len(part) / len(whole) if whole else 1.0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collection_gate")
    parser.add_argument(
        "--quick", action="store_true", help="the small repositories, fewer mutations, newest pytest"
    )
    parser.add_argument("--only", help="one repository")
    options = parser.parse_args()
    chosen = [each for each in REPOSITORIES if options.only in {None, each.name}]
    counts = {each: each.quick_mutations if options.quick else each.mutations for each in chosen}
    chosen = [each for each in chosen if counts[each]]
    prepare(tuple({name for each in chosen for name in (each.name, *each.needs)}))
    results = [measure(each, counts[each]) for each in chosen]
    missed = report(results)
    wrong: list[str] = []
    if options.only is None:
        wrong, total = false_greens((9,)) if options.quick else false_greens()
        print(f"\nsmall broken repositories: {total} runs, {len(wrong)} with the wrong colour")
        missed += wrong
    name = "quick" if options.quick else options.only or "full"
    path = WORK.parent / f"collection_gate-{name}.json"
    path.write_text(json.dumps({"results": [asdict(each) for each in results], "missed": missed}, indent=1))
    print("\n".join(["", *(f"MISSED: {each}" for each in missed)]) if missed else "\nevery bar is met")
    print(f"written to {path}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
