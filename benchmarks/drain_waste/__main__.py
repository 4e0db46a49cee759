"""``python -m benchmarks.drain_waste``: what a drain pays for causes that are already known.

Every backlog is drained over recorded outcomes by our own controller and store and by three other rules; backlogs up
to ``--processes-up-to`` phases are drained by real processes as well (policy ``ours``), and must agree in every figure.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

from autopack.domain.drain_policy import Preset
from benchmarks.drain_waste.backlog import SHARES, SIZES, Cell, grid, make_backlog
from benchmarks.drain_waste.causes import BLOCKERS
from benchmarks.drain_waste.ours import drain_by_processes, drain_by_recordings, limits_of
from benchmarks.drain_waste.plot import draw
from benchmarks.drain_waste.probes import record
from benchmarks.drain_waste.recordings import Recordings
from benchmarks.drain_waste.report import row_of, table, to_json
from benchmarks.drain_waste.rivals import rivals
from benchmarks.drain_waste.tally import Tally, judge

RESULTS = Path(__file__).resolve().parent.parent / ".work" / "drain_waste.json"
_QUICK = Cell(size=20, share=90, blockers=BLOCKERS[:2])
_LIMITS = limits_of(Preset.DEFAULT)


def main(argv: Sequence[str] | None = None) -> int:
    """Record, drain, print, keep; 1 when a bar was missed."""
    options = _parser().parse_args(argv)
    # Programs find their bytecode, as those of an installed package do.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    cells = (_QUICK,) if options.quick else _chosen(options)
    known = _QUICK.blockers if options.quick else BLOCKERS
    folder = Path(mkdtemp(prefix="autopack-drain-waste-"))
    try:
        recordings = record(folder / "probes", known, workers=options.workers)
        tallies = [
            tally
            for number, cell in enumerate(cells)
            for tally in _drain(cell, recordings, folder / str(number), options)
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _report(tallies, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain_waste", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small backlog")
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=SIZES, help="default: all")
    parser.add_argument("--shares", type=int, nargs="+", choices=SHARES, default=SHARES, help="default: all")
    parser.add_argument(
        "--blockers", type=int, nargs="+", choices=range(5), default=range(5), help="how many; default: all"
    )
    parser.add_argument(
        "--processes-up-to", type=int, default=100, metavar="PHASES", help="default: 100; 0 for none"
    )
    parser.add_argument("--workers", type=int, default=2, help="attempts side by side")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write the figures, as JSON")
    parser.add_argument("--plot", type=Path, help="where to write the picture, an SVG")
    return parser


def _chosen(options: argparse.Namespace) -> tuple[Cell, ...]:
    cells = grid(options.sizes)
    return tuple(it for it in cells if it.share in options.shares and len(it.blockers) in options.blockers)


def _drain(
    cell: Cell, recordings: Recordings, folder: Path, options: argparse.Namespace
) -> tuple[Tally, ...]:
    backlog = make_backlog(cell)
    started = perf_counter()
    how = {"limits": _LIMITS, "workers": options.workers}
    tallies = [*rivals(backlog, recordings), drain_by_recordings(backlog, recordings, folder / "told", **how)]
    if cell.size <= options.processes_up_to:
        tallies.append(drain_by_processes(backlog, recordings, folder / "made", **how))
    shutil.rmtree(folder)
    print(f"{cell}: {perf_counter() - started:.0f} s", flush=True)
    return tuple(tallies)


def _report(tallies: Sequence[Tally], options: argparse.Namespace) -> int:
    rows = [row_of(tally) for tally in tallies]
    print(f"\n{table(rows)}\n")
    bars = judge(tallies, limit=_LIMITS.max_fingerprint_repeats)
    for bar in bars:
        print(bar)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(to_json(rows), indent=2))
    print(f"\nWritten to {options.results}")
    if options.plot is not None:
        options.plot.write_text(draw(rows))
    return 1 if any(bar.misses for bar in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
