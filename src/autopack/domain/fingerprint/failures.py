"""The fingerprint of Autopack's own failures, whose kind and details say more than any output."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.fingerprint.crashes import crashed, hung
from autopack.domain.fingerprint.engine import fingerprint, seal
from autopack.domain.fingerprint.gate_texts import find_gate_cause, path_set
from autopack.domain.fingerprint.messages import cause_of
from autopack.domain.fingerprint.model import Cause, FailureText, Fingerprint
from autopack.domain.fingerprint.paths import place_of
from autopack.domain.fingerprint.sections import keep_sections
from autopack.domain.fingerprint.templates import provider_template, template

_DETAIL = re.compile(
    r"(?P<node>[^\s:][^\n:]{0,300}(?:::[^\n]{1,500}?)?): (?:[\w-]{1,20} -> [\w-]{1,20}(?:: |$))?"
    r"(?:(?P<type>(?:[a-z_]\w*\.){0,9}_*[A-Z]\w*)(?:: |$))?(?P<text>.*)"
)
_IMPORT = re.compile(r"Cannot import [\w.]+: (?:(?P<type>\w+): )?(?P<text>.*)")
_AT_LINE = re.compile(r"([^\s:][^\n:]{0,300}):\d+: ")
_PROBLEM = re.compile(r"([^\s:][^\n:]{0,300}): ")
_AT_PLACE = re.compile(r" at ([^\s'\"]{1,500})$")
_DIED = re.compile(r"\((signal \d+|exit code -?\d+|killed)\)")
_OF_THE_PHASE = frozenset(
    {FailureKind.EMPTY_CHANGE, FailureKind.BUDGET_EXCEEDED, FailureKind.APPROVAL_DENIED}
)
"""An idle answer, a budget that a phase does not fit, a word of the operator: phases have none of these in common."""
_FORESEEN = (
    ("Collection errors at the base", FailureKind.COLLECTION_ERROR),
    ("CI proves nothing at the base", FailureKind.UNRUNNABLE),
)
"""What a doomed phase would have ended as."""


def of_failure(report: FailureReport, *, place: str = "", stdout: str = "", stderr: str = "") -> Fingerprint:
    """The key of a failure that Autopack recorded.

    Args:
        report: The failure. Its kind is the key's, except that one that was foreseen has the kind that it foresees:
            the doom check and the gate then name one cause by one key.
        place: Whose failure it is, as ``run/phase``: the key of what says nothing of a cause that others may share.
        stdout: What the failed program printed, where more of it is at hand than the report's evidence.
        stderr: The same for the other stream.
    """
    if report.kind in _OF_THE_PHASE:
        return seal(_of_phase(report.kind, place), [f"gate's own words: {report.kind}"])
    kind = _foreseen(report)
    find = _STRUCTURED.get(report.kind)
    if find and (cause := find(report)):
        return seal(replace(cause, kind=kind), [f"gate's own words: {report.kind}"])
    told = stdout or stderr or report.evidence
    if told.strip():
        text = FailureText(
            stdout=_about_new_failures(report, stdout or ("" if stderr else report.evidence)),
            stderr=stderr,
            returncode=report.returncode,
            kind=kind,
        )
        return fingerprint(text)
    cause = _dominant(_detail_causes(report.details)) or _of_message(report)
    return seal(replace(cause, kind=kind), ["no output was kept"])


def _foreseen(report: FailureReport) -> FailureKind:
    if report.kind is not FailureKind.DOOMED:
        return report.kind
    return next((kind for begins, kind in _FORESEEN if report.message.startswith(begins)), FailureKind.DOOMED)


def _about_new_failures(report: FailureReport, text: str) -> str:
    """Of pytest's output the sections about the tests that the report blames: others failed before as well."""
    if report.kind is not FailureKind.TEST_REGRESSION:
        return text
    nodes = [found["node"] for detail in report.details if (found := _DETAIL.fullmatch(detail))]
    return keep_sections(text, nodes)


def _of_phase(kind: FailureKind, place: str) -> Cause:
    why = "it says nothing of a cause that other phases share: it is the phase's own"
    return Cause(kind=kind, parts=(str(kind), place), why=why)


def _of_gate(report: FailureReport) -> Cause | None:
    return find_gate_cause("\n".join(("", *report.details)) if report.details else report.message)


def _of_missing(report: FailureReport) -> Cause | None:
    cause = find_gate_cause("\n".join(("MISSING FILES:", *report.details)))
    return cause or find_gate_cause(report.message)


def _of_patch(report: FailureReport) -> Cause | None:
    """By the files that it does not fit, else by the words: a patch without a legal file names none."""
    told = report.details or (report.message,)
    paths = [found[1] for line in told if (found := _PROBLEM.match(line)) and _is_path(found[1])]
    if paths:
        return path_set(report.kind, paths)
    return Cause(
        kind=report.kind,
        parts=(template(told[0], keeps_names=True),),
        why="a patch, by what is wrong with it",
    )


def _is_path(text: str) -> bool:
    return " " not in text and ("/" in text or "." in text) and not text.startswith("edits[")


def _of_syntax(report: FailureReport) -> Cause | None:
    places = sorted({place_of(found[1]) for line in report.details if (found := _AT_LINE.match(line))})
    if not places:
        return None
    return Cause(kind=report.kind, parts=("syntax", *places), why="broken syntax, by its files")


def _of_import(report: FailureReport) -> Cause | None:
    causes = [
        cause_of(found["type"] or "", found["text"], "")
        for line in report.details
        if (found := _IMPORT.match(line))
    ]
    if causes:
        return _dominant(causes)
    paths = sorted({found[1] for line in report.details if (found := _AT_LINE.match(line))})
    words = sorted({template(line.split(": ", 1)[-1], keeps_names=True) for line in report.details})
    return (
        Cause(kind=report.kind, parts=(*words[:1], *paths[:1]), why="imports that a change broke")
        if words
        else None
    )


def _of_provider(report: FailureReport) -> Cause | None:
    said = provider_template(report.message)
    return (
        Cause(kind=report.kind, parts=("provider", said), why="a Builder's or provider's answer")
        if said
        else None
    )


def _of_timeout(report: FailureReport) -> Cause | None:
    found = _AT_PLACE.search(report.message)
    return hung(place_of(found[1].partition("::")[0])) if found else None


def _of_crash(report: FailureReport) -> Cause | None:
    place, died = _AT_PLACE.search(report.message), _DIED.search(report.message)
    if not place and not died:
        return None
    return crashed(place_of(place[1].partition("::")[0]) if place else "", died[1] if died else "")


def _of_message(report: FailureReport) -> Cause:
    words = template(report.message, keeps_names=True)
    return Cause(
        kind=report.kind, parts=(words or str(report.kind),), why="the failure's message without its values"
    )


def _detail_causes(details: Iterable[str]) -> list[Cause]:
    """From lines such as ``tests/a.py::test: passed -> failed: KeyError: 'x'``, the cause of each."""
    found = (_DETAIL.fullmatch(detail) for detail in details)
    return [
        cause_of(line["type"] or "", line["text"], f"near {place_of(line['node'].partition('::')[0])}")
        for line in found
        if line
    ]


def _dominant(causes: list[Cause]) -> Cause | None:
    counts = Counter(cause.canonical for cause in causes)
    return min(causes, key=lambda cause: (-counts[cause.canonical], cause.canonical), default=None)


_STRUCTURED: dict[FailureKind, Callable[[FailureReport], Cause | None]] = {
    FailureKind.DELIVERABLES_MISSING: _of_missing,
    FailureKind.INVALID_JSON_DELIVERABLE: _of_gate,
    FailureKind.SCOPE_VIOLATION: _of_gate,
    FailureKind.PROTECTED_PATH: _of_gate,
    FailureKind.PATCH_REJECTED: _of_patch,
    FailureKind.SYNTAX_ERROR: _of_syntax,
    FailureKind.IMPORT_ERROR: _of_import,
    FailureKind.BUILDER_ERROR: _of_provider,
    FailureKind.TIMEOUT: _of_timeout,
    FailureKind.CRASHED: _of_crash,
}
"""What a kind's details tell better than any output; a kind that is not here is read from its output."""
