"""How patches write paths: quoted, with a prefix for each side, or ``/dev/null``."""

import re

from autopack.domain.scope import clean_key
from autopack.errors import PatchError, ScopeError

NOTHING = "/dev/null"
"""Stands for the missing side of a new or deleted file."""
# Git's usual prefixes, those of a patch that was made backwards, and those of diff.mnemonicPrefix.
_PREFIXES = (
    ("a/", "b/"),
    ("b/", "a/"),
    ("i/", "w/"),
    ("c/", "i/"),
    ("c/", "w/"),
    ("o/", "w/"),
    ("w/", "i/"),
    ("1/", "2/"),
)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def legal_path(raw: str, where: str) -> str:
    """The key of a file that an answer names.

    Raises:
        PatchError: The path is not legal in a repository, or names a folder.
    """
    try:
        key = clean_key(raw)
    except ScopeError as error:
        raise PatchError(f"{where}: {error}") from error
    if raw != raw.strip() or key.endswith("/"):
        raise PatchError(f"{where}: path {raw!r} ends or begins with a space or names a folder")
    return key


def side_of(text: str) -> str:
    """The path of a ``---`` or ``+++`` line, prefix included, without quotes or a time stamp."""
    quoted = _QUOTED.match(text)
    return unquote(quoted.group(0)) if quoted else text.partition("\t")[0].rstrip(" \r")


def unquote(text: str) -> str:
    """A path as it is, from the form in which git puts it in double quotes where it must."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return text
    raw = _ESCAPE.sub(_unescape, quoted.group(1).encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def split_sides(old: str, new: str) -> tuple[str, str]:
    """Both paths of a patch without git's lines, without their prefixes; ``/dev/null`` stays."""
    for one, other in _PREFIXES[:2]:
        if (old == NOTHING or old.startswith(one)) and (new == NOTHING or new.startswith(other)):
            return (
                old if old == NOTHING else old.removeprefix(one),
                new if new == NOTHING else new.removeprefix(other),
            )
    return old, new


def common_name(text: str) -> str | None:
    """The one path that ``a/path b/path`` names twice; None when the two differ, as in a rename."""
    plain = _plain(text)
    for one, other in (*_PREFIXES, ("", "")):
        size, odd = divmod(len(plain) - 1 - len(one) - len(other), 2)
        name = plain[len(one) : len(one) + size]
        if not odd and size > 0 and plain == f"{one}{name} {other}{name}":
            return name
    return None


def names_both(text: str, old: str, new: str) -> bool:
    """Whether ``a/old b/new`` names these two paths."""
    return any(_plain(text) == f"{one}{old} {other}{new}" for one, other in (*_PREFIXES, ("", "")))


def _plain(text: str) -> str:
    if '"' not in text:
        return text
    return " ".join(unquote(token) for token in re.findall(r'"(?:[^"\\]|\\.)*"|[^" ]+', text))


def is_side_of(side: str, name: str) -> bool:
    """Whether a ``---`` or ``+++`` path is ``name``, with any prefix of one letter or none."""
    return side == name or (side[1:2] == "/" and side[2:] == name)


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _LETTERS.get(code, code)
