"""How compiled programs and runtimes die by themselves: sanitizers, aborts, and memory that ran out."""

import re
from collections.abc import Callable
from typing import NamedTuple

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.crashes import go_place
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of
from autopack.domain.fingerprint.templates import template

_SUMMARY = re.compile(r"SUMMARY: (\w+)Sanitizer: ([^\n]+)")
_AT = re.compile(r"([^\s:(]+):\d+(?::\d+)?(?= |$)")
_IN = re.compile(r" in ([A-Za-z_][\w:~]*)")
_SORT = re.compile(r"[a-z]+(?:-[a-z]+)*(?: race)?")
_THROWN = re.compile(
    r"terminate called after throwing an instance of '([^'\n]+)'(?:\n\s*what\(\): +([^\n]+))?"
    r"|uncaught exception of type ([\w:]*\w)(?:: ([^\n]+))?"
)
_CORRUPTION = re.compile(
    r"\n(?:\*\*\* (?:Error in `[^'\n]*': )?)?(double free or corruption|corrupted [\w .-]+|stack smashing detected"
    r"|buffer overflow detected|(?:free|malloc|realloc|munmap_chunk|calloc)\(\): [a-z][\w ]+)"
)
_COMPILER = re.compile(r"Killed signal terminated program (\w+)")
_ASSERTION = re.compile(
    r"\n(?:[^\n:]{1,300}: )?([^\s:]{1,300}\.\w{1,3}):\d+: [^\n]*?Assertion [`']([^\n]*)' failed"
)
_GO_FATAL = re.compile(r"\nfatal error: ([^\n]+)(?=\n)")


class _Death(NamedTuple):
    """One way of dying."""

    mark: str
    """What stands in every output of it."""
    find: Callable[[str], Cause | None]


def find_native_death(text: str) -> Cause | None:
    """A death that a program's runtime reported itself, by what it says and the place."""
    return next((cause for it in _DEATHS if it.mark in text and (cause := it.find(text))), None)


def _died(*parts: str, why: str) -> Cause:
    return Cause(kind=FailureKind.CRASHED, parts=parts, why=why)


def _sanitizer(text: str) -> Cause | None:
    found = _SUMMARY.search(text)
    if not found:
        return None
    place, function, sort = _AT.search(found[2]), _IN.search(found[2]), _SORT.match(found[2])
    # It begins with a number where it counts what was leaked.
    what = sort[0] if sort else "leak"
    where = place_of(place[1]) if place and not is_foreign(place[1]) else function[1] if function else ""
    return _died(f"{found[1]}Sanitizer", what, where, why="a sanitizer, by what it found and where")


def _thrown(text: str) -> Cause | None:
    found = _THROWN.search(text)
    if not found:
        return None
    says = template(found[2] or found[4] or "", keeps_names=True)
    return _died(
        "terminate", found[1] or found[3], says, why="an uncaught C++ exception, by class and message"
    )


def _corrupted(text: str) -> Cause | None:
    found = _CORRUPTION.search(text)
    return (
        _died("memory", found[1].strip(), why="memory that was corrupted, as the library says")
        if found
        else None
    )


def _asserted(text: str) -> Cause | None:
    found = _ASSERTION.search(text)
    if not found:
        return None
    return _died(
        "assertion", place_of(found[1]), template(found[2], keeps_names=True), why="an assertion in C"
    )


def _go_fatal(text: str) -> Cause | None:
    found = _GO_FATAL.search(text)
    if not found:
        return None
    place = go_place(text, found.end())
    return _died("fatal", template(found[1]), place, why="an error of Go's runtime")


def _compiler(text: str) -> Cause | None:
    found = _COMPILER.search(text)
    return (
        _died("killed", found[1], why="a compiler that was killed, mostly for want of memory")
        if found
        else None
    )


def _says(*parts: str) -> Callable[[str], Cause]:
    return lambda _text: _died(*parts, why="as the runtime says")


_DEATHS = (
    _Death("SUMMARY: ", _sanitizer),
    _Death("terminate called after", _thrown),
    _Death("uncaught exception of type ", _thrown),
    _Death("corrupt", _corrupted),
    _Death("(): ", _corrupted),
    _Death("smashing detected", _corrupted),
    _Death("overflow detected", _corrupted),
    _Death("Assertion `", _asserted),
    _Death("Assertion '", _asserted),
    _Death("\n\ngoroutine ", _go_fatal),
    _Death("terminated program ", _compiler),
    _Death("JavaScript heap out of memory", _says("out of memory", "JavaScript heap")),
    _Death("has overflowed its stack", _says("stack overflow")),
    _Death("memory allocation of ", _says("out of memory", "allocation")),
)
