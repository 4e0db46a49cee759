"""Which paths a change may touch: those of its scope, and none that are protected."""

from collections.abc import Callable, Iterable
from functools import partial

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseSpec
from autopack.domain.scope import is_within, match_length
from autopack.domain.verdicts import GateVerdict
from autopack.execution.gates_case import GateInput, block_or_pass, touched_paths
from autopack.ports import Tree


def scope(case: GateInput) -> GateVerdict:
    """Blocks a change that touches a path outside the phase's scope (``scope_violation``).

    A deliverable is inside: a phase may always write what it must leave behind. A path that ``read_only``
    names more exactly than ``paths`` does is outside. Both ends of a rename count.
    """
    return scope_of(touched_paths(case.edits), case.spec, is_folder=partial(_is_no_file, case.tree))


def scope_of(paths: Iterable[str], spec: PhaseSpec, *, is_folder: Callable[[str], bool]) -> GateVerdict:
    """The same for the paths that an answer names, before it is held against any file."""
    writable = (*spec.scope.paths, *spec.deliverables)
    problems: list[str] = []
    for path in paths:
        allowed = match_length(path, writable, is_folder=is_folder)
        if allowed == 0:
            problems.append(f"Outside scope: {path}")
        elif match_length(path, spec.scope.read_only, is_folder=is_folder) > allowed:
            problems.append(f"Outside scope: {path} (read only)")
    hint = f"The scope is: {', '.join(writable) or 'nothing'}."
    return block_or_pass("scope", FailureKind.SCOPE_VIOLATION, problems, hint=hint)


def protected_paths(case: GateInput) -> GateVerdict:
    """Blocks a change to a protected path (``protected_path``), in any upper or lower case."""
    keys = [key.casefold() for key in case.protected_paths]
    problems = [
        f"Protected path: {path}"
        for path in touched_paths(case.edits)
        if is_within(path.casefold(), keys, is_folder=lambda _: True)
    ]
    hint = "No phase may change these; a person does, outside of Autopack, or takes them off protected_paths."
    return block_or_pass("protected_paths", FailureKind.PROTECTED_PATH, problems, hint=hint)


def _is_no_file(tree: Tree, key: str) -> bool:
    # What is no file is a folder, or may become one.
    return tree.mode(key) is None
