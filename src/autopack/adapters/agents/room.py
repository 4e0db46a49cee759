"""What an agent's room holds: its worktree and home, and of this machine what the program itself is made of."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autopack.adapters.agents.home import AgentPlace
from autopack.adapters.sandbox.git_places import git_folders, history
from autopack.adapters.sandbox.places import Keep, is_environment, is_of_system, places_of_program
from autopack.errors import ProcessError
from autopack.ports import MeterDoor, Network, Room

_SHEBANG_BYTES = 512


def make_room(
    worktree: Path,
    place: AgentPlace,
    door: MeterDoor,
    program: Path,
    *,
    argv: Sequence[str],
    path: str,
    keep: Keep,
) -> Room:
    """The room for one call.

    Args:
        worktree: To be edited.
        place: The agent's home.
        door: The one address that it reaches.
        program: The agent's program, as ``find_program`` gave it.
        argv: Its arguments; files that they name are there.
        path: Where its interpreter is looked for.
        keep: What is not shown, whatever seems to be installed in it and whoever names it.
    """
    _, git = git_folders(worktree)
    repository = [worktree / ".git"] if git is None else history(git, worktree)
    seen = [*installation(program, path, keep), *repository]
    seen += [it for word in argv if word.startswith("/") and not keep.is_too_much(it := Path(word))]
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


def installation(program: Path, path: str, keep: Keep) -> Iterator[Path]:
    """Files and folders outside the system's own that a program is run from, its interpreter's among them."""
    for part in (program, *_interpreters(program.resolve(), path)):
        yield from (place for place in places_of_program(part, keep) if not is_of_system(place))


def _interpreters(program: Path, path: str) -> Iterator[Path]:
    named = _interpreter(program, path)
    if named is not None:
        yield named
    if is_environment(program.parent.parent):
        # A launcher whose path is too long for a first line is a shell's script, and names its Python further down.
        yield program.with_name("python")


def _interpreter(program: Path, path: str) -> Path | None:
    try:
        with program.open("rb") as file:
            first = file.readline(_SHEBANG_BYTES)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    name, *rest = os.fsdecode(first[2:]).split() or [""]
    if name.endswith("/env"):
        name = next((word for word in rest if not word.startswith("-") and "=" not in word), "")
    found = shutil.which(name, path=path) if name else None
    return Path(found).absolute() if found else None
