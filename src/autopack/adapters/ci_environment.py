"""The interpreter that CI means, and the environment in which its commands run."""

import os
import shutil
from collections.abc import Iterable, Mapping
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


def _in_worktree(entry: str, worktree: Path, root: Path) -> str:
    if not entry or not Path(entry).is_absolute() or not Path(entry).is_relative_to(root):
        return entry
    own = worktree / Path(entry).relative_to(root)
    return str(own) if own.exists() else entry
