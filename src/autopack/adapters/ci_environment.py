"""The interpreter that CI means, and the environment in which its commands run."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from autopack.adapters.ci_private import is_private
from autopack.settings import CiSettings

RECORDER_FOLDER = Path(__file__).with_name("ci_recorder")
RECORDER = "autopack_ci_recorder"
ORDERS = "AUTOPACK_CI"


def find_python(settings: CiSettings, root: Path, environ: Mapping[str, str]) -> str | None:
    """The path of the interpreter that ``python`` means in a CI command, or None when there is none."""
    if settings.python is not None:
        named = root / settings.python
        if "/" in settings.python:
            return str(named) if named.exists() else None
        return shutil.which(settings.python, path=environ.get("PATH"))
    own = root / ".venv/bin/python"
    if own.exists():
        return str(own)
    names = ("python3", "python")
    return next(filter(None, (shutil.which(name, path=environ.get("PATH")) for name in names)), None)


def child_environ(
    environ: Mapping[str, str],
    *,
    python: str | None,
    bytecode_folder: Path,
    assignments: Mapping[str, str],
) -> dict[str, str]:
    """The variables of a CI command: the operator's without secrets and without what speaks for another run.

    What ``assignments`` sets is meant for the command, whatever its name.

    ``PATH`` begins with the interpreter's folder, so that scripts and makefiles find the same one. Bytecode is
    kept, in a folder outside every worktree: nothing that a change puts into a ``__pycache__`` is ever run.
    """
    env = {name: value for name, value in environ.items() if not is_private(name, value)}
    if python is not None:
        folder = Path(python).parent
        env["PATH"] = os.pathsep.join([str(folder), env.get("PATH", os.defpath)])
        if (folder.parent / "pyvenv.cfg").is_file():
            env["VIRTUAL_ENV"] = str(folder.parent)
    env |= {"PYTHONUTF8": "1", "TERM": "dumb", "NO_COLOR": "1", "PYTHONPYCACHEPREFIX": str(bytecode_folder)}
    return env | dict(assignments)


def python_path(
    settings: CiSettings, env: Mapping[str, str], *, worktree: Path, root: Path, more: Iterable[Path] = ()
) -> str:
    """``PYTHONPATH`` for a worktree: ``more``, its own source folders, then what the operator set.

    A folder of the operator's checkout is replaced by the worktree's own, where it has one: what is tested is
    the worktree.
    """
    own = [worktree / name for name in settings.pythonpath]
    set_by_operator = [
        _in_worktree(entry, worktree, root) for entry in env.get("PYTHONPATH", "").split(os.pathsep)
    ]
    entries = [str(path) for path in own if path.is_dir()]
    entries += [entry for entry in set_by_operator if entry]
    # What is ours comes first: a module of the change must not stand in for it.
    return os.pathsep.join([*map(str, more), *entries])


def forget_stale_bytecode(bytecode_folder: Path, worktree: Path) -> None:
    """Remove the bytecode of sources that changed after it was written, or that are gone.

    The interpreter compares a source's time in whole seconds and its size; a file that is written twice within
    a second would be run as it was first. The time of a file's last change of any kind has no such grain, and
    nobody can set it back.
    """
    # Plain strings: a large tree has thousands of files, and this comes before every run.
    length = len(str(bytecode_folder))
    for compiled in _files_below(bytecode_folder / worktree.relative_to("/")):
        folder, _, name = compiled.path[length:].rpartition("/")
        source = f"{folder}/{name.split('.cpython-')[0].split('.pypy')[0]}.py"
        if _changed_ns(source) >= compiled.stat().st_mtime_ns:
            Path(compiled.path).unlink(missing_ok=True)


def _in_worktree(entry: str, worktree: Path, root: Path) -> str:
    if not entry or not Path(entry).is_absolute() or not Path(entry).is_relative_to(root):
        return entry
    own = worktree / Path(entry).relative_to(root)
    return str(own) if own.exists() else entry


def _files_below(folder: Path) -> Iterator[os.DirEntry[str]]:
    folders = [str(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))


def _changed_ns(source: str) -> int:
    """When the file last changed; later than anything where there is no such file."""
    try:
        found = os.stat(source)  # noqa: PTH116 -- see forget_stale_bytecode
    except OSError:
        return 1 << 63
    return max(found.st_ctime_ns, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else 1 << 63
