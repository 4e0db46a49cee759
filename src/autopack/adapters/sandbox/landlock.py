"""Rooms by Landlock: the whole disk is there, and the kernel refuses what a room does not list.

Weaker than bubblewrap: sockets at a path can be connected to, and so whatever serves this machine's user there; keys
that the kernel keeps for the user can be used; processes can be seen (though not signalled, from Linux 6.12 on); the
mode and owner of files outside can be changed where the program's user owns them; and without a network of its own UDP
stays open. Before Linux 6.2 any file can be truncated, which is too much. There are no terminals and no shared memory,
since those of this machine cannot be told apart.
"""

import ctypes
import os
import sys
from dataclasses import replace
from pathlib import Path

from autopack.adapters.process_running import BASE_PYTHON, GUARD
from autopack.adapters.sandbox.entrance import ENTRANCE, WORDS, enter
from autopack.adapters.sandbox.places import Keep, own_python, places_of, system_places
from autopack.ports import Command, Network, Room

_CREATE_RULESET = 444
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def landlock_version() -> int:
    """The version of the kernel's Landlock, or 0 where there is none."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(
        0, int(libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    )


class LandlockSandbox:
    """Implements ``Sandbox`` with the kernel's access rules."""

    is_confining = True

    def __init__(self, *, description: str, keep: Keep) -> None:
        """Use Landlock.

        Args:
            description: See ``Sandbox.description``.
            keep: What no program's installation may show.
        """
        self.description = description
        self._keep = keep

    def confine(self, command: Command, room: Room) -> Command:
        """See ``Sandbox.confine``; what has a substitute cannot be read at all."""
        own = command.stdout_path.with_name(f"{command.stdout_path.name}.room")
        home, temporary = own / "home", own / "tmp"
        for folder in (home, temporary):
            folder.mkdir(parents=True, exist_ok=True)
        env = {**command.env, "HOME": str(home), "TMPDIR": str(temporary)}
        readable = [
            *system_places(),
            *(*own_python(self._keep), GUARD, ENTRANCE, Path("/proc")),
            *places_of(command.env, self._keep),
            *room.readable,
        ]
        walls = {
            "readable": [str(path) for place in readable for path in _without(place, room)],
            "writable": [*map(str, room.writable), str(own), *_devices()],
            "network": room.network is Network.HOST,
        }
        argv = enter(BASE_PYTHON, command.argv, room, walls=walls)
        return replace(command, argv=argv, env=env, entrance_words=WORDS, limits=room.limits, scratch=own)


def _without(place: Path, room: Room) -> list[Path]:
    """The place, or where something in it has a substitute, all else in it: a rule holds for all below a folder."""
    hidden = [path for path in room.substitutes if place in path.parents]
    if not hidden:
        return [] if place in room.substitutes else [place]
    with os.scandir(place) as entries:
        return [path for entry in entries for path in _without(Path(entry.path), room)]


def _devices() -> list[str]:
    return [f"/dev/{name}" for name in _DEVICES if Path("/dev", name).exists()]
