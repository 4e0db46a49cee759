"""The pool of checkouts: each has a lock that the death of its holder frees."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from autopack.adapters.git_command import Git
from autopack.adapters.git_sizes import ChangeLimits
from autopack.adapters.git_worktree import GitWorktree, Slot, mark_of
from autopack.adapters.remains import discard, is_aside, put_aside
from autopack.errors import WorkspaceError

# Nothing a tree says of its files applies: no filter runs, no line end and no encoding is converted, and whether
# a file is text shows in its content. This file comes before every .gitattributes.
ATTRIBUTES = "* !filter -text !eol -ident !working-tree-encoding !diff !merge !whitespace\n"
REPOSITORY_LOCK_SECONDS = 120


class WorktreePool:
    """Checkouts ``slot-0``, ``slot-1`` and so on, made when needed and kept."""

    def __init__(
        self,
        git: Git,
        *,
        state_folder: Path,
        common_folder: Path,
        object_format: str,
        max_slots: int,
        modules_of: Callable[[str], Sequence[str]],
        limits: ChangeLimits,
    ) -> None:
        """Use the pool of a repository.

        Args:
            git: Git on the operator's repository.
            state_folder: Where the checkouts, their locks and our own configuration are.
            common_folder: The repository's ``.git``.
            object_format: ``sha1`` or ``sha256``.
            max_slots: How many checkouts there may be at most.
            modules_of: The submodules of a commit.
            limits: How much is taken from a checkout as its change.
        """
        self._git = git
        self._folder = state_folder / "worktrees"
        self._locks = state_folder / "locks"
        self._own = state_folder / "git"
        self._common = common_folder
        self._object_format = object_format
        self._max_slots = max_slots
        self._modules_of = modules_of
        self._limits = limits

    @contextmanager
    def take(self) -> Iterator[GitWorktree]:
        """The free checkout with the lowest number; those that somebody will look for again come last.

        Raises:
            WorkspaceError: All are in use, or a checkout cannot be made.
        """
        for number in sorted(range(self._max_slots), key=lambda it: (self._slot(it).mark.exists(), it)):
            with self.hold(number) as (slot, inherited):
                if slot is None:
                    continue
                yield self._worktree(slot, inherited)
                return
        raise WorkspaceError(
            f"all {self._max_slots} worktrees in {self._folder} are in use",
            hint="Run fewer workers at a time, or end those that hang.",
        )

    @contextmanager
    def marked(
        self, mark: str, commit: str, *, patience_seconds: float = REPOSITORY_LOCK_SECONDS
    ) -> Iterator[GitWorktree | None]:
        """See ``Workspace.marked``; waits so long for another process that holds the checkout."""
        slot = self._slot(int(mark.partition(":")[0]))
        if mark_of(slot) != mark:
            yield None
            return
        # Git of the process that died may have its last word there.
        with self.hold(slot.number, patience_seconds=patience_seconds) as (held, inherited):
            admin = self._admin_of(slot)
            if mark_of(slot) != mark:
                yield None
                return
            if held is None:
                # Whoever holds it has not used it yet: what is in it may still be had.
                raise WorkspaceError(f"{slot.path} cannot be read now: another process holds it")
            if admin is None or not _is_as_left(slot, admin):
                yield None
                return
            worktree = self._worktree(slot, inherited)
            worktree.resume(commit, admin)
            yield worktree

    def _slot(self, number: int) -> Slot:
        return Slot(number=number, folder=self._folder)

    @contextmanager
    def hold(
        self, number: int, *, patience_seconds: float = 0
    ) -> Iterator[tuple[Slot | None, tuple[int, ...]]]:
        """Hold the slot's lock: the slot, or None when someone else does; and the lock's file descriptors."""
        descriptors: list[int] = []
        self._locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(
            self._locks / f"worktree-{number}.lock",
            timeout=patience_seconds,
            thread_local=False,
            on_acquired=descriptors.append,
        )
        try:
            lock.acquire()
        except Timeout:
            yield None, ()
            return
        try:
            yield self._slot(number), tuple(descriptors)
        finally:
            lock.release()

    def numbers(self) -> Sequence[int]:
        """The numbers of the slots that there are, in use or not."""
        paths = (path for path in self._folder.glob("slot-*") if not is_aside(path))
        tails = {path.name.removeprefix("slot-").partition(".")[0] for path in paths}
        return sorted(int(tail) for tail in tails if tail.isdigit())

    def put_aside(self) -> Sequence[Path]:
        """What of checkouts could not be removed."""
        return put_aside(self._folder)

    def remove(self, slot: Slot) -> Sequence[Path]:
        """Delete a checkout whose lock the caller holds, and the repository's note of it.

        Returns:
            Where that is now which cannot be deleted, since it is another user's; the slot is free all the same.

        Raises:
            OSError: It can be neither deleted nor put aside.
        """
        left = [rest for path in slot.everything if (rest := discard(path))]
        if admin := self._admin_of(slot):
            shutil.rmtree(admin, ignore_errors=True)
        return left

    def _worktree(self, slot: Slot, inherited: tuple[int, ...]) -> GitWorktree:
        # Windows passes no descriptors on; there a slot is free a moment early.
        git = replace(self._git, inherited=() if sys.platform == "win32" else inherited)
        own = git.at(GIT_COMMON_DIR=self._own, GIT_OBJECT_DIRECTORY=self._common / "objects")
        return GitWorktree(
            slot,
            own,
            prepare=lambda: self._prepare(slot, git),
            remake=lambda: self._remake(slot, git),
            modules_of=self._modules_of,
            limits=self._limits,
        )

    def _prepare(self, slot: Slot, git: Git) -> Path:
        admin = self._admin_of(slot)
        is_whole = admin is not None and (admin / "commondir").is_file()
        if admin is None or not is_whole or not _is_as_left(slot, admin):
            self._remake(slot, git)
            admin = self._admin_of(slot)
        if admin is None:
            raise WorkspaceError(f"git keeps no note of the worktree {slot.path}")
        self._mend_link(slot, admin)
        return admin

    def _mend_link(self, slot: Slot, admin: Path) -> None:
        # An older git may write the link another way.
        if not _is_as_left(slot, admin):
            (slot.path / ".git").write_text(_link_to(admin), "utf-8")

    def _remake(self, slot: Slot, git: Git) -> None:
        try:
            self.remove(slot)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write_own_configuration()
            # Two additions at a time may choose the same name for their notes.
            with FileLock(self._locks / "repository.lock", timeout=REPOSITORY_LOCK_SECONDS):
                self._drop_half_made(slot)
                git.run("worktree", "add", "-f", "--detach", "--no-checkout", str(slot.path), "HEAD")
        except (OSError, Timeout) as exc:
            raise WorkspaceError(f"cannot make the worktree {slot.path}: {exc}") from exc

    def _drop_half_made(self, slot: Slot) -> None:
        """Remove notes that a killed git began and that name no place; our lock keeps living ones out."""
        for folder in (self._common / "worktrees").glob(f"{slot.path.name}*"):
            if (folder / "locked").is_file() and not (folder / "gitdir").is_file():
                shutil.rmtree(folder)

    def _admin_of(self, slot: Slot) -> Path | None:
        """The folder in which the repository notes this worktree; it need not bear the slot's name."""
        wanted = str(slot.path / ".git")
        notes = self._common / "worktrees"
        for folder in notes.iterdir() if notes.is_dir() else ():
            gitdir = folder / "gitdir"
            if gitdir.is_file() and gitdir.read_text("utf-8", "replace").strip() == wanted:
                return folder
        return None

    def _write_own_configuration(self) -> None:
        """What git reads in place of the repository's own configuration, attributes and exclusions."""
        version = 0 if self._object_format == "sha1" else 1
        extension = "" if version == 0 else f"[extensions]\n\tobjectFormat = {self._object_format}\n"
        (self._own / "refs").mkdir(parents=True, exist_ok=True)
        (self._own / "info").mkdir(exist_ok=True)
        for name, text in (
            ("HEAD", "ref: refs/heads/none\n"),
            ("config", f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{extension}"),
            ("info/attributes", ATTRIBUTES),
            ("info/exclude", ""),
        ):
            path = self._own / name
            if not path.is_file() or path.read_text("utf-8") != text:
                path.write_text(text, "utf-8")


def _is_as_left(slot: Slot, admin: Path) -> bool:
    """Whether the checkout is a folder with our link in it; one where that was replaced is not trusted any more."""
    link = slot.path / ".git"
    is_folder = slot.path.is_dir() and not slot.path.is_symlink()
    is_file = link.is_file() and not link.is_symlink()
    return is_folder and is_file and link.read_text("utf-8", "replace") == _link_to(admin)


def _link_to(admin: Path) -> str:
    return f"gitdir: {admin}\n"
