"""Whether the cause of a failure is one that was mended: whatever run it comes back in, its blocker reopens."""

from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import Return
from autopack.ports import Store, Workspace


def notice_returns(
    store: Store, workspace: Workspace, *, now: float, address: AttemptAddress | None = None
) -> tuple[Return, ...]:
    """Reopen every mended blocker whose cause ended an attempt on a base that holds its fix; those attempts.

    Only git can tell whether the fix is in what an attempt was made on: a run that the blocker held has it no sooner
    than its release brings it. Asked again, it finds what a process that died in between did not note.

    Args:
        store: The record.
        workspace: Where the commits are.
        now: Seconds since the epoch.
        address: The attempt that is looked at; None for all.
    """
    found = [it for it in store.triage.returns(address=address) if _holds_fix(it, workspace)]
    for one in found:
        store.triage.reopen(one, now=now)
    return tuple(found)


def _holds_fix(one: Return, workspace: Workspace) -> bool:
    # What ended before a base was known, such as a program that does not start, was no matter of the base.
    return one.base_commit is None or workspace.holds(one.base_commit, one.fix_commit)
