"""Rooms for code that is not trusted."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.ports.processes import Command


class Network(StrEnum):
    """What a program in a room can reach."""

    NONE = "none"
    """Its own loopback, on which nothing of this machine listens."""
    RELAY = "relay"
    """The same, and one address there that leads to ``Room.relay_socket``."""
    HOST = "host"
    """Everything; for what the operator trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLimits:
    """What all processes of a room may use; None sets no limit."""

    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    file_bytes: int | None = None
    """The size of one file."""
    open_files: int | None = None
    processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a program sees of this machine: the system's programs and libraries, and what is listed here."""

    writable: tuple[Path, ...]
    """Absolute; a file or folder that exists."""
    readable: tuple[Path, ...] = ()
    network: Network = Network.NONE
    relay_socket: Path | None = None
    """With ``Network.RELAY``: the Unix socket that the address leads to."""
    relay_port: int | None = None
    """With ``Network.RELAY``: the port on 127.0.0.1 inside the room."""
    limits: RoomLimits = RoomLimits()


class Sandbox(Protocol):
    """Keeps programs in their rooms."""

    description: str
    """For records and reports: ``bwrap 0.11.0 (network: none, limits: prlimit)`` or ``NONE (why)``."""

    def confine(self, command: Command, room: Room) -> Command:
        """The command that runs ``command`` in a room; where there is no sandbox, ``command`` itself.

        Paths mean the same inside and outside.
        """
        ...
