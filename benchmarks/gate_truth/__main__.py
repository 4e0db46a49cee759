"""``python -m benchmarks.gate_truth``: every case as a real attempt, and the confusion matrix."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.gate_truth.case import COMPLETE, Case
from benchmarks.gate_truth.cases import all_cases
from benchmarks.gate_truth.lab import Result, confusion, run_cases

WORK = Path(__file__).resolve().parent.parent / ".work" / "gate_truth"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases, print what came of them, write JSON; 1 when any verdict is wrong."""
    options = _parser().parse_args(argv)
    cases = [case for case in all_cases() if _is_chosen(case, options.only)]
    started = perf_counter()
    results = run_cases(cases, options.folder, workers=options.workers, say=_say)
    seconds = perf_counter() - started
    _print_matrix(results, seconds)
    (options.folder / "results.json").write_text(
        json.dumps(_as_json(results, seconds), indent=2), encoding="utf-8"
    )
    print(f"\nWritten to {options.folder / 'results.json'}")
    return 0 if all(result.is_right for result in results) else 1


def _is_chosen(case: Case, only: Sequence[str]) -> bool:
    return not only or bool({case.name, case.repository, case.expected} & set(only))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_truth", description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=WORK, help="where repositories and results go")
    parser.add_argument(
        "only", nargs="*", help="cases of these repositories or verdicts, or with these names; default: all"
    )
    parser.add_argument("--workers", type=int, default=2)
    return parser


def _say(result: Result) -> None:
    mark = "ok   " if result.is_right else "WRONG"
    print(f"{mark} {result.case.name:40} {result.verdict:26} {result.duration_seconds:5.1f} s", flush=True)


def _print_matrix(results: Sequence[Result], seconds: float) -> None:
    print(f"\n{'expected':26} {'cases':>5}  got")
    for expected, verdicts in confusion(results):
        print(
            f"{expected:26} {sum(verdicts.values()):5}  "
            + ", ".join(f"{it} {n}" for it, n in verdicts.items())
        )
    good = [result for result in results if result.case.expected == COMPLETE]
    bad = [result for result in results if result.case.expected != COMPLETE]
    missed = sum(result.verdict == COMPLETE for result in bad)
    refused = sum(result.verdict != COMPLETE for result in good)
    wrong_kind = sum(result.verdict not in {COMPLETE, result.case.expected} for result in bad)
    wrong_tree = sum(result.has_right_tree is False for result in results)
    print(
        f"\n{len(results)} cases in {seconds:.0f} s: {missed} of {len(bad)} bad changes COMPLETE,"
        f" {refused} of {len(good)} good changes refused, {wrong_kind} failures of another kind,"
        f" {wrong_tree} commits that are not exactly the change"
    )
    for result in results:
        if not result.is_right:
            tree = " (another tree)" if result.has_right_tree is False else ""
            print(
                f"  {result.case.name}: expected {result.case.expected}, got {result.verdict}{tree}: {result.message}"
            )


def _as_json(results: Sequence[Result], seconds: float) -> dict[str, object]:
    return {
        "duration_seconds": round(seconds, 1),
        "cases": len(results),
        "wrong": sum(not result.is_right for result in results),
        "results": [
            {
                "case": result.case.name,
                "repository": result.case.repository,
                "why": result.case.why,
                "expected": result.case.expected,
                "verdict": result.verdict,
                "message": result.message,
                "tokens": result.tokens,
                "duration_seconds": round(result.duration_seconds, 2),
                "has_right_tree": result.has_right_tree,
            }
            for result in results
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
