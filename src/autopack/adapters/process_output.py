"""What a program writes: watched while it runs, and cut to its beginning and its end where it is too much."""

import os
from typing import IO

KEPT_BYTES = 4 * 1024 * 1024
"""Of either end of an output that is cut."""


class Output:
    """One of a program's two output files, open for appending."""

    def __init__(self, file: IO[bytes], limit_bytes: int) -> None:
        """Watch ``file`` from its present end, to which ``limit_bytes`` may be added."""
        self._file = file
        self._begin = os.fstat(file.fileno()).st_size
        self._limit = limit_bytes

    def is_too_long(self) -> bool:
        """Whether more was added than may be."""
        return os.fstat(self._file.fileno()).st_size - self._begin > self._limit

    def shorten(self) -> None:
        """Cut the middle out of what is too long; nobody writes to the file any more."""
        if not self.is_too_long():
            return
        size = os.fstat(self._file.fileno()).st_size
        kept = min(KEPT_BYTES, self._limit // 2)
        with open(self._file.name, "r+b") as file:  # noqa: PTH123 (the name may be any that `open` takes)
            tail = _read(file, size - kept, kept)
            left_out = size - self._begin - 2 * kept
            file.seek(self._begin + kept)
            file.write(b"\n[... %d bytes left out ...]\n" % left_out + tail)
            file.truncate()


def _read(file: IO[bytes], begin: int, length: int) -> bytes:
    file.seek(begin)
    return file.read(length)
