"""A change: what a Builder's answer does to files, before and after it is held against a tree."""

from dataclasses import dataclass
from enum import StrEnum


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
    mode: str = "100644"
    """Git's mode of the file afterwards."""
    old_path: str | None = None
    """Where a renamed file was."""
