"""JUnit XML, as test runners of all languages leave it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from xml.parsers import expat  # a document with a DTD is refused, and expat opens nothing

from autopack.adapters.foreign_files import open_foreign
from autopack.domain.ci_report import CiCase, CiOutcome

MAX_BYTES = 64 * 1024 * 1024
_OUTCOMES = {"failure": CiOutcome.FAILED, "error": CiOutcome.ERROR, "skipped": CiOutcome.SKIPPED}
_RANK = (CiOutcome.PASSED, CiOutcome.SKIPPED, CiOutcome.FAILED, CiOutcome.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class JunitResult:
    """The cases of a JUnit file, or why it has none that count."""

    cases: Mapping[str, CiCase]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStamp:
    """Tells whether a file was written again."""

    inode: int
    modified_ns: int
    changed_ns: int


def stamp(folder: Path, name: str) -> FileStamp | None:
    """The stamp of a file below ``folder`` as it is now; None when there is no file that could be read."""
    try:
        with open_foreign(folder, name) as file:
            return _stamp(file)
    except (OSError, ValueError):
        return None


def read_junit(folder: Path, name: str, *, before: FileStamp | None) -> JunitResult:
    """Read what a command left.

    Args:
        folder: The worktree.
        name: The JUnit file's path in it; a link, there or on the way, is not followed.
        before: The file's stamp from before the command ran; a file that still has it is an old one.

    Returns:
        The cases by ``classname::name``, or a problem: no file, an old one, not JUnit, no case in it.
    """
    try:
        return JunitResult(cases=_read(folder, name, before))
    except FileNotFoundError:
        problem = "the command left none"
    except (OSError, expat.ExpatError, ValueError) as exc:
        problem = f"a link, or unreadable ({exc.strerror})" if isinstance(exc, OSError) else str(exc)
    return JunitResult(cases={}, problem=f"the JUnit file {name} proves nothing: {problem}")


def _stamp(file: BufferedReader) -> FileStamp:
    found = os.fstat(file.fileno())
    return FileStamp(inode=found.st_ino, modified_ns=found.st_mtime_ns, changed_ns=found.st_ctime_ns)


def _read(folder: Path, name: str, before: FileStamp | None) -> Mapping[str, CiCase]:
    with open_foreign(folder, name) as file:
        if _stamp(file) == before:
            raise ValueError("it is from before the command ran")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    cases = _parse(content)
    if not cases:
        raise ValueError("it holds no test case")
    if all(case.outcome is CiOutcome.SKIPPED for case in cases.values()):
        raise ValueError(f"all {len(cases)} tests in it were skipped")
    return cases


def _parse(content: bytes) -> dict[str, CiCase]:
    reader = _Reader()
    isfinal = True
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.buffer_text = True
    parser.Parse(content, isfinal)
    return reader.cases


def _refuse_doctype(name: str, *_: object) -> None:
    raise ValueError(f"it declares a document type ({name})")


class _Reader:
    """Collects the cases while expat walks through the file."""

    def __init__(self) -> None:
        self.cases: dict[str, CiCase] = {}
        self._attributes: dict[str, str] | None = None
        self._outcome = CiOutcome.PASSED
        self._type = ""
        self._message = ""
        self._is_inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "testcase":
            self._attributes = attributes
            self._outcome, self._type, self._message = CiOutcome.PASSED, "", ""
        elif self._attributes is not None and name in _OUTCOMES:
            self._outcome = max(self._outcome, _OUTCOMES[name], key=_RANK.index)
            self._type = self._type or attributes.get("type", "")
            self._message = self._message or attributes.get("message", "")
            self._is_inside = True

    def text(self, text: str) -> None:
        if self._is_inside and not self._message.strip():
            self._message = text

    def end(self, name: str) -> None:
        if name in _OUTCOMES:
            self._is_inside = False
        if name == "testcase" and self._attributes is not None:
            self._keep(self._attributes)
            self._attributes = None

    def _keep(self, attributes: dict[str, str]) -> None:
        place = attributes.get("classname") or attributes.get("file", "")
        node_id = f"{place}::{attributes.get('name', '')}"
        lines = [line.strip() for line in self._message.splitlines() if line.strip()]
        case = CiCase(
            node_id=node_id,
            outcome=self._outcome,
            file=attributes.get("file", ""),
            error_type=self._type,
            message=lines[0][:500] if lines else "",
        )
        known = self.cases.get(node_id)
        # One name for several cases (parametrised by a runner that does not say so): the worst one speaks.
        if known is None or _RANK.index(case.outcome) > _RANK.index(known.outcome):
            self.cases[node_id] = case
