"""Rooms by bubblewrap: namespaces of their own, in which there is nothing but what a room lists."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from autopack.adapters.process_running import BASE_PYTHON, GUARD
from autopack.adapters.sandbox.entrance import ENTRANCE, WORDS, enter
from autopack.adapters.sandbox.places import Keep, own_python, places_of, system_places
from autopack.ports import Command, Network, Room

# Run as root without the first three, a program keeps the right to mount, and so to write anywhere.
_WALLS = ("--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--unshare-all")
_HABITS = ("--die-with-parent", "--new-session")
RESOLVER = Path("/etc/resolv.conf")
TMP = Path("/tmp")  # noqa: S108 (the room's own)
# Their sizes count as memory; a test suite may well keep a lot in its temporary folder.
_TMP_SHARE, _SHARE = 4, 8
# Of /proc, what belongs to the kernel and not to a process: the real root may set it, whatever rights it lost.
# Others of its kind bubblewrap covers by itself.
_KERNEL = tuple(Path("/proc") / name for name in ("sys", "sysrq-trigger", "acpi", "scsi"))


@dataclass(frozen=True, slots=True)
class _Mount:
    """What is put at one path of the room."""

    kind: str
    words: tuple[str, ...]
    rank: int
    """Which of two for the same path prevails: the greater."""


@dataclass(slots=True)
class _Mounts:
    """What a room holds, each path once; parents are put in place before what lies in them."""

    by_path: dict[Path, _Mount] = field(default_factory=dict)

    def add(self, path: Path, kind: str, words: tuple[str, ...], rank: int) -> None:
        before = self.by_path.get(path)
        if before is None or before.rank <= rank:
            self.by_path[path] = _Mount(kind, words, rank)

    def bind(self, path: Path, kind: str, rank: int) -> None:
        """Show the path under its own name and, where a link leads to it, under its real one too."""
        for name in dict.fromkeys((path, Path(os.path.realpath(path)))):
            self.add(name, kind, (kind, str(name), str(name)), rank)

    def words(self) -> Iterator[str]:
        placed: dict[Path, str] = {}
        for path, mount in sorted(self.by_path.items(), key=lambda item: item[0].parts):
            above = next((placed[parent] for parent in path.parents if parent in placed), "")
            if above != mount.kind or mount.kind not in {"--ro-bind", "--bind"}:
                placed[path] = mount.kind
                yield from mount.words


class BwrapSandbox:
    """Implements ``Sandbox``: the system and the room's places read-only or writable, and nothing else of the disk."""

    is_confining = True

    def __init__(self, program: Path, *, description: str, keep: Keep) -> None:
        """Use bubblewrap.

        Args:
            program: The ``bwrap`` to run.
            description: See ``Sandbox.description``.
            keep: What no program's installation may show.
        """
        self.description = description
        self._program = program
        self._keep = keep
        self._system = _system_mounts()

    def confine(self, command: Command, room: Room) -> Command:
        """See ``Sandbox.confine``."""
        env = room_environ(command.env)
        wrapper = [
            *(str(self._program), *_WALLS, *(("--share-net",) if room.network is Network.HOST else ())),
            *_HABITS,
            *self._mounts(room, env).words(),
            # The room's root and its /dev are kept in memory too, and have no size.
            *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(command.cwd), "--"),
        ]
        is_entered = room.network is Network.RELAY
        argv = enter(BASE_PYTHON, command.argv, room) if is_entered else command.argv
        return replace(
            command,
            argv=(*wrapper, *argv),
            env=env,
            wrapper_words=len(wrapper),
            entrance_words=WORDS if is_entered else 0,
            limits=room.limits,
        )

    def _mounts(self, room: Room, env: Mapping[str, str]) -> _Mounts:
        mounts = _Mounts(dict(self._system))
        _add_own(mounts, env)
        own = [*own_python(self._keep), GUARD, *([ENTRANCE] if room.network is Network.RELAY else [])]
        for path in (*own, *places_of(env, self._keep), *room.readable):
            if path.exists():
                mounts.bind(path, "--ro-bind", 2)
        if room.network is Network.HOST and (real := Path(os.path.realpath(RESOLVER))).exists():
            # Often a link into /run, where nothing else is shown.
            mounts.add(real, "--ro-bind", ("--ro-bind", str(real), str(real)), 2)
        if room.relay_socket is not None:
            mounts.bind(room.relay_socket, "--bind", 3)
        for path in room.writable:
            mounts.bind(path, "--bind", 3)
        for path, source in room.substitutes.items():
            mounts.add(path, "--substitute", ("--ro-bind", str(source), str(path)), 4)
        return mounts


def room_environ(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that has a temporary folder of its own and an empty home."""
    kept = {name: value for name, value in env.items() if not name.startswith("XDG_")}
    return kept | {name: str(TMP) for name in ("TMPDIR", "TEMP", "TMP") if name in kept or name == "TMPDIR"}


def _system_mounts() -> Mapping[Path, _Mount]:
    mounts = _Mounts()
    for path in system_places():
        if path.is_symlink() and not path.readlink().is_absolute():
            mounts.add(path, "--symlink", ("--symlink", str(path.readlink()), str(path)), 0)
        else:
            mounts.add(path, "--ro-bind", ("--ro-bind", str(path), str(path)), 0)
    mounts.add(Path("/proc"), "--proc", ("--proc", "/proc"), 0)
    for path in filter(Path.exists, _KERNEL):
        mounts.add(path, "--ro-bind", ("--ro-bind", str(path), str(path)), 0)
    mounts.add(Path("/dev"), "--dev", ("--dev", "/dev"), 0)
    mounts.add(Path("/run"), "--dir", ("--dir", "/run"), 0)
    return mounts.by_path


def _add_own(mounts: _Mounts, env: Mapping[str, str]) -> None:
    """Folders of the room's own, which go with it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own = {TMP: _TMP_SHARE, Path("/var/tmp"): _SHARE, Path("/dev/shm"): _SHARE}  # noqa: S108 (the room's)
    home = Path(env.get("HOME", ""))
    if home.is_absolute() and home not in {Path("/"), *map(Path, ("/usr", "/proc", "/dev", "/etc"))}:
        own.setdefault(home, _SHARE)
    for path, share in own.items():
        mode = "0700" if path == home else "1777"
        words = ("--perms", mode, "--size", str(memory // share), "--tmpfs", str(path))
        mounts.add(path, "--tmpfs", words, 1)
