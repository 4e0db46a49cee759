"""``python -m benchmarks.closed_loop``: tokens and time until 95 % of a backlog is complete, in three ways.

A backlog of phases that each failed once, nine of ten of them by one of four causes of the harness, is worked off from
the same state by the closed loop, by blind retry, and by mending everything first and then asking for all of it again.
Attempts are made by the real executor in this process, one at a time; the Builder answers at once.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

from autopack.domain.replay import Replay
from autopack.ports import CallFilter
from benchmarks.closed_loop.backlog import RUNS, Member, copy, make_project, members
from benchmarks.closed_loop.plot import draw
from benchmarks.closed_loop.shop import Shop, Way, open_shop
from benchmarks.closed_loop.ways import blind_retry, closed_loop, fix_then_retry_everything

RESULTS = Path(__file__).resolve().parent.parent / ".work" / "closed_loop.json"
WAYS: Mapping[str, Way] = {
    "closed loop": closed_loop,
    "fix, then retry everything": fix_then_retry_everything,
    "blind retry": blind_retry,
}
Row = dict[str, object]


def main(argv: Sequence[str] | None = None) -> int:
    """Work off, print, keep; 1 when a phase that the harness held up was paid for again in the closed loop."""
    options = _parser().parse_args(argv)
    sizes = (20,) if options.quick else options.sizes
    ways = {name: WAYS[name] for name in options.ways}
    folder = Path(mkdtemp(prefix="autopack-closed-loop-"))
    try:
        rows = [row for size in sizes for row in _measure(size, folder / str(size), ways)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for row in rows:
        print({name: value for name, value in row.items() if name != "points"})
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(rows, indent=2))
    if options.plot is not None:
        options.plot.write_text(draw(rows))
    ours = [row for row in rows if row["way"] == "closed loop"]
    return 0 if all(row["held_up_paid_again"] == 0 for row in ours) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_loop", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one backlog of 20 phases")
    parser.add_argument("--sizes", type=int, nargs="+", choices=tuple(RUNS), default=(100, 500))
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS), help="default: all")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write the figures, as JSON")
    parser.add_argument("--plot", type=Path, help="where to write the picture, an SVG")
    return parser


def _measure(size: int, folder: Path, ways: Mapping[str, Way]) -> list[Row]:
    folder.mkdir(parents=True)
    backlog = members(size)
    template = make_project(folder / "template", backlog)
    with open_shop(template, size) as shop:
        for member in backlog:
            address = shop.store.next_address(member.run_id, member.phase_id)
            assert not shop.attempt(address, replay=Replay.OFF, is_doom_checked=False)
    rows = []
    for name, way in ways.items():
        project = copy(template, folder / name.replace(" ", "-"))
        with open_shop(project, size) as shop:
            shop.start_meter(size)
            started = perf_counter()
            way(shop, size)
            rows.append(_row(name, size, backlog, shop, perf_counter() - started))
        shutil.rmtree(project.root)
        print(f"{size} phases, {name}: {rows[-1]['seconds_all']:.0f} s", flush=True)
    return rows


def _row(name: str, size: int, backlog: tuple[Member, ...], shop: Shop, seconds: float) -> Row:
    goal = shop.meter.goal()
    held = [it for it in backlog if not it.is_own]
    paid = [_calls(shop, it) - 1 for it in held]
    zero = [calls == 0 for calls in paid]
    return {
        "way": name,
        "phases": size,
        "attempts": shop.meter.attempts,
        "complete": shop.meter.complete,
        "seconds_to_goal": None if goal is None else round(goal[0], 1),
        "tokens_to_goal": None if goal is None else goal[1],
        "seconds_all": round(seconds, 1),
        "tokens_all": shop.meter.points[-1][1],
        "held_up": len(held),
        "held_up_without_a_call": sum(zero),
        "held_up_paid_again": len(held) - sum(zero),
        "points": [(round(at, 2), tokens, done) for at, tokens, done in shop.meter.points],
    }


def _calls(shop: Shop, member: Member) -> int:
    calls = shop.store.telemetry(CallFilter(run_id=member.run_id))
    return sum(it.address.phase_id == member.phase_id for it in calls)


if __name__ == "__main__":
    sys.exit(main())
