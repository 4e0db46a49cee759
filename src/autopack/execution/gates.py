"""The static gates in their order: what reads a change and its tree alone, and what imports the changed tree."""

from collections.abc import Callable

from autopack.domain.verdicts import GateVerdict
from autopack.execution.gates_case import GateInput, judge_in_order
from autopack.execution.gates_deliverables import deliverables, json_deliverables, not_empty
from autopack.execution.gates_form import well_formed
from autopack.execution.gates_paths import protected_paths, scope
from autopack.execution.gates_runner import runner_untouched
from autopack.execution.gates_syntax import syntax

__all__ = ["GateInput", "judge_after", "judge_before"]

_BEFORE = (not_empty, well_formed, scope, protected_paths, runner_untouched, json_deliverables)
_AFTER = (deliverables, syntax)


def judge_before(case: GateInput) -> tuple[GateVerdict, ...]:
    """What must hold before the worktree is touched, up to and with the first gate that blocks."""
    return judge_in_order(case, _BEFORE)


def judge_after(
    case: GateInput, *, imports: Callable[[GateInput], GateVerdict] | None = None
) -> tuple[GateVerdict, ...]:
    """What must hold once the change is written, up to and with the first gate that blocks.

    Args:
        case: The change and its tree.
        imports: The gate that imports the changed modules, asked last; None leaves it out.
    """
    return judge_in_order(case, _AFTER if imports is None else (*_AFTER, imports))
