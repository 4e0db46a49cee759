"""Uncaught errors of Java, Go, Rust, C#, Ruby and PHP."""

import re
from collections.abc import Callable
from typing import NamedTuple

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.messages import named_cause
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of
from autopack.domain.fingerprint.templates import template

_JAVA = re.compile(
    r"\n[ \t]*(?:Exception in thread \"[^\"\n]{1,200}\" |Caused by: )?"
    r"(?P<type>(?:[a-z_]\w{0,60}\.){1,12}[A-Z]\w{0,80}(?:Exception|Error|Failure)?)(?:: (?P<text>[^\n]*))?"
    r"(?=\n[ \t]+at |\n[ \t]*$|\n[ \t]*\.\.\. )"
)
_JAVA_FRAME = re.compile(
    r"\n[ \t]+at (?:[\w.-]+/)?(?P<name>[\w.$<>]{1,300})\((?P<file>\w{1,100}\.(?:java|kt|scala|groovy)):\d+\)"
)
_JAVA_FOREIGN = (
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "org.junit.",
    "org.apache.maven.",
    "org.gradle.",
    "org.springframework.",
)
_GO_PANIC = re.compile(r"\npanic: ([^\n]{1,400})")
_GO_FRAME = re.compile(r"\n\t([^\s:]{1,400}\.go):\d+")
_GO_TEST = re.compile(r"\n[ ]*--- FAIL: (\w{1,200})[^\n]*(?:\n[ ]+([\w./-]{1,200}_test\.go):\d+)?")
_RUST = re.compile(r"panicked at (?:'([^'\n]{0,300})', )?([^\s:]{1,300}\.rs):\d+:\d+(?::\n([^\n]{0,300}))?")
_DOTNET = re.compile(r"Unhandled exception\.? (?P<type>[\w.]{1,200}): (?P<text>[^\n]{0,300})")
_DOTNET_FRAME = re.compile(r"\n[ ]+at [^\n]{1,300} in (?P<path>[^\n:]{1,300}\.cs):line \d+")
_RUBY = re.compile(
    r"\n(?P<path>[^\s:]{1,300}\.rb):\d+:in [`'][^\n']{1,200}': (?P<text>[^\n]{1,300}) \((?P<type>[\w:]{1,100})\)"
)
_RUBY_LOAD = re.compile(r"cannot load such file -- ([^\s(]{1,300})")
_PHP_MISSING = re.compile(
    r"PHP Fatal error:[^\n]{1,100}?(?:Class|Interface|Trait|function) \"?([\w\\]{1,200})\"?(?:\(\))? not found"
)
_PHP = re.compile(
    r"PHP (?:Fatal|Parse) error:  (?P<text>[^\n]{1,300}) in (?P<path>[^\s:]{1,300}\.php)(?: on line |:)\d+"
)


class _Runtime(NamedTuple):
    prefilter: str
    find: Callable[[str], tuple[str, ...] | None]


def find_runtime_cause(text: str) -> Cause | None:
    """What one of these languages' own error output says, by class, message and place."""
    for runtime in _RUNTIMES:
        if runtime.prefilter in text and (parts := runtime.find(text)):
            return Cause(
                kind=FailureKind.TEST_REGRESSION,
                parts=parts,
                why="an uncaught error, by class, message and place",
            )
    return None


def _java(text: str) -> tuple[str, ...] | None:
    raised = list(_JAVA.finditer(text))
    if not raised:
        return None
    # The first exception of the output, and of that the innermost cause.
    root = raised[0]
    for later in raised[1:]:
        if "Caused by: " not in later[0]:
            break
        root = later
    frames = _JAVA_FRAME.finditer(text, raised[0].end())
    own = next((frame["file"] for frame in frames if not frame["name"].startswith(_JAVA_FOREIGN)), "")
    if named := named_cause(root["text"] or ""):
        return named.parts
    name = root["type"].rpartition(".")[2]
    is_assertion = name in {"AssertionError", "AssertionFailedError", "ComparisonFailure"}
    return name, "" if is_assertion else template(root["text"] or "", keeps_names=True), own


def _go(text: str) -> tuple[str, ...] | None:
    panic = _GO_PANIC.search(text)
    if panic:
        files = [file for file in _GO_FRAME.findall(text, panic.end()) if not is_foreign(file)]
        return "panic", template(panic[1]), place_of(files[0]) if files else ""
    tests = sorted({(name, file) for name, file in _GO_TEST.findall(text)})
    return ("failed test", *tests[0]) if tests else None


def _rust(text: str) -> tuple[str, ...] | None:
    found = _RUST.search(text)
    if not found:
        return None
    says = found[1] or found[3] or ""
    is_assertion = says.startswith("assertion")
    return "panic", "" if is_assertion else template(says, keeps_names=True), place_of(found[2])


def _dotnet(text: str) -> tuple[str, ...] | None:
    found = _DOTNET.search(text)
    if not found:
        return None
    frame = _DOTNET_FRAME.search(text, found.end())
    place = place_of(frame["path"]) if frame else ""
    return found["type"].rpartition(".")[2], template(found["text"], keeps_names=True), place


def _named(pattern: re.Pattern[str], label: str) -> Callable[[str], tuple[str, ...] | None]:
    """By the name of what is not there, wherever it is asked for."""

    def find(text: str) -> tuple[str, ...] | None:
        found = pattern.search(text)
        if not found:
            return None
        return label, place_of(found[1]) if found[1].startswith(("/", ".")) else found[1]

    return find


def _with_place(pattern: re.Pattern[str], name: str) -> Callable[[str], tuple[str, ...] | None]:
    def find(text: str) -> tuple[str, ...] | None:
        found = pattern.search(text)
        if not found:
            return None
        kind = found["type"] if "type" in pattern.groupindex else name
        return kind, template(found["text"], keeps_names=True), place_of(found["path"])

    return find


_RUNTIMES = (
    _Runtime("at ", _java),
    _Runtime("panic: ", _go),
    _Runtime("--- FAIL: ", _go),
    _Runtime("panicked at ", _rust),
    _Runtime("Unhandled exception", _dotnet),
    _Runtime("cannot load such file", _named(_RUBY_LOAD, "no module")),
    _Runtime(".rb:", _with_place(_RUBY, "ruby")),
    _Runtime("PHP ", _named(_PHP_MISSING, "no class")),
    _Runtime("PHP ", _with_place(_PHP, "php")),
)
