"""``python -m benchmarks.selection``: what choosing the next phase costs in a backlog of a thousand to a million.

The backlogs are written as rows, on SQLite and on a real PostgreSQL. Figures are wall time on this machine; beside
each stands its ratio to an empty transaction, one that writes a row and commits, in the same run.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from autopack.adapters.store import SqlStore
from autopack.adapters.store.tables import run
from benchmarks.selection import measure
from benchmarks.selection.backlog import fill
from benchmarks.selection.databases import empty_store
from benchmarks.selection.imports import seconds_of_import, seconds_of_reading

RESULTS = Path(__file__).resolve().parent.parent / ".work" / "selection.json"
SIZES = (1_000, 100_000, 1_000_000)
QUICK_SIZES = (10_000, 100_000)
PICK_BAR_MS = 20.0
STATUS_BAR_SECONDS = 1.0
IMPORT_BAR_SECONDS = 180.0
MEMORY_BAR = 1.5
"""How much more a pick may hold in memory at the largest size than at the smallest."""
Figures = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill, measure, print, keep; 1 when a bar was missed."""
    options = _parser().parse_args(argv)
    sizes = QUICK_SIZES if options.quick else tuple(options.sizes)
    results: dict[str, Figures] = {}
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="autopack-selection-") as name:
        reading = seconds_of_reading(Path(name))
        for kind in options.databases:
            for size in sizes:
                figures = _measure(kind, size, Path(name), is_largest=size == max(sizes), reading=reading)
                results[f"{kind} {size}"] = figures
                _show(f"{kind}, {size:,} phases", figures)
                missed += [f"{kind}, {size:,}: {it}" for it in _missed(figures)]
            ends = [results[f"{kind} {size}"]["memory of a pick, MB"] for size in (min(sizes), max(sizes))]
            if ends[1] > MEMORY_BAR * ends[0]:
                missed.append(f"{kind}: memory grows from {ends[0]:.2f} to {ends[1]:.2f} MB")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2))
    print("missed: " + "; ".join(missed) if missed else "every bar was met")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10,000 and 100,000 phases")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument(
        "--databases", nargs="+", choices=("sqlite", "postgres"), default=("sqlite", "postgres")
    )
    return parser


def _measure(kind: str, size: int, folder: Path, *, is_largest: bool, reading: Figures) -> Figures:
    with empty_store(kind, folder, f"filled-{size}") as store:
        fill(store._database, size)  # noqa: SLF001 - rows that no import would write
        figures = {"an empty transaction, ms": _empty_transaction(store)}
        times, peak = measure.drained_attempts(store)
        figures |= times | {"memory of a pick, MB": peak} | measure.queries(store)
        if is_largest:
            beside = 1000 * measure.picks_beside_the_largest_cause(store)
            figures["pick while the largest cause is under way, median, ms"] = beside
            figures |= measure.stop_and_lift(store)
    if is_largest:
        with empty_store(kind, folder, f"imported-{size}") as store:
            stored = seconds_of_import(store, size)
        figures["import of as many into an empty store, s"] = stored
        figures |= {f"reading of their plan files in {name}, s": it * size for name, it in reading.items()}
        figures["import with the reading of JSON, s"] = stored + reading["JSON"] * size
    return figures


def _empty_transaction(store: SqlStore) -> float:
    seconds = []
    one = run.update().where(run.c.run_id == "run-000000")
    for number in range(50):
        with_row = one.values(created_at=sa.literal(float(number)))
        seconds.append(measure.seconds_of(lambda with_row=with_row: _write(store, with_row)))
    return 1000 * statistics.median(seconds)


def _write(store: SqlStore, statement: sa.Update) -> None:
    with store._database.writing() as db:  # noqa: SLF001 - what the store's own methods do
        db.execute(statement)


def _missed(figures: Figures) -> list[str]:
    status = sum(seconds for name, seconds in figures.items() if name.startswith("status: "))
    judged = (
        ("pick, median, ms", figures["pick, median, ms"], PICK_BAR_MS),
        ("status, s", status, STATUS_BAR_SECONDS),
        ("import, s", figures.get("import with the reading of JSON, s", 0.0), IMPORT_BAR_SECONDS),
    )
    return [f"{name} is {value:.2f}, the bar {bar:g}" for name, value, bar in judged if value >= bar]


def _show(title: str, figures: Figures) -> None:
    print(f"-- {title}")
    empty = figures["an empty transaction, ms"]
    for name, value in figures.items():
        ratio = f"{value / empty:8.1f} x empty" if name.endswith(", ms") else ""
        print(f"{name:55} {value:10.3f} {ratio}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
