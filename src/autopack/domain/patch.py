"""A patch read strictly: every line of it is understood, or the whole of it is refused."""

import re

from autopack.domain.change import BinaryDelta, Body, Change, Hunk, Step
from autopack.domain.patch_binary import decode_block, is_block_start
from autopack.domain.patch_header import PatchHeader, read_header, step_of
from autopack.domain.patch_lines import HINT, PatchReader, patch_lines
from autopack.errors import PatchError

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@.*")


def parse_patch(text: str) -> Change:
    """The change that a unified diff describes; text around the diff, or around its fence, is left out.

    Args:
        text: The Builder's answer. Bytes that are no UTF-8 may be in it as surrogate escapes.

    Returns:
        One step a file, in the patch's order; no step for an answer of white space only.

    Raises:
        PatchError: The text holds no diff, one that is cut off or miscounted, or one that asks for a link, a
            submodule, an odd mode or binary content that it does not bring. The message names line and file.
    """
    if not text.strip():
        return Change()
    reader = PatchReader(patch_lines(text))
    steps: list[Step] = []
    while reader.skip_to_file(is_first=not steps):
        steps.append(_read_file(reader))
    if not steps:
        raise PatchError("the answer holds no patch", hint=HINT)
    return Change(steps=tuple(steps))


def _read_file(reader: PatchReader) -> Step:
    header = read_header(reader)
    body: Body = None
    if reader.starts("GIT binary patch"):
        body = _read_binary(reader, header)
    elif reader.starts("Binary files "):
        raise header.error("is binary and the patch does not bring its content")
    elif header.new is not None:
        body = _read_hunks(reader, header)
    elif reader.starts("@@ "):
        raise header.error("has hunks without '---' and '+++' lines")
    return step_of(header, body)


def _read_hunks(reader: PatchReader, header: PatchHeader) -> tuple[Hunk, ...]:
    hunks: list[Hunk] = []
    while reader.starts("@@"):
        hunks.append(_read_hunk(reader, header))
    if not hunks:
        raise header.error("no hunk follows: the patch is cut off")
    return tuple(hunks)


def _read_hunk(reader: PatchReader, header: PatchHeader) -> Hunk:
    number = reader.number
    match = _HUNK.fullmatch(reader.take().rstrip("\r"))
    if match is None:
        raise header.error(f"the hunk header at line {number} cannot be read")
    old_left, new_left = int(match.group(2) or 1), int(match.group(4) or 1)
    lines: list[tuple[str, bytes]] = []
    while old_left > 0 or new_left > 0:
        if reader.starts("\\"):
            _end_without_newline(reader, lines)
            continue
        sign, text = _read_line(reader, header, number)
        old_left -= sign != "+"
        new_left -= sign != "-"
        lines.append((sign, text))
    if old_left < 0 or new_left < 0:
        raise header.error(f"the hunk at line {number} does not have as many lines as its header says")
    if reader.starts("\\"):
        _end_without_newline(reader, lines)
    hunk = Hunk(line=number, old_start=int(match.group(1)), lines=tuple(lines))
    if any(not text.endswith(b"\n") for side in (hunk.old, hunk.new) for text in side[:-1]):
        raise header.error(f"the hunk at line {number} ends the file before its last line")
    return hunk


def _read_line(reader: PatchReader, header: PatchHeader, hunk_line: int) -> tuple[str, bytes]:
    if reader.line is None:
        raise header.error(f"the hunk at line {hunk_line} is cut off")
    # Programs that trim trailing spaces turn an empty line that is kept into nothing at all.
    sign, text = (reader.line[:1], reader.line[1:]) if reader.line.rstrip("\r") else (" ", reader.line)
    if sign not in {" ", "+", "-"}:
        raise header.error(
            f"the hunk at line {hunk_line} is cut off at line {reader.number}, or has not as many lines"
            " as its header says"
        )
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise reader.error("the line holds half a character") from error
    reader.take()
    return sign, encoded + b"\n"


def _end_without_newline(reader: PatchReader, lines: list[tuple[str, bytes]]) -> None:
    if not lines or not lines[-1][1].endswith(b"\n"):
        raise reader.error(f"{reader.line!r} follows no line")
    reader.take()
    sign, text = lines[-1]
    lines[-1] = (sign, text.removesuffix(b"\n"))


def _read_binary(reader: PatchReader, header: PatchHeader) -> bytes | BinaryDelta:
    reader.take()
    blocks: list[list[str]] = []
    while reader.line is not None and is_block_start(reader.line) and len(blocks) < 2:
        block: list[str] = []
        while reader.line:
            block.append(reader.take())
        if reader.line is None:
            raise header.error("the binary content is cut off: no empty line ends it")
        reader.take()
        blocks.append(block)
    if not blocks:
        raise header.error("no binary content follows")
    try:
        return decode_block(blocks[0])  # a second block is the way back, which nobody asked for
    except PatchError as error:
        raise header.error(str(error)) from error
