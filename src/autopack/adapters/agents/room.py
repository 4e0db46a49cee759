"""What an agent's room holds: its worktree and home, and of this machine what the program itself is made of."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autopack.adapters.agents.home import AgentPlace
from autopack.adapters.sandbox.git_places import git_folders, history
from autopack.errors import ProcessError
from autopack.ports import MeterDoor, Network, Room

_SHEBANG_BYTES = 512
_SYSTEM = ("/usr/", "/bin/", "/lib/", "/lib64/", "/etc/", "/sbin/")


def make_room(
    worktree: Path,
    place: AgentPlace,
    door: MeterDoor,
    program: Path,
    *,
    argv: Sequence[str],
    path: str,
) -> Room:
    """The room for one call.

    Args:
        worktree: To be edited.
        place: The agent's home.
        door: The one address that it reaches.
        program: The agent's program, as ``find_program`` gave it.
        argv: Its arguments; files that they name are there.
        path: Where its interpreter is looked for.
    """
    _, git = git_folders(worktree)
    repository = [worktree / ".git"] if git is None else history(git, worktree)
    seen = [*installation(program, path), *repository]
    seen += [Path(word) for word in argv if word.startswith("/")]
    return Room(
        writable=(worktree, place.home, place.temporary),
        readable=tuple(dict.fromkeys(it for it in seen if it.exists())),
        network=Network.RELAY,
        relay_socket=door.socket_path,
        relay_port=int(door.base_url.rpartition(":")[2].partition("/")[0]),
    )


def widened(room: Room, *, readable: Sequence[Path], writable: Sequence[Path]) -> Room:
    """The room with what the operator adds to it, as far as that is there."""
    return replace(
        room,
        readable=(*room.readable, *(it for it in readable if it.exists())),
        writable=(*room.writable, *(it for it in writable if it.exists())),
    )


def find_program(name: str, path: str) -> Path:
    """Where a program is.

    Raises:
        ProcessError: It is not on the path.
    """
    found = shutil.which(name, path=path)
    if found is None:
        raise ProcessError(
            f"cannot start {name}: it is not on the PATH", hint=f"Install {name}, or give its whole path."
        )
    return Path(found).absolute()


def installation(program: Path, path: str) -> Iterator[Path]:
    """Files and folders outside the system's own that a program is run from, its interpreter's among them."""
    for link in _links(program):
        yield from _outside_system(_package(link))
    interpreter = _interpreter(program.resolve(), path)
    if interpreter is not None and interpreter != program:
        for link in _links(interpreter):
            yield from _outside_system(_package(link))
    if interpreter is not None and interpreter.resolve() == Path(sys.executable).resolve():
        yield from _outside_system(Path(sys.base_prefix))


def _links(program: Path) -> Iterator[Path]:
    yield program
    while program.is_symlink():
        program = program.parent / program.readlink()
        yield program.parent.resolve() / program.name


def _package(program: Path) -> Path:
    """The whole of what a program came with, where that can be told; else the program itself."""
    parts = program.parts
    if "node_modules" in parts:
        return Path(*parts[: parts.index("node_modules") + 1])
    prefix = program.parent.parent
    is_python_prefix = (prefix / "pyvenv.cfg").is_file() or any(prefix.glob("lib/python3*"))
    return prefix if program.parent.name == "bin" and is_python_prefix else program


def _outside_system(place: Path) -> Iterator[Path]:
    if not f"{place}/".startswith(_SYSTEM):
        yield place


def _interpreter(program: Path, path: str) -> Path | None:
    try:
        with program.open("rb") as file:
            first = file.readline(_SHEBANG_BYTES)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    name = (
        next((word for word in words[1:] if not word.startswith("-")), "")
        if words[0].endswith("/env")
        else words[0]
    )
    found = shutil.which(name, path=path) if name else None
    return Path(found).absolute() if found else None
