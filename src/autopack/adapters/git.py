"""The operator's repository through git: commits, run branches, and a pool of worktrees."""

import os
import subprocess
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

from autopack.adapters.git_command import DURABLE, Git, check_version, find_revision
from autopack.adapters.git_merge import are_related, holds, is_ancestor, merge
from autopack.adapters.git_pool import WorktreePool
from autopack.adapters.git_sizes import ChangeLimits
from autopack.adapters.git_tree import CommitTree, ObjectReader
from autopack.adapters.git_worktree import GitWorktree
from autopack.domain.attempt import AttemptAddress
from autopack.errors import NoCommitError, WorkspaceError

BRANCH_FOLDER = "autopack"
_BRANCHES = "refs/heads/"
CACHED_TREES = 8
PAGE = 500
"""Commits that are looked at together when one is searched for."""
MAX_SLOTS = 64
_DEFAULT_LIMITS = ChangeLimits()
_PATIENT = ("-c", "core.filesRefLockTimeout=2000")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a repository is, in git's own words."""

    git_folder: Path
    common_folder: Path
    """The folder that its worktrees share."""
    object_format: str
    """``sha1`` or ``sha256``."""
    top: Path
    """The top folder of the operator's checkout."""


_FACTS = len(fields(_Place)) + 1


class GitWorkspace:
    """Implements ``Workspace``. The operator's checkout, index, HEAD and configuration are never written.

    In the repository it leaves branches ``autopack/*``, the commits on them, and git's own notes of the worktrees.
    """

    def __init__(
        self, place: _Place, git: Git, *, state_folder: Path, max_slots: int, limits: ChangeLimits
    ) -> None:
        """Use ``open_workspace``, which checks that these belong together."""
        self.root = place.top
        self.state_folder = state_folder
        self._common = place.common_folder
        self._git = git
        reader = ObjectReader(git)
        # Not bound to self, which would keep us alive until a garbage collection, and the reader's process with us.
        self._tree = lru_cache(CACHED_TREES)(partial(CommitTree, git, reader))
        tree = self._tree
        self.pool = WorktreePool(
            git,
            state_folder=state_folder,
            common_folder=place.common_folder,
            object_format=place.object_format,
            max_slots=max_slots,
            modules_of=lambda commit: tree(commit).modules,
            limits=limits,
        )
        self.close = weakref.finalize(self, reader.close)
        """Ends what this workspace keeps running; done by itself when the workspace is dropped."""

    def resolve(self, revision: str) -> str:
        """See ``Workspace.resolve``."""
        commit = self._find(revision)
        if commit is None:
            raise NoCommitError(
                f"the repository {self.root} has no commit {revision!r}",
                hint="Check the spelling (`git branch -a` and `git tag` list names), or fetch it first.",
            )
        return commit

    def run_head(self, run_id: str, *, base: str) -> str:
        """See ``Workspace.run_head``.

        Raises:
            WorkspaceError: There is no ``base``, git allows no branch of this name, or the operator has the
                branch checked out.
        """
        ref = _ref(run_id)
        self._refuse_checked_out(run_id)
        if head := self._find(ref):
            return head
        commit = self.resolve(base)
        made = self._update_ref(ref, commit, "0" * len(commit), why="run begun")
        # Another process may have been first; what counts is where the branch is now.
        if head := self._find(ref):
            return head
        raise WorkspaceError(
            f"cannot make branch {self.branch_of(run_id)}: {_last_line(made.stderr)}",
            hint=f"A branch that is called {BRANCH_FOLDER!r} alone, or a name that git does not allow, is in the way.",
        )

    def advance(self, run_id: str, *, old: str, new: str) -> bool:
        """See ``Workspace.advance``.

        Raises:
            WorkspaceError: The operator has the branch checked out, or git cannot write it.
        """
        ref = _ref(run_id)
        self._refuse_checked_out(run_id)
        moved = self._update_ref(ref, new, old, why="phase complete")
        if moved.returncode and self._find(ref) == self._find(old):
            raise WorkspaceError(f"cannot move branch {self.branch_of(run_id)}: {_last_line(moved.stderr)}")
        return not moved.returncode

    def bring(self, run_id: str, commit: str, *, base: str, message: str) -> str:
        """See ``Workspace.bring``."""
        head = self.run_head(run_id, base=base)
        new = self._joined(head, commit, message=message)
        if new != head and not self.advance(run_id, old=head, new=new):
            raise WorkspaceError(
                f"branch {self.branch_of(run_id)} moved while {commit[:12]} was brought into it",
                hint="Try again when nothing works on the run.",
            )
        return new

    def brought(self, run_id: str, commit: str, *, base: str, message: str) -> str:
        """See ``Workspace.brought``."""
        return self._joined(self.run_head(run_id, base=base), commit, message=message)

    def _joined(self, head: str, commit: str, *, message: str) -> str:
        # The very question by which a phase that failed is found to have the fix, or to lack it.
        if holds(self._git, head, commit):
            return head
        is_behind = is_ancestor(self._git, head, commit)
        return commit if is_behind else merge(self._git, head, commit, message=message)

    def holds(self, head: str, commit: str) -> bool:
        """See ``Workspace.holds``."""
        return holds(self._git, head, commit)

    def are_related(self, one: str, other: str) -> bool:
        """See ``Workspace.are_related``."""
        return are_related(self._git, one, other)

    def find_branch(self, revision: str) -> str | None:
        """See ``Workspace.find_branch``."""
        words = ("rev-parse", "--verify", "-q", "--symbolic-full-name", "--end-of-options", revision)
        name = self._git.attempt(*words).stdout.decode("utf-8", "surrogateescape").strip()
        return name.removeprefix(_BRANCHES) if name.startswith(_BRANCHES) else None

    def history(self, commit: str, *, limit: int) -> Sequence[str]:
        """See ``Workspace.history``."""
        return self._git.line("rev-list", "--first-parent", f"--max-count={limit}", commit).split()

    def find_commit(self, address: AttemptAddress) -> str | None:
        """See ``Workspace.find_commit``."""
        wanted = {
            f"Autopack-Run: {address.run_id}",
            f"Autopack-Phase: {address.phase_id}",
            f"Autopack-Attempt: {address.number}",
        }
        for page in self._pages(_ref(address.run_id)):
            lines_of = {commit: set(message.splitlines()) for commit, message in page}
            for commit, lines in lines_of.items():
                if wanted <= lines:
                    return commit
            # The operator may have added commits of their own; a long stretch without ours lies before the run.
            if not any(f"Autopack-Run: {address.run_id}" in lines for lines in lines_of.values()):
                return None
        return None

    def tree(self, commit: str) -> CommitTree:
        """See ``Workspace.tree``; the same commit gives the same object."""
        return self._tree(commit)

    def changed_paths(self, old: str, new: str) -> Sequence[str]:
        """See ``Workspace.changed_paths``."""
        names = self._git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
        return sorted(os.fsdecode(names).split("\0")[:-1])

    def marked(self, mark: str, commit: str) -> AbstractContextManager[GitWorktree | None]:
        """See ``Workspace.marked``."""
        return self.pool.marked(mark, commit)

    def worktree(self) -> AbstractContextManager[GitWorktree]:
        """See ``Workspace.worktree``; raises WorkspaceError when all checkouts are in use."""
        return self.pool.take()

    def ensure_clean(self, base: str) -> None:
        """Refuse a base that the operator takes to hold what they have not committed.

        Raises:
            WorkspaceError: ``base`` is what the operator has checked out, and tracked files differ from it.
        """
        branch = self._git.attempt("symbolic-ref", "-q", "HEAD").stdout.decode().strip()
        names = {"HEAD", "@", branch, branch.removeprefix("refs/"), branch.removeprefix("refs/heads/")}
        if base not in names - {""}:
            return
        # As the operator sees it: with their line ends and filters, which are theirs to run in their checkout.
        own_view = Git(cwd=self.root, reads_user_config=True, as_configured=True)
        changed = own_view.run("status", "--porcelain", "-z", "-uno", "--ignore-submodules=dirty")
        if changed:
            first = os.fsdecode(changed.split(b"\0")[0])[3:]
            total = changed.count(b"\0")
            raise WorkspaceError(
                f"base {base!r} is checked out in {self.root} with {total} uncommitted changes, {first} among them",
                hint="Commit or stash them; or name a commit as the base, to leave them out.",
            )

    def branch_of(self, run_id: str) -> str:
        """The name of a run's branch."""
        return f"{BRANCH_FOLDER}/{run_id}"

    def is_checked_out(self, run_id: str) -> bool:
        """Whether the operator has the run's branch checked out somewhere."""
        return self._checkout_of(run_id) is not None

    def branches(self) -> Sequence[tuple[str, str, float]]:
        """Run id, head and time of the last commit of every run branch, by run id."""
        listed = self._git.line(
            "for-each-ref",
            "--format=%(objectname) %(committerdate:unix) %(refname)",
            f"refs/heads/{BRANCH_FOLDER}/",
        )
        rows = [line.split(" ", 2) for line in listed.splitlines()]
        return [(ref.removeprefix(_ref("")), head, float(at)) for head, at, ref in rows]

    def is_merged(self, head: str) -> bool:
        """Whether a branch that is not a run's holds the commit."""
        listed = self._git.line(
            "for-each-ref", "--contains", head, "--format=%(refname)", "refs/heads", "refs/remotes"
        )
        return any(not ref.startswith(_ref("")) for ref in listed.splitlines())

    def delete_branch(self, run_id: str, *, head: str) -> bool:
        """Delete a run's branch that is still at ``head``; whether it was. Raises WorkspaceError when checked out."""
        self._refuse_checked_out(run_id)
        return not self._git.attempt("update-ref", "-d", _ref(run_id), head).returncode

    def _update_ref(self, ref: str, new: str, old: str, *, why: str) -> subprocess.CompletedProcess[bytes]:
        lock = self._common / f"{ref}.lock"
        before = _identity(lock)
        words = (*DURABLE, *_PATIENT, "update-ref", "-m", f"autopack: {why}", ref, new, old)
        done = self._git.attempt(*words)
        if done.returncode and before is not None and _identity(lock) == before:
            # Git holds it for milliseconds; one that outlasted our patience is of a git that was killed with us.
            lock.unlink(missing_ok=True)
            done = self._git.attempt(*words)
        return done

    def _find(self, revision: str) -> str | None:
        return find_revision(self._git, revision)

    def _pages(self, ref: str) -> Iterator[list[tuple[str, str]]]:
        if self._find(ref) is None:
            return
        for page in count():
            window = (f"--max-count={PAGE}", f"--skip={page * PAGE}")
            text = self._git.run("log", "-z", "--first-parent", "--format=%H%n%B", *window, ref, "--")
            if not text:
                return
            records = text.decode("utf-8", "replace").split("\0")
            yield [(record[: record.find("\n")], record) for record in records if record]

    def _refuse_checked_out(self, run_id: str) -> None:
        if place := self._checkout_of(run_id):
            branch = self.branch_of(run_id)
            raise WorkspaceError(
                f"branch {branch} is checked out in {place}, which would no longer match it",
                hint=f"Switch that checkout to another branch, or look at a copy: git switch -c look {branch}",
            )

    def _checkout_of(self, run_id: str) -> str | None:
        """Where the operator has the run's branch checked out."""
        listed = os.fsdecode(self._git.run("worktree", "list", "--porcelain"))
        for block in listed.split("\n\n"):
            lines = block.splitlines()
            place = lines[0].removeprefix("worktree ") if lines else ""
            # An agent may leave one of our own checkouts on any branch; the next reset takes it off.
            if f"branch {_ref(run_id)}" in lines and not Path(place).is_relative_to(self.state_folder):
                return place
        return None


def open_workspace(
    root: Path,
    *,
    state_folder: Path,
    max_slots: int = MAX_SLOTS,
    limits: ChangeLimits = _DEFAULT_LIMITS,
) -> GitWorkspace:
    """The repository at ``root``.

    Args:
        root: The top folder of the operator's checkout.
        state_folder: Where worktrees and locks are kept; made, and hidden from git, when missing.
        max_slots: How many worktrees there may be at a time.
        limits: How much is taken from a worktree as its change.

    Raises:
        WorkspaceError: There is no git repository with a checkout and a commit, or the folder cannot be written.
    """
    place = _discover(root.resolve())
    if place.top != root.resolve():
        raise WorkspaceError(f"{root} is not the top folder of its repository", hint=f"Use {place.top}.")
    state_folder = state_folder.resolve()
    _make_state_folder(state_folder)
    git = Git(cwd=place.top, env={"GIT_DIR": str(place.git_folder)})
    if git.attempt("rev-parse", "--verify", "-q", "HEAD^{commit}").returncode:
        raise WorkspaceError(
            f"the repository {root} has no commit yet",
            hint="Make a first one: git add -A && git commit -m 'first commit'",
        )
    return GitWorkspace(place, git, state_folder=state_folder, max_slots=max_slots, limits=limits)


def _discover(root: Path) -> _Place:
    if not root.is_dir():
        raise WorkspaceError(f"there is no folder {root}")
    git = Git(cwd=root, reads_user_config=True)
    check_version(git)
    # The top folder last: of a repository without a checkout all the rest is told before git gives up on it.
    asked = git.attempt(
        *("rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir"),
        *("--show-object-format", "--show-toplevel"),
    )
    if b"dubious ownership" in asked.stderr:
        raise WorkspaceError(
            f"the repository {root} belongs to another user",
            hint=f"If you trust it: git config --global --add safe.directory {root}",
        )
    told = os.fsdecode(asked.stdout).splitlines()
    if len(told) < _FACTS - 1:
        raise WorkspaceError(
            f"{root} is not a git repository", hint="Run it in your repository, or `git init` first."
        )
    if asked.returncode or told[0] == "true":
        raise WorkspaceError(
            f"the repository {root} has no checkout (it is bare)", hint="Clone it, and use the clone."
        )
    _, git_folder, common_folder, object_format, top = told
    return _Place(
        git_folder=Path(git_folder),
        common_folder=(root / common_folder).resolve(),
        object_format=object_format,
        top=Path(top).resolve(),
    )


def _make_state_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            # Hides the folder from the operator's git without touching a file of theirs.
            ignore.write_text("*\n", "utf-8")
    except OSError as exc:
        raise WorkspaceError(
            f"cannot make the state folder {folder}: {exc.strerror}",
            hint="Autopack keeps worktrees, logs and locks there and needs to write to it.",
        ) from exc


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from a later one of its name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _ref(run_id: str) -> str:
    return f"refs/heads/{BRANCH_FOLDER}/{run_id}"


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "git said nothing"
