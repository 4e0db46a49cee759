"""Where pytest finds its configuration: in the tree that is tested, and never above it.

Worktrees lie inside the operator's repository. Left to itself, pytest walks up from a tree that brings no
configuration until it meets the operator's checkout, and takes its options, warnings and root for the tree's.
"""

import argparse
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from pathlib import Path

from autopack.adapters.foreign_files import read_foreign

_NAMES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
"""In pytest's own order."""
_MAX_BYTES = 4 * 1024 * 1024
_PLAIN = ("pyproject.toml", "tox.ini", "setup.cfg")
_INI_SECTION = re.compile(r"^\[pytest\]", re.MULTILINE)
_CFG_SECTION = re.compile(r"^\[(tool:)?pytest\]", re.MULTILINE)
# Of pytest's own options those that take a value which may be the name of a file or folder of the tree.
_WITH_VALUE = (
    "-k",
    "-m",
    "-o",
    "-p",
    "-r",
    "-W",
    "--basetemp",
    "--deselect",
    "--ignore",
    "--ignore-glob",
    "--junit-prefix",
    "--junit-xml",
    "--junitxml",
    "--log-file",
    "--override-ini",
)


class _Reading(Enum):
    """Who takes a file for pytest's configuration."""

    NOBODY = auto()
    NEWER_PYTEST = auto()
    """Pytest 9, and none before it."""
    EVERY_PYTEST = auto()


def own_configuration(arguments: Sequence[str], worktree: Path) -> tuple[str, ...]:
    """Options that have pytest behave as if nothing lay above the worktree.

    Args:
        arguments: Those of pytest, with what stands in ``PYTEST_ADDOPTS`` in front of them.
        worktree: Where pytest is started.

    Returns:
        Nothing when pytest finds a configuration in the tree by itself, when the arguments choose one or a
        root, or when they name paths outside of the tree. Otherwise the file, the root and the uppermost
        folder whose ``conftest.py`` counts, all as pytest 8 and later choose them where nothing lies above.
        A root without any file to name gets ``/dev/null``, pytest's word for no configuration.
    """
    options = _parse(arguments)
    top = worktree.resolve()
    if options is None or options.config_file or options.rootdir:
        return ()
    folders = _folders(options.paths, top)
    start = Path(os.path.commonpath(folders)) if folders else top
    if not start.is_relative_to(top) or _find([start], top, _Reading.EVERY_PYTEST):
        return ()
    file = _find([start], top, _Reading.NEWER_PYTEST) or _find_name([start], top, "pyproject.toml")
    if file is not None:
        return _options(file, file.parent)
    if (setup := _find_name([start], top, "setup.py")) is not None:
        return _options(_plain_file(setup.parent), setup.parent)
    file = (
        _find(folders, top, _Reading.EVERY_PYTEST, _Reading.NEWER_PYTEST)
        or _find_name(folders, top, "pyproject.toml")
        or _plain_file(top)
    )
    return _options(file, file.parent if file.is_relative_to(top) else top)


def _options(file: Path, root: Path) -> tuple[str, ...]:
    return ("-c", str(file), "--rootdir", str(root), "--confcutdir", str(root))


class _Arguments(argparse.Namespace):
    config_file: str | None
    rootdir: str | None
    paths: list[str]


def _parse(arguments: Sequence[str]) -> _Arguments | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config-file")
    parser.add_argument("--rootdir")
    parser.add_argument(*_WITH_VALUE, dest="ignored", action="append")
    parser.add_argument("paths", nargs="*")
    try:
        found, others = parser.parse_known_args(arguments, _Arguments())
    except argparse.ArgumentError:
        return None
    found.paths += [word for word in others if not word.startswith("-")]
    return found


def _folders(paths: Iterable[str], top: Path) -> list[Path]:
    named = [Path(os.path.normpath(top / path.partition("::")[0])) for path in paths]
    return [path if path.is_dir() else path.parent for path in named if _exists(path)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # Text of an option that is too long for a name.
        return False


def _up(folders: Iterable[Path], top: Path) -> Iterable[Path]:
    for folder in folders:
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(top))


def _find(folders: Iterable[Path], top: Path, *readings: _Reading) -> Path | None:
    files = (folder / name for folder in _up(folders, top) for name in _NAMES)
    return next((file for file in files if file.is_file() and _reading(file) in readings), None)


def _find_name(folders: Iterable[Path], top: Path, name: str) -> Path | None:
    return next((file for folder in _up(folders, top) if (file := folder / name).is_file()), None)


def _plain_file(root: Path) -> Path:
    """A file of ``root`` that pytest can read and that holds nothing for it; else the null device.

    Relative paths in options such as ``-o pythonpath=src`` count from the file's folder.
    """
    files = (root / name for name in _PLAIN)
    return next((file for file in files if file.is_file()), Path(os.devnull))


def _reading(file: Path) -> _Reading:
    try:
        # A link that stays in the tree is one that pytest follows.
        real = file.resolve()
        content = read_foreign(real.parent, real.name, max_bytes=_MAX_BYTES)
        return _reading_of_text(file.name, content.decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        # Pytest stops at a file that cannot be read, and says so; a huge one is read by it, in its room.
        return _Reading.EVERY_PYTEST


def _reading_of_text(name: str, text: str) -> _Reading:
    if name == "pyproject.toml":
        return _reading_of_pyproject(text)
    if name == "pytest.ini":
        return _Reading.EVERY_PYTEST
    pattern = _CFG_SECTION if name == "setup.cfg" else _INI_SECTION
    if name.endswith((".ini", ".cfg")) and pattern.search(text):
        return _Reading.EVERY_PYTEST
    return _Reading.NEWER_PYTEST if "pytest" in name else _Reading.NOBODY


def _reading_of_pyproject(text: str) -> _Reading:
    tools = tomllib.loads(text).get("tool")
    table = tools.get("pytest") if isinstance(tools, dict) else None
    if not table or not isinstance(table, dict):
        return _Reading.NOBODY
    return _Reading.EVERY_PYTEST if "ini_options" in table else _Reading.NEWER_PYTEST
