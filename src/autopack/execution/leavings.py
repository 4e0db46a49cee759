"""What a Builder that edits the worktree left there, taken as its answer; it is paid for, whatever comes of that."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from errno import EIO

from autopack.domain.failure import FailureKind, FailureReport
from autopack.errors import UntakeableError, WorkspaceError
from autopack.execution.failures import fault
from autopack.ports import AnswerFormat, BuildAnswer, PaidAnswer, Worktree

logger = logging.getLogger(__name__)
Marked = Callable[[str, str], AbstractContextManager[Worktree | None]]
"""As ``Workspace.marked``."""
UNREAD = (WorkspaceError, OSError)
"""What keeps a worktree from being read for a while: its change stays in it."""


def undisturbed(marked: Marked, kill_strays: Callable[[], object]) -> Marked:
    """The same worktree, in which nothing that a killed process had running writes any more."""

    @contextmanager
    def found(mark: str, commit: str) -> Iterator[Worktree | None]:
        with marked(mark, commit) as worktree:
            if worktree is not None:
                kill_strays()
            yield worktree

    return found


class Leaving:
    """The worktree in which a Builder has ended, and the name by which who comes after a kill finds it as it is."""

    def __init__(self, worktree: Worktree) -> None:
        self._worktree = worktree
        self.mark = ""
        """The name; empty unless the disk took it, and before it what tells of it: else nobody would find it."""

    def name(self, keep: Callable[[str], bool]) -> None:
        """Give the worktree a name that ``keep`` has on the disk; one that refuses that ends nothing else."""

        def note(mark: str) -> None:
            if not keep(mark):
                raise OSError(EIO, "what tells of it could not be kept")
            self.mark = mark

        try:
            self._worktree.mark(note)
        except OSError as error:
            self.mark = ""
            logger.warning(
                "worktree.not_marked", extra={"path": str(self._worktree.path), "reason": error.strerror}
            )

    def forget(self) -> None:
        """Take the name away: what it was for is done."""
        if self.mark:
            self._worktree.unmark()


def collected(answer: BuildAnswer, worktree: Worktree | None) -> BuildAnswer:
    """The answer with what the Builder left, if it edits a worktree; one that was cut off is a failure."""
    if answer.failure is None and worktree is not None:
        answer = _taken(answer, worktree)
    if answer.failure is None and answer.is_truncated:
        message = "The Builder's answer was cut off at its output limit; a part of a change is never applied"
        answer = replace(answer, failure=FailureReport(kind=FailureKind.BUILDER_ERROR, message=message))
    return answer


def is_taken(answer: BuildAnswer) -> bool:
    """Whether nothing is left to be taken: the change is in the answer, or it failed."""
    return answer.is_worktree_diff or answer.failure is not None


def fetched(
    paid: PaidAnswer, marked: Marked, keep: Callable[[PaidAnswer], bool], *, may_pass: bool
) -> PaidAnswer:
    """The same for a Builder whose process died since; of a worktree that was used since, its cost is all.

    Args:
        paid: What it was paid for, and under which mark it left its change.
        marked: As ``Workspace.marked``.
        keep: Has the answer on the disk; whether that took it.
        may_pass: Whether somebody comes again, should the worktree not be read now; else that is the answer.

    Raises:
        WorkspaceError, OSError: It cannot be read now, of a full disk for one; the change is still in it.
    """
    try:
        with marked(paid.left_in, paid.base_commit) as worktree:
            is_kept = is_taken(paid.answer)
            if not is_kept:
                paid = replace(paid, answer=_fetched(paid.answer, worktree, may_pass=may_pass))
                is_kept = keep(paid)
            if worktree is not None and is_kept:
                worktree.unmark()
    except UNREAD as error:
        if is_taken(paid.answer):
            logger.warning("worktree.not_unmarked", extra={"mark": paid.left_in, "reason": str(error)})
        elif may_pass:
            raise
        else:
            paid = replace(paid, answer=broken(paid.answer, error))
    return paid


def _fetched(answer: BuildAnswer, worktree: Worktree | None, *, may_pass: bool) -> BuildAnswer:
    if worktree is None:
        return _lost(answer)
    try:
        return collected(answer, worktree)
    except Exception as error:
        if may_pass and isinstance(error, UNREAD):
            raise
        return broken(answer, error)


def broken(answer: BuildAnswer, error: Exception) -> BuildAnswer:
    """What was paid for and came to nothing; it is not paid for again before somebody has looked."""
    return replace(answer, text="", failure=fault(error, may_pass=not answer.usage.total_tokens))


def _lost(answer: BuildAnswer) -> BuildAnswer:
    failure = FailureReport(
        kind=FailureKind.INFRASTRUCTURE,
        message="The Builder's process was killed before its change was taken, and its worktree was used since",
        retryable=True,
    )
    return replace(answer, failure=failure)


def _taken(answer: BuildAnswer, worktree: Worktree) -> BuildAnswer:
    """The answer with what the Builder left; what cannot be taken is a verdict, since it is paid for."""
    try:
        text = worktree.diff()
    except UntakeableError as error:
        failure = FailureReport(kind=FailureKind.PATCH_REJECTED, message=str(error), hint=error.hint)
        return replace(answer, failure=failure)
    return replace(answer, format=AnswerFormat.PATCH, text=text, is_worktree_diff=True)
