"""What every room shows of this machine, and what a program's own environment adds to it."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/nix/store", "/gnu/store"),
)
# Not all of /etc: root would read the keys and hashes in it, and everybody what some program left readable.
CONFIGURATION = (
    *("gai.conf", "host.conf", "hostname", "inputrc", "ld.so.conf", "ld.so.conf.d", "magic", "networks"),
    *("perl", "shells", "terminfo"),
    *("alternatives", "crypto-policies", "fonts", "group", "hosts", "java", "ld.so.cache", "localtime"),
    *("mime.types", "nsswitch.conf", "os-release", "passwd", "pki/ca-trust", "pki/tls/certs", "protocols"),
    *("resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf", "timezone"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Folders that nothing but an operator's own setting shows, whatever seems to be installed in them."""

    folders: tuple[Path, ...]

    def is_too_much(self, path: Path) -> bool:
        """Whether ``path`` is one of them or holds one."""
        return path == Path("/") or any(folder == path or path in folder.parents for folder in self.folders)


def system_places() -> Iterator[Path]:
    """The system's programs, libraries and public configuration, as far as they are there."""
    yield from (Path(name) for name in SYSTEM if os.path.lexists(name))
    yield from (path for name in CONFIGURATION if (path := Path("/etc") / name).exists())


def places_of(env: Mapping[str, str], keep: Keep) -> Iterator[Path]:
    """The folders of the environment's ``PATH``, and the installations that they belong to."""
    home = Path(env.get("HOME", "/"))
    for entry in dict.fromkeys(env.get("PATH", "").split(os.pathsep)):
        is_shown = any(f"{entry}/".startswith(f"{place}/") for place in SYSTEM)
        if entry.startswith("/") and not is_shown and (path := Path(entry)).is_dir():
            found = _installation_of(path, home)
            yield from _unless_too_much(found, path, keep)


def places_of_program(program: Path, keep: Keep) -> Iterator[Path]:
    """A program, each link on the way to it, and the installations that these belong to."""
    seen: set[Path] = set()
    while program not in seen and len(seen) < 20:
        seen.add(program)
        yield program
        if program.parent.name == "bin" and _is_installation(program.parent.parent):
            yield from prefix_places(program.parent.parent, keep)
        if not program.is_symlink():
            # A folder on the way may be a link as well.
            program = program.resolve()
        else:
            program = Path(os.path.normpath(program.parent / program.readlink()))


def prefix_places(prefix: Path, keep: Keep) -> Iterator[Path]:
    """An installation's folder; of one that holds more than it, the parts that installations have."""
    if not keep.is_too_much(prefix):
        yield prefix
    elif is_environment(prefix):
        yield from parts_of(prefix)


def is_environment(prefix: Path) -> bool:
    """Whether it is a virtual environment of Python's, or one of conda's."""
    return (prefix / "pyvenv.cfg").is_file() or (prefix / "conda-meta").is_dir()


def parts_of(prefix: Path) -> Iterator[Path]:
    """What installations have, and nothing that lies beside it."""
    parts = ("bin", "conda-meta", "etc", "include", "lib", "lib64", "pyvenv.cfg", "share")
    yield from (path for name in parts if (path := prefix / name).exists())


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths that lie in none of the others, sorted."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda it: it.parts):
        if not kept or kept[-1] not in path.parents:
            kept.append(path)
    return kept


def _installation_of(folder: Path, home: Path) -> Path:
    """``~/.nvm/versions/node/v22`` for its ``bin``; a folder right in the home holds other things too."""
    if folder.name == "shims":
        return folder.parent
    parent = folder.parent
    is_in_home = home != Path("/") and parent.parent == home and not (parent / "pyvenv.cfg").is_file()
    return parent if folder.name == "bin" and not is_in_home and _is_installation(parent) else folder


def _is_installation(folder: Path) -> bool:
    """Whether it is laid out as one and is no checkout, where a ``bin`` lies beside what is nobody else's business."""
    parts = ("lib", "lib64", "libexec", "pyvenv.cfg")
    return any((folder / name).exists() for name in parts) and not (folder / ".git").exists()


def _unless_too_much(found: Path, folder: Path, keep: Keep) -> Iterator[Path]:
    yield from (path for path in dict.fromkeys((found, folder)) if not keep.is_too_much(path))
