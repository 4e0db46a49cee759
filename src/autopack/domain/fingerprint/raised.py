"""Python exceptions in output: of the interpreter, of unittest, and of pytest in each of its styles."""

import re
from dataclasses import dataclass, field
from enum import Enum

_EVENT = re.compile(
    r"""
    \n(?![ ]{4})(?P<e>E(?=[ \n])[ ]*+(?:E[ ]++)?)?(?:
      [ ]*+File[ ]"(?P<file>[^"\n]{1,500})",[ ]line[ ]\d+
    | (?P<head>_{2,}[ ][^\n]{1,300}[ ]_{2,}|={2,}[ ]|(?:ERROR|FAIL):[ ](?=\w+[ ]\()
        |Traceback[ ]\(most[ ]recent[ ]call[ ]last\):)
    | (?P<link>The[ ]above[ ]exception[ ]was[ ]the[ ]direct|During[ ]handling[ ]of[ ]the[ ]above)
    | (?P<where>(?:[A-Za-z]:)?[\w./\\<~][^\n:"']{0,300}+):\d++:
        (?:[ ](?:in[ ][^\n]{1,200}+
            |(?P<short>[A-Za-z_][\w.]*(?:<locals>[\w.]*)?)(?:[:][ ]?(?P<line>[^\n]*+))?
          )|[ ]?)(?=\n|$)
    | (?P<type>(?:(?:[A-Za-z_]\w{0,60}+|<locals>)\.){0,20}+
        (?:_{0,2}[A-Z]\w{0,100}+|error|timeout|[gh]\w{0,4}error)
      )(?::[ ](?P<text>\d++[ ]validation[ ]errors?[ ]for[ ][^\n]*+\n(?:E[ ]++)?[\w.\[\]-]++\n(?:E[ ])?[ ]++[^\n]*+
            |[^\n]*+))?(?=\n|$)
    | (?P<other>(?<=[ E])[^\n]*+)
    )""",
    re.VERBOSE,
)
"""The lines of an output that matter; source lines, which have four spaces before them, are passed over at once."""
_MARKS = ('File "', "\nE ", "\nE\n")
_CRASH_LINE = re.compile(r":\d+: [A-Za-z_][\w.<>]*:")
"""What stands in every output that shows an exception: a frame, pytest's margin, or a place with class and message."""

_SECTIONS = ("== FAILURES ==", "== ERRORS ==")
GROUPS = frozenset({"ExceptionGroup", "BaseExceptionGroup"})


class Link(Enum):
    """How an exception came from the one before it."""

    NONE = 0
    CAUSE = 1
    CONTEXT = 2


@dataclass(slots=True)
class Raised:
    """One exception that was printed, and the files its traceback led through, outermost first."""

    type: str
    """Its class without the module."""
    text: str
    files: list[str] = field(default_factory=list)
    link: Link = Link.NONE
    is_placed: bool = False
    """Whether the file that it was raised in is known for sure."""


def find_raised(text: str) -> list[list[Raised]]:
    """Chains of exceptions in the order of the text; inside a chain the first raised comes first."""
    if not any(mark in text for mark in _MARKS) and not _CRASH_LINE.search(text):
        return []
    reader = _Reader()
    # What pytest prints before its first section is which tests passed.
    sections = [at for title in _SECTIONS if (at := text.find(title)) >= 0]
    for event in _EVENT.finditer(text, min(sections, default=0)):
        reader.read(event)
    return reader.chains


class _Reader:
    """Puts lines together: frames belong to the exception after them, a crash line to the one before it."""

    def __init__(self) -> None:
        self.chains: list[list[Raised]] = []
        self._files: list[str] = []
        self._link = Link.NONE
        self._is_native = False
        self._group_files: list[str] = []
        self._last_e_end = -1

    def read(self, event: re.Match[str]) -> None:
        in_e = event["e"] is not None
        if event["file"] is not None:
            self._files.append(event["file"])
            self._is_native = True
        elif event["head"] is not None:
            self._head(event["head"])
        elif event["link"] is not None:
            self._link = Link.CAUSE if event["link"].startswith("The") else Link.CONTEXT
            self._files = []
        elif event["where"] is not None:
            self._where(event)
        elif event["type"] is not None:
            self._type(event, in_e=in_e)
        elif event["other"] is not None:
            self._other(event)
        if in_e:
            self._last_e_end = event.end()

    def _head(self, head: str) -> None:
        self._files = []
        self._group_files = []
        if not head.startswith("Traceback"):
            self._link = Link.NONE

    def _where(self, event: re.Match[str]) -> None:
        path, short, line = event["where"], event["short"], event["line"]
        last = self.chains[-1][-1] if self.chains else None
        if short is None:
            self._files.append(path)
        elif last is not None and not self._files and _is_same(last.type, short) and not last.is_placed:
            last.files.append(path)
            last.is_placed = True
        elif line is not None and not _is_remark(short):
            self._add(short, line, [*self._files, path])
            self.chains[-1][-1].is_placed = True
        else:
            self._files.append(path)

    def _type(self, event: re.Match[str], *, in_e: bool) -> None:
        if in_e:
            if self._files or event.start() != self._last_e_end:
                self._add(event["type"], event["text"] or "", self._files)
        elif self._is_native and (self._files or self._group_files):
            # An exception in a group has no traceback of its own when it was never raised by itself.
            self._add(event["type"], event["text"] or "", self._files or self._group_files, is_placed=True)
            last = self.chains[-1][-1]
            self._group_files = last.files if last.type in GROUPS else self._group_files
            self._is_native = bool(self._group_files)

    def _other(self, event: re.Match[str]) -> None:
        if event.start() == self._last_e_end and not self._files:
            return
        line = event["other"]
        if line.startswith("assert "):
            self._add("AssertionError", line, self._files)
        elif line.startswith("fixture '"):
            self._add("FixtureLookupError", line, self._files)

    def _add(self, name: str, text: str, files: list[str], *, is_placed: bool = False) -> None:
        raised = Raised(name.rpartition(".")[2], text, files, self._link, is_placed)
        if self._link is Link.NONE or not self.chains:
            self.chains.append([raised])
        else:
            self.chains[-1].append(raised)
        self._files = []
        self._link = Link.NONE


def _is_same(name: str, short: str) -> bool:
    return name == short.rpartition(".")[2]


def _is_remark(short: str) -> bool:
    """Whether ``path:line: short: text`` is a linter's or a warning's line."""
    return short.endswith("Warning") or short in {"error", "warning", "note", "fatal"}
