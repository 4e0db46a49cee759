"""From an exception's class, message and place to a cause: names where it names something, else the place."""

import re
from collections.abc import Callable
from typing import NamedTuple

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.crashes import hung
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.templates import file_name, provider_template, template, url_path

_ALIASES = {"PatternError": "error", "IOError": "OSError", "EnvironmentError": "OSError"}
"""Names that differ between versions of Python."""
_VARIABLE = re.compile(r"['\"]([A-Z][A-Z0-9]*_[A-Z0-9_]+)['\"]")
"""A key in capitals is the name of an environment variable or of a setting, and no value of the moment."""
_PLAIN_TYPES = frozenset(
    {"NoneType", "str", "bytes", "int", "float", "bool", "list", "dict", "tuple", "set", "function", "method",
     "generator", "coroutine", "module", "object"}
)  # fmt: skip
"""Classes that are everywhere: what they lack names no cause without the place."""


class _Shape(NamedTuple):
    """A message that names what is wrong."""

    prefilter: str
    pattern: str
    """Compiled when it is first searched for."""
    make: Callable[[re.Match[str], str], Cause]


def cause_of(name: str, message: str, place: str) -> Cause:
    """The cause behind one exception.

    Args:
        name: The class without its module; empty where a log gave the message alone.
        message: The first line of what it said.
        place: The innermost file of the user's code; empty where none was printed.
    """
    name = _ALIASES.get(name, name)
    # A key says nothing by itself, whatever it looks like.
    named = None if name == "KeyError" else named_cause(message, place)
    return named or _by_type(name, message, place)


def named_cause(message: str, place: str = "") -> Cause | None:
    """The cause that a message names by itself, whatever class it came with."""
    for shape in _SHAPES:
        if shape.prefilter in message and (found := re.search(shape.pattern, message)):
            return shape.make(found, place)
    return None


def named_line(text: str) -> Cause | None:
    """The cause that some line of a log names, where no traceback says where it came from."""
    for shape in _SHAPES:
        if shape.prefilter in text and (found := re.search(shape.pattern, text)):
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.end())
            line = text[start : end if end >= 0 else len(text)]
            if again := re.search(shape.pattern, line):
                return shape.make(again, "")
    return None


def _cause(kind: FailureKind, *parts: str, why: str) -> Cause:
    return Cause(kind=kind, parts=parts, why=why)


def _module(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the name says it wherever it is imported
    return _cause(
        FailureKind.IMPORT_ERROR,
        "no module",
        found[1] or found[2],
        why="a module that is not there, by its name",
    )


def _imported(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- as above
    module = found[2].lstrip(".")
    return _cause(
        FailureKind.IMPORT_ERROR, "no name in module", f"{module}.{found[1]}", why="an import, by its name"
    )


def _attribute(found: re.Match[str], place: str) -> Cause:
    owner, attribute = found[1].rpartition(".")[2], found[2]
    parts = ("no attribute", f"{owner}.{attribute}", place if owner in _PLAIN_TYPES else "")
    return _cause(FailureKind.TEST_REGRESSION, *parts, why="an attribute, by its owner's class and its name")


def _variable(found: re.Match[str], place: str) -> Cause:
    return _cause(
        FailureKind.TEST_REGRESSION, "no variable", found[1], place, why="a variable, by name and place"
    )


def _call(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the function says it from wherever it is called
    function = found[1].rpartition(".")[2]
    names = " ".join(sorted(re.findall(r"'([^'\n]{1,80})'", found[2])))
    what = re.sub(r"\d+", "#", re.sub(r"'[^']*'(?:,? and |, )?", "", found[2])).strip(" :,.")
    what = re.sub(r"\barguments\b", "argument", re.sub(r"\b(?:was|were)\b", "was", what))
    return _cause(
        FailureKind.TEST_REGRESSION,
        "wrong call",
        function,
        what,
        names,
        why="a call, by function and argument",
    )


def _abstract(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the class says it
    return _cause(
        FailureKind.TEST_REGRESSION, "abstract class", found[1], why="an abstract class, by its name"
    )


def _recursion(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- its shape is all that it says
    return _cause(FailureKind.TEST_REGRESSION, "recursion", place, why="an endless recursion, by its place")


def _command(found: re.Match[str], place: str) -> Cause:
    program = found[1].rpartition("/")[2]
    return _cause(
        FailureKind.TEST_REGRESSION,
        "command failed",
        program,
        place,
        why="a command that failed, by its name",
    )


def _refused(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- its shape is all that it says
    return _cause(
        FailureKind.INFRASTRUCTURE, "connection refused", place, why="a refused connection, by its place"
    )


def _http(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the endpoint says it
    parts = (f"http {found[1]}", url_path(found.string))
    return _cause(FailureKind.INFRASTRUCTURE, *parts, why="an HTTP status, by status and endpoint")


def _provider(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the provider's answer says it
    return _cause(
        FailureKind.BUILDER_ERROR, "provider", provider_template(found.string), why="a provider's answer"
    )


def _database(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- it names its table
    text = found.string[found.start() :]
    return _cause(
        FailureKind.INFRASTRUCTURE, "database", template(text, keeps_names=True), why="a database's answer"
    )


def _no_file(found: re.Match[str], place: str) -> Cause:
    path = found[1]
    is_temporary = "/tmp" in path or "\\Temp\\" in path  # noqa: S108 -- it is looked for, not written to
    parts = ("no such file", "" if is_temporary and place else file_name(path), place)
    return _cause(
        FailureKind.TEST_REGRESSION, *parts, why="a file that is not there, by its name and the place"
    )


def _library(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the library says it
    return _cause(FailureKind.IMPORT_ERROR, "no library", found[1], why="a shared library, by its name")


def _login(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the user says it
    return _cause(
        FailureKind.INFRASTRUCTURE, "database login", found[1], why="a database's refusal, by the user"
    )


def _settings(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- whichever setting is asked for first
    return _cause(FailureKind.UNRUNNABLE, "no settings", why="settings that are not configured")


def _revision(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the revision says it
    return _cause(FailureKind.INFRASTRUCTURE, "no revision", found[1], why="a migration, by its revision")


def _heads(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- its shape is all that it says
    return _cause(FailureKind.INFRASTRUCTURE, "several heads", why="migrations with several heads")


def _validation(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the model and its field say it
    parts = ("invalid", found[1], found[2], template(found[3]))
    return _cause(FailureKind.TEST_REGRESSION, *parts, why="a value of a model, by the model, field and rule")


def _timeout(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the limit is not the cause
    return hung(place)


def _fixture(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the fixture says it
    return _cause(FailureKind.TEST_REGRESSION, "no fixture", found[1], why="a fixture, by its name")


def _scope(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the fixture says it
    return _cause(
        FailureKind.TEST_REGRESSION, "fixture scope", found[1], why="a fixture's scope, by its name"
    )


def _marker(found: re.Match[str], place: str) -> Cause:  # noqa: ARG001 -- the marker says it
    return _cause(FailureKind.COLLECTION_ERROR, "unknown marker", found[1], why="a marker, by its name")


_SHAPES = tuple(
    _Shape(prefilter, pattern, make)
    for prefilter, pattern, make in (
        ("No module named", r"No module named (?:'([\w.]+)'|([\w.]+)(?=[\s;]|$))", _module),
        ("cannot open shared object", r"(?<![\w.+-])([\w.+-]++): cannot open shared object file", _library),
        ("version `", r"version `(\w+_[\d.]+)' not found", _library),
        (
            "validation error",
            r"\d+ validation errors? for ([\w.]+)[^\n]*\n(?:E +)?([\w.\[\]-]+)\n(?:E )? *([^\n\[]+)",
            _validation,
        ),
        (
            "cannot import name",
            r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'",
            _imported,
        ),
        (
            "has no attribute",
            r"(?:type object |module )?'([\w.]+)' (?:object )?has no attribute '(\w+)'",
            _attribute,
        ),
        ("is not defined", r"name '(\w+)' is not defined", _variable),
        ("local variable", r"(?:cannot access )?local variable '(\w+)'", _variable),
        ("free variable", r"free variable '(\w+)'", _variable),
        ("argument", r"(?<![\w.<>])([\w.<>]++)\(\) ((?:missing|got|takes) [^\n]{1,200})", _call),
        ("abstract class", r"abstract class '?(\w+)'?", _abstract),
        ("maximum recursion", r"maximum recursion depth", _recursion),
        (
            "Command '",
            r"Command '\[?'?([^'\],\s]{1,300})[^\n]{0,2000}(?:returned non-zero|died with)",
            _command,
        ),
        ("onnection refused", r"onnection refused", _refused),
        ("actively refused", r"actively refused", _refused),
        ("ECONNREFUSED", r"ECONNREFUSED", _refused),
        ("Error code: ", r"Error code: \d{3} - ", _provider),
        (" for url: ", r"(\d{3}) (?:Server|Client) Error:.{0,200} for url: ", _http),
        ("Timeout (", r"Timeout \([>\d.:\s]+s?\)", _timeout),
        ("fixture '", r"fixture '(\w+)' not found", _fixture),
        ("ScopeMismatch", r"scoped fixture '?(\w+)'? with", _scope),
        ("in `markers` configuration", r"'(\w+)' not found in `markers` configuration", _marker),
        ("No such file", r"No such file or directory: b?['\"]([^'\"\n]{1,500})['\"]", _no_file),
        ("[WinError ", r"\[WinError [23]\] [^:\n]*: b?['\"]([^'\"\n]{1,500})['\"]", _no_file),
        ("(sqlite3.", r"(?<=Error\) )[^\n]+", _database),
        ("(psycopg", r"(?<=Error\) )[^\n]+", _database),
        ("constraint failed", r"(?:UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed", _database),
        ("no such table", r"no such table", _database),
        ("has no column named", r"table \w+ has no column named", _database),
        ("violates ", r"(?:duplicate key value|null value|insert or update) [^\n]*violates ", _database),
        (
            "does not exist",
            r"(?:relation|column|database|role|table) \"[\w.]+\"(?: of relation \"\w+\")? does not exist",
            _database,
        ),
        ("password authentication", r"password authentication failed for user \"([^\"\n]+)\"", _login),
        ("settings are not configured", r"settings are not configured", _settings),
        ("Can't locate revision", r"Can't locate revision identified by '(\w+)'", _revision),
        ("Multiple head revisions", r"Multiple head revisions are present", _heads),
        ("server closed the connection", r"server closed the connection unexpectedly", _database),
    )
)


def _by_type(name: str, message: str, place: str) -> Cause:
    if name in {"SyntaxError", "IndentationError", "TabError"}:
        return _cause(
            FailureKind.SYNTAX_ERROR, "syntax", place or template(message), why="broken syntax, by its file"
        )
    if name == "KeyError" and (found := _VARIABLE.fullmatch(message)):
        return _cause(
            FailureKind.TEST_REGRESSION,
            "no variable set",
            found[1],
            why="an environment variable, by its name",
        )
    if name in {"KeyError", "AssertionError", "Failed"} and place:
        return _cause(
            FailureKind.TEST_REGRESSION,
            name,
            place,
            why=f"{name}: its text is a value of the moment, so by place",
        )
    parts = (name, template(message, keeps_names=not place), place)
    return _cause(
        FailureKind.TEST_REGRESSION, *parts, why="an exception, by class, message without values, and place"
    )
