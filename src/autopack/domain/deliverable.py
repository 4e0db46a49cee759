"""The files a phase must leave behind: which of them are there, and whether those in JSON can be read."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from autopack.domain.patch_lines import new_files_of
from autopack.domain.scope import clean_key

MARKER = "DELIVERABLES_VALIDATION_FAILED"
"""What the message begins with; fingerprints and tools look for it."""
_ANNOTATION = re.compile(r"\s+(?:\(|with |(?:updated|modifications|modified|changes|additions)$).*")
_BARE_NAMES = frozenset({"LICENSE", "Makefile", "Dockerfile", "README"})
_MAX_REASON_CHARACTERS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverablesReport:
    """Where each deliverable of a phase is; every tuple in the phase's order."""

    missing: tuple[str, ...] = ()
    found_in_change: tuple[str, ...] = ()
    existing_in_workspace: tuple[str, ...] = ()
    """Those that the change does not touch and that are there already."""
    misplaced: Mapping[str, str] = field(default_factory=dict)
    """For a missing file, one of the same name that the change makes elsewhere."""

    @property
    def message(self) -> str:
        """One line that names every missing path."""
        total = len(self.missing) + len(self.found_in_change) + len(self.existing_in_workspace)
        return (
            f"{MARKER}: {len(self.missing)} of {total} missing: {', '.join(self.missing)};"
            f" found in the change: {len(self.found_in_change)}"
            f" (+{len(self.existing_in_workspace)} existing files in workspace)"
        )

    @property
    def details(self) -> tuple[str, ...]:
        """One line for each missing path, with the place where it was found instead."""
        return tuple(
            f"Missing: {path}" + (f" (found at: {self.misplaced[path]})" if path in self.misplaced else "")
            for path in self.missing
        )


def find_missing(
    deliverables: Iterable[str],
    *,
    added: Collection[str],
    present: Collection[str],
    removed: Collection[str] = (),
) -> DeliverablesReport:
    """Which deliverables are missing after a change.

    Args:
        deliverables: Keys; one that ends in ``/`` asks for any file below it.
        added: Files that the change makes or alters.
        present: Files of the workspace before the change, placeholders included.
        removed: Files that the change deletes or moves away.
    """
    kept = set(present) - set(removed)
    missing: list[str] = []
    in_change: list[str] = []
    in_workspace: list[str] = []
    for path in dict.fromkeys(deliverables):
        found = in_change if _is_there(path, added) else in_workspace if _is_there(path, kept) else missing
        found.append(path)
    return DeliverablesReport(
        missing=tuple(missing),
        found_in_change=tuple(in_change),
        existing_in_workspace=tuple(in_workspace),
        misplaced={path: other for path in missing if (other := _same_name(path, added))},
    )


def normalise_deliverable(raw: str) -> str:
    r"""The key in a deliverable as people note it: ``src\a.py (with tests)`` gives ``src/a.py``.

    Returns:
        The key, or an empty text for words that name no file, such as ``Tests updated``.

    Raises:
        ScopeError: The path is not legal in a repository.
    """
    text = _ANNOTATION.sub("", raw.strip().removeprefix("Documentation in ")).strip()
    if not text or (not re.search(r"[./\\]", text) and text not in _BARE_NAMES):
        return ""
    return clean_key(text)


def json_problem(content: bytes) -> str:
    """Why content is no JSON value: ``empty``, the parser's words, or an empty text when it is one."""
    if not content.strip(b"\xef\xbb\xbf \t\r\n"):
        return "empty"
    try:
        # Numbers are not converted: Python refuses to for long ones, which JSON allows.
        json.loads(content, parse_constant=_refuse_constant, parse_int=len)
    except RecursionError:
        return "nested too deeply"
    except MemoryError:
        return "too large"
    except ValueError as error:
        return str(error)[:_MAX_REASON_CHARACTERS]
    return ""


def invalid_json_message(path: str, problem: str) -> str:
    """How a new JSON deliverable that cannot be read is reported."""
    return f"Invalid JSON deliverable ({problem}): {path}"


def validate_new_json_deliverables_in_patch(
    patch_content: str, expected_paths: Sequence[str], workspace: object = None
) -> tuple[bool, list[str], dict[str, list[dict[str, str]]]]:
    """Whether the JSON files that a patch creates, and that are expected, can be read.

    Args:
        patch_content: A unified diff, or a JSON answer with ``edits`` or ``files``.
        expected_paths: Deliverables; only those that end in ``.json`` count. One that the patch does not
            create is not judged.
        workspace: Taken for callers that pass it; the answer does not depend on it.

    Returns:
        Whether all is well, one message for each bad file, and ``invalid_json_files`` with ``path`` and
        ``reason`` of each.
    """
    del workspace
    expected = {_tidied(path) for path in expected_paths if path.strip().lower().endswith(".json")}
    errors: list[str] = []
    invalid: list[dict[str, str]] = []
    for raw, text in (_created_in(patch_content) if expected else {}).items():
        path = _tidied(raw)
        problem = json_problem(text.encode("utf-8", "surrogatepass")) if path in expected else ""
        if problem:
            errors.append(invalid_json_message(path, problem))
            reason = problem if problem == "empty" else f"invalid_json: {problem}"
            invalid.append({"path": path, "reason": reason})
    return not errors, errors, {"invalid_json_files": invalid}


def _is_there(path: str, files: Collection[str]) -> bool:
    if path.endswith("/"):
        return any(file.startswith(path) for file in files)
    return path in files


def _same_name(path: str, files: Collection[str]) -> str:
    name = path.rstrip("/").rpartition("/")[2].casefold()
    return min((file for file in files if file.rpartition("/")[2].casefold() == name), default="")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _tidied(path: str) -> str:
    return re.sub(r"/+", "/", path.strip().replace("\\", "/")).removeprefix("./")


def _created_in(answer: str) -> dict[str, str]:
    if not answer.lstrip().startswith("{"):
        return new_files_of(answer)
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    entries = [entry for key in ("files", "edits") for entry in _objects(parsed.get(key))]
    created: dict[str, str] = {}
    for entry in entries:
        path, text = entry.get("path"), entry.get("new_content", entry.get("content"))
        if isinstance(path, str) and isinstance(text, str) and entry.get("mode") != "delete":
            created[path] = text
    return created


def _objects(value: object) -> list[dict[str, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
