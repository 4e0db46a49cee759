"""What a gate is given, and the helpers that all gates share."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from autopack.domain.change import FileEdit
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec
from autopack.domain.verdicts import GateVerdict, blocked, passed
from autopack.ports import Tree
from autopack.settings import DEFAULT_PROTECTED_PATHS, AttemptSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """One change and what it is judged against."""

    spec: PhaseSpec
    edits: tuple[FileEdit, ...]
    tree: Tree
    """The commit that the change starts from."""
    limits: AttemptSettings = field(default_factory=AttemptSettings)
    protected_paths: tuple[str, ...] = DEFAULT_PROTECTED_PATHS
    placeholders: Collection[str] = ()
    """Keys of placeholders that are left in the workspace and committed with the change."""
    target_python: tuple[int, int] | None = None
    """The version of Python that the repository is for; None when it is not known."""


Gate = Callable[[GateInput], GateVerdict]


def judge_in_order(case: GateInput, gates: Iterable[Gate]) -> tuple[GateVerdict, ...]:
    """The gates' verdicts, up to and with the first that blocks."""
    verdicts: list[GateVerdict] = []
    for gate in gates:
        verdicts.append(gate(case))
        if verdicts[-1].is_blocking:
            break
    return tuple(verdicts)


def touched_paths(edits: Iterable[FileEdit]) -> list[str]:
    """Every path that the edits write, delete or move away, sorted."""
    return sorted({path for edit in edits for path in (edit.path, edit.old_path) if path is not None})


def block_or_pass(
    gate: str, kind: FailureKind, problems: Iterable[str], *, notes: tuple[str, ...] = (), hint: str = ""
) -> GateVerdict:
    """A verdict that blocks with all ``problems``, or passes when there are none."""
    details = tuple(problems)
    if not details:
        return passed(gate, *notes)
    rest = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    failure = FailureReport(kind=kind, message=f"{details[0]}{rest}", details=details, hint=hint)
    return blocked(gate, failure, *notes)
