"""The direct Builder: what it adds to a model call, against the same SDK called bare."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from autopack.adapters.builders.direct_factory import make_direct
from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.attempt import AttemptAddress
from autopack.ports import BuildRequest
from autopack.settings import ProviderSettings, Settings
from benchmarks.builders.meter import provider, watch

MOST_ADDED_CPU_SECONDS = 0.1
_SYSTEM = "Rules. " * 250
_PROMPT = "def f(x):\n    return x\n" * 2000


def run(*, pairs: int) -> list[str]:
    """Measure and print; the bars that were missed."""
    missed = []
    print(
        f"\n{pairs} model calls each, bare SDK and direct Builder by turns; ms for a call; the bar is for CPU\n"
    )
    print("| | median | quiet tenth | ratio | CPU | CPU added | bar |\n|---|---|---|---|---|---|---|")
    with provider() as url, tempfile.TemporaryDirectory() as folder:
        for name, bare in (("openai", _openai), ("anthropic", _anthropic)):
            build = _builder(name, url, Path(folder))
            bare(url)
            build()
            took = _by_turns({"bare": lambda bare=bare: bare(url), "direct": build}, pairs)
            halves = {way: statistics.median(walls) for way, (walls, _) in took.items()}
            cpu = {way: statistics.median(cpus) for way, (_, cpus) in took.items()}
            added = cpu["direct"] - cpu["bare"]
            for way, (walls, _) in took.items():
                quiet = sorted(walls)[len(walls) // 10]
                cells = [f"{1e3 * it:.0f}" for it in (halves[way], quiet)]
                cells += [f"{halves[way] / halves['bare']:.2f}", f"{1e3 * cpu[way]:.0f}"]
                bar = [f"{1e3 * added:.0f}", f"{1e3 * MOST_ADDED_CPU_SECONDS:.0f}"]
                print(
                    f"| {' | '.join([f'`{name}`: {way}', *cells, *(bar if way == 'direct' else ['', ''])])} |"
                )
            if added > MOST_ADDED_CPU_SECONDS:
                missed.append(f"{name}: the direct Builder adds {1e3 * added:.0f} ms of CPU")
    return missed


def _by_turns(ways: dict[str, Callable[[], None]], pairs: int) -> dict[str, tuple[list[float], list[float]]]:
    took: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    for _ in range(pairs):
        for way, call in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            took[way][0].append(time.perf_counter() - wall)
            took[way][1].append(time.process_time() - cpu)
    return took


def _builder(name: str, url: str, folder: Path) -> Callable[[], None]:
    clock = SystemClock()
    settings = Settings(
        root=folder, database_url="sqlite://", providers={name: ProviderSettings(base_url=url)}
    )
    builder = make_direct(
        f"{name}:scripted-1",
        settings,
        os.environ,
        clock=clock,
        meter=lambda: LoopbackMeter(clock),
        prompt_version="",
    )
    request = BuildRequest(
        address=AttemptAddress(run_id="r", phase_id="p", number=1),
        goal="",
        prompt=_PROMPT,
        stable_size=len(_PROMPT) // 2,
        instructions=_SYSTEM,
        files=(),
        scope_paths=(),
        deliverables=(),
        worktree=None,
        log_folder=folder / "logs",
        budget_tokens=10**9,
        timeout_seconds=60.0,
    )

    def build() -> None:
        answer = builder.build(request, watch())
        assert answer.failure is None, answer.failure

    return build


def _openai(url: str) -> None:
    import openai

    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _PROMPT}]
        stream = client.chat.completions.create(model="scripted-1", messages=messages, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def _anthropic(url: str) -> None:
    import anthropic

    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        messages = [{"role": "user", "content": _PROMPT}]
        with client.messages.stream(
            model="scripted-1", max_tokens=1000, system=_SYSTEM, messages=messages
        ) as stream:
            assert stream.get_final_text()
