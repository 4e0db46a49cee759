"""A resolved change as a patch that git and ``parse_patch`` read, for keeping and for making it again."""

import difflib
import hashlib
from collections.abc import Iterable, Iterator

from autopack.domain.change import EditAction, FileEdit, Read
from autopack.domain.patch_binary import encode_block
from autopack.domain.patch_paths import NOTHING
from autopack.domain.placement import split_lines
from autopack.errors import PatchError

MAX_COMPARED_LINES = 10_000
"""Above this a file is written as removed and added whole: comparing it line by line could take minutes."""
_SPECIAL = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write_patch(edits: Iterable[FileEdit], read: Read) -> str:
    """The edits as one patch in git's form, in path order; binary content is in it whole.

    Args:
        edits: A resolved change.
        read: Gives the files as they were before the edits.

    Raises:
        PatchError: A file that an edit changes is not there.
    """
    ordered = sorted(edits, key=lambda edit: edit.path)
    return "".join(f"{line}\n" for edit in ordered for line in _file_lines(edit, read))


def _file_lines(edit: FileEdit, read: Read) -> Iterator[str]:
    old_path = edit.old_path or edit.path
    before = None if edit.action is EditAction.CREATE else read(old_path)
    if before is None and edit.action is not EditAction.CREATE:
        raise PatchError(f"cannot write the {edit.action} of {old_path}: there was no such file")
    old, old_mode = before or (b"", edit.mode)
    new = edit.content or b""
    yield f"diff --git {_quote(f'a/{old_path}')} {_quote(f'b/{edit.path}')}"
    yield from _mode_lines(edit, old_mode)
    if old == new:
        return
    yield f"index {_blob_id(before and old)}..{_blob_id(edit.content)}"
    if _is_text(old) and _is_text(new):
        yield f"--- {NOTHING if edit.action is EditAction.CREATE else _side(f'a/{old_path}')}"
        yield f"+++ {NOTHING if edit.content is None else _side(f'b/{edit.path}')}"
        yield from _hunk_lines(old, new)
    else:
        yield "GIT binary patch"
        yield from encode_block(new)
        yield ""


def _mode_lines(edit: FileEdit, old_mode: str) -> Iterator[str]:
    if edit.action is EditAction.CREATE:
        yield f"new file mode {edit.mode}"
    elif edit.action is EditAction.DELETE:
        yield f"deleted file mode {old_mode}"
    elif edit.mode != old_mode:
        yield f"old mode {old_mode}"
        yield f"new mode {edit.mode}"
    if edit.action is EditAction.RENAME:
        yield f"rename from {_quote(edit.old_path or '')}"
        yield f"rename to {_quote(edit.path)}"


def _hunk_lines(old: bytes, new: bytes) -> Iterator[str]:
    before, after = ([line.decode("utf-8") for line in split_lines(content)] for content in (old, new))
    if len(before) + len(after) > MAX_COMPARED_LINES:
        diff = _whole(before, after)
    else:
        diff = list(difflib.unified_diff(before, after))[2:]
    for line in diff:
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _whole(before: list[str], after: list[str]) -> list[str]:
    header = f"@@ -{min(1, len(before))},{len(before)} +{min(1, len(after))},{len(after)} @@\n"
    return [header, *(f"-{line}" for line in before), *(f"+{line}" for line in after)]


def _is_text(content: bytes) -> bool:
    if b"\0" in content:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _blob_id(content: bytes | None) -> str:
    if content is None:
        return "0" * 40
    head = b"blob %d\0" % len(content)
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _side(path: str) -> str:
    # A tab ends a path that holds a space, as programs take what follows a space for a time stamp.
    quoted = _quote(path)
    return f"{quoted}\t" if " " in quoted and not quoted.startswith('"') else quoted


def _quote(path: str) -> str:
    if not any(character in _SPECIAL for character in path):
        return path
    return '"' + "".join(_SPECIAL.get(character, character) for character in path) + '"'
