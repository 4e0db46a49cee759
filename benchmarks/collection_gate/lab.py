"""One repository with everything that judges changes of it, and what each step of judging costs."""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.git import GitWorkspace, open_workspace
from autopack.adapters.import_scan import ImportScan
from autopack.adapters.locks import FileLocks
from autopack.adapters.process import GuardedProcesses
from autopack.domain.broken_uses import TableChange, edited_paths, find_broken_uses
from autopack.domain.change import EditAction, FileEdit
from autopack.domain.ci_report import CiReport
from autopack.domain.collection_delta import (
    collected_files,
    compare_collections,
    has_errors,
    why_unproven,
)
from autopack.domain.import_table import ImportTable
from autopack.domain.phase import Checks
from autopack.execution.collection import CollectionGate, CollectionJudgement, CollectionRequest
from autopack.execution.gates_imports import importable_modules
from autopack.execution.gates_syntax import python_problem
from autopack.ports import CiRequest, Tree, Worktree
from autopack.settings import CiSettings
from autopack.testing import MemoryStore
from benchmarks.collection_gate.mutations import Mutation
from benchmarks.collection_gate.repositories import WORK, Repository, folder_of

SECONDS = 1800
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the ladder said of one mutation, and what it cost."""

    kind: str
    path: str
    what: str
    is_broken: bool
    """Whether full collection says so."""
    caught_by: str
    """L0, L1, L2, L3 or L4, or empty."""
    message: str
    escalated: str
    """Why the whole suite was collected at once; empty when it was not."""
    is_defect: bool
    """Whether a module cannot be imported that could be at the base."""
    caught_at_end: bool
    """Whether the full collection of a run's last phase, or a step before it, caught it."""
    seconds: dict[str, float]
    """CPU time of each step that was taken."""


class Lab:
    """Judges mutations of one repository."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        root = folder_of(repository.name)
        self.settings = CiSettings(
            python=sys.executable,
            pythonpath=repository.pythonpath,
            timeout_seconds=SECONDS,
            collection_errors="new-only",
        )
        # The plugins of this project's own environment are none of the repository's.
        environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environ["PYTHONPATH"] = os.pathsep.join(str(folder_of(name)) for name in repository.needs)
        self.environ = environ
        self.ci = CommandCi(
            GuardedProcesses(SystemClock()),
            settings=self.settings,
            root=root,
            cache_folder=WORK / repository.name / "cache",
            environ=environ,
        )
        self.workspace: GitWorkspace = open_workspace(root, state_folder=root / ".autopack")
        self.tree: Tree = self.workspace.tree(self.workspace.resolve("HEAD"))
        self.index = ImportScan(root / ".autopack/import-scan")
        self.logs = WORK / repository.name / "logs"
        self.store = MemoryStore()
        self.gate = CollectionGate(
            runner=self.ci,
            store=self.store,
            locks=FileLocks(root / ".autopack/locks"),
            clock=SystemClock(),
            index=self.index,
            workspace=self.workspace,
            settings=self.settings,
        )

    def close(self) -> None:
        self.workspace.close()

    # the base

    def measure_base(self, runs: int) -> tuple[CiReport, list[float]]:
        """The base's full collection, and the CPU time of each of ``runs`` after one that fills the cache."""
        times = []
        with self.workspace.worktree() as worktree:
            worktree.reset(self.tree.commit)
            report = self._collect(worktree)
            for _ in range(runs):
                seconds, report = cpu_seconds(lambda: self._collect(worktree))
                times.append(seconds)
        # The gate takes a suite below two seconds of wall time whole; a busy machine must not change that.
        report = replace(report, duration_seconds=sorted(times)[len(times) // 2])
        self.store.save_baseline(self.gate.key(self.tree.commit), report, now=0.0)
        return report, times

    def measure_plain(self, runs: int) -> float:
        """Median CPU time of ``pytest --collect-only`` as anybody would start it, without anything of ours in it."""
        plain = CommandCi(
            GuardedProcesses(SystemClock()),
            settings=self.settings,
            root=folder_of(self.repository.name),
            cache_folder=WORK / self.repository.name / "cache",
            environ=self.environ,
            records_cases=False,
        )
        with self.workspace.worktree() as worktree:
            worktree.reset(self.tree.commit)
            request = CiRequest(
                worktree=worktree.path,
                command="python -m pytest -q --collect-only",
                timeout_seconds=SECONDS,
                log_folder=self.logs,
            )
            return statistics.median(cpu_seconds(lambda: plain.run(request))[0] for _ in range(runs))

    def measure_scan(self) -> tuple[float, float]:
        """CPU time of reading every file of the tree, and of reading the table when nothing is new."""
        database = folder_of(self.repository.name) / ".autopack/import-scan/facts.sqlite3"
        database.unlink(missing_ok=True)
        cold, _ = cpu_seconds(lambda: self.index.facts(self.tree))
        warm, _ = cpu_seconds(lambda: self.index.facts(self.tree))
        return cold, warm

    def sources(self) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
        """Modules that may be mutated, and who imports each."""
        table = self.index.facts(self.tree)
        prefix = f"{self.repository.package}/"
        paths = [path for path in table.files if path.startswith(prefix) and _is_module(path, table)]
        texts = {path: (self.tree.read(path) or b"").decode() for path in paths}
        importers = {path: _dotted(table, table.importers.get(path, ()), prefix) for path in paths}
        return {path: text for path, text in texts.items() if text.strip()}, importers

    # one mutation

    def judge(self, mutation: Mutation, base: CiReport) -> Judged:
        """Send the mutation up the ladder to the first step that blocks, and ask full collection for the truth."""
        edits = (self._edit(mutation),)
        seconds: dict[str, float] = {}
        with self.workspace.worktree() as worktree:
            worktree.reset(self.tree.commit)
            worktree.write(edits)
            caught, message, escalated = self._climb(mutation, edits, worktree, seconds)
            is_broken = self._truth(mutation, worktree, base)
            is_defect = self._is_defect(edits, worktree) if caught else False
            at_end = bool(caught)
            if is_broken and not caught:
                last = self._collection(edits, worktree, is_last_phase=True)
                at_end = last.verdict.is_blocking
        return Judged(
            kind=mutation.kind,
            path=mutation.path,
            what=mutation.what,
            is_broken=is_broken,
            caught_by=caught,
            message=message,
            escalated=escalated,
            is_defect=is_defect,
            caught_at_end=at_end,
            seconds={step: round(value, 3) for step, value in seconds.items()},
        )

    def _climb(
        self, mutation: Mutation, edits: Sequence[FileEdit], worktree: Worktree, seconds: dict[str, float]
    ) -> tuple[str, str, str]:
        seconds["L0"], error = cpu_seconds(lambda: python_problem(mutation.content or b""))
        if error:
            return "L0", error, ""
        seconds["L1"], failed = cpu_seconds(lambda: self._failing_imports(edits, worktree))
        if failed:
            return "L1", next(iter(failed.values())), ""
        seconds["L2"], certain = cpu_seconds(lambda: self._certain(edits))
        if certain:
            return "L2", certain[0], ""
        # What the gate does besides L2, which it repeats, is L3 or, where that is due, L4.
        cost, judgement = cpu_seconds(lambda: self._collection(edits, worktree, is_last_phase=False))
        step = "L4" if judgement.is_full else "L3"
        seconds[step] = max(0.0, cost - seconds["L2"])
        because = judgement.full_because
        failure = judgement.verdict.failure
        return (step, failure.message, because) if failure else ("", "", because)

    def _failing_imports(self, edits: Sequence[FileEdit], worktree: Worktree) -> dict[str, str]:
        modules = importable_modules(edits, self.tree)
        failed = dict(self.ci.import_modules(worktree.path, modules, log_folder=self.logs)) if modules else {}
        if not failed:
            return {}
        with self.workspace.worktree() as base:
            base.reset(self.tree.commit)
            before = self.ci.import_modules(base.path, sorted(failed), log_folder=self.logs)
        return {module: error for module, error in failed.items() if module not in before}

    def _change(self, edits: Sequence[FileEdit]) -> TableChange:
        before = self.index.facts(self.tree)
        after = self.index.updated(before, edits)
        return TableChange(before=before, after=after, every_path=edited_paths(edits))

    def _certain(self, edits: Sequence[FileEdit]) -> list[str]:
        return [str(use) for use in find_broken_uses(self._change(edits)) if use.is_certain]

    def _collection(
        self, edits: Sequence[FileEdit], worktree: Worktree, *, is_last_phase: bool
    ) -> CollectionJudgement:
        request = CollectionRequest(
            edits=edits,
            tree=self.tree,
            worktree=worktree,
            # CI that is not pytest itself, so that nothing but the gate looks at the suite.
            checks=Checks(ci="make test", timeout_seconds=SECONDS),
            log_folder=self.logs,
            is_last_phase=is_last_phase,
        )
        return self.gate.judge(request)

    def _truth(self, mutation: Mutation, worktree: Worktree, base: CiReport) -> bool:
        kept = WORK / self.repository.name / "truth" / f"{self._environment()}-{mutation.digest}.json"
        if kept.exists():
            return bool(json.loads(kept.read_text()))
        report = self._collect(worktree)
        gone = {mutation.path} if mutation.content is None else set()
        expected = collected_files(base) - gone
        is_broken = bool(why_unproven(report))
        if not is_broken or has_errors(report):
            delta = compare_collections(base, report, expected=expected, touched={mutation.path})
            is_broken = not delta.is_clean
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(is_broken))
        return is_broken

    def _is_defect(self, edits: Sequence[FileEdit], worktree: Worktree) -> bool:
        """Whether the mutated module or one that imports it could be imported and cannot be now."""
        change = self._change(edits)
        names = {change.before.names_of(path)[:1] for path in change.paths}
        users = {user for path in change.paths for user in change.before.importers.get(path, ())}
        names |= {change.before.names_of(path)[:1] for path in users if not _is_test(path)}
        modules = sorted(name for each in names for name in each)[:30]
        failed = self.ci.import_modules(worktree.path, modules, log_folder=self.logs)
        with self.workspace.worktree() as base:
            base.reset(self.tree.commit)
            before = self.ci.import_modules(base.path, modules, log_folder=self.logs)
        return bool(set(failed) - set(before))

    def _collect(self, worktree: Worktree) -> CiReport:
        request = CiRequest(
            worktree=worktree.path,
            command="python -m pytest -q",
            timeout_seconds=SECONDS,
            log_folder=self.logs,
            collect_only=True,
        )
        return self.ci.run(request)

    def _environment(self) -> str:
        return f"{self.tree.commit[:8]}-{self.ci.environment()[:8]}"

    def _edit(self, mutation: Mutation) -> FileEdit:
        action = EditAction.DELETE if mutation.content is None else EditAction.MODIFY
        return FileEdit(
            path=mutation.path,
            action=action,
            content=mutation.content,
            mode=self.tree.mode(mutation.path) or "100644",
        )


@contextmanager
def open_lab(repository: Repository) -> Iterator[Lab]:
    """A lab that is closed in the end."""
    lab = Lab(repository)
    try:
        yield lab
    finally:
        lab.close()


def cpu_seconds(do: Callable[[], T]) -> tuple[float, T]:
    """CPU time of a call, of the programs that it starts too, and what it gives."""
    started = _cpu()
    result = do()
    return _cpu() - started, result


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _is_test(path: str) -> bool:
    name = Path(path).name
    return name.startswith("test_") or name == "conftest.py" or "/tests/" in path


def _is_module(path: str, table: ImportTable) -> bool:
    is_readable = not table.files[path].problem
    return is_readable and not _is_test(path) and Path(path).name != "__main__.py"


def _dotted(table: ImportTable, paths: Sequence[str] | frozenset[str], prefix: str) -> tuple[str, ...]:
    inside = sorted(path for path in paths if path.startswith(prefix) and not _is_test(path))
    return tuple(name for path in inside for name in table.names_of(path)[:1])
