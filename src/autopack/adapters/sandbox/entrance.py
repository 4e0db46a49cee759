"""Orders for the program at a room's entrance."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from autopack.ports import Room

ENTRANCE = Path(__file__).with_name("enter_room.py")
WORDS = 5
"""How many ``enter`` puts in front of a program."""


def enter(
    python: str, argv: Sequence[str], room: Room, *, walls: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    """The words that run ``argv`` below the room's limits, with its relay, and behind ``walls`` of Landlock."""
    orders: dict[str, object] = {"limits": asdict(room.limits)}
    if room.relay_socket is not None:
        orders["relay"] = {"port": room.relay_port, "socket": str(room.relay_socket)}
    if walls is not None:
        orders["walls"] = walls
    return (python, "-I", "-S", str(ENTRANCE), json.dumps(orders), *argv)
