"""A change: what a Builder's answer does to files, before and after it is held against a tree."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from autopack.errors import PatchError

FILE_MODE = "100644"
PROGRAM_MODE = "100755"
LINK_MODE = "120000"
MODULE_MODE = "160000"
REGULAR_MODES = frozenset({FILE_MODE, PROGRAM_MODE})

Read = Callable[[str], tuple[bytes, str] | None]
"""Gives the content and git's mode of what is at a key, or None when nothing is there."""


class EditAction(StrEnum):
    """What an edit does to its path."""

    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"
    RENAME = "rename"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """One file as it will be: ready to be written, judged by every gate before that."""

    path: str
    action: EditAction
    content: bytes | None
    """The whole new content; None for DELETE."""
    mode: str = FILE_MODE
    """Git's mode of the file afterwards."""
    old_path: str | None = None
    """Where a renamed file was."""


class Intent(StrEnum):
    """What one step of an answer wants to do with its path."""

    CREATE = "create"
    """Make a file that must not be there yet."""
    WRITE = "write"
    """Make or replace a file."""
    MODIFY = "modify"
    DELETE = "delete"
    RENAME = "rename"
    COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """One place of a file and what becomes of it."""

    line: int
    """Where the hunk stands in the answer, from 1."""
    old_start: int
    """The line of the file where the hunk begins, from 1; the line before it for a hunk without old lines."""
    lines: tuple[tuple[str, bytes], ...]
    """A sign (``" "`` kept, ``"-"`` removed, ``"+"`` added) and the line with its line ending."""

    @property
    def old(self) -> tuple[bytes, ...]:
        """The lines that the file must have here."""
        return tuple(text for sign, text in self.lines if sign != "+")

    @property
    def new(self) -> tuple[bytes, ...]:
        """The lines that stand here afterwards."""
        return tuple(text for sign, text in self.lines if sign != "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A text that stands exactly once in a file, and what takes its place."""

    search: bytes
    replace: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Lines of a file as an answer shows them, and what takes their place; found where they fit, not by number."""

    line: int
    """Where the passage stands in the answer, from 1."""
    old: tuple[str, ...]
    """Without line endings; bytes that are no UTF-8 are surrogate escapes. Empty for a file that holds nothing."""
    new: tuple[str, ...]
    near_line: int | None = None
    """The line of the file, from 1, that the answer names; it decides between places that fit alike."""
    below: str | None = None
    """A line above the passage, such as the head of its function; it decides as well."""
    is_at_end: bool = False
    """Whether the answer says that the file ends here; it decides as well."""
    final_newline: bool | None = None
    """Whether the file's last line, which must be the passage's, is to end in a newline; None keeps what it has."""

    @property
    def new_content(self) -> bytes:
        """The content of a file that holds the new lines and nothing else."""
        end = "" if self.final_newline is False or not self.new else "\n"
        return ("\n".join(self.new) + end).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """Passages of one file, all of the file as it was before the first of them."""

    items: tuple[Passage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeText:
    """A file's whole new text; it takes on the line endings of the file that it replaces."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryDelta:
    """Git's instructions for making a binary file from the one before it."""

    instructions: bytes


Body = bytes | tuple[Hunk, ...] | Replacement | Passages | WholeText | BinaryDelta | None
"""The whole new content, or how it is made from the old one; None keeps the old one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an answer does to one path."""

    where: str
    """Names the place in the answer: ``line 12``, ``edits[3]``."""
    path: str
    intent: Intent
    body: Body = None
    mode: str | None = None
    """Git's mode afterwards; None keeps it, or makes a plain file."""
    old_path: str | None = None
    """Where a renamed or copied file comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A Builder's answer as it was read, not yet held against any tree."""

    steps: tuple[Step, ...] = ()
    is_sequential: bool = False
    """True when each step sees what those before it did; a patch's renames and copies see the old tree."""


def apply_edits(
    files: Mapping[str, tuple[bytes, str]], edits: Iterable[FileEdit]
) -> dict[str, tuple[bytes, str]]:
    """Files, each with content and mode, as they are after ``edits``; ``files`` itself is left alone.

    Raises:
        PatchError: An edit creates what is there, or changes, deletes or renames what is not.
    """
    after = dict(files)
    edits = tuple(edits)
    for edit in edits:
        gone = edit.old_path if edit.action is EditAction.RENAME else edit.path
        if edit.action is not EditAction.CREATE and (gone is None or after.pop(gone, None) is None):
            raise PatchError(f"cannot {edit.action} {gone}: there is no such file")
    for edit in edits:
        if edit.content is None:
            continue
        if edit.path in after:
            raise PatchError(f"cannot {edit.action} {edit.path}: there is a file already")
        after[edit.path] = (edit.content, edit.mode)
    return after


def reverse(edits: Iterable[FileEdit], read: Read) -> tuple[FileEdit, ...]:
    """The edits that undo ``edits``, in path order.

    Args:
        edits: A resolved change.
        read: Gives the files as they were before ``edits``.

    Raises:
        PatchError: A file that an edit changes is not there.
    """
    return tuple(sorted((_undo(edit, read) for edit in edits), key=lambda edit: edit.path))


def _undo(edit: FileEdit, read: Read) -> FileEdit:
    if edit.action is EditAction.CREATE:
        return FileEdit(path=edit.path, action=EditAction.DELETE, content=None)
    source = edit.old_path or edit.path
    before = read(source)
    if before is None:
        raise PatchError(f"cannot undo the {edit.action} of {source}: there was no such file")
    content, mode = before
    if edit.action is EditAction.RENAME:
        return FileEdit(path=source, action=EditAction.RENAME, content=content, mode=mode, old_path=edit.path)
    action = EditAction.CREATE if edit.action is EditAction.DELETE else EditAction.MODIFY
    return FileEdit(path=edit.path, action=action, content=content, mode=mode)
