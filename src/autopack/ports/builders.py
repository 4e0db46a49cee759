"""What a Builder gets, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

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
    turn: int = 1
    """Which call of the attempt it is."""
    goal: str
    prompt: str
    """The whole task in words, file contents included; stable part first."""
    stable_size: int = 0
    """How many characters at the beginning of the prompt the calls of a phase share."""
    instructions: str = ""
    """Rules and formats, the same for all phases; empty for Builders that edit files."""
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

    def under_way(self, usage: Usage) -> None:
        """Tell what was used besides by requests that are not over; it counts until one is over or it is told anew.

        Raises nothing.
        """
        ...

    def ended(self, answer: "BuildAnswer") -> None:
        """Tell that a Builder which edits the worktree is done there, before anybody looks at what it left.

        It is kept on the disk when this returns: a process that dies from here on has nobody asked again. The answer
        that ``build`` returns counts, if it comes.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildAnswer:
    """A Builder's answer: text that describes a change, or a failure; and what it cost either way."""

    format: AnswerFormat = AnswerFormat.PATCH
    text: str = ""
    """Empty for a Builder that edited the worktree: the worktree's own diff is the answer then."""
    is_worktree_diff: bool = False
    """Whether the text is that diff: placeholders that nobody touched are in it, and are no part of the change."""
    failure: FailureReport | None = None
    usage: Usage = Usage()
    model: str = ""
    stop_reason: str = ""
    is_truncated: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    """What telemetry tells of it besides: the version of the prompt, the format, how its lines were found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An answer of a model, and what it is told about it."""

    answer: str
    reply: str


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


@runtime_checkable
class ModelBuilder(Builder, Protocol):
    """A Builder that is a model: all it knows stands in its prompt, and its answer can be replied to."""

    context_tokens: int
    """How long its prompt may be, without the instructions."""
    mending_turns: int
    """How often an answer that does not fit is replied to."""

    def reply(self, request: BuildRequest, said: Sequence[Exchange], watch: BuildWatch) -> BuildAnswer:
        """One more call in the same conversation, like ``build``: the request, then what was said since."""
        ...
