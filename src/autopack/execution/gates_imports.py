"""Whether the modules that a change touches can still be imported, compared with the tree it started from."""

import builtins
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.domain.change import FileEdit
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.verdicts import GateVerdict, blocked, not_applicable, passed
from autopack.errors import ProcessError
from autopack.execution.gates_case import GateInput
from autopack.ports import CiRunner, Tree

GATE = "imports"
_NOT_MODULES = frozenset(
    {
        "tests",
        "test",
        "scripts",
        "bin",
        "docs",
        "examples",
        "benchmarks",
        "migrations",
        "alembic",
        "fixtures",
        "testdata",
        "test_data",
        "templates",
    }
)
"""Folders whose files are run, collected or copied, but not imported for their own sake."""
_NOT_MODULE_FILES = frozenset({"__main__.py", "setup.py", "conftest.py", "manage.py", "noxfile.py"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportGate:
    """Imports every changed module in one fresh child; one that failed on the base too does not block."""

    runner: CiRunner
    worktree: Path
    """The checkout with the change in it."""
    log_folder: Path
    base_failures: Callable[[Sequence[str]], Mapping[str, str]]
    """Imports modules on the base and gives the error of each that fails; asked only when one fails here.

    Raises ``ProcessError``, as the runner does, where that proves nothing.
    """
    timeout_seconds: float = math.inf
    """How long the import of one module may take."""

    def __call__(self, case: GateInput) -> GateVerdict:
        """Blocks when a module that could be imported, or is new, cannot be imported now (``import_error``).

        A check that could not be carried through, here or on the base, is ``unrunnable`` and compared with nothing.
        """
        modules = importable_modules(case.edits, case.tree)
        if not modules:
            return not_applicable(GATE, "no changed file is an importable module")
        try:
            failed = self._import(modules)
            at_base = self.base_failures(sorted(failed)) if failed else {}
        except ProcessError as error:
            failure = FailureReport(
                kind=FailureKind.UNRUNNABLE,
                message=f"The changed modules cannot be judged: {error}",
                hint=error.hint,
            )
            return blocked(GATE, failure)
        old = modules_at_base(case.edits, case.tree)
        excuses = {
            module: excuse
            for module, error in failed.items()
            if (excuse := _excuse(error, is_old=module in old, failed_before=module in at_base))
        }
        notes = tuple(f"{module} {excuses[module]}: {failed[module]}" for module in sorted(excuses))
        new = {module: error for module, error in failed.items() if module not in excuses}
        return blocked(GATE, _failure(new), *notes) if new else passed(GATE, *notes)

    def _import(self, modules: Sequence[str]) -> dict[str, str]:
        found = self.runner.import_modules(
            self.worktree, modules, log_folder=self.log_folder, timeout_seconds=self.timeout_seconds
        )
        return dict(found)


def _excuse(error: str, *, is_old: bool, failed_before: bool) -> str:
    if is_old:
        return "failed before too" if failed_before else ""
    # A framework that was not set up raises exceptions of its own: there is no base to tell this from a bug.
    name = error.partition(":")[0]
    is_foreign = name[:1].isupper() and not hasattr(builtins, name)
    return "is new and needs its surroundings" if is_foreign else ""


def importable_modules(edits: Sequence[FileEdit], tree: Tree) -> tuple[str, ...]:
    """Dotted names of the changed files that are modules of a package or stand under ``src/``, sorted."""
    written = {edit.path for edit in edits if edit.content is not None}
    names = (_module_name(path, tree, written) for path in written)
    return tuple(sorted({name for name in names if name}))


def modules_at_base(edits: Sequence[FileEdit], tree: Tree) -> frozenset[str]:
    """Dotted names of those changed modules that the base has too."""
    paths = [edit.path for edit in edits if edit.content is not None and tree.mode(edit.path) is not None]
    return frozenset(name for path in paths if (name := _module_name(path, tree, set())))


def _module_name(path: str, tree: Tree, written: set[str]) -> str:
    folders, name = path.split("/")[:-1], path.rpartition("/")[2]
    if not name.endswith(".py") or name in _NOT_MODULE_FILES or not folders:
        return ""
    if name.startswith("test_") or name.endswith("_test.py") or _NOT_MODULES & set(folders):
        return ""
    is_source = folders[0] == "src" and not _has_init("src", tree, written)
    inner = folders[1:] if is_source else folders
    if not is_source and not all(
        _has_init("/".join(folders[:depth]), tree, written) for depth in range(1, len(folders) + 1)
    ):
        return ""
    parts = [*inner, name.removesuffix(".py")]
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else ""


def _has_init(folder: str, tree: Tree, written: set[str]) -> bool:
    path = f"{folder}/__init__.py"
    return path in written or tree.mode(path) is not None


def _failure(errors: Mapping[str, str]) -> FailureReport:
    details = tuple(f"Cannot import {module}: {errors[module]}" for module in sorted(errors))
    rest = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return FailureReport(kind=FailureKind.IMPORT_ERROR, message=f"{details[0]}{rest}", details=details)
