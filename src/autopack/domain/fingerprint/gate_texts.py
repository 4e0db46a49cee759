"""What deterministic gates say: which files are missing, out of bounds or unreadable."""

import re

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.model import Cause

_JSON = re.compile(r"Invalid JSON deliverable \([^\n]{0,300}?\): ([^\s,;]+)")
_JSON_ITEM = re.compile(r"\n[ \t]*-[ \t]+(\S{1,500}\.json): ", re.IGNORECASE)
_PROTECTED = re.compile(r"Protected path: ([^\s,;]+)")
_SCOPE = re.compile(r"Outside scope: ([^\s,;]+)")
_MISSING_LIST = re.compile(
    r"(?:Missing \d+ required deliverables?:|MISSING FILES:)[^\n]*((?:\n[ \t]*[-•][ \t]+[^\n]+)+)"
)
_ITEM = re.compile(r"\n[ \t]*[-•][ \t]+([^\s(]+)")
_MISSING_LINE = re.compile(r"DELIVERABLES_VALIDATION_FAILED: \d+ of \d+ missing: ([^;\n]+)")
_MISSING_DETAIL = re.compile(r"(?:\n|^)Missing: ([^\s(]+)")


def find_gate_cause(text: str) -> Cause | None:
    """The gate's finding as a set of paths: their order and number of mentions never matter."""
    if "Invalid JSON deliverable" in text and (paths := _JSON.findall(text)):
        return path_set(FailureKind.INVALID_JSON_DELIVERABLE, paths)
    if "JSON DELIVERABLE CONTENT" in text:
        return path_set(FailureKind.INVALID_JSON_DELIVERABLE, _JSON_ITEM.findall(text))
    if "DELIVERABLES_VALIDATION_FAILED" in text or "eliverables" in text or "MISSING FILES" in text:
        return path_set(FailureKind.DELIVERABLES_MISSING, missing_paths(text))
    if "Protected path: " in text:
        return path_set(FailureKind.PROTECTED_PATH, _PROTECTED.findall(text))
    if "Outside scope: " in text:
        return path_set(FailureKind.SCOPE_VIOLATION, _SCOPE.findall(text))
    return None


def missing_paths(text: str) -> list[str]:
    """Every deliverable that the text calls missing."""
    paths = [path for block in _MISSING_LIST.findall(text) for path in _ITEM.findall(block)]
    paths += [path.strip() for line in _MISSING_LINE.findall(text) for path in line.split(",")]
    paths += _MISSING_DETAIL.findall(text)
    return [path for path in paths if path != "..."]


def path_set(kind: FailureKind, paths: list[str]) -> Cause | None:
    """A cause made of paths, or None where there are none."""
    names = sorted({path.replace("\\", "/").removeprefix("./").rstrip(".,;:") for path in paths} - {""})
    if not names:
        return None
    return Cause(kind=kind, parts=tuple(names), why=f"{kind}: the set of {len(names)} paths")
