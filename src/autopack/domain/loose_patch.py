"""A unified diff as models write it: its line numbers and counts are often wrong, its lines seldom."""

import re
from collections.abc import Iterator
from itertools import pairwise

from autopack.domain.change import Change, Passage, Passages, Step
from autopack.domain.patch_header import PatchHeader, read_header, step_of
from autopack.domain.patch_lines import HINT, PatchReader, patch_lines
from autopack.errors import PatchError

_NUMBERS = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@.*")
_SIGNS = (" ", "+", "-")
_NO_NEWLINE = "\\"
_SIGNATURE = "-- "
"""The line under which mail programs and ``git format-patch`` sign."""
_PROSE = re.compile(r"[-+] [^\s*].*|-{2,} ?")
"""Lines that begin with a sign and are read as text between hunks: items of a list, rules, signatures."""


def parse_loose_patch(text: str) -> Change:
    """The change that a diff describes, each hunk as a passage that is found by its lines.

    Headers of files are read as strictly as those of any patch. A hunk's first line number only decides between
    places that fit alike; its counts only tell whether the last hunk of an answer without fences is whole.

    Raises:
        PatchError: A header is damaged or asks for what no change may do, or the last hunk is cut off.
    """
    lines = patch_lines(text)
    reader = PatchReader(lines)
    is_open = len(lines) == len(text.rstrip("\n").split("\n"))
    steps: list[Step] = []
    while _skip_to_file(reader, is_first=not steps):
        header = read_header(reader)
        steps.append(step_of(header, _read_passages(reader, header, is_open=is_open)))
    if not steps:
        raise PatchError("the answer holds no patch", hint=HINT)
    return Change(steps=tuple(steps))


def is_patch(lines: list[str]) -> bool:
    """Whether a line begins a file of a diff."""
    return any(
        line.startswith("diff --git ") or (line.startswith("--- ") and after.startswith("+++ "))
        for line, after in pairwise([*lines, ""])
    )


def _skip_to_file(reader: PatchReader, *, is_first: bool) -> bool:
    while reader.line is not None and not (reader.starts("diff --git ") or reader.is_at_sides()):
        if reader.starts("@@"):
            raise reader.error("a hunk stands under no file")
        if not is_first and reader.starts("+", "-") and not _PROSE.fullmatch(reader.line.rstrip("\r")):
            raise reader.error("this line has a sign and stands in no hunk")
        reader.take()
    return reader.line is not None


def _read_passages(reader: PatchReader, header: PatchHeader, *, is_open: bool) -> Passages | None:
    if reader.starts("GIT binary patch", "Binary files "):
        raise header.error("is binary, and an answer in words cannot bring binary content")
    if header.new is None:
        if reader.starts("@@"):
            raise header.error("has hunks without '---' and '+++' lines")
        return None
    passages: list[Passage] = []
    while reader.starts("@@"):
        passages.append(_read_passage(reader, header, is_open=is_open))
    if not passages:
        raise header.error("no hunk follows: the patch is cut off")
    return Passages(items=tuple(passages))


def _read_passage(reader: PatchReader, header: PatchHeader, *, is_open: bool) -> Passage:
    number = reader.number
    numbers = _NUMBERS.fullmatch(reader.take().rstrip("\r"))
    counts = (int(numbers.group(2) or 1), int(numbers.group(4) or 1)) if numbers is not None else None
    taken = [*_hunk_lines(reader)]
    end = _end_of_hunk(taken, counts)
    if _has_signs(taken[end + 1 :]):
        # In a fence nothing but the hunk can follow, so its counts are wrong; elsewhere it may be a list.
        if is_open and _counts(taken[:end]) == counts:
            raise header.error(f"the hunk at line {number} ends by its counts, and lines with signs follow")
        end = _end_without_blanks(taken)
    lines = taken[:end]
    is_counted = _counts(lines) == counts
    if not is_counted and reader.line is None and is_open and counts is not None and _is_short(lines, counts):
        raise header.error(f"the hunk at line {number} has fewer lines than its header says: it is cut off")
    is_signed = lines != taken and taken[len(lines)] == _SIGNATURE
    ends_in_blank = bool(taken) and not taken[-1].strip()
    if not (_is_at_next(reader) or is_signed or (is_open and ends_in_blank)):
        raise header.error(f"line {reader.number} stands in a hunk and has none of the signs + - and space")
    near_line = int(numbers.group(1)) if numbers is not None else None
    return to_passage(lines, line=number, near_line=near_line)


def _hunk_lines(reader: PatchReader) -> Iterator[str]:
    while not _is_at_next(reader) and reader.line is not None:
        if reader.line.rstrip("\r") and not reader.starts(*_SIGNS, _NO_NEWLINE):
            return
        yield reader.take()


def _is_at_next(reader: PatchReader) -> bool:
    return reader.line is None or reader.is_at_sides() or reader.starts("@@", "diff --git ")


def _end_of_hunk(lines: list[str], counts: tuple[int, int] | None) -> int:
    """Where the counts are met at a blank line or a signature; else where the last blank lines begin."""
    old = new = 0
    for number, line in enumerate(lines):
        if (old, new) == counts and (not line.rstrip("\r") or line == _SIGNATURE):
            return number
        old += not line.startswith(("+", _NO_NEWLINE))
        new += not line.startswith(("-", _NO_NEWLINE))
    return len(lines) if (old, new) == counts else _end_without_blanks(lines)


def _end_without_blanks(lines: list[str]) -> int:
    end = len(lines)
    while end and not lines[end - 1].rstrip("\r"):
        end -= 1
    return end


def _has_signs(lines: list[str]) -> bool:
    return any(line.startswith(("+", "-")) for line in lines)


def _counts(lines: list[str]) -> tuple[int, int]:
    old = sum(not line.startswith(("+", _NO_NEWLINE)) for line in lines)
    new = sum(not line.startswith(("-", _NO_NEWLINE)) for line in lines)
    return old, new


def _is_short(lines: list[str], counts: tuple[int, int]) -> bool:
    old, new = _counts(lines)
    return old < counts[0] or new < counts[1]


def to_passage(
    lines: list[str],
    *,
    line: int,
    near_line: int | None = None,
    below: str | None = None,
    is_at_end: bool = False,
) -> Passage:
    """The passage that lines with signs describe; a line without any is a blank one that is kept."""
    old = tuple(_text(it) for it in lines if not it.startswith(("+", _NO_NEWLINE)))
    new = tuple(_text(it) for it in lines if not it.startswith(("-", _NO_NEWLINE)))
    return Passage(
        line=line,
        old=old,
        new=new,
        near_line=near_line,
        below=below,
        is_at_end=is_at_end,
        final_newline=_final_newline(lines),
    )


def _text(line: str) -> str:
    return line[1:] if line.startswith(_SIGNS) else line


def _final_newline(lines: list[str]) -> bool | None:
    """What the remark on a missing newline says of the new side; it follows the line that it speaks of."""
    signs = {lines[n - 1][:1] for n, line in enumerate(lines) if n and line.startswith(_NO_NEWLINE)}
    if "+" in signs:
        return False
    return True if "-" in signs else None
