"""How it is checked that a blocker is gone: made from the gate that failed, and run once on the fixed commit."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from autopack.domain.attempt import Attempt
from autopack.domain.blocker import Blocker
from autopack.domain.ci_report import CiReport, bad_cases, has_unexplained_exit, proves
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.run import OWN
from autopack.ports import CiRequest, CiRunner, Command, Processes, Workspace
from autopack.settings import Settings
from autopack.triage.place import named_files

_COMMAND_SECONDS = 600.0
_NO_TESTS = 5
"""Pytest's exit code of a run that had no test."""


class Check(StrEnum):
    """Which gate is asked again."""

    COLLECTION = "collection"
    """The test modules that could not be collected are collected."""
    TESTS = "tests"
    """The tests that failed pass."""
    CI = "ci"
    """The whole CI command runs and proves something."""
    EXECUTOR = "executor"
    """The program that makes attempts starts, and puts together all that one needs."""
    REPLAY = "replay"
    """A change that a phase which the blocker holds has paid for passes every gate on the fixed base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What is run to see that a blocker is gone."""

    check: Check
    command: str
    """As an operator would type it."""
    targets: tuple[str, ...] = ()
    """Test modules or node ids."""
    ci: str = ""
    """The CI command that failed."""
    fingerprint: str = ""
    """The blocker's, where a change of its bucket is what is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What came of it."""

    passed: bool
    text: str
    """One line of evidence."""
    sandbox: str = ""
    """What kept in the programs that were run for it, ``NONE (why)`` where nothing did; empty where all were ours."""

    @property
    def evidence(self) -> str:
        """The line as it is told and kept: with a word where nothing kept programs in."""
        return self.text + (", without a sandbox" if self.sandbox.startswith("NONE") else "")


_COLLECTION = frozenset({FailureKind.COLLECTION_ERROR, FailureKind.IMPORT_ERROR})


def validation_of(
    blocker: Blocker, attempts: Sequence[Attempt], *, ci: str, is_file: Callable[[str], bool]
) -> Validation:
    """The validation of a blocker, from the newest attempts that ended with its fingerprint.

    Args:
        blocker: The blocker.
        attempts: Its evidence, newest first.
        ci: The CI command of the phases that it holds.
        is_file: Whether a key is a file of the repository.
    """
    failures = [it.outcome.failure for it in attempts if it.outcome is not None and it.outcome.failure]
    kind = FailureKind(blocker.cause.kind)
    if kind is FailureKind.IMPORT_CRASH:
        return Validation(check=Check.EXECUTOR, command="python -m autopack.autonomous_executor --check")
    modules = _test_modules(failures, is_file)
    if kind in _COLLECTION and modules:
        return Validation(
            check=Check.COLLECTION, command=f"{ci} --collect-only {' '.join(modules)}", targets=modules, ci=ci
        )
    if kind is FailureKind.TEST_REGRESSION and (tests := _tests(failures)):
        return Validation(check=Check.TESTS, command=f"{ci} {' '.join(tests)}", targets=tests, ci=ci)
    if kind in {FailureKind.COLLECTION_ERROR, FailureKind.UNRUNNABLE}:
        return Validation(check=Check.CI, command=ci, ci=ci)
    command = f"autopack remediate fixed {blocker.name} --commit REV"
    return Validation(check=Check.REPLAY, command=command, fingerprint=blocker.cause.fingerprint)


def _test_modules(failures: Iterable[FailureReport], is_file: Callable[[str], bool]) -> tuple[str, ...]:
    named = (key for failure in failures for key in named_files(failure, is_file))
    return tuple(dict.fromkeys(key for key in named if _is_test_module(key)))


def _is_test_module(key: str) -> bool:
    name = key.rsplit("/", 1)[-1]
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def _tests(failures: Iterable[FailureReport]) -> tuple[str, ...]:
    names = (line.split(": ", 1)[0].split(" ", 1)[0] for failure in failures for line in failure.details)
    return tuple(dict.fromkeys(name for name in names if "::" in name))


class Validator:
    """Runs validations, each in a clean worktree of the commit that it is about."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        runner: CiRunner,
        processes: Processes,
        settings: Settings,
        environ: Mapping[str, str],
        sandbox: str,
        rehearse: Callable[[str, str], Validated],
    ) -> None:
        self._workspace = workspace
        self._runner = runner
        self._processes = processes
        self._settings = settings
        self._environ = environ
        self._sandbox = sandbox
        """What the runner's commands are kept in."""
        self._rehearse = rehearse
        """Tries a stored change of a fingerprint's bucket on a commit."""

    def run(self, validation: Validation, commit: str) -> Validated:
        """Whether the blocker is gone on ``commit``; a check that could not run did not pass."""
        logs = self._settings.state_folder / "logs" / f"{OWN}validation" / validation.check / commit[:12]
        if validation.check is Check.EXECUTOR:
            return self._start_executor(logs)
        if validation.check is Check.REPLAY:
            return self._rehearse(validation.fingerprint, commit)
        with self._workspace.worktree() as worktree:
            worktree.reset(commit)
            request = CiRequest(
                worktree=worktree.path,
                command=validation.ci,
                timeout_seconds=_COMMAND_SECONDS,
                log_folder=logs,
                only=validation.targets if self._runner.can_select(validation.ci) else (),
                collect_only=validation.check is Check.COLLECTION and self._runner.can_select(validation.ci),
            )
            return replace(judge(validation, self._runner.run(request)), sandbox=self._sandbox)

    def _start_executor(self, logs: Path) -> Validated:
        logs.mkdir(parents=True, exist_ok=True)
        finished = self._processes.run(
            Command(
                argv=(
                    *(sys.executable, "-P", "-m", "autopack.autonomous_executor", "--check"),
                    *("--root", str(self._settings.root), "--builder", self._settings.attempt.builder),
                ),
                cwd=self._settings.state_folder,
                env={**self._environ, "PYTHONUTF8": "1", "DATABASE_URL": self._settings.database_url},
                stdout_path=logs / "executor.out",
                stderr_path=logs / "executor.err",
                timeout_seconds=_COMMAND_SECONDS,
            )
        )
        passed = finished.returncode == 0
        return Validated(passed=passed, text=f"the executor ended with exit code {finished.returncode}")


def judge(validation: Validation, report: CiReport) -> Validated:
    """Whether a CI run shows that the blocker is gone.

    Red tests that the blocker is not about do not matter to ``CI`` and ``COLLECTION``, and the exit code that they
    explain does not; one that no case explains is a check that failed.
    """
    seen = {node_id.split("::")[0] for node_id in report.collectors}
    if validation.check is Check.COLLECTION and seen.issuperset(validation.targets):
        return _judge_collection(report)
    if (reason := proves(report)) is not None:
        return Validated(passed=False, text=reason)
    red = bad_cases(report.collectors)
    if validation.check is Check.TESTS:
        red += bad_cases(report.tests)
    if red:
        return Validated(passed=False, text=f"{len(red)} still fail: {', '.join(sorted(red)[:3])}")
    if has_unexplained_exit(report):
        return _ended_badly(report)
    return Validated(passed=True, text=_looked_at(report))


def _judge_collection(report: CiReport) -> Validated:
    red = sorted(bad_cases(report.collectors))
    if red:
        return Validated(passed=False, text=f"{len(red)} cannot be collected: {', '.join(red[:3])}")
    # A module that skips itself, because an optional package is missing, is collected well.
    if report.returncode not in {0, _NO_TESTS}:
        return _ended_badly(report)
    return Validated(passed=True, text="every module is collected")


def _ended_badly(report: CiReport) -> Validated:
    how = "was killed" if report.returncode is None else f"ended with exit code {report.returncode}"
    return Validated(passed=False, text=f"{report.command} {how}, which no test explains")


def _looked_at(report: CiReport) -> str:
    if not report.has_cases:
        return f"{report.command} ended with exit code 0"
    return f"{len(report.tests)} tests of {len(report.collectors)} modules looked at"


def find_introduction(
    workspace: Workspace, validator: Validator, validation: Validation, bad: str, *, most: int = 512
) -> str | None:
    """The first commit along the history of ``bad`` on which the validation does not pass.

    Looks back in doubling steps for a commit that passes, then halves the stretch between: about twice the
    logarithm of the distance in runs.

    Returns:
        None when the validation passes on ``bad`` itself, or on no commit of the ``most`` newest, or is no question of
        a commit alone.
    """
    if validation.check in {Check.REPLAY, Check.EXECUTOR}:
        return None
    history = workspace.history(bad, limit=most)
    if validator.run(validation, history[0]).passed:
        return None
    newest_bad, step = 0, 1
    while step < len(history) and not validator.run(validation, history[step]).passed:
        newest_bad, step = step, step * 2
    if step >= len(history):
        last = len(history) - 1
        if last == newest_bad or not validator.run(validation, history[last]).passed:
            return None
        step = last
    good = step
    while good - newest_bad > 1:
        middle = (good + newest_bad) // 2
        if validator.run(validation, history[middle]).passed:
            good = middle
        else:
            newest_bad = middle
    return history[newest_bad]
