"""Merges that nobody sees: two commits become one without a checkout."""

from autopack.adapters.git_command import DURABLE, Git
from autopack.errors import MergeConflictError, WorkspaceError

_CONFLICT = 1


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Whether ``newer`` has ``older`` in its history, or is it."""
    return not git.attempt("merge-base", "--is-ancestor", older, newer).returncode


def merge(git: Git, head: str, commit: str, *, message: str) -> str:
    """A commit with the parents ``head`` and ``commit``; the same two always give the same one. No branch moves.

    Raises:
        MergeConflictError: Both changed the same lines; ``paths`` names the files.
        WorkspaceError: They have no common history, or git cannot merge without a checkout (older than 2.38).
    """
    done = git.attempt("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", head, commit)
    fields = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    if done.returncode == _CONFLICT:
        paths = tuple(sorted({path for path in fields[1:] if path}))
        raise MergeConflictError(
            f"{commit[:12]} does not merge into {head[:12]}: {', '.join(paths)}",
            hint="Merge it into the run's branch by hand, or let the Builder make the phases anew.",
            paths=paths,
        )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise WorkspaceError(f"git cannot merge {commit[:12]} into {head[:12]}: {said[-1] if said else ''}")
    # Dated by its parents, so that a process that died after the merge makes the same one again.
    dates = (int(git.line("show", "-s", "--format=%ct", one)) for one in (head, commit))
    date = f"@{max(dates) + 1} +0000"
    dated = git.at(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    words = (*DURABLE, "commit-tree", fields[0], "-p", head, "-p", commit, "-F", "-")
    return dated.run(*words, stdin=message.encode()).decode().strip()
