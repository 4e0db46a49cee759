"""Whether a change leaves behind what its phase must: something at all, every deliverable, readable JSON."""

from autopack.domain.change import EditAction
from autopack.domain.deliverable import find_missing, invalid_json_message, json_problem
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.scope import is_within
from autopack.domain.verdicts import GateVerdict, blocked, not_applicable, passed
from autopack.execution.gates_case import GateInput, block_or_pass


def not_empty(case: GateInput) -> GateVerdict:
    """Blocks a change that changes nothing (``empty_change``)."""
    if case.edits:
        return passed("not_empty")
    failure = FailureReport(
        kind=FailureKind.EMPTY_CHANGE, message="The Builder said it was done and changed nothing"
    )
    return blocked("not_empty", failure)


def json_deliverables(case: GateInput) -> GateVerdict:
    """Blocks a new JSON deliverable that cannot be read (``invalid_json_deliverable``)."""
    new = [
        edit
        for edit in case.edits
        if edit.action is not EditAction.MODIFY
        and edit.content is not None
        and edit.path.lower().endswith(".json")
        and is_within(edit.path, case.spec.deliverables)
    ]
    if not new:
        return not_applicable("json_deliverables")
    judged = [(edit.path, json_problem(edit.content or b"")) for edit in new]
    problems = [invalid_json_message(path, problem) for path, problem in judged if problem]
    return block_or_pass("json_deliverables", FailureKind.INVALID_JSON_DELIVERABLE, problems)


def deliverables(case: GateInput) -> GateVerdict:
    """Blocks when a deliverable is neither in the change nor in the workspace (``deliverables_missing``)."""
    if not case.spec.deliverables:
        return not_applicable("deliverables", "the phase names no deliverables")
    removed = {
        path
        for edit in case.edits
        for path in (edit.path if edit.action is EditAction.DELETE else edit.old_path,)
        if path is not None
    }
    report = find_missing(
        case.spec.deliverables,
        added={edit.path for edit in case.edits if edit.content is not None},
        present={*case.tree.paths(), *case.placeholders},
        removed=removed - {edit.path for edit in case.edits if edit.content is not None},
    )
    if not report.missing:
        found, existing = len(report.found_in_change), len(report.existing_in_workspace)
        note = f"found in the change: {found} (+{existing} existing files in workspace)"
        return passed("deliverables", note)
    failure = FailureReport(
        kind=FailureKind.DELIVERABLES_MISSING,
        message=report.message,
        details=report.details,
        hint="Each path counts from the repository's root, also in a run that has a project.",
    )
    return blocked("deliverables", failure)
