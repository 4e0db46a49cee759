"""No walls at all: programs run with the operator's rights, and every record says so."""

from dataclasses import replace

from autopack.ports import Command, Room


class NoSandbox:
    """Implements ``Sandbox`` without keeping anything in."""

    is_confining = False

    def __init__(self, why: str) -> None:
        self.description = f"NONE ({why})"

    def confine(self, command: Command, room: Room) -> Command:
        """See ``Sandbox.confine``: the same program, with its limits."""
        return replace(command, limits=room.limits)
