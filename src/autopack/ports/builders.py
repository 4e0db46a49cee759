"""What a Builder gets, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureReport


class AnswerFormat(StrEnum):
    """What the text of a Builder's answer is."""

    PATCH = "patch"
    """A unified diff, as git writes it."""
    EDITS = "edits"
    """A JSON object with ``edits``."""
    WORDS = "words"
    """What a model writes: SEARCH/REPLACE blocks and whole files, or a diff all the same, with prose around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """One file that the Builder is shown."""

    path: str
    text: str
    is_read_only: bool = False
    is_stub: bool = False
    """True when the file does not exist and was given a minimal valid content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What a Builder gets for one call."""

    address: AttemptAddress
    goal: str
    prompt: str
    """The whole task in words, file contents included; stable part first."""
    files: tuple[ContextFile, ...]
    scope_paths: tuple[str, ...]
    deliverables: tuple[str, ...]
    worktree: Path | None
    """A clean checkout to edit, for Builders that work on files; None for those that answer in text."""
    log_folder: Path
    """Where the Builder streams what it sees to; kept with the attempt."""
    budget_tokens: int
    timeout_seconds: float
    budget_usd: float | None = None
    """What the call may cost, where that is known; None is without limit."""
    diff: Callable[[], str] | None = None
    """What the worktree's files differ by from its commit, looked at now; raises WorkspaceError when that cannot be
    told. None without a worktree."""


class BuildWatch(Protocol):
    """How a call under way and the executor talk."""

    def is_cancelled(self) -> bool:
        """Whether the call must stop now."""
        ...

    def used(self, usage: Usage) -> None:
        """Tell what was used since the last report; raises nothing, a spent budget shows in ``is_cancelled``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAnswer:
    """A Builder's answer: text that describes a change, or a failure; and what it cost either way."""

    format: AnswerFormat = AnswerFormat.PATCH
    text: str = ""
    """Empty for a Builder that edited the worktree: the worktree's own diff is the answer then."""
    failure: FailureReport | None = None
    usage: Usage = Usage()
    model: str = ""
    stop_reason: str = ""
    is_truncated: bool = False


class Builder(Protocol):
    """Makes the change of a phase."""

    spec: str
    """As the operator wrote it: ``replay:DIR``."""
    edits_worktree: bool
    """Whether the change is what the Builder leaves in ``BuildRequest.worktree``."""

    def build(self, request: BuildRequest, watch: BuildWatch) -> BuildAnswer:
        """One call, within the request's time and budget.

        Returns:
            The answer. Whatever goes wrong on the provider's or the agent's side is a ``failure`` of kind
            ``builder_error``, ``timeout``, ``budget_exceeded`` or ``protected_path`` in it, never an exception.
        """
        ...
