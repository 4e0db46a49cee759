"""The meter: seconds that it adds to a request, streams at once, memory.

The bar is for the median of what is added, which a busy machine raises: every process more between client and provider
waits for a core of its own accord. A relay that looks at nothing shows how much of it that is.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import psutil

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.adapters.prices import PriceList
from autopack.adapters.store import open_store
from autopack.domain.budget import Usage
from autopack.domain.rates import ProviderRates
from autopack.execution.usage_notes import BudgetWatch, UsageNotes
from autopack.ports import MeterOrder, ModelRoute

MOST_ADDED_SECONDS = 0.005
MOST_MEMORY_BYTES = 64 << 20
_FREE = ProviderRates(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000)


def watch(note: Callable[[Usage], None] | None = None) -> BudgetWatch:
    """What an attempt has a door tell; it stops nothing here."""
    return BudgetWatch(10**12, note=note)


def run(*, pairs: int, streams: int) -> list[str]:
    """Measure and print; the bars that were missed."""
    with ExitStack() as stack:
        url = stack.enter_context(provider())
        relay = stack.enter_context(_process("benchmarks.builders.relay", url))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(closing(open_store(f"sqlite:///{folder}/bench.db", create=True)))
        # Of no call in the store: it looks for one all the same, in a transaction of its own.
        notes = stack.enter_context(closing(UsageNotes(lambda usage: store.note_usage(0, usage))))
        prices = PriceList()
        meters = {
            "door alone": (LoopbackMeter(SystemClock()), None),
            "as in an attempt": (LoopbackMeter(SystemClock(), store=store, prices=prices), notes.note),
            "with limits a minute": (
                LoopbackMeter(SystemClock(), store=store, prices=prices, rates={"bench": _FREE}),
                notes.note,
            ),
        }
        doors = {
            name: stack.enter_context(meter.open(_order(url, folder / name), watch(note)))
            for name, (meter, note) in meters.items()
        }
        ways = {"bare": [url, "x"], "a relay": [relay, "x"]}
        ways |= {name: [door.base_url, door.token] for name, door in doors.items()}
        return [*_latency(ways, pairs), *_crowd(url, doors["as in an attempt"], streams)]


def _latency(ways: dict[str, list[str]], pairs: int) -> list[str]:
    took = _client({"ways": ways, "pairs": pairs})
    ours = {name: way for name, way in ways.items() if name not in {"bare", "a relay"}}
    cpu = {name: _cpu_seconds({name: way}, pairs) for name, way in ours.items()}
    load = " ".join(f"{it:.1f}" for it in os.getloadavg())
    print(f"\n{pairs} requests each, by turns, at a load of {load}; ms; the bar is for the median added\n")
    columns = ["", "median", "quiet tenth", "p95", "ratio", "added, median", "added, tenth", "bar", "CPU"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    return [
        missed
        for kind, by_way in took.items()
        for name in by_way
        for missed in _row(kind, name, by_way, cpu.get(name))
    ]


def _row(kind: str, name: str, by_way: dict[str, list[float]], cpu: dict[str, float] | None) -> Iterator[str]:
    """Print a row of the table; the bar where it was missed."""
    half, quiet, most = (_part(by_way[name], share) for share in (0.5, 0.1, 0.95))
    bare = [_part(by_way["bare"], share) for share in (0.5, 0.1)]
    added = [half - bare[0], quiet - bare[1]]
    is_judged = name == "as in an attempt"
    cells = [f"{kind}: {name}", *(f"{1e3 * it:.1f}" for it in (half, quiet, most)), f"{half / bare[0]:.2f}"]
    cells += ["", ""] if name == "bare" else [f"{1e3 * it:.1f}" for it in added]
    cells += [f"{1e3 * MOST_ADDED_SECONDS:.0f}" if is_judged else "", f"{1e3 * cpu[kind]:.1f}" if cpu else ""]
    print(f"| {' | '.join(cells)} |")
    if is_judged and added[0] > MOST_ADDED_SECONDS:
        yield f"{kind}: {1e3 * added[0]:.1f} ms added at the median ({1e3 * added[1]:.1f} at the tenth)"


def _part(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(len(seconds) * share)]


def _cpu_seconds(way: dict[str, list[str]], pairs: int) -> dict[str, float]:
    """CPU seconds that this process used for each request, which a busy machine does not change."""
    used = {}
    for kind in ("whole", "stream"):
        before = time.process_time()
        _client({"ways": way, "pairs": pairs, "kinds": [kind]})
        used[kind] = (time.process_time() - before) / (pairs + 10)
    return used


def _crowd(url: str, door: object, streams: int) -> list[str]:
    before = psutil.Process().memory_info().rss
    counted = len(door.requests())
    took = _client({"ways": {"bare": [url, "x"], "door": [door.base_url, door.token]}, "streams": streams})
    grown = psutil.Process().memory_info().rss - before
    requests = door.requests()[counted:]
    exact = sum(it.usage.total_tokens == 1250 and not it.usage.is_estimated for it in requests)
    ratio = took["door"] / took["bare"]
    print(
        f"\n{streams} streams at once: bare {took['bare']:.2f} s, through the door {took['door']:.2f} s, ratio {ratio:.2f}"
    )
    print(f"counted exactly: {exact} of {streams}; memory grew by {grown / (1 << 20):.1f} MiB")
    missed = [] if exact == streams else [f"{exact} of {streams} streams were counted exactly"]
    return missed if grown < MOST_MEMORY_BYTES else [*missed, f"memory grew by {grown >> 20} MiB"]


def _order(url: str, folder: Path) -> MeterOrder:
    route = ModelRoute(provider="bench", upstream=url, key="k")
    return MeterOrder(route=route, budget_tokens=10**12, log_folder=folder)


def _client(order: dict[str, object]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.builders.client"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    return json.loads(done.stdout)


def provider() -> AbstractContextManager[str]:
    """A scripted provider in a process of its own; its address."""
    return _process("benchmarks.builders.provider")


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[str]:
    """A server that prints its address, and ends with its input."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()
