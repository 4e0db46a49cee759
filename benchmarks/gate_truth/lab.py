"""Runs cases as real attempts: a repository each package, a run each case, the replay Builder, a process each attempt."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from time import perf_counter

import yaml
from demo.repositories import prepare

from autopack.bootstrap import open_store
from autopack.domain.phase import Phase, PhaseState
from autopack.ports import Store
from autopack.settings import load_settings
from benchmarks.gate_truth.answers import WrittenCase, git, write_case
from benchmarks.gate_truth.case import COMPLETE, Case

PHASE = "change"
CI_COMMANDS = {
    "boltons": "python -m pytest -q",
    "cachetools": "python -m pytest -q -o pythonpath=src",
    "toolz": "python -m pytest -q",
}
ATTEMPT_SECONDS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one case."""

    case: Case
    verdict: str
    """COMPLETE, the kind of the failure, or what else the phase is now."""
    message: str
    tokens: int
    duration_seconds: float
    has_right_tree: bool | None
    """Whether the commit holds exactly the change; None where there is none, or the change is known by its answer alone."""

    @property
    def is_right(self) -> bool:
        return self.verdict == self.case.expected and self.has_right_tree is not False


def run_cases(
    cases: Sequence[Case], folder: Path, *, workers: int, say: Callable[[Result], None]
) -> tuple[Result, ...]:
    """One real attempt for each case, ``workers`` at a time, in ``folder``; repositories are made anew."""
    repositories = {one.name: one.path for one in prepare(folder)}
    answers = folder / "answers"
    shutil.rmtree(answers, ignore_errors=True)
    written = [write_case(case, repository=repositories[case.repository], answers=answers) for case in cases]
    for name, group in groupby(sorted(written, key=_repository), key=_repository):
        _set_up(repositories[name], tuple(group), answers)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = []
        for result in pool.map(lambda one: _attempt(one, repositories[_repository(one)]), written):
            say(result)
            results.append(result)
    return tuple(results)


def _repository(written: WrittenCase) -> str:
    return written.case.repository


def _set_up(repository: Path, written: Sequence[WrittenCase], answers: Path) -> None:
    _autopack(repository, "init")
    name = written[0].case.repository
    (repository / ".autopack" / "config.toml").write_text(
        f'builder = "replay:{answers}"\n\n[ci]\npython = "{sys.executable}"\ncommand = "{CI_COMMANDS[name]}"\n',
        encoding="utf-8",
    )
    plan = repository.parent / f"{name}.yaml"
    plan.write_text(yaml.safe_dump({"version": 1, "runs": [_run(one) for one in written]}), encoding="utf-8")
    _autopack(repository, "plan", "import", str(plan))


def _run(written: WrittenCase) -> Mapping[str, object]:
    case = written.case
    checks = {"ci": case.ci, "timeout_seconds": case.timeout_seconds}
    phase = {
        "id": PHASE,
        "goal": case.why or case.name,
        "scope": {"paths": list(case.scope)},
        "deliverables": list(case.deliverables),
        "checks": {key: value for key, value in checks.items() if value is not None},
        "budget_tokens": case.budget_tokens,
    }
    known = {key: value for key, value in phase.items() if value not in (None, [], {})}
    return {"id": case.name, "goal": case.why or case.name, "base": written.base, "phases": [known]}


def _autopack(repository: Path, *arguments: str) -> None:
    _program(repository, ["autopack", "--root", str(repository), *arguments]).check_returncode()


def _program(repository: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository.parent,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        capture_output=True,
        text=True,
        check=False,
        timeout=ATTEMPT_SECONDS,
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def _attempt(written: WrittenCase, repository: Path) -> Result:
    started = perf_counter()
    address = ["--run-id", written.case.name, "--phase-id", PHASE, "--attempt", "1"]
    try:
        done = _program(repository, ["autopack.autonomous_executor", "--root", str(repository), *address])
        said = done.stderr.strip()[-300:]
    except subprocess.TimeoutExpired:
        # A case that hangs is one wrong row, not the end of the benchmark.
        said = f"no verdict within {ATTEMPT_SECONDS} s"
    duration = perf_counter() - started
    with _store(repository) as store:
        phase = store.phase(written.case.name, PHASE)
        used = store.usage_of(written.case.name)
    return Result(
        case=written.case,
        verdict=_verdict(phase),
        message=phase.failure_message or said,
        tokens=used.total_tokens,
        duration_seconds=duration,
        has_right_tree=_has_right_tree(written, phase, repository),
    )


def _store(repository: Path) -> "closing[Store]":
    settings = load_settings(repository, environ={})
    return closing(open_store(settings))


def _verdict(phase: Phase) -> str:
    if phase.state is PhaseState.FAILED and phase.failure_kind is not None:
        return phase.failure_kind.value
    return phase.state.value


def _has_right_tree(written: WrittenCase, phase: Phase, repository: Path) -> bool | None:
    if phase.commit is None or written.tree is None:
        return None
    return git(repository, "rev-parse", f"{phase.commit}^{{tree}}").decode().strip() == written.tree


def confusion(results: Sequence[Result]) -> Iterator[tuple[str, Mapping[str, int]]]:
    """For each expected verdict, COMPLETE first, how often each verdict came."""
    expected = sorted({result.case.expected for result in results}, key=lambda name: (name != COMPLETE, name))
    for name in expected:
        verdicts = [result.verdict for result in results if result.case.expected == name]
        yield name, {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
