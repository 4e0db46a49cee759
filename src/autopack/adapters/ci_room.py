"""The rooms in which CI commands run: the worktree, the interpreter and what it has installed, and git's history."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from autopack.adapters.ci_interpreter import Interpreters
from autopack.adapters.sandbox.git_places import git_folder, history
from autopack.adapters.sandbox.places import (
    Keep,
    is_environment,
    parts_of,
    places_of_program,
    prefix_places,
)
from autopack.ports import Command, Network, Room, Sandbox
from autopack.settings import STATE_FOLDER, CiSettings


class CiRooms:
    """Puts CI commands into rooms."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        settings: CiSettings,
        root: Path,
        interpreters: Interpreters,
    ) -> None:
        """Use a sandbox for CI.

        Args:
            sandbox: What keeps programs in.
            settings: How the repository is tested.
            root: The operator's repository.
            interpreters: Know what an interpreter needs.
        """
        self._sandbox = sandbox
        self._network = Network.HOST if settings.network else Network.NONE
        self._root = root
        self._interpreters = interpreters

    @property
    def is_confining(self) -> bool:
        """Whether there are walls at all."""
        return self._sandbox.is_confining

    @property
    def digest(self) -> str:
        """What a result depends on beside its interpreter; empty without walls."""
        told = self._sandbox.description.encode()
        return hashlib.sha256(told).hexdigest()[:8] if self._sandbox.is_confining else ""

    def confine(
        self,
        command: Command,
        *,
        python: str | None,
        set_by_operator: str,
        readable: tuple[Path, ...],
        writable: tuple[Path, ...],
    ) -> Command:
        """The command in its room.

        Args:
            command: Its folder is the worktree.
            python: The interpreter that CI means.
            set_by_operator: ``PYTHONPATH`` as the operator set it.
            readable: What it reads beside all that a Python program needs.
            writable: What it writes beside its worktree; files and folders that exist.
        """
        if not self._sandbox.is_confining:
            return self._sandbox.confine(command, Room(writable=writable))
        keep = Keep.of(command.env, self._root)
        room = Room(
            writable=(command.cwd, *writable),
            readable=(*readable, *self._readable(command, python, set_by_operator, keep)),
            network=self._network,
        )
        return self._sandbox.confine(command, room)

    def _readable(
        self, command: Command, python: str | None, set_by_operator: str, keep: Keep
    ) -> Iterator[Path]:
        for program in filter(None, (python, command.argv[0])):
            if program.startswith("/"):
                yield from places_of_program(Path(program), keep)
        env = {**command.env, "PYTHONPATH": set_by_operator}
        for place in self._interpreters.places(python, env=env):
            yield from self._unless_private(place, keep)
        for entry in command.env.get("PYTHONPATH", "").split(os.pathsep):
            if entry.startswith("/"):
                yield from self._unless_private(Path(entry), keep)
        git = git_folder(self._root)
        if git is not None:
            yield from history(git, command.cwd)

    def _unless_private(self, place: Path, keep: Keep) -> Iterator[Path]:
        """A place of the interpreter's; of one in the checkout only what an environment installed."""
        real = place.resolve()
        root = self._root.resolve()
        if root / STATE_FOLDER in (real, *real.parents):
            return
        if root not in real.parents:
            if any(place.glob("lib/python3*")):
                yield from prefix_places(place, keep)
            elif not keep.is_too_much(place):
                yield place
            return
        for folder in (real, *real.parents):
            if root in folder.parents and is_environment(folder):
                yield from parts_of(folder)
