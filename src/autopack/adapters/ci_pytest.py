"""CI: runs a repository's own test command and reports what each test and collector did."""

import itertools
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.adapters.ci_bytecode import Bytecode
from autopack.adapters.ci_command import CiCommand, read_command, starts_pytest
from autopack.adapters.ci_environment import (
    ORDERS,
    RECORDER,
    RECORDER_FOLDER,
    child_environ,
    find_python,
    python_path,
)
from autopack.adapters.ci_imports import import_modules
from autopack.adapters.ci_interpreter import Interpreters
from autopack.adapters.ci_junit import read_junit, stamp
from autopack.adapters.ci_records import Recorded, read_records
from autopack.adapters.ci_room import CiRooms
from autopack.adapters.ci_rootdir import own_configuration
from autopack.adapters.ci_verdict import CiRun, could_not_load_recorder, find_exit_problem, find_problem
from autopack.adapters.sandbox.none import NoSandbox
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.errors import ProcessError
from autopack.ports import CiRequest, Command, Finished, Processes, Sandbox
from autopack.settings import CiSettings

EVIDENCE_LENGTH = 4000
_STDERR_LENGTH = 1500
_TAIL_BYTES = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logs:
    """Where one run of a command leaves what it says."""

    stdout: Path
    stderr: Path
    record: Path

    def paths(self) -> tuple[str, ...]:
        said = (self.stdout, self.stderr, self.record)
        # The record is there before anything is recorded: only what exists can be shown in a room.
        return tuple(str(it) for it in said if it.exists() and (it is not self.record or it.stat().st_size))


class CommandCi:
    """Implements ``CiRunner`` for any command; of pytest it knows every test, of others what they tell."""

    def __init__(
        self,
        processes: Processes,
        *,
        settings: CiSettings,
        root: Path,
        cache_folder: Path,
        environ: Mapping[str, str],
        sandbox: Sandbox | None = None,
        records_cases: bool = True,
    ) -> None:
        """Run CI.

        Args:
            processes: Runs the commands.
            settings: How the repository is tested.
            root: The operator's repository, where its virtual environment is.
            cache_folder: For bytecode and for what is known of interpreters; outside every worktree.
            environ: The operator's environment, from which the commands' own is made.
            sandbox: Keeps the commands in their rooms; without one they have the operator's rights.
            records_cases: False to let commands run without the recorder; only their exit code tells then.
        """
        self._processes = processes
        self._settings = settings
        self._root = root
        self._bytecode = Bytecode(processes, cache_folder / "pycache")
        self._environ = environ
        self._records_cases = records_cases
        self._interpreters = Interpreters(processes, cache_folder=cache_folder)
        self._rooms = CiRooms(
            sandbox or NoSandbox("none was given"),
            settings=settings,
            root=root,
            interpreters=self._interpreters,
        )

    def environment(self) -> str:
        """See ``CiRunner.environment``."""
        python = self._python()
        env = self._env(python, {})
        env["PYTHONPATH"] = env.get("PYTHONPATH", "")
        digest = self._interpreters.digest(python, env=env)
        # What a baseline holds depends on this too: a run that ends with its collection errors has no tests.
        told = self._settings.collection_errors if self._records_cases else "exit"
        return "-".join(filter(None, (digest, told, self._rooms.digest)))

    def can_select(self, command: str) -> bool:
        """See ``CiRunner.can_select``."""
        return self._records_cases and starts_pytest(command)

    def run(self, request: CiRequest) -> CiReport:
        """See ``CiRunner.run``."""
        python = self._python()
        command = read_command(request.command, python=python, worktree=request.worktree, root=self._root)
        report, run = self._run_once(request, command, python, records=self._records_cases)
        if run is None or command.is_pytest or not could_not_load_recorder(run):
            return report
        # A script or makefile that sets PYTHONPATH itself: its tests stay unknown, its exit code does not.
        seconds_left = max(1.0, request.timeout_seconds - run.finished.duration_seconds)
        left = replace(request, timeout_seconds=seconds_left)
        return self._run_once(left, command, python, records=False)[0]

    def import_modules(
        self,
        worktree: Path,
        modules: Sequence[str],
        *,
        log_folder: Path,
        timeout_seconds: float = math.inf,
    ) -> Mapping[str, str]:
        """See ``CiRunner.import_modules``."""
        python = self._python()
        if python is None:
            raise ProcessError(
                "no Python interpreter was found for CI",
                hint="Name one: [ci] python in .autopack/config.toml.",
            )
        env = self._env(python, {})
        env["PYTHONPATH"] = python_path(self._settings, env, worktree=worktree, root=self._root)
        logs = _new_logs(log_folder, "imports")
        command = Command(
            argv=(python,),
            cwd=worktree,
            env=env,
            stdout_path=logs.stdout,
            stderr_path=logs.stderr,
            timeout_seconds=timeout_seconds,
        )
        return import_modules(
            self._processes,
            command,
            modules,
            root=self._root,
            record=logs.record,
            confine=lambda child: self._confine(child, python, logs),
        )

    def _python(self) -> str | None:
        return find_python(self._settings, self._root, self._environ)

    def _env(self, python: str | None, assignments: Mapping[str, str]) -> dict[str, str]:
        return child_environ(
            self._environ, python=python, bytecode_folder=self._bytecode.folder, assignments=assignments
        )

    def _confine(self, command: Command, python: str | None, logs: _Logs) -> Command:
        bytecode = self._bytecode.prepare(command.cwd)
        logs.record.touch()
        return self._rooms.confine(
            command,
            python=python,
            set_by_operator=self._env(python, {}).get("PYTHONPATH", ""),
            # The program that imports modules lies there, and need not be on any path.
            readable=(RECORDER_FOLDER, self._bytecode.folder),
            writable=(logs.record, bytecode),
        )

    def _compile(self, recorded: Recorded, python: str | None, env: Mapping[str, str], logs: _Logs) -> None:
        plain, rewritten = recorded.uncompiled, recorded.unrewritten
        if not (plain or rewritten) or python is None:
            return
        path = self._env(python, {}).get("PYTHONPATH", "")
        places = self._interpreters.places(python, env={**env, "PYTHONPATH": path})
        said = logs.stdout.with_suffix(".compile")
        command = Command(
            argv=(python,),
            cwd=self._bytecode.folder,
            env=env,
            stdout_path=said,
            stderr_path=said,
            timeout_seconds=0,
        )
        self._bytecode.compile(command, plain, rewritten, places=(RECORDER_FOLDER, *places), path=path)

    def _run_once(
        self, request: CiRequest, command: CiCommand, python: str | None, *, records: bool
    ) -> tuple[CiReport, CiRun | None]:
        logs = _new_logs(request.log_folder, "ci")
        env = self._env(python, command.assignments)
        more = (RECORDER_FOLDER,) if records else ()
        env["PYTHONPATH"] = python_path(
            self._settings, env, worktree=request.worktree, root=self._root, more=more
        )
        if records:
            env["PYTEST_PLUGINS"] = ",".join(filter(None, (env.get("PYTEST_PLUGINS", ""), RECORDER)))
            env[ORDERS] = self._orders(request, logs.record)
        junit = self._settings.junit_path
        junit_before = stamp(request.worktree, junit) if junit else None
        try:
            started = Command(
                argv=_argv(command, env, request.worktree),
                cwd=request.worktree,
                env=env,
                stdout_path=logs.stdout,
                stderr_path=logs.stderr,
                timeout_seconds=request.timeout_seconds,
            )
            finished = self._processes.run(self._confine(started, python, logs))
        except ProcessError as exc:
            return _not_started(request, exc, logs), None
        run = _read_run(request, finished, logs)
        self._compile(run.recorded, python, env, logs)
        if records and (command.is_pytest or run.recorded.stage is not CiStage.NOTHING):
            return _report(request, run, logs, problem=find_problem(run)), run
        report = _report(request, run, logs, problem=find_exit_problem(run))
        report = replace(report, stage=CiStage.FINISHED if report.returncode is not None else CiStage.NOTHING)
        if not junit:
            return replace(report, has_cases=False), run
        result = read_junit(request.worktree, junit, before=junit_before)
        return replace(report, tests=result.cases, problem=report.problem or result.problem), run

    def _orders(self, request: CiRequest, record: Path) -> str:
        orders = {
            "record": str(record),
            "root": str(self._root),
            "worktree": str(request.worktree),
            "only": list(request.only),
            "collect_only": request.collect_only,
            "uncompiled": self._rooms.is_confining,
            "continue": bool(request.only) or self._settings.collection_errors == "new-only",
        }
        return json.dumps(orders)


def _argv(command: CiCommand, env: Mapping[str, str], worktree: Path) -> tuple[str, ...]:
    if command.pytest_arguments is None:
        return command.argv
    try:
        arguments = [*shlex.split(env.get("PYTEST_ADDOPTS", "")), *command.pytest_arguments]
    except ValueError:
        # Pytest refuses such options itself.
        return command.argv
    return command.with_options(own_configuration(arguments, worktree)).argv


def _new_logs(folder: Path, name: str) -> _Logs:
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        stdout = folder / f"{name}-{number}.stdout.log"
        try:
            stdout.touch(exist_ok=False)
        except FileExistsError:
            continue
        stderr = folder / f"{name}-{number}.stderr.log"
        return _Logs(stdout=stdout, stderr=stderr, record=folder / f"{name}-{number}.record.jsonl")
    raise AssertionError("numbers do not end")


def _read_run(request: CiRequest, finished: Finished, logs: _Logs) -> CiRun:
    is_collection = request.collect_only
    return CiRun(
        finished=finished,
        recorded=read_records(logs.record, worktree=request.worktree, is_collection=is_collection),
        evidence=_evidence(logs),
        is_collection=is_collection,
        timeout_seconds=request.timeout_seconds,
    )


def _report(request: CiRequest, run: CiRun, logs: _Logs, *, problem: str) -> CiReport:
    recorded = run.recorded
    has_ended = bool(recorded.exits) and not recorded.stop
    return CiReport(
        command=request.command,
        stage=recorded.stage,
        returncode=run.finished.returncode,
        tests=_collected_tests(recorded) if request.collect_only else recorded.tests,
        collectors=recorded.collectors,
        timed_out=run.finished.timed_out,
        culprit=recorded.lost_worker or ("" if has_ended else recorded.culprit),
        problem=problem,
        duration_seconds=run.finished.duration_seconds,
        log_paths=logs.paths(),
        evidence=run.evidence,
    )


def _collected_tests(recorded: Recorded) -> Mapping[str, CiCase]:
    """The tests of a collection alone; all that is known of them is that they are there."""
    files = {node: case.file for node, case in recorded.collectors.items()}
    return {
        node: CiCase(node_id=node, outcome=CiOutcome.PASSED, file=files.get(node.partition("::")[0], ""))
        for node in sorted(recorded.collected)
    }


def _not_started(request: CiRequest, exc: ProcessError, logs: _Logs) -> CiReport:
    return CiReport(
        command=request.command,
        stage=CiStage.NOTHING,
        returncode=None,
        has_cases=False,
        problem=f"the command could not be started: {exc}",
        log_paths=logs.paths(),
        evidence=str(exc),
    )


def _evidence(logs: _Logs) -> str:
    errors = _tail(logs.stderr)[-_STDERR_LENGTH:]
    marks = len("--- stderr ---\n")
    output = _tail(logs.stdout)[-(EVIDENCE_LENGTH - len(errors) - 2 * marks) :]
    return "\n--- stderr ---\n".join(filter(None, (output, errors)))[-EVIDENCE_LENGTH:]


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
