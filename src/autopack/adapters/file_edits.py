"""Edits written into a folder, all of them or none, and never through a link."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from autopack.domain.change import EditAction, FileEdit
from autopack.errors import WorkspaceError

_PERMISSIONS = {"100644": 0o644, "100755": 0o755}
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_Undo = Callable[[], object]


def write_edits(root: Path, edits: Sequence[FileEdit], *, staging: Path, mtime: int) -> None:
    """Make the files of ``root`` what the edits say, or leave all as it was.

    Args:
        root: The folder that the edits' paths are relative to.
        edits: One an affected path.
        staging: A folder on the same file system that is ours alone; emptied first and removed at the end.
        mtime: The time of modification that written files get, in seconds since the epoch.

    Raises:
        WorkspaceError: A path is not legal or given twice, a parent is a link or a file, a file to change is not
            there, or the disk refused.
    """
    _check(edits)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        staged = [_stage(edit, staging / f"new-{index}", mtime) for index, edit in enumerate(edits)]
        _Writing(root, staging).apply(edits, staged)
    except OSError as exc:
        raise WorkspaceError(f"cannot write to {root}: {exc}") from exc
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check(edits: Sequence[FileEdit]) -> None:
    seen: set[str] = set()
    for edit in edits:
        for path in filter(None, (edit.path, edit.old_path)):
            parts = path.split("/")
            if any(part in {"", ".", ".."} or part.casefold() == ".git" or "\0" in part for part in parts):
                raise WorkspaceError(f"{path!r} is not the path of a file of the repository")
        if edit.path in seen:
            raise WorkspaceError(f"{edit.path} is edited twice in one change")
        seen.add(edit.path)
        if edit.action is not EditAction.DELETE and (edit.content is None or edit.mode not in _PERMISSIONS):
            raise WorkspaceError(f"{edit.path} cannot be written: only files of mode 100644 and 100755 can")


def _stage(edit: FileEdit, path: Path, mtime: int) -> Path | None:
    if edit.action is EditAction.DELETE or edit.content is None:
        return None
    path.write_bytes(edit.content)
    path.chmod(_PERMISSIONS[edit.mode])
    os.utime(path, (mtime, mtime))
    return path


class _Writing:
    """Moves files in and out of a folder, and remembers how to put each back."""

    def __init__(self, root: Path, staging: Path) -> None:
        self._root = root
        self._staging = staging
        self._undo: list[_Undo] = []
        self._taken = 0

    def apply(self, edits: Sequence[FileEdit], staged: Sequence[Path | None]) -> None:
        try:
            # What goes leaves first: a file may become a folder, and two files may swap their names.
            for edit in edits:
                gone = edit.old_path or (edit.path if edit.action is EditAction.DELETE else None)
                if gone:
                    self._take(gone)
                    self._prune(gone)
            for edit, source in zip(edits, staged, strict=True):
                if source:
                    self._put(source, edit.path, must_exist=edit.action is EditAction.MODIFY)
        except BaseException:
            for undo in reversed(self._undo):
                undo()
            raise

    def _take(self, path: str) -> None:
        target = self._staging / f"old-{self._taken}"
        self._taken += 1
        with self._parent(path) as (folder, name):
            if stat.S_ISDIR(_lstat(path, folder, name).st_mode):
                raise WorkspaceError(f"{path} is a folder, not a file")
            os.rename(name, target, src_dir_fd=folder)
        self._undo.append(partial(self._move_in, target, path))

    def _prune(self, path: str) -> None:
        """Remove folders that lost their last file, as git does."""
        for folder_path in _parents(path):
            with self._parent(folder_path) as (folder, name):
                try:
                    os.rmdir(name, dir_fd=folder)
                except OSError:
                    return
            self._undo.append(partial(self._make, folder_path))

    def _put(self, source: Path, path: str, *, must_exist: bool) -> None:
        for folder_path in reversed(_parents(path)):
            if self._make(folder_path):
                self._undo.append(partial(self._unmake, folder_path))
        if must_exist or self._exists(path):
            self._take(path)
        self._move_in(source, path)
        self._undo.append(partial(self._move_out, path))

    def _make(self, path: str) -> bool:
        with self._parent(path) as (folder, name), suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
            return True
        return False

    def _unmake(self, path: str) -> None:
        with self._parent(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def _exists(self, path: str) -> bool:
        with self._parent(path) as (folder, name):
            try:
                os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def _move_in(self, source: Path, path: str) -> None:
        with self._parent(path) as (folder, name):
            os.rename(source, name, dst_dir_fd=folder)

    def _move_out(self, path: str) -> None:
        with self._parent(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The open folder of ``path`` and the name in it, reached without following any link."""
        *parts, name = path.split("/")
        folder = os.open(self._root, _OPEN_FOLDER)
        try:
            for part in parts:
                folder = _step(folder, part, path)
            yield folder, name
        finally:
            os.close(folder)


def _step(folder: int, part: str, path: str) -> int:
    try:
        inner = os.open(part, _OPEN_FOLDER, dir_fd=folder)
    except NotADirectoryError as exc:
        raise WorkspaceError(f"cannot write {path}: {part} is a link or a file, not a folder") from exc
    except FileNotFoundError as exc:
        raise WorkspaceError(f"there is no file {path} to change: folder {part} is missing") from exc
    os.close(folder)
    return inner


def _lstat(path: str, folder: int, name: str) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as exc:
        raise WorkspaceError(f"there is no file {path} to change") from exc


def _parents(path: str) -> list[str]:
    """The folders that ``path`` is in, the innermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
