"""Rooms for code that is not trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.ports.processes import Command, RoomLimits


class Network(StrEnum):
    """What a program in a room can reach."""

    NONE = "none"
    """Its own loopback, on which nothing of this machine listens."""
    RELAY = "relay"
    """The same, and one address there that leads to ``Room.relay_socket``."""
    HOST = "host"
    """Everything; for what the operator trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a program sees of this machine: the system's programs and libraries, and what is listed here."""

    writable: tuple[Path, ...]
    """Absolute; a file or folder that exists."""
    readable: tuple[Path, ...] = ()
    substitutes: Mapping[Path, Path] = field(default_factory=dict)
    """What is read at a path that lies in one of the others: the file in its place, or nothing at all where the
    sandbox cannot put one there."""
    network: Network = Network.NONE
    relay_socket: Path | None = None
    """With ``Network.RELAY``: the Unix socket that the address leads to."""
    relay_port: int | None = None
    """With ``Network.RELAY``: the port on 127.0.0.1 inside the room."""
    limits: RoomLimits = RoomLimits()


class Sandbox(Protocol):
    """Keeps programs in their rooms."""

    description: str
    """For records and reports: ``bwrap 0.11.0 (CI: no network)`` or ``NONE (why)``."""
    is_confining: bool
    """Whether there are walls at all."""

    def confine(self, command: Command, room: Room) -> Command:
        """The command that runs ``command`` in a room; where there is no sandbox, ``command`` with its limits.

        Paths mean the same inside and outside. ``HOME`` is an empty folder at its own path, ``TMPDIR`` one that goes
        with the room; the folders of ``PATH`` and the programs in them can be read.
        """
        ...
