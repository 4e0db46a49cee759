"""A patch read strictly: every line of it is understood, or the whole of it is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autopack.domain.change import (
    LINK_MODE,
    MODULE_MODE,
    REGULAR_MODES,
    BinaryDelta,
    Body,
    Change,
    Hunk,
    Intent,
    Step,
)
from autopack.domain.patch_binary import decode_block, is_block_start
from autopack.domain.patch_lines import HINT, PatchReader, patch_lines
from autopack.domain.patch_paths import (
    NOTHING,
    common_name,
    is_side_of,
    legal_path,
    names_both,
    side_of,
    split_sides,
    unquote,
)
from autopack.errors import PatchError

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@.*")
_GIT_LINES = (
    "old mode",
    "new mode",
    "new file mode",
    "deleted file mode",
    "rename from",
    "rename to",
    "copy from",
    "copy to",
    "similarity index",
    "dissimilarity index",
    "index",
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What stands above the hunks of one file."""

    line: int
    both: str
    """What follows ``diff --git``; empty without such a line."""
    name: str | None
    """The path that this names twice; None when there are two, as in a rename."""
    git: Mapping[str, str]
    old: str | None
    """The path of the ``---`` line, None without one."""
    new: str | None

    def error(self, why: str) -> PatchError:
        name = self.name or self.git.get("rename to") or self.new or self.old or "a file"
        return PatchError(f"line {self.line}: {name}: {why}", hint=HINT)


def _read_file(reader: PatchReader) -> Step:
    header = _read_header(reader)
    body: Body = None
    if reader.starts("GIT binary patch"):
        body = _read_binary(reader, header)
    elif reader.starts("Binary files "):
        raise header.error("is binary and the patch does not bring its content")
    elif header.new is not None:
        body = _read_hunks(reader, header)
    elif reader.starts("@@ "):
        raise header.error("has hunks without '---' and '+++' lines")
    return _step(header, body)


def _read_header(reader: PatchReader) -> _Header:
    line, both = reader.number, ""
    git: dict[str, str] = {}
    old = new = None
    if reader.starts("diff --git "):
        both = reader.take().removeprefix("diff --git ").rstrip()
        while key := next((key for key in _GIT_LINES if reader.starts(f"{key} ")), None):
            if key in git:
                raise reader.error(f"{key!r} stands twice for one file")
            git[key] = unquote(reader.take()[len(key) + 1 :].rstrip())
    if reader.is_at_sides():
        old, new = side_of(reader.take()[4:]), side_of(reader.take()[4:])
    elif reader.starts("--- "):
        raise reader.error("a '---' line without its '+++' line: the patch is cut off")
    return _Header(line=line, both=both, name=common_name(both), git=git, old=old, new=new)


def _read_hunks(reader: PatchReader, header: _Header) -> tuple[Hunk, ...]:
    hunks: list[Hunk] = []
    while reader.starts("@@"):
        hunks.append(_read_hunk(reader, header))
    if not hunks:
        raise header.error("no hunk follows: the patch is cut off")
    return tuple(hunks)


def _read_hunk(reader: PatchReader, header: _Header) -> Hunk:
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


def _read_line(reader: PatchReader, header: _Header, hunk_line: int) -> tuple[str, bytes]:
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


def _read_binary(reader: PatchReader, header: _Header) -> bytes | BinaryDelta:
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


def _step(header: _Header, body: Body) -> Step:
    intent = _intent(header)
    mode = _mode(header)
    old, new = _paths(header, intent)
    if body is None and intent is Intent.MODIFY and mode is None:
        raise header.error("nothing changes: the patch is cut off")
    if body is None and "index" in header.git and intent not in {Intent.CREATE, Intent.DELETE}:
        raise header.error("its content changes, and no hunk says how: the patch is cut off")
    if intent is Intent.CREATE:
        body = _whole_content(header, body)
    return Step(
        where=f"line {header.line}",
        path=legal_path(new, f"line {header.line}"),
        intent=intent,
        body=body,
        mode=mode,
        old_path=legal_path(old, f"line {header.line}") if intent in {Intent.RENAME, Intent.COPY} else None,
    )


def _intent(header: _Header) -> Intent:
    found = {
        Intent.CREATE: "new file mode" in header.git or header.old == NOTHING,
        Intent.DELETE: "deleted file mode" in header.git or header.new == NOTHING,
        Intent.RENAME: "rename from" in header.git or "rename to" in header.git,
        Intent.COPY: "copy from" in header.git or "copy to" in header.git,
    }
    wanted = [intent for intent, is_wanted in found.items() if is_wanted]
    if len(wanted) > 1:
        raise header.error(f"is asked to {' and to '.join(wanted)} at once")
    return wanted[0] if wanted else Intent.MODIFY


def _mode(header: _Header) -> str | None:
    index_mode = header.git.get("index", "").partition(" ")[2]
    named = [header.git[key] for key in _GIT_LINES if key.endswith("mode") and key in header.git]
    for mode in [*named, *([index_mode] if index_mode else [])]:
        if mode == LINK_MODE:
            raise header.error("is a symbolic link (mode 120000), which no change may make or alter")
        if mode == MODULE_MODE:
            raise header.error("is a submodule (mode 160000), which no change may make or alter")
        if mode not in REGULAR_MODES:
            raise header.error(f"has mode {mode}; only 100644 and 100755 are allowed")
    if ("old mode" in header.git) != ("new mode" in header.git):
        raise header.error("changes its mode by half: the patch is cut off")
    return header.git.get("new mode") or header.git.get("new file mode")


def _paths(header: _Header, intent: Intent) -> tuple[str, str]:
    if intent in {Intent.RENAME, Intent.COPY}:
        word = intent.value
        if f"{word} from" not in header.git or f"{word} to" not in header.git:
            raise header.error(f"has half of a {word}: the patch is cut off")
        old, new = header.git[f"{word} from"], header.git[f"{word} to"]
        if header.both and not names_both(header.both, old, new):
            raise header.error(f"its lines name different files: {header.both!r}, {old!r} and {new!r}")
    elif header.name is not None:
        old = new = header.name
    elif header.old is None or header.new is None:
        raise header.error("names two files, or none; a rename needs git's 'rename' lines")
    else:
        old, new = split_sides(header.old, header.new)
        old, new = (new if old == NOTHING else old), (old if new == NOTHING else new)
        if old != new:
            raise header.error(f"names two files, {old!r} and {new!r}; a rename needs git's 'rename' lines")
        return old, new
    if not _sides_agree(header, intent, old, new):
        raise header.error(f"its lines name different files: {header.old!r} and {header.new!r}")
    return old, new


def _sides_agree(header: _Header, intent: Intent, old: str, new: str) -> bool:
    if header.old is None or header.new is None:
        return True
    old_fits = header.old == NOTHING if intent is Intent.CREATE else is_side_of(header.old, old)
    new_fits = header.new == NOTHING if intent is Intent.DELETE else is_side_of(header.new, new)
    return old_fits and new_fits


def _whole_content(header: _Header, body: Body) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, tuple) and len(body) == 1 and not body[0].old:
        return b"".join(body[0].new)
    raise header.error("is new, yet the patch expects lines that are there already")
