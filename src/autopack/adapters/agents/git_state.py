"""Whether an agent wrote where only git may: looked at before and after, since an agent may well be unconfined."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from autopack.adapters.sandbox.git_places import git_folders

_WORKTREE_FILES = ("HEAD", "commondir", "gitdir", "config.worktree")
_COMMON_FILES = ("config",)
_COMMON_FOLDERS = ("hooks", "info")
_LARGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """Digests of what decides how a repository behaves, and where each stands, by a name for people.

    The worktree's ``.git`` and its ``HEAD``; the repository's configuration, hooks and ``info``. The indexes are left
    out: an agent may add what it made, the operator goes on working, and we read a worktree through an index of our
    own. So are the objects and the branches, which other attempts move all the time.
    """

    digests: dict[str, str]
    places: dict[str, Path]

    @classmethod
    def of(cls, worktree: Path) -> "GitState":
        """The state now; a linked worktree that has lost its repository is a state too."""
        places = dict(_places(worktree))
        return cls(digests={name: _digest(path) for name, path in places.items()}, places=places)

    def changed(self, later: "GitState") -> dict[str, Path]:
        """What is no longer as it was, sorted by its name, with where it stands."""
        places = self.places | later.places
        return {
            name: places[name] for name in sorted(places) if self.digests.get(name) != later.digests.get(name)
        }


def _places(worktree: Path) -> Iterator[tuple[str, Path]]:
    yield ".git", worktree / ".git"
    admin, common = git_folders(worktree)
    if admin is not None:
        yield from ((f"worktree's {name}", admin / name) for name in _WORKTREE_FILES)
    if common is not None:
        yield from ((f".git/{name}", common / name) for name in _COMMON_FILES)
        for folder in _COMMON_FOLDERS:
            for path in sorted((common / folder).rglob("*")):
                yield f".git/{path.relative_to(common)}", path


def _digest(path: Path) -> str:
    try:
        found = path.lstat()
        if path.is_symlink():
            return f"link {path.readlink()}"
        if not path.is_file():
            return f"{found.st_mode:o}"
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return f"{found.st_mode:o} {found.st_size} {sha256(content).hexdigest()}"
