"""JavaScript errors: of node, its test runner, jest and the like."""

import re
from collections import Counter
from dataclasses import dataclass

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of
from autopack.domain.fingerprint.templates import template

_EVENT = re.compile(
    r"""
    \n(?:\#[ ])?[ ]*+(?:
      (?:Uncaught[ ])?(?P<type>(?:[A-Z]\w{0,60})?(?:Error|Exception))(?:[ ]\[\w{1,60}\])?:[ ](?P<text>[^\n]*)
    | error:[ ](?P<tap>["'|][^\n]*)
    | name:[ ]'(?P<name>\w{1,60})'
    | (?:at[ ])?(?:async[ ])?[^\s(][^\n(]{1,201}+(?<=[ ])\((?P<path>[^\n()]{1,400}):\d+:\d+\)
    | \u276f[ ](?:[^\s()]{1,200}[ ])?(?P<vite>[^\s()]{1,400}):\d+:\d+
    | at[ ](?:async[ ])?(?P<bare>[^\n()]{1,400}):\d+:\d+
    | (?=[^\n:]*+:(?:\d|//))(?P<head>(?:file://)?[^\s:][^\n:]{0,300}\.[cm]?[jt]sx?):\d+
    )(?=\n|$)""",
    re.VERBOSE,
)
_MODULE = re.compile(r"Cannot find (?:module|package) '([^'\n]{1,300})'")
_EXPORT = re.compile(r"module '([^'\n]{1,300})' does not provide an export named '([^'\n]{1,100})'")
_SUMMARY = re.compile(r"(?:test|\d+ subtests?) failed")
"""What a suite says when a test of it failed."""
_IMPORT = re.compile(r"Failed to resolve import \"([^\"\n]{1,300})\" from \"([^\"\n]{1,300})\"")
_TRIGGERS = ("    at ", " \u276f ", "failureType:", "\nNode.js v")


@dataclass(slots=True)
class _Thrown:
    name: str
    text: str
    place: str = ""


def find_javascript_cause(text: str) -> Cause | None:
    """The dominant error of a JavaScript output, by class, message and the first frame of the user's."""
    if not any(trigger in text for trigger in _TRIGGERS):
        return None
    causes = [_judge(thrown) for thrown in _find(text) if not _SUMMARY.match(thrown.text)]
    if not causes:
        return None
    counts = Counter(cause.canonical for cause in causes)
    return min(causes, key=lambda cause: (-counts[cause.canonical], cause.canonical))


def _find(text: str) -> list[_Thrown]:
    thrown: list[_Thrown] = []
    head = ""
    for event in _EVENT.finditer(text):
        last = thrown[-1] if thrown else None
        if event["type"] is not None:
            place, head = (head, "") if event["type"] == "SyntaxError" else ("", "")
            thrown.append(_Thrown(event["type"], event["text"], place))
        elif event["tap"] is not None:
            thrown.append(_Thrown("Error", event["tap"].strip("\"'|-")))
        elif event["name"] is not None:
            if last is not None:
                last.name = event["name"]
        elif event["head"] is not None:
            head = _place(event["head"])
        elif last is not None and not last.place:
            last.place = _place(event["path"] or event["vite"] or event["bare"])
    return thrown


def _place(path: str) -> str:
    path = path.removeprefix("file://")
    return "" if is_foreign(path) else place_of(path)


def _judge(thrown: _Thrown) -> Cause:
    if found := _MODULE.search(thrown.text):
        name = found[1]
        name = place_of(name) if name.startswith(("/", ".")) else name
        return Cause(kind=FailureKind.IMPORT_ERROR, parts=("no module", name), why="a module, by its name")
    if found := _IMPORT.search(thrown.text):
        # What a file beside it is called says nothing without the file that asks for it.
        asks = place_of(found[2]) if found[1].startswith(".") else ""
        parts = ("no module", found[1].removeprefix("./"), asks)
        return Cause(kind=FailureKind.IMPORT_ERROR, parts=parts, why="a module, by its name")
    if found := _EXPORT.search(thrown.text):
        name = f"{found[1].removeprefix('./')}.{found[2]}"
        return Cause(
            kind=FailureKind.IMPORT_ERROR, parts=("no name in module", name), why="an import, by its name"
        )
    kind = FailureKind.SYNTAX_ERROR if thrown.name == "SyntaxError" else FailureKind.TEST_REGRESSION
    # What an assertion says are the values of the moment.
    says = (
        ""
        if thrown.name == "AssertionError" or kind is FailureKind.SYNTAX_ERROR
        else template(thrown.text, keeps_names=True)
    )
    return Cause(
        kind=kind,
        parts=(thrown.name, says, thrown.place),
        why="a JavaScript error, by class, message and place",
    )
