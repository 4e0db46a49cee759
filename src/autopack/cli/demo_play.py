"""Works the demo's plans off with the ordinary commands, two repositories at a time, and tells what ends."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from autopack.cli.render import one_line
from autopack.domain.phase import Phase, PhaseState
from autopack.errors import AutopackError
from autopack.ports import Store
from autopack.settings import load_settings

WAITING = "WAITING"
_LANES = 2
_LOOK_EVERY_SECONDS = 0.3
_COMMAND_SECONDS = 900
# What the operator set for other repositories must not lead the demo to another database or Builder.
_OWN_VARIABLES = ("DATABASE_URL", "AUTOPACK_")


class DemoCommandError(AutopackError):
    """One of the commands that the demo runs ended in a way that no verdict explains."""


class Say(Protocol):
    """Tells the operator one line."""

    def __call__(self, text: str = "") -> None:
        """Print ``text``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One repository of the demo, with its plan and the answers to it."""

    name: str
    root: Path
    material: Path

    @property
    def plan(self) -> Path:
        """The plan file."""
        return self.material / "plans" / f"{self.name}.yaml"

    def set_up(self) -> None:
        """Make the repository ready, as an operator would: init, settings, import of the plan."""
        self.command("init")
        ci = self.material / "settings" / f"{self.name}.toml"
        text = f'builder = "replay:{self.material / "answers"}"\n\n[ci]\npython = "{sys.executable}"\n'
        (self.root / ".autopack" / "config.toml").write_text(text + ci.read_text("utf-8"), encoding="utf-8")
        self.command("plan", "import", str(self.plan))

    def work_off(self, runs: Sequence[str]) -> None:
        """Run every run of the plan to where it cannot go on by itself."""
        for run_id in runs:
            self.command("run", run_id)

    def command(self, *arguments: str) -> None:
        """One ``autopack`` command on this repository; 0 and 1 are both verdicts.

        Raises:
            DemoCommandError: It ended with another exit code; the message shows its last words.
        """
        done = subprocess.run(
            [sys.executable, "-m", "autopack", "--root", str(self.root), *arguments],
            cwd=self.root,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode not in {0, 1} or (done.returncode == 1 and arguments[0] != "run"):
            raise DemoCommandError(
                f"`autopack {' '.join(arguments)}` ended with exit code {done.returncode} in {self.root}",
                hint=(done.stderr.strip() or done.stdout.strip())[-1500:],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnd:
    """How one phase of the demo stands at its end, and how it should."""

    run_id: str
    phase_id: str
    expected: str
    verdict: str
    """COMPLETE, the kind of a failure, WAITING for a phase that failed, or the state it was left in."""
    reason: str
    commit: str | None
    duration_seconds: float
    tokens: int

    @property
    def is_as_expected(self) -> bool:
        """Whether the verdict is the only right one."""
        return self.verdict == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEnd:
    """A repository after its plan was worked off."""

    stage: Stage
    phases: tuple[PhaseEnd, ...]


@dataclass(slots=True)
class _Watch:
    """Tells of each phase once, when it has its verdict."""

    store: Store
    runs: Sequence[str]
    told: set[tuple[str, str]] = field(default_factory=set)

    def news(self) -> Iterator[str]:
        for run_id in self.runs:
            for phase in self.store.phases(run_id):
                key = (run_id, phase.phase_id)
                if phase.state.is_terminal and key not in self.told:
                    self.told.add(key)
                    yield f"  {run_id}/{phase.phase_id}: {verdict_of(phase)}"


def clean_environment() -> dict[str, str]:
    """The operator's environment without what leads Autopack elsewhere."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_OWN_VARIABLES)}


def play(stages: Sequence[Stage], *, say: Say) -> tuple[StageEnd, ...]:
    """Work all stages off.

    Raises:
        DemoCommandError: A command ended without a verdict.
    """
    for stage in stages:
        stage.set_up()
    expected = read_expected(stages)
    count = sum(map(len, expected.values()))
    say(f"Working off {count} phases of {len(stages)} plans, {_LANES} repositories at a time ...")
    with ExitStack() as stack:
        stores = {stage.name: stack.enter_context(closing(open_stage(stage))) for stage in stages}
        runs = {name: _runs_of(keys) for name, keys in expected.items()}
        watches = [_Watch(stores[name], runs[name]) for name in stores]
        pool = ThreadPoolExecutor(max_workers=_LANES)
        # After Ctrl-C, or a command that broke, no further repository is begun.
        stack.callback(pool.shutdown, cancel_futures=True)
        _watch([pool.submit(stage.work_off, runs[stage.name]) for stage in stages], watches, say)
        return tuple(end_of(stage, stores[stage.name], expected[stage.name]) for stage in stages)


def read_expected(stages: Sequence[Stage]) -> Mapping[str, Mapping[str, str]]:
    """The expected verdict by ``RUN/PHASE``, by the name of the stage."""
    known = yaml.safe_load((stages[0].material / "expected.yaml").read_text("utf-8"))
    return {stage.name: known[stage.name] for stage in stages}


def verdict_of(phase: Phase) -> str:
    """COMPLETE, the kind of the failure, WAITING, or the state of a phase that was left in the middle."""
    if phase.state is PhaseState.FAILED and phase.failure_kind is not None:
        return phase.failure_kind.value
    return WAITING if phase.state is PhaseState.QUEUED else phase.state.value


def open_stage(stage: Stage) -> Store:
    """The store of a stage's repository."""
    from autopack import bootstrap

    return bootstrap.open_store(load_settings(stage.root, environ={}))


def _runs_of(keys: Mapping[str, str]) -> Sequence[str]:
    return list(dict.fromkeys(key.split("/")[0] for key in keys))


def _watch(futures: Sequence[Future[None]], watches: Sequence[_Watch], say: Say) -> None:
    left = set(futures)
    while left:
        done, left = wait(left, timeout=_LOOK_EVERY_SECONDS)
        for watch in watches:
            for line in watch.news():
                say(line)
        for future in done:
            future.result()


def end_of(stage: Stage, store: Store, expected: Mapping[str, str]) -> StageEnd:
    """How the phases of a stage stand, beside how they should."""
    return StageEnd(
        stage=stage, phases=tuple(_phase_end(store, key, wanted) for key, wanted in expected.items())
    )


def _phase_end(store: Store, key: str, expected: str) -> PhaseEnd:
    run_id, phase_id = key.split("/")
    phase = store.phase(run_id, phase_id)
    needs = store.run(run_id).spec.needs_of(phase.index)
    outcomes = [attempt.outcome for attempt in store.attempts(run_id, phase_id) if attempt.outcome]
    verdict = verdict_of(phase)
    return PhaseEnd(
        run_id=run_id,
        phase_id=phase_id,
        expected=expected,
        verdict=verdict,
        reason=f"waits for {', '.join(needs)}" if verdict == WAITING else one_line(phase.failure_message),
        commit=phase.commit,
        duration_seconds=sum(outcome.duration_seconds for outcome in outcomes),
        tokens=store.usage_of(run_id, phase_id).total_tokens,
    )
