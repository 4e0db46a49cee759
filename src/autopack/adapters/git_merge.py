"""What two commits have of each other, and merges that nobody sees: two commits become one without a checkout."""

import re
from collections import Counter
from hashlib import sha256

from autopack.adapters.git_command import DURABLE, Git, git_failure
from autopack.errors import MergeConflictError, WorkspaceError

_CONFLICT = 1
_NO_BASE = 1
_MOST_COMMITS = 500
_MOST_PATHS = 200
"""As far as a copy of a change is looked for; beyond, it would take seconds."""
_MOST_MERGES = 20
# Whole names of contents tell binary files apart; without prefixes a change taken back reads as the change itself.
_PLAIN = ("--full-index", "--no-prefix", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
# No line of a patch begins so: those of files have a sign before them.
_COMMIT = re.compile(rb"^commit\n+", re.MULTILINE)
# The contents' names of binary files stay: nothing else tells what changed in them.
_PLACE = re.compile(rb"^(?:@@ .*|index .*(?=\n--- ))\n", re.MULTILINE)


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """Whether ``newer`` has ``older`` in its history, or is it."""
    return not git.attempt("merge-base", "--is-ancestor", older, newer).returncode


def are_related(git: Git, one: str, other: str) -> bool:
    """Whether two commits have any history in common; raises WorkspaceError where git cannot tell."""
    words = ("merge-base", one, other)
    found = git.attempt(*words)
    if found.returncode not in {0, _NO_BASE}:
        raise git_failure(words, found)
    return not found.returncode


def merge(git: Git, head: str, commit: str, *, message: str) -> str:
    """A commit with the parents ``head`` and ``commit``; the same two always give the same one. No branch moves.

    Raises:
        MergeConflictError: Both changed the same lines; ``paths`` names the files.
        WorkspaceError: They have no common history, or git cannot merge without a checkout (older than 2.38).
    """
    tree = _merged_tree(git, head, commit)
    # Dated by its parents, so that a process that died after the merge makes the same one again.
    dates = (int(git.line("show", "-s", "--format=%ct", one)) for one in (head, commit))
    date = f"@{max(dates) + 1} +0000"
    dated = git.at(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    words = (*DURABLE, "commit-tree", tree, "-p", head, "-p", commit, "-F", "-")
    return dated.run(*words, stdin=message.encode()).decode().strip()


def _merged_tree(git: Git, head: str, commit: str) -> str:
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
    return fields[0]


def _tree_of(git: Git, commit: str) -> str:
    return git.line("rev-parse", "--verify", "-q", f"{commit}^{{tree}}")


def holds(git: Git, head: str, commit: str) -> bool:
    """Whether ``head`` has all that ``commit`` brought: in its history, or picked, rebased or squashed onto it.

    What was copied and changed again on the same lines is found among the newest commits alone.
    """
    if is_ancestor(git, commit, head):
        return True
    try:
        return _merged_tree(git, head, commit) == _tree_of(git, head)
    except WorkspaceError:
        # Changed again on the same lines, or a git that cannot merge without a checkout.
        return _is_copied(git, head, commit)


def _is_copied(git: Git, head: str, commit: str) -> bool:
    found = git.attempt("merge-base", head, commit)
    sides = f"{head}...{commit}"
    if (
        found.returncode
        or int(git.line("rev-list", "--count", *_first(_MOST_COMMITS), sides)) > _MOST_COMMITS
    ):
        return False
    base = found.stdout.decode().strip()
    named = git.run("log", "-m", "--format=", "--name-only", "-z", "--no-renames", f"{head}..{commit}")
    paths = {name.decode("utf-8", "surrogateescape") for name in named.split(b"\0") if name.strip()}
    if not paths or len(paths) > _MOST_PATHS:
        return False
    window = (f"{commit}..{head}", "--", *sorted(paths))
    # What was taken back is there no more, whatever became of its lines since.
    stays = _patch_ids(git, *window) - _patch_ids(git, "-R", *window)
    whole = _ids_of(git.run("diff-tree", "-r", "-p", *_PLAIN, base, commit))
    if whole <= stays:
        return True
    return _patch_ids(git, f"{head}..{commit}") <= stays and _merges_are_plain(git, sides)


def _merges_are_plain(git: Git, sides: str) -> bool:
    """Whether what merges brought is in the commits that they joined: whoever made them changed nothing on the way."""
    listed = git.line("rev-list", "--right-only", "--merges", "--parents", *_first(_MOST_MERGES), sides)
    merges = [line.split() for line in listed.splitlines()]
    return len(merges) <= _MOST_MERGES and all(_is_plain(git, *names) for names in merges)


def _is_plain(git: Git, commit: str, one: str, other: str, *more: str) -> bool:
    try:
        return not more and _merged_tree(git, one, other) == _tree_of(git, commit)
    except WorkspaceError:
        return False


def _first(number: int) -> tuple[str]:
    """One more than so many, which tells that there are more."""
    return (f"--max-count={number + 1}",)


def _patch_ids(git: Git, *words: str) -> Counter[bytes]:
    words = ("log", "-p", "--format=tformat:commit", *_PLAIN, "--no-merges", *words)
    return _ids_of(git.run("--literal-pathspecs", *words))


def _ids_of(patches: bytes) -> Counter[bytes]:
    """One for each commit that changed anything: what it changed, wherever in its files.

    Blanks count, as they do not to ``git patch-id`` before 2.39: what changes nothing else would be its own reverse.
    """
    bare = (_PLACE.sub(b"", patch) for patch in _COMMIT.split(patches))
    return Counter(sha256(patch).digest() for patch in bare if patch)
