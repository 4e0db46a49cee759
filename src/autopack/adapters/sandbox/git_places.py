"""The repository as a room sees it: its history, and of its configuration what is no secret."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_SECTION = re.compile(r"\s*\[\s*([\w.-]+)")
_FORMAT = re.compile(r"\s*(objectformat|refstorage|compatobjectformat)\s*=", re.IGNORECASE)
_LONGEST_LINE_BYTES = 1 << 14
_HISTORY = ("HEAD", "objects", "refs", "reftable", "packed-refs", "shallow", "info")
_PRIVATE = frozenset({"config.worktree", "logs", "modules", "FETCH_HEAD"})


def configurations(root: Path, cache_folder: Path) -> Iterator[tuple[Path, Path]]:
    """Files of git's configuration, in which logins may stand, each with a file of ours to be read in its place.

    Args:
        root: The operator's repository.
        cache_folder: Where the stand-in is kept; it says how the repository is stored and nothing else.
    """
    git = git_folder(root)
    found = (
        [] if git is None else [it for name in ("config", "config.worktree") if (it := git / name).is_file()]
    )
    if found:
        stand_in = _stand_in(found[0], cache_folder)
        yield from ((path, stand_in) for path in found)


def _stand_in(config: Path, folder: Path) -> Path:
    text = harmless_configuration(config.read_text("utf-8", errors="replace"))
    path = folder / "sandbox-git-config"
    if not path.is_file() or path.read_text("utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(text, "utf-8")
        fresh.replace(path)
    return path


def git_folder(root: Path) -> Path | None:
    """The repository's own folder, which a linked worktree's ``.git`` leads to; None where there is none."""
    return git_folders(root)[1]


def git_folders(worktree: Path) -> tuple[Path | None, Path | None]:
    """A worktree's own folder in its repository, and the repository's; None for what cannot be told.

    Whoever works in the worktree may have written the link: it is read as no more than a short line.
    """
    link = worktree / ".git"
    try:
        if link.is_dir():
            return link.resolve(), link.resolve()
        admin = worktree / _first_line(link).removeprefix("gitdir:").strip()
        if (admin / "objects").is_dir() and not (admin / "commondir").exists():
            # A submodule's, or one that was made to lie elsewhere.
            return admin.resolve(), admin.resolve()
        return admin, (admin / _first_line(admin / "commondir").strip()).resolve()
    except (OSError, ValueError):
        # A ValueError is what a name with a zero byte in it brings.
        return None, None


def _first_line(path: Path) -> str:
    if not path.is_file():
        # A pipe would be waited for.
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        return os.fsdecode(file.readline(_LONGEST_LINE_BYTES))


def history(git: Path, worktree: Path) -> Iterator[Path]:
    """What a room shows of a repository: what git needs to tell its history, and nothing where logins may stand.

    Args:
        git: The repository's own folder.
        worktree: Of which the room is.
    """
    yield worktree / ".git"
    yield from (path for name in _HISTORY if (path := git / name).exists())
    admin, _ = git_folders(worktree)
    if admin is not None and admin.resolve().parent == git / "worktrees":
        yield from (path for path in sorted(admin.iterdir()) if path.name not in _PRIVATE)
    yield from alternates(git)


def harmless_configuration(text: str) -> str:
    """A configuration that says how objects and references are stored, and nothing else of ``text``."""
    section, kept = "", []
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = found[1].lower()
        elif section == "extensions" and _FORMAT.match(line):
            kept.append(line)
    version = 1 if kept else 0
    extensions = ["[extensions]", *kept] if kept else []
    return "\n".join(("[core]", f"\trepositoryformatversion = {version}", "\tbare = false", *extensions, ""))


def alternates(git: Path) -> Iterator[Path]:
    """Stores of other repositories in which this one's objects may be."""
    try:
        lines = (git / "objects/info/alternates").read_text("utf-8").splitlines()
    except OSError:
        return
    yield from (git / "objects" / line for line in lines if line and not line.startswith("#"))
