"""The operator's repository: commits, run branches, worktrees."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.domain.change import FileEdit


class Tree(Protocol):
    """The files of one commit, read without a checkout."""

    commit: str

    def read(self, path: str) -> bytes | None:
        """The content of a regular file, or None when there is none at ``path``."""
        ...

    def mode(self, path: str) -> str | None:
        """Git's mode of ``path`` (``100644`` file, ``100755`` program, ``120000`` link, ``160000`` module)."""
        ...

    def paths(self, prefix: str = "") -> Sequence[str]:
        """Keys of all files, links and modules at or below ``prefix``, sorted."""
        ...

    def blobs(self) -> Mapping[str, str]:
        """Git's id of the content of every regular file, by key; links and modules are left out."""
        ...


class Worktree(Protocol):
    """One checkout of the pool, held by this process until it is given back."""

    path: Path

    def reset(self, commit: str) -> None:
        """Make the checkout exactly the tree of ``commit``: no other file, no leftover, nothing staged."""
        ...

    def write(self, edits: Sequence[FileEdit]) -> None:
        """Write all edits or, on any error, none.

        Raises:
            WorkspaceError: A parent is a link or a file, or the disk refused.
        """
        ...

    def mark(self, note: Callable[[str], object]) -> None:
        """Give the checkout as it is a name, by which who comes after this process finds it again.

        It holds until the next reset, or ``unmark``; until then others take the checkout last.

        Args:
            note: Keeps the name; called before it holds, so that no checkout waits for somebody who does not know it.

        Raises:
            OSError: The disk refused; nobody finds the checkout.
        """
        ...

    def unmark(self) -> None:
        """Forget the name; what it was for is done."""
        ...

    def diff(self) -> str:
        """What the checkout's files differ from its commit, new files included, as git's patch text."""
        ...

    def commit(self, *, message: str, parent: str) -> str:
        """A commit of the checkout's files on ``parent``; the same files, message and parent give the same id.

        Where ``write`` wrote since the reset, of the reset's commit with exactly those edits: what a test run left
        behind or altered is no part of it. No branch moves.
        """
        ...


class Workspace(Protocol):
    """The operator's repository: commits, run branches and a pool of worktrees; never its own checkout."""

    def resolve(self, revision: str) -> str:
        """The commit that ``revision`` names.

        Raises:
            NoCommitError: There is none; the hint says what to do (an empty repository, a typing error).
            WorkspaceError: Git could not tell.
        """
        ...

    def run_head(self, run_id: str, *, base: str) -> str:
        """The head of the run's branch; the branch is made at ``base`` when there is none."""
        ...

    def advance(self, run_id: str, *, old: str, new: str) -> bool:
        """Move the run's branch from ``old`` to ``new``; False when it is not at ``old``."""
        ...

    def bring(self, run_id: str, commit: str, *, base: str, message: str) -> str:
        """Make the run's branch contain ``commit``: forward where it can, else by a merge; its new head.

        A branch that has all that the commit brought, as a copy, stays as it is.

        Doing it again changes nothing.

        Raises:
            MergeConflictError: Both changed the same lines; the branch is as it was.
            WorkspaceError: The branch moved meanwhile, or is checked out.
        """
        ...

    def brought(self, run_id: str, commit: str, *, base: str, message: str) -> str:
        """The head that ``bring`` would give the run's branch; no branch moves.

        Raises:
            MergeConflictError: Both changed the same lines.
        """
        ...

    def holds(self, head: str, commit: str) -> bool:
        """Whether ``head`` has all that ``commit`` brought: in its history, or picked, rebased or squashed onto it.

        False where either is not there.
        """
        ...

    def are_related(self, one: str, other: str) -> bool:
        """Whether two commits have any history in common; without it neither can be merged into the other.

        Raises:
            WorkspaceError: Git could not tell.
        """
        ...

    def find_branch(self, revision: str) -> str | None:
        """The local branch that ``revision`` names, as HEAD may; None for what nothing can be added to."""
        ...

    def history(self, commit: str, *, limit: int) -> Sequence[str]:
        """The commit and those before it along first parents, newest first, at most ``limit``."""
        ...

    def find_commit(self, address: AttemptAddress) -> str | None:
        """The commit on the run's branch whose trailers name this phase's attempt, if it is there."""
        ...

    def tree(self, commit: str) -> Tree:
        """The files of ``commit``."""
        ...

    def changed_paths(self, old: str, new: str) -> Sequence[str]:
        """Keys that differ between two commits, sorted."""
        ...

    def marked(self, mark: str, commit: str) -> AbstractContextManager[Worktree | None]:
        """The checkout of ``commit`` that ``Worktree.mark`` named, as it was left; None when it is not so any more.

        Raises:
            WorkspaceError: Somebody else holds it as it is: it cannot be read now.
        """
        ...

    def worktree(self) -> AbstractContextManager[Worktree]:
        """A checkout of the pool, free for others again when the context ends or the process dies."""
        ...
