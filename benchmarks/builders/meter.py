"""The meter: seconds that it adds to a request, streams at once, memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.adapters.prices import PriceList
from autopack.adapters.store import open_store
from autopack.domain.budget import Usage
from autopack.domain.rates import ProviderRates
from autopack.ports import MeterOrder, ModelRoute

MOST_ADDED_SECONDS = 0.005
MOST_MEMORY_BYTES = 64 << 20
_FREE = ProviderRates(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000)


class _Watch:
    def used(self, usage: Usage) -> None:
        pass

    def is_cancelled(self) -> bool:
        return False


def run(*, pairs: int, streams: int) -> list[str]:
    """Measure and print; the bars that were missed."""
    with ExitStack() as stack:
        url = stack.enter_context(_provider())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(closing(open_store(f"sqlite:///{folder}/bench.db", create=True)))
        prices = PriceList()
        meters = {
            "door alone": LoopbackMeter(SystemClock()),
            "as in an attempt": LoopbackMeter(SystemClock(), store=store, prices=prices),
            "with limits a minute": LoopbackMeter(
                SystemClock(), store=store, prices=prices, rates={"bench": _FREE}
            ),
        }
        doors = {
            name: stack.enter_context(meter.open(_order(url, folder / name), _Watch()))
            for name, meter in meters.items()
        }
        ways = {"bare": [url, "x"]} | {name: [door.base_url, door.token] for name, door in doors.items()}
        return [*_latency(ways, pairs), *_crowd(url, doors["as in an attempt"], streams)]


def _latency(ways: dict[str, list[str]], pairs: int) -> list[str]:
    took = _client({"ways": ways, "pairs": pairs})
    cpu = {name: _cpu_seconds({name: way}, pairs) for name, way in ways.items() if name != "bare"}
    missed = []
    print(f"\n{pairs} requests each, by turns; ms")
    print(
        f"{'':30} {'median':>8} {'quiet tenth':>12} {'p95':>8} {'ratio':>6} {'added':>7} {'CPU of the meter':>17}"
    )
    for kind, by_way in took.items():
        bare = [_part(by_way["bare"], 0.5), _part(by_way["bare"], 0.1)]
        for name, seconds in by_way.items():
            half, quiet, most = (_part(seconds, share) for share in (0.5, 0.1, 0.95))
            added, ratio = quiet - bare[1], half / bare[0]
            used = f"{1e3 * cpu[name][kind]:14.2f}" if name in cpu else ""
            print(
                f"{kind:7} {name:22} {1e3 * half:8.2f} {1e3 * quiet:12.2f} {1e3 * most:8.2f} {ratio:6.2f} "
                f"{1e3 * added:7.2f} {used}"
            )
            if name == "as in an attempt" and added > MOST_ADDED_SECONDS:
                missed.append(f"{kind}: {1e3 * added:.1f} ms added")
    return missed


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


@contextmanager
def _provider() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.builders.provider"],
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
