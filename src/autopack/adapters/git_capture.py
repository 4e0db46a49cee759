"""What an agent left in a checkout, made ready for git to take; or why no change can hold it."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from autopack.adapters.git_command import Git, git_failure
from autopack.errors import UntakeableError

_BAD_NAME = re.compile(rb"^error: (invalid path '.*')$", re.IGNORECASE | re.MULTILINE)
_NO_ACCESS = re.compile(
    rb"^(?:error: open\(\"(.*)\"\)|fatal: unable to stat '(.*)'): Permission denied$", re.MULTILINE
)


def readable(root: Path, look: Callable[[], None]) -> None:
    """Look at what is below ``root``; what an agent locked there is opened, if it is ours, and looked at again.

    Raises:
        UntakeableError: Something cannot be read all the same, since it is another user's.
    """
    try:
        look()
    except PermissionError:
        unlock(root)
    else:
        return
    try:
        look()
    except PermissionError as exc:
        name = str(exc.filename).removeprefix(f"{root}{os.sep}")
        raise UntakeableError(
            f"{name} cannot be read: {exc.strerror}",
            hint="Leave nothing that belongs to another user, for instance to a container's.",
        ) from exc


def unlock(root: Path) -> None:
    """Make folders and files below ``root`` readable again, and folders writable; another user's stay as they are."""
    _open(root)
    # A folder is opened before it is entered; links are not followed.
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            _open(Path(folder, name))


def _open(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        wanted = mode | (0o700 if stat.S_ISDIR(mode) else 0o400)
        if wanted != mode and (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            path.chmod(stat.S_IMODE(wanted))


def add_all(git: Git) -> None:
    """Put all files as they are into git's index, ignored ones left out.

    Raises:
        UntakeableError: Git takes no file of such a name, ``git~1`` for one.
        PermissionError: A file cannot be read.
        WorkspaceError: It failed for another reason, which may pass.
    """
    args = ("add", "-A", "--", ".")
    done = git.attempt(*args)
    if not done.returncode:
        return
    if refused := _BAD_NAME.search(done.stderr):
        raise UntakeableError(
            f"git refuses what was left: {os.fsdecode(refused[1])}",
            hint="Give the file a name that no system takes for .git, or leave it out.",
        )
    if locked := _NO_ACCESS.search(done.stderr):
        raise PermissionError(
            errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(locked[1] or locked[2] or b"")
        )
    raise git_failure(args, done)


def check_name(name: bytes) -> None:
    """Raise UntakeableError when the name of a file is not UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError as exc:
        raise UntakeableError(
            f"the name of file {name!r} is not UTF-8", hint="Give the file a name in UTF-8, or leave it out."
        ) from exc


def sweep(root: Path) -> Iterator[os.DirEntry[str]]:
    """All files and links below ``root``; a ``.git`` in one of its folders is removed.

    Git looks at no ``.git``: in a folder of files it would stay for good, and a folder that holds one is
    a foreign repository, the files of which are not seen.

    Raises:
        PermissionError: A folder cannot be read, or entered: git would miss its files, or their sizes.
    """
    todo = [str(root)]
    while todo:
        folder = todo.pop()
        if not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == ".git":
                    if folder != str(root):
                        remove(Path(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    yield entry


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
