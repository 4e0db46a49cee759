"""The private folder in which a door's socket stands."""

import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

SOCKET_NAME = "door"
_PREFIX = "autopack-door-"
_LONGEST_SOCKET_PATH = 100
"""The kernel takes 107 bytes."""
_SHORT_FOLDER = "/tmp"  # noqa: S108 - folders in it are made private, and a socket's path must be short
_YOUNG_SECONDS = 60.0


def make_folder() -> Path:
    """A new folder for this user alone, with a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    if len(str(folder / SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_SHORT_FOLDER))


def remove_dead_folders() -> None:
    """Remove what doors left behind whose processes were killed."""
    for place in {tempfile.gettempdir(), _SHORT_FOLDER}:
        for folder in Path(place).glob(f"{_PREFIX}*"):
            if _is_dead(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path) -> bool:
    try:
        seen = folder.lstat()
    except OSError:
        return False
    # A door that is just being opened has no socket yet that anybody could reach.
    if seen.st_uid != os.getuid() or time.time() - seen.st_mtime < _YOUNG_SECONDS:  # noqa: TID251 - against the file's own
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(folder / SOCKET_NAME))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False
