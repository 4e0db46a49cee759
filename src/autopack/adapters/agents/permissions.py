"""What an agent that asks is allowed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autopack.domain.scope import clean_key
from autopack.errors import ScopeError

_ALLOW = ("allow_once", "allow_always")
_REJECT = ("reject_once", "reject_always")
_ELSEWHERE = frozenset({"fetch", "switch_mode"})
"""Kinds of tools that leave the worktree by their nature."""
_TOLD = frozenset({"read", "edit", "delete", "move", "search", "think"})
"""Kinds of which the files that they name tell where they stay; a command's text does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a permission request is answered with."""

    option_id: str | None
    """None when the agent offers no fitting option: the request counts as cancelled then."""
    why: str


def answer_request(
    *,
    kind: str,
    paths: Iterable[str],
    options: Sequence[tuple[str, str]],
    worktree: Path,
    is_sandboxed: bool,
) -> Answer:
    """Allow what stays in the worktree, once; options are chosen by their kind, whatever they are called.

    Commands, and tools of no known kind, are allowed inside walls alone: nobody can tell where they stay.

    Args:
        kind: The tool's kind, as ACP has it: ``edit``, ``execute``, ``fetch`` and so on.
        paths: Files that the tool names.
        options: Id and kind of each answer the agent takes.
        worktree: Where it may work.
        is_sandboxed: Whether the agent, and all that it starts, is kept in.
    """
    problem = _problem(kind, paths, worktree) or ("" if is_sandboxed else _unwalled(kind))
    wanted = _REJECT if problem else _ALLOW
    chosen = next((ident for want in wanted for ident, offered in options if offered == want), None)
    why = problem or "inside the worktree"
    return Answer(option_id=chosen, why=why if chosen else f"{why}; no such answer is offered")


def key_in(worktree: Path, path: str) -> str:
    """The repository key of a path that an agent names.

    Raises:
        ScopeError: It is not a file of the worktree, or one of git's own.
    """
    folder = f"{worktree}/"
    return clean_key(path.removeprefix(folder) if path.startswith(folder) else path)


def _problem(kind: str, paths: Iterable[str], worktree: Path) -> str:
    if kind in _ELSEWHERE:
        return f"{kind} is not allowed"
    for path in paths:
        if Path(path) == worktree:
            continue
        try:
            key_in(worktree, path)
        except ScopeError as error:
            return str(error)
    return ""


def _unwalled(kind: str) -> str:
    return "" if kind in _TOLD else f"{kind or 'a tool of no kind'} is not allowed without a sandbox"
