"""What every room shows of this machine, and what a program's own environment adds to it."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from autopack.adapters.process_running import BASE_PYTHON

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
# Where no installation lies alone.
_EVERYBODYS = (
    *("/", "/dev", "/etc", "/home", "/opt", "/proc", "/root", "/run", "/srv", "/sys", "/var"),
    "/tmp",  # noqa: S108 - named so that it is not shown
)
_HOMES = ("/home", "/root")
_LOCAL = ".local"
"""Below a home: beside programs and libraries it holds what these keep, logins among it."""
_CODE = ("bin", "conda-meta", "include", "lib", "lib64", "pyvenv.cfg")
_PARTS = (*_CODE, "etc", "lib32", "libexec", "sbin", "share")
# What some kinds have beside, each told by a file or folder that hardly anything else has: a folder of an operator's
# own may well have a bin, a lib and a conf.
_PARTS_BY_MARK = {
    "Cellar": ("Cellar", "Frameworks", "opt"),  # Homebrew
    "boot/plexus-classworlds-*": ("boot", "conf"),  # Maven
    "conda-meta": (
        *(
            "compiler_compat",
            "condabin",
            "envs",
            "fonts",
            "go",
            "opt",
            "plugins",
            "resources",
            "shell",
            "ssl",
        ),
        *("nvvm", "targets", "*-conda*-linux-gnu"),
    ),
    "collects/racket": ("collects",),
    "conf/groovy-starter.conf": ("conf",),
    "config/nim.cfg": ("config/*.cfg", "config/*.nims"),
    "erts-*": ("erts-*", "releases"),  # Erlang
    "import/ldc": ("import",),
    "jre/lib/rt.jar": ("jre", "release"),  # Java 8
    "lib/gcc/*/*": ("*-*-*", "avr"),  # GCC for another machine has its assembler and headers there
    "lib/modules": ("conf", "jmods", "languages", "legal", "release"),  # later ones
    "nvvm/bin/cicc": ("nvvm", "targets"),  # CUDA
    "bin/snapshots/dartdev*": ("version",),
    "maven2/org/scala-lang": ("maven2",),
    "sysroot/usr/include": ("sysroot",),  # Android's NDK
    "src/cmd/go": ("VERSION", "go.env", "misc", "pkg", "src"),
    # pyenv and its like, asdf, mise, proto
    "shims": ("[a-z]*env.d", "installs", "plugins", "shims", "tools", "version", "versions"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Folders that nothing but an operator's own setting shows, whatever seems to be installed in them."""

    folders: tuple[Path, ...]
    own: tuple[Path, ...] = ()
    """Those of them in which nothing is an installation, however deep it lies, without links: not the home."""

    @classmethod
    def of(cls, environ: Mapping[str, str], *folders: Path) -> "Keep":
        """The folders of the repository and of Autopack, and the home that ``environ`` names."""
        home = environ.get("HOME", "")
        named = (*folders, *([Path(home)] if home.startswith("/") else ()))
        both = (it for path in named for it in (path, Path(os.path.realpath(path))))
        own = tuple(Path(os.path.realpath(path)) for path in folders)
        return cls(folders=tuple(it for it in dict.fromkeys(both) if it != Path("/")), own=own)

    def is_too_much(self, path: Path) -> bool:
        """Whether ``path`` is one of them, holds one, or is everybody's, by its name or where it leads to."""
        return any(map(self._holds_more, {path, Path(os.path.realpath(path))}))

    def is_inside(self, path: Path) -> bool:
        """Whether ``path`` leads into the repository, at any depth."""
        real = Path(os.path.realpath(path))
        return any(folder in (real, *real.parents) for folder in self.own)

    def is_shared(self, prefix: Path) -> bool:
        """Whether an installation in ``prefix`` may have other things beside it, by where it lies."""
        above = Path(os.path.realpath(prefix)).parent
        is_right_below = above in self.folders or str(above) in _HOMES
        return is_right_below or self.is_too_much(prefix) or self.is_inside(prefix)

    def _holds_more(self, path: Path) -> bool:
        if str(path) in _EVERYBODYS or path.name == _LOCAL:
            return True
        return any(folder == path or path in folder.parents for folder in self.folders)


def system_places() -> Iterator[Path]:
    """The system's programs, libraries and public configuration, as far as they are there."""
    yield from (Path(name) for name in SYSTEM if os.path.lexists(name))
    yield from (path for name in CONFIGURATION if (path := Path("/etc") / name).exists())


def own_python(keep: Keep) -> Iterator[Path]:
    """The interpreter that our own programs in a room are run by, and what it is made of."""
    yield from places_of_program(Path(BASE_PYTHON), keep)
    yield from prefix_places(Path(sys.base_prefix), keep)


def is_of_system(path: Path) -> bool:
    """Whether every room shows it, or what it is a part of."""
    return any(f"{path}/".startswith(f"{place}/") for place in SYSTEM)


def places_of(env: Mapping[str, str], keep: Keep) -> Iterator[Path]:
    """The folders of the environment's ``PATH``, and what is to be seen of the installations that they belong to."""
    for entry in dict.fromkeys(env.get("PATH", "").split(os.pathsep)):
        path = Path(entry)
        if entry.startswith("/") and not is_of_system(path) and path.is_dir():
            places = dict.fromkeys((*_around(path, keep), path))
            yield from (it for it in places if not keep.is_too_much(it))


def _around(folder: Path, keep: Keep) -> Iterator[Path]:
    prefix = folder.parent
    if folder.name == "bin" and (is_environment(prefix) or not keep.is_inside(prefix)):
        yield from prefix_places(prefix, keep)
    elif folder.name == "shims" and not (keep.is_too_much(prefix) or keep.is_inside(prefix)):
        # It lies right in the home, and most often is a checkout.
        yield from parts_of(prefix)


def places_of_program(program: Path, keep: Keep) -> Iterator[Path]:
    """A program, each link on the way to it, and the installations that these belong to."""
    seen: set[Path] = set()
    while program not in seen and len(seen) < 20:
        seen.add(program)
        yield program
        yield from _package(program, keep)
        if not program.is_symlink():
            # A folder on the way may be a link as well.
            program = program.resolve()
        else:
            program = Path(os.path.normpath(program.parent / program.readlink()))


def _package(program: Path, keep: Keep) -> Iterator[Path]:
    parts = program.parts
    if "node_modules" in parts:
        modules = Path(*parts[: parts.index("node_modules") + 1])
        yield from () if keep.is_too_much(modules) else (modules,)
    elif program.parent.name == "bin":
        yield from prefix_places(program.parent.parent, keep)


def prefix_places(prefix: Path, keep: Keep) -> Iterator[Path]:
    """What an installation or an environment has; where other things may lie beside it, the code in it."""
    is_checkout = (prefix / ".git").exists()
    if is_environment(prefix):
        holds_more = is_checkout or keep.is_too_much(prefix)
        yield from _found(prefix, _CODE) if holds_more else parts_of(prefix)
    elif is_checkout or keep.is_shared(prefix):
        # An interpreter's modules, and the library that it is itself.
        yield from _found(prefix, ("lib*/python3*", "lib*/libpython3*"))
    elif any(_found(prefix, ("lib", "lib64", "libexec"))):
        yield from parts_of(prefix)


def is_environment(prefix: Path) -> bool:
    """Whether it is a virtual environment of Python's, or one of conda's."""
    return (prefix / "pyvenv.cfg").is_file() or (prefix / "conda-meta").is_dir()


def parts_of(prefix: Path) -> Iterator[Path]:
    """What installations have, and nothing that lies beside it."""
    more = (names for mark, names in _PARTS_BY_MARK.items() if any(prefix.glob(mark)))
    yield from _found(prefix, (*_PARTS, *chain.from_iterable(more)))
    if is_environment(prefix):
        # There pip puts what it installs for editing from a repository of its own.
        yield from (git.parent for git in _found(prefix, ("src/*/.git",)))


def _found(prefix: Path, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in dict.fromkeys(patterns):
        yield from sorted(prefix.glob(pattern))


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths that lie in none of the others, sorted."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda it: it.parts):
        if not kept or kept[-1] not in path.parents:
            kept.append(path)
    return kept
