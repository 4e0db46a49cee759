"""Files that foreign programs leave, opened as what they are: regular files, and never by way of a link."""

import os
import stat
from io import BufferedReader
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# A pipe must not keep us waiting for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def open_foreign(folder: Path, name: str) -> BufferedReader:
    """Open a file below ``folder`` for reading.

    Args:
        folder: Its own path may hold links; it is the operator's, or one that we made.
        name: The file's path from there on.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The file or a folder on the way to it is a link, or cannot be opened.
        ValueError: The file is a folder, a pipe or a device, or its name leaves the folder.
    """
    *parts, last = os.path.normpath(name).split("/")
    if {"", ".", ".."} & {*parts, last}:
        raise ValueError(f"{name!r} does not name a file below its folder")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=place)
            os.close(place)
            place = inner
        file = os.fdopen(_open_regular(last, place), "rb")
    finally:
        os.close(place)
    return file


def read_foreign(folder: Path, name: str, *, max_bytes: int) -> bytes:
    """The whole of such a file.

    Raises:
        OSError: As ``open_foreign``.
        ValueError: As ``open_foreign``, or it is larger than ``max_bytes``.
    """
    with open_foreign(folder, name) as file:
        # None where the kernel makes the content up as it goes, and has none yet.
        content = file.read(max_bytes + 1) or b""
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes} bytes")
    return content


def _open_regular(name: str, place: int) -> int:
    number = os.open(name, _FILE, dir_fd=place)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return number
    os.close(number)
    raise ValueError(f"{name} is no regular file")
