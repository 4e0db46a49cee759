"""What cannot be removed, since another user's files are in it: put aside, so that its place is free, and named."""

import logging
import os
import shlex
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from autopack.adapters.git_capture import remove, unlock

logger = logging.getLogger(__name__)
_ASIDE = ".left-"


def discard(path: Path) -> Path | None:
    """Delete a file, a link, or a folder; what of it cannot be deleted is renamed aside, and its place is free.

    The folder that it lies in must be ours.

    Returns:
        Where the rest is now; None when there is none.

    Raises:
        OSError: It can be neither deleted nor renamed.
    """
    if (error := delete(path)) is None:
        return None
    # No name is used twice: what was put aside earlier may be there still.
    aside = path.with_name(f"{path.name}{_ASIDE}{uuid4().hex[:8]}")
    path.rename(aside)
    logger.warning("worktree.put_aside", extra={"path": str(aside), "reason": obstacle(aside, error)})
    return aside


def delete(path: Path) -> OSError | None:
    """Delete as much as can be; None when all is gone, else why not."""
    try:
        remove(path)
    except OSError:
        # What is merely locked is opened; of the rest, as little as can be stays.
        unlock(path)
        shutil.rmtree(path, ignore_errors=True)
    try:
        remove(path)
    except OSError as error:
        return error
    return None


def is_aside(path: Path) -> bool:
    """Whether it is the rest of something that was put aside."""
    return _ASIDE in path.name


def put_aside(folder: Path) -> Sequence[Path]:
    """What was put aside in a folder, by name."""
    return sorted(folder.glob(f"*{_ASIDE}*"))


def obstacle(path: Path, error: OSError | None = None) -> str:
    """What keeps ``path`` from being removed: whose files are in it, and what helps.

    Args:
        path: A file or folder; there need not be one.
        error: With what its removal ended, which is told where nothing else is seen.

    Returns:
        A sentence; empty where nothing is in the way.
    """
    ours = path.parent.stat().st_uid
    below = (Path(folder, name) for folder, folders, _ in os.walk(path) for name in folders)
    for place in (path, *below):
        if _is_shut(place, ours):
            return f"{place} belongs to {_owner(place)}; this removes it: sudo rm -r {shlex.quote(str(path))}"
    return str(error or "")


def _is_shut(place: Path, ours: int) -> bool:
    """Whether it is a folder of another's from which we may not take what is in it."""
    with suppress(OSError):
        status = place.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid != ours:
            return not os.access(place, os.R_OK | os.W_OK | os.X_OK) and not _is_empty(place)
    return False


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except PermissionError:
        return False


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        # A container's user need not have a name here.
        return f"user {path.stat().st_uid}"
