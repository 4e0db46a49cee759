"""A sandbox with what the operator's settings put into every room."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from autopack.adapters.sandbox.git_places import configurations
from autopack.ports import Command, Room, RoomLimits, Sandbox
from autopack.settings import SandboxSettings


class FurnishedSandbox:
    """Implements ``Sandbox``: another one, with the operator's places and limits where a room sets none of its own."""

    def __init__(
        self,
        sandbox: Sandbox,
        settings: SandboxSettings,
        *,
        root: Path,
        cache_folder: Path,
        environ: Mapping[str, str],
        note: Path | None = None,
    ) -> None:
        """Furnish a sandbox.

        Args:
            sandbox: What keeps programs in.
            settings: What the operator set.
            root: The repository, where relative places begin.
            cache_folder: For what is shown in place of git's configuration.
            environ: Holds ``HOME``, where places with ``~`` begin.
            note: Where it is kept that the sandbox works.
        """
        self.description = sandbox.description
        self.is_confining = sandbox.is_confining
        self._sandbox = sandbox
        home = Path(environ.get("HOME", "/"))
        self._readable = tuple(_places(settings.readable, root, home))
        self._writable = tuple(_places(settings.writable, root, home))
        self._limits = limits_of(settings)
        self._root = root
        self._note = note
        self._cache_folder = cache_folder

    def confine(self, command: Command, room: Room) -> Command:
        """See ``Sandbox.confine``."""
        own = {name: value for name, value in asdict(room.limits).items() if value is not None}
        furnished = replace(
            room,
            readable=(*room.readable, *self._readable),
            writable=(*room.writable, *self._writable),
            substitutes={**self._substitutes(room), **room.substitutes},
            limits=replace(self._limits, **own),
        )
        return self._sandbox.confine(replace(command, room_note=self._note), furnished)

    def _substitutes(self, room: Room) -> Mapping[Path, Path]:
        if not self.is_confining:
            return {}
        shown = {path.resolve() for path in (*room.readable, *room.writable)}
        found = configurations(self._root, self._cache_folder)
        return {path: own for path, own in found if _is_near(path, shown)}


def _is_near(path: Path, shown: Iterable[Path]) -> bool:
    """Whether the room shows it, or what lies beside it."""
    return any(place in path.parents or path.parent in place.parents for place in shown)


def limits_of(settings: SandboxSettings) -> RoomLimits:
    """The limits that hold for every room."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return RoomLimits(
        memory_bytes=int(memory * settings.max_memory_share) or None,
        file_bytes=settings.max_file_bytes,
        open_files=settings.max_open_files,
        processes=settings.max_processes,
    )


def _places(names: Iterable[str], root: Path, home: Path) -> Iterable[Path]:
    for name in names:
        path = home / name[2:] if name.startswith("~/") else home if name == "~" else root / name
        if path.exists():
            yield Path(os.path.normpath(path))
