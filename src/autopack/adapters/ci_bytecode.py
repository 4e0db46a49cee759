"""Compiled modules: those of a worktree are of one state of it alone, and all others are made by nobody but us.

A test run can write anything where it can write. So that no change's run leaves code for another's, a room shows the
store of compiled modules read-only, but for the worktree's own part, and that is emptied whenever the worktree was
reset or written since. What is missing from the rest is compiled after the run, from the files of the interpreter's own
installation, which no room can write.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autopack.errors import ProcessError
from autopack.ports import Command, Processes

_MOST = 5000
_SECONDS = 300
_COMPILE = """
import json, pathlib, py_compile, sys

class State:
    trace = staticmethod(lambda *_: None)

orders = json.load(sys.stdin)
sys.pycache_prefix = orders["folder"]
for name in orders["plain"]:
    try:
        py_compile.compile(name, quiet=2)
    except OSError:
        pass
if orders["rewritten"]:
    sys.path[:0] = orders["path"]
    from _pytest.assertion import rewrite
    for path in map(pathlib.Path, orders["rewritten"]):
        status, code = rewrite._rewrite_test(path, None)
        folder = rewrite.get_cache_dir(path)
        folder.mkdir(parents=True, exist_ok=True)
        rewrite._write_pyc(State, code, status, folder / (path.name[:-3] + rewrite.PYC_TAIL))
"""
"""What pytest does with plugins is its own affair: where it does it in another way, time alone is lost."""


class Bytecode:
    """The store of compiled modules, in the layout of ``PYTHONPYCACHEPREFIX``."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self.folder = folder
        """The whole store; outside every worktree."""

    def prepare(self, worktree: Path) -> Path:
        """The worktree's own part: empty, unless it is of the worktree's present state."""
        own = self.folder / worktree.relative_to("/")
        state = _state_of(worktree)
        note = _note_of(own)
        if state and own.is_dir() and _read(note) == state:
            forget_stale_bytecode(self.folder, worktree)
            return own
        note.unlink(missing_ok=True)
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        note.write_text(state, "utf-8")
        return own

    def compile(
        self,
        command: Command,
        plain: Sequence[str],
        rewritten: Sequence[str],
        *,
        places: Iterable[Path],
        path: str,
    ) -> None:
        """Compile what a run asked for and did not find, as far as it lies in the interpreter's own places.

        Args:
            command: The interpreter alone, with an environment, logs and a folder of its own.
            plain: Sources, as the run named them: they are not believed.
            rewritten: Sources of plugins, of which pytest makes compiled modules of its own.
            places: What no room can write.
            path: ``PYTHONPATH``, on which pytest may be.
        """
        trusted = tuple({f"{it}/" for place in places for it in (place, place.resolve())})
        wanted = {
            "plain": [name for name in plain[:_MOST] if self._may_compile(name, trusted)],
            "rewritten": [name for name in rewritten[:_MOST] if self._may_compile(name, trusted)],
        }
        if not any(wanted.values()):
            return
        orders = {"folder": str(self.folder), "path": path.split(os.pathsep), **wanted}
        child = replace(
            command,
            argv=(*command.argv, "-I", "-c", _COMPILE),
            stdin_text=json.dumps(orders),
            timeout_seconds=_SECONDS,
        )
        try:
            self._processes.run(child)
        except ProcessError:
            # It only saves time.
            return

    def _may_compile(self, name: str, trusted: tuple[str, ...]) -> bool:
        """Whether a source, and the place of what is made of it, are where no room can write.

        The place follows from the name as it is spelled: so the spelling counts as much as the file that it leads to.
        """
        is_ours = name == os.path.normpath(name) and name.startswith(trusted)
        if not is_ours or not name.endswith(".py") or not os.path.realpath(name).startswith(trusted):
            return False
        source = Path(name).relative_to("/")
        if any(_note_of(self.folder / folder).exists() for folder in source.parents if folder.name):
            return False
        return (self.folder / source.parent).resolve() == self.folder.resolve() / source.parent


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


def _state_of(worktree: Path) -> str:
    """A text that is another one after each reset of a worktree of the pool, and each writing; empty for others."""
    stamp = _read(worktree.with_name(f"{worktree.name}.stamp"))
    return hashlib.sha256(stamp.encode()).hexdigest()[:16] if stamp else ""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _note_of(own: Path) -> Path:
    """The file beside a worktree's own part that says of which state it is."""
    return own.with_name(f"{own.name}.state")


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
