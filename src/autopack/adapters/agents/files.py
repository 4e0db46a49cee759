"""The files of a worktree as an agent reads and writes them through us, never by way of a link."""

import os
import stat
from pathlib import Path

from autopack.adapters.agents.permissions import key_in
from autopack.adapters.file_edits import write_edits
from autopack.adapters.foreign_files import read_foreign
from autopack.domain.change import EditAction, FileEdit
from autopack.errors import WorkspaceError

_MAX_BYTES = 16 * 1024 * 1024


class WorktreeFiles:
    """Regular files below one folder."""

    def __init__(self, worktree: Path, *, staging: Path) -> None:
        """Use a folder.

        Args:
            worktree: The folder.
            staging: A folder on the same file system for half-written files; need not exist.
        """
        self._worktree = worktree
        self._staging = staging

    def read(self, path: str, *, line: int | None, limit: int | None) -> str:
        """The text of a file, or ``limit`` lines of it from ``line`` on, counted from 1.

        Raises:
            ScopeError: The path leaves the worktree or names git's own files.
            FileNotFoundError: There is no such file.
            WorkspaceError: It is a link, a folder, a device, or too large.
        """
        text = self._content(key_in(self._worktree, path)).decode("utf-8", "replace")
        if line is None and limit is None:
            return text
        first = max(0, (line or 1) - 1)
        return "".join(text.splitlines(keepends=True)[first : None if limit is None else first + limit])

    def write(self, path: str, text: str) -> str:
        """Write a whole file, with the folders it needs; its key.

        Raises:
            ScopeError: The path leaves the worktree or names git's own files.
            WorkspaceError: A parent is a link, or the file cannot be written.
        """
        key = key_in(self._worktree, path)
        content = text.encode("utf-8", "surrogatepass")
        target = self._worktree / key
        is_there = os.path.lexists(target)
        mode = "100755" if is_there and target.lstat().st_mode & stat.S_IXUSR else "100644"
        if is_there and not stat.S_ISREG(target.lstat().st_mode):
            raise WorkspaceError(f"{key} is no regular file")
        action = EditAction.MODIFY if is_there else EditAction.CREATE
        edit = FileEdit(action=action, path=key, content=content, mode=mode)
        self._staging.parent.mkdir(parents=True, exist_ok=True)
        # The time of this machine's files, which no clock of ours need agree with.
        os.utime(self._staging.parent)
        now = int(self._staging.parent.stat().st_mtime)
        write_edits(self._worktree, [edit], staging=self._staging, mtime=now)
        return key

    def _content(self, key: str) -> bytes:
        try:
            return read_foreign(self._worktree, key, max_bytes=_MAX_BYTES)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise WorkspaceError(f"{key} cannot be read: a link, or no file ({error.strerror})") from error
        except ValueError as error:
            raise WorkspaceError(f"{key} cannot be read: {error}") from error
