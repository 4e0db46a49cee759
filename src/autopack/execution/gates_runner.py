"""Whether a change takes the place of the test runner, or decides for it what a test's result is."""

import ast
from collections.abc import Iterable, Iterator

from autopack.domain.change import FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.verdicts import GateVerdict
from autopack.execution.gates_case import GateInput, block_or_pass

_STAND_INS = frozenset(
    {
        "pytest",
        "_pytest",
        "pluggy",
        "sitecustomize",
        "usercustomize",
        "autopack_ci_recorder",
        "autopack_import_child",
    }
)
_RESULT_HOOKS = frozenset(
    {
        "pytest_cmdline_main",
        "pytest_pyfunc_call",
        "pytest_runtest_call",
        "pytest_runtest_logreport",
        "pytest_runtest_makereport",
        "pytest_runtest_protocol",
        "pytest_runtestloop",
    }
)
"""Hooks by which a conftest says that a test passed which did not."""


def runner_untouched(case: GateInput) -> GateVerdict:
    """Blocks what would make a red suite green without a test that says so (``protected_path``).

    A new module at an import root that is found before the runner's own; and a new hook that decides results,
    unless the phase's scope or deliverables name that very file.
    """
    problems = [*_stand_ins(case), *_new_hooks(case)]
    hint = "A person makes such a change, or a phase whose scope names this file."
    return block_or_pass("test_runner", FailureKind.PROTECTED_PATH, problems, hint=hint)


def _stand_ins(case: GateInput) -> Iterator[str]:
    for edit in _written(case.edits):
        parts = edit.path.split("/")
        root = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
        name = root[0].removesuffix(".py")
        if name in _STAND_INS and case.tree.mode(edit.path) is None:
            yield f"Protected path: {edit.path} (it would stand in for the module {name})"


def _new_hooks(case: GateInput) -> Iterator[str]:
    named = {*case.spec.scope.paths, *case.spec.deliverables}
    for edit in _written(case.edits):
        if not edit.path.endswith(".py") or edit.path in named:
            continue
        before = case.tree.read(edit.old_path or edit.path) or b""
        for hook in sorted(_hooks(edit.content or b"") - _hooks(before)):
            yield f"Protected path: {edit.path} (it defines {hook}, which decides what a test's result is)"


def _written(edits: Iterable[FileEdit]) -> Iterator[FileEdit]:
    return (edit for edit in edits if edit.content is not None)


def _hooks(content: bytes) -> set[str]:
    if b"pytest_" not in content:
        return set()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # The syntax gate has its own word on it.
        return set()
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions} & _RESULT_HOOKS
