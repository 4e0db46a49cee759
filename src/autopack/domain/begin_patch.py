"""The patch format that begins with ``*** Begin Patch``: it names files and quotes lines, and gives no numbers."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from autopack.domain.change import Change, Intent, Passage, Passages, Step
from autopack.domain.loose_patch import to_passage
from autopack.domain.patch_paths import legal_path
from autopack.errors import PatchError

HINT = "Ask for SEARCH/REPLACE blocks; a patch of this kind needs '*** Begin Patch' and '*** End Patch'."
_BEGIN, _END, _END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
_FILE = re.compile(r"\*\*\* (Add|Update|Delete) File: (.+)")
_MOVE = re.compile(r"\*\*\* Move to: (.+)")
_SIGNS = ("+", "-", " ")

Lines = Sequence[tuple[int, str]]


def is_begin_patch(line: str) -> bool:
    """Whether a line begins such a patch."""
    return line.strip() == _BEGIN


def parse_begin_patch(text: str) -> Change:
    """The change that such a patch describes; each of its sections is a passage that is found by its lines.

    Raises:
        PatchError: The patch is cut off, or a line of it cannot be read.
    """
    numbered = [(number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), start=1)]
    steps: list[Step] = []
    inside: list[tuple[int, str]] | None = None
    for number, line in numbered:
        if is_begin_patch(line):
            if inside is not None:
                raise PatchError(f"line {number}: a patch begins inside another", hint=HINT)
            inside = []
        elif inside is not None and line.strip() == _END:
            steps += _steps(inside)
            inside = None
        elif inside is not None:
            inside.append((number, line))
    if inside is not None:
        raise PatchError(f"the patch has no {_END!r}: the answer is cut off", hint=HINT)
    return Change(steps=tuple(steps))


def _steps(lines: Lines) -> list[Step]:
    starts = [place for place, (_, line) in enumerate(lines) if _FILE.fullmatch(line.rstrip())]
    if any(line.strip() for _, line in lines[: starts[0] if starts else len(lines)]):
        raise PatchError(f"line {lines[0][0]}: {lines[0][1][:80]!r} stands under no file", hint=HINT)
    steps: list[Step] = []
    for start, end in pairwise([*starts, len(lines)]):
        steps += _file_steps(lines[start:end])
    return steps


def _file_steps(lines: Lines) -> list[Step]:
    number, line = lines[0]
    header = _FILE.fullmatch(line.rstrip())
    if header is None:
        raise PatchError(f"line {number}: {line[:80]!r} names no file", hint=HINT)
    path = legal_path(header.group(2), f"line {number}")
    make: dict[str, Callable[[str, Lines], list[Step]]] = {"Add": _add, "Update": _update, "Delete": _delete}
    return make[header.group(1)](path, lines)


def _add(path: str, lines: Lines) -> list[Step]:
    body = _without_blank_end(lines[1:])
    for number, line in body:
        if not line.startswith("+"):
            raise PatchError(f"line {number}: {path}: is added, and {line[:80]!r} has no '+'", hint=HINT)
    passage = Passage(line=lines[0][0], old=(), new=tuple(line[1:] for _, line in body))
    return [_step(path, Intent.CREATE, lines, body=passage.new_content)]


def _delete(path: str, lines: Lines) -> list[Step]:
    if rest := _without_blank_end(lines[1:]):
        raise PatchError(f"line {rest[0][0]}: {path}: is deleted, and lines follow", hint=HINT)
    return [_step(path, Intent.DELETE, lines)]


def _update(path: str, lines: Lines) -> list[Step]:
    rest = lines[1:]
    moved = _MOVE.fullmatch(rest[0][1].rstrip()) if rest else None
    passages = _passages(path, rest[1:] if moved else rest)
    body = Passages(items=passages) if passages else None
    if moved is not None:
        target = legal_path(moved.group(1), f"line {rest[0][0]}")
        return [_step(target, Intent.RENAME, lines, body=body, old_path=path)]
    if body is None:
        raise PatchError(f"line {lines[0][0]}: {path}: is updated, and no lines follow", hint=HINT)
    return [_step(path, Intent.MODIFY, lines, body=body)]


def _passages(path: str, lines: Lines) -> tuple[Passage, ...]:
    passages: list[Passage] = []
    heads: list[str] = []
    section: list[tuple[int, str]] = []
    is_at_end = False

    def close() -> None:
        if body := _without_blank_end(section):
            passages.append(_passage(path, body, heads, is_at_end=is_at_end))
            heads.clear()
        section.clear()

    for number, line in lines:
        if line.startswith("@@"):
            close()
            is_at_end = False
            if head := line[2:].strip():
                heads.append(head)
        elif line.strip() == _END_OF_FILE:
            is_at_end = True
        else:
            section.append((number, line))
    close()
    return tuple(passages)


def _passage(path: str, section: Lines, heads: Sequence[str], *, is_at_end: bool) -> Passage:
    for number, line in section:
        if line and not line.startswith(_SIGNS):
            raise PatchError(
                f"line {number}: {path}: {line[:80]!r} has none of the signs + - and space", hint=HINT
            )
    lines = [line for _, line in section]
    return to_passage(lines, line=section[0][0], below=heads[-1] if heads else None, is_at_end=is_at_end)


def _without_blank_end(lines: Lines) -> Lines:
    end = len(lines)
    while end and not lines[end - 1][1].strip():
        end -= 1
    return lines[:end]


def _step(
    path: str,
    intent: Intent,
    lines: Lines,
    *,
    body: bytes | Passages | None = None,
    old_path: str | None = None,
) -> Step:
    return Step(where=f"line {lines[0][0]}", path=path, intent=intent, body=body, old_path=old_path)
