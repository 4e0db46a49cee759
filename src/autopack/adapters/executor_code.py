"""What an attempt's process would import, told apart by when its files last changed."""

import os
import sysconfig
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import autopack

_PACKAGE = Path(autopack.__file__).parent


class ExecutorCode:
    """Says what code attempts run with, as long as it is the code of this process too."""

    def __init__(self, package: Path = _PACKAGE, folders: Sequence[Path] | None = None) -> None:
        """Watch the code.

        Args:
            package: The folder of the package.
            folders: Where what it needs is installed; as of this interpreter by default.
        """
        self._package = package
        self._folders = _installed() if folders is None else folders
        self._own = self._read()

    def state(self) -> str:
        """A digest of the code that changes with every file and every installation.

        Empty when the package is no longer what it was when this object was made: what this process runs says
        nothing of it then.
        """
        if not self._own or self._read() != self._own:
            return ""
        return sha256(repr([self._own, *map(_changed_ns, self._folders)]).encode()).hexdigest()

    def _read(self) -> tuple[tuple[str, int, int], ...]:
        try:
            return tuple(sorted(_sources(str(self._package))))
        except OSError:
            return ()


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of the last change, which nobody can set back, of each source below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_size, found.st_ctime_ns


def _installed() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")})


def _changed_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0
