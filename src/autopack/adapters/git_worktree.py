"""One checkout of the pool: reset, written, read as a difference, committed.

The folder is an ordinary linked worktree, so that an agent finds a repository in it. We ourselves look at it
through a configuration and an index of our own: nothing that an agent does to the index, the ``.git`` file or
the attributes changes what we see, and no filter or hook runs. Line ends are never converted: a file here
has the very bytes of its blob.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from autopack.adapters.file_edits import write_edits
from autopack.adapters.git_capture import add_all, check_name, readable, remove, sweep, unlock
from autopack.adapters.git_command import DURABLE, Git
from autopack.adapters.git_sizes import ChangeLimits, check_sizes
from autopack.domain.change import EditAction, FileEdit
from autopack.errors import UntakeableError, WorkspaceError

_PATCH = (
    "--cached",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--ignore-submodules=none",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_NO_OBJECT = "0" * 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a worktree of the pool and what belongs to it are."""

    number: int
    folder: Path
    """The worktrees' common parent."""

    @property
    def path(self) -> Path:
        """The checkout."""
        return self.folder / f"slot-{self.number}"

    @property
    def index(self) -> Path:
        """Our own index of the checkout, which nobody else writes."""
        return self.folder / f"slot-{self.number}.index"

    @property
    def scratch(self) -> Path:
        """A folder for the time of one operation."""
        return self.folder / f"slot-{self.number}.scratch"

    @property
    def stamp(self) -> Path:
        """Holds the newest time of modification that we gave to a file."""
        return self.folder / f"slot-{self.number}.stamp"

    @property
    def mark(self) -> Path:
        """Holds the name under which somebody will look for the checkout as it is."""
        return self.folder / f"slot-{self.number}.mark"

    @property
    def everything(self) -> tuple[Path, ...]:
        """All of it."""
        return (self.path, self.index, self.scratch, self.stamp, self.mark)


def mark_of(slot: Slot) -> str:
    """The name under which somebody will look for the checkout; empty where nobody will."""
    try:
        return slot.mark.read_text("ascii")
    except OSError:
        return ""


class GitWorktree:
    """Implements ``Worktree``."""

    def __init__(
        self,
        slot: Slot,
        git: Git,
        *,
        prepare: Callable[[], Path],
        remake: Callable[[], None],
        modules_of: Callable[[str], Sequence[str]],
        limits: ChangeLimits,
    ) -> None:
        """Use a checkout.

        Args:
            slot: A slot whose lock this process holds.
            git: Git with our own configuration on the repository's objects.
            prepare: Makes sure of the checkout's link to the repository and gives its administrative folder.
            remake: Throws the checkout away and makes it anew.
            modules_of: The submodules of a commit; raises WorkspaceError when there is no such commit.
            limits: How much ``diff`` takes.
        """
        self.path = slot.path
        self._slot = slot
        self._shared_git = git
        self._prepare = prepare
        self._remake = remake
        self._modules_of = modules_of
        self._limits = limits
        self._admin = Path()
        self._commit = ""
        self._written: dict[str, FileEdit | None] = {}

    def reset(self, commit: str) -> None:
        """See ``Worktree.reset``; files that stay the same keep their time of modification."""
        modules = self._modules_of(commit)
        failure: WorkspaceError | OSError | None = None
        for repair in (None, self._drop_index, self._remake):
            try:
                if repair is not None:
                    repair()
                self._reset(commit, modules)
            except (WorkspaceError, OSError) as exc:
                failure = exc
            else:
                break
        else:
            raise WorkspaceError(f"cannot reset {self.path} to {commit[:12]}: {failure}") from failure
        self._commit = commit
        self._written = {}

    def resume(self, commit: str, admin: Path) -> None:
        """Go on with a checkout of ``commit`` as another process left it."""
        self._commit, self._admin, self._written = commit, admin, {}

    def mark(self, note: Callable[[str], object]) -> None:
        """See ``Worktree.mark``."""
        name = f"{self._slot.number}:{uuid4().hex}"
        note(name)
        _replace(self._slot.mark, name.encode())

    def unmark(self) -> None:
        """See ``Worktree.unmark``."""
        self._slot.mark.unlink(missing_ok=True)

    def write(self, edits: Sequence[FileEdit]) -> None:
        """See ``Worktree.write``."""
        self._base()
        write_edits(self.path, edits, staging=self._slot.scratch, mtime=self._next_stamp())
        for edit in edits:
            if edit.old_path:
                self._written[edit.old_path] = None
        for edit in edits:
            self._written[edit.path] = None if edit.action is EditAction.DELETE else edit

    def diff(self) -> str:
        """See ``Worktree.diff``; bytes that are not UTF-8 become surrogates, as ``surrogateescape`` has it.

        Files that the repository ignores are left out, unless ``write`` wrote them; ``ignored`` names them.
        Repositories that were made inside lose their ``.git``: their files are files like all others.

        Raises:
            UntakeableError: A file's name is not UTF-8, or none that git takes; a file was put into a submodule, or
                cannot be read; or the change is too large.
        """
        base = self._base()
        with self._scratch() as scratch:
            readable(self.path, self._clear)
            check_sizes(self._git(), self.path, base, self._limits)
            git = self._capture(self._with_own_objects(scratch))
            names = git.run("diff-index", "--cached", "--name-only", "-z", "--no-renames", base)
            for name in names.split(b"\0"):
                check_name(name)
            return git.run("diff-index", *_PATCH, base).decode("utf-8", "surrogateescape")

    def ignored(self) -> Sequence[str]:
        """Files and folders (with ``/`` at the end) that the repository's ``.gitignore`` keeps out of ``diff``."""
        self._base()
        listed = self._git().run("ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z")
        return [path for path in os.fsdecode(listed).split("\0")[:-1] if path not in self._written]

    def commit(self, *, message: str, parent: str) -> str:
        """See ``Worktree.commit``.

        What ``write`` wrote since the reset is the change: files that a test run left behind or altered are not
        part of it. Where nothing was written, the change is what ``diff`` shows.
        """
        base = self._base()
        with self._scratch():
            git = self._git()
            if not self._written:
                readable(self.path, self._clear)
            git = self._stage(git, base) if self._written else self._capture(git)
            tree = git.run(*DURABLE, "write-tree").decode().strip()
        # The same change on the same parent must be the same commit, whenever it is made: a process that died
        # after the commit makes it again.
        date = f"@{int(git.line('show', '-s', '--format=%ct', parent)) + 1} +0000"
        dated = git.at(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        made = dated.run(*DURABLE, "commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode())
        return made.decode().strip()

    # --- resetting

    def _reset(self, commit: str, modules: Sequence[str]) -> None:
        self.unmark()
        admin = self._admin = self._prepare()
        for lock in (self._index_lock(), admin / "index.lock", admin / "HEAD.lock"):
            # Nobody else may be at work here: the slot is ours, and git of a dead owner keeps the slot's lock.
            lock.unlink(missing_ok=True)
        # An agent may have switched to a branch, and a reset would move it.
        _replace(admin / "HEAD", f"{commit}\n".encode())
        stamp = self._next_stamp()
        started = self._slot.stamp.stat().st_mtime_ns
        git = self._git()
        git.run("reset", "--hard", "-q", commit)
        git.run("clean", "-ffdxq")
        self._empty(modules)
        fresh = [
            entry for entry in sweep(self.path) if entry.stat(follow_symlinks=False).st_mtime_ns >= started
        ]
        for entry in fresh:
            os.utime(entry, (stamp, stamp), follow_symlinks=False)
        if fresh:
            git.run("update-index", "-q", "--refresh")
        if left := git.run("status", "--porcelain", "-z", "--ignored"):
            raise WorkspaceError(f"{self.path} is not clean: {os.fsdecode(left.split(bytes(1))[0])}")
        # Git compares seconds. It reads files that were modified when the index was, or later, whatever their size
        # and times are: with this, all that this reset has written.
        os.utime(self._slot.index, (stamp, stamp))
        _copy(self._slot.index, admin / "index")

    def _drop_index(self) -> None:
        self._slot.index.unlink(missing_ok=True)
        # What an agent locked is still ours to remove.
        unlock(self.path)

    def _empty(self, modules: Sequence[str]) -> None:
        for module in modules:
            folder = self.path / module
            if folder.is_symlink() or not folder.is_dir() or any(folder.iterdir()):
                remove(folder)
                folder.mkdir(parents=True)

    def _next_stamp(self) -> int:
        """A second that no file of this slot was modified in by us, so that no compiled module passes for newer.

        Python and make compare whole seconds and sizes; two attempts may well write the same path in one second.
        """
        stamp = self._slot.stamp
        last = int(stamp.read_text() or 0) if stamp.exists() else 0
        stamp.touch()
        fresh = max(int(stamp.stat().st_mtime), last + 1)
        stamp.write_text(str(fresh))
        return fresh

    # --- capturing

    def _clear(self) -> None:
        """Take away what would hide files from git, and refuse what no change can hold."""
        for module in self._modules_of(self._commit):
            folder = self.path / module
            if folder.is_dir() and any(folder.iterdir()):
                raise UntakeableError(
                    f"{module} is a submodule: files in it cannot be part of a change",
                    hint="Leave the submodule's folder empty, or take it out of the scope.",
                )
        for _ in sweep(self.path):
            pass

    def _capture(self, git: Git) -> Git:
        """Git with an index of all files as they are, ignored ones left out."""
        git = self._with_scratch_index(git)
        readable(self.path, partial(add_all, git))
        forced = "".join(f"{path}\0" for path in self._written)
        git.run("update-index", "--add", "--remove", "-z", "--stdin", stdin=os.fsencode(forced))
        return git

    def _stage(self, git: Git, base: str) -> Git:
        """Git with an index of the base and what was written, whatever the files are by now."""
        git = self._with_scratch_index(git)
        git.run("read-tree", base)
        edits = [edit for edit in self._written.values() if edit is not None]
        files = [self._slot.scratch / f"blob-{number}" for number in range(len(edits))]
        for file, edit in zip(files, edits, strict=True):
            file.write_bytes(edit.content or b"")
        listing = "".join(f"{file}\n" for file in files).encode()
        ids = (
            git.run(*DURABLE, "hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listing)
            .decode()
            .split()
        )
        gone = [f"0 {_NO_OBJECT}\t{path}" for path, edit in self._written.items() if edit is None]
        here = [f"{edit.mode} {object_id}\t{edit.path}" for edit, object_id in zip(edits, ids, strict=True)]
        entries = "".join(f"{line}\0" for line in (*gone, *here))
        git.run("update-index", "--replace", "-z", "--index-info", stdin=entries.encode())
        return git

    def _with_scratch_index(self, git: Git) -> Git:
        index = self._slot.scratch / "index"
        # A copy keeps what is known of unchanged files, which then need not be read again.
        _copy(self._slot.index, index)
        return git.at(GIT_INDEX_FILE=index)

    def _with_own_objects(self, scratch: Path) -> Git:
        """Git that writes objects to ``scratch``: looking at a change leaves nothing in the repository."""
        objects = scratch / "objects"
        (objects / "info").mkdir(parents=True)
        git = self._git()
        (objects / "info" / "alternates").write_text(f"{git.env['GIT_OBJECT_DIRECTORY']}\n", "utf-8")
        return git.at(GIT_OBJECT_DIRECTORY=objects)

    def _scratch(self) -> "_Scratch":
        return _Scratch(self._slot.scratch)

    # --- git

    def _git(self) -> Git:
        return self._shared_git.at(
            self.path, GIT_DIR=self._admin, GIT_WORK_TREE=self.path, GIT_INDEX_FILE=self._slot.index
        )

    def _index_lock(self) -> Path:
        return self._slot.index.with_name(f"{self._slot.index.name}.lock")

    def _base(self) -> str:
        if not self._commit:
            raise WorkspaceError(f"{self.path} holds nothing yet: it must be reset to a commit first")
        return self._commit


class _Scratch:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        shutil.rmtree(self._path, ignore_errors=True)
        self._path.mkdir(parents=True)
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path, ignore_errors=True)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def _copy(index: Path, to: Path) -> None:
    """Copy an index with its time, without which git would trust files that it must read."""
    fresh = to.with_name(f"{to.name}.new")
    shutil.copy2(index, fresh)
    fresh.replace(to)
