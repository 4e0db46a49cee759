"""Whether the cause of a failure is one that was mended: whatever run it comes back in, its blocker reopens."""

from functools import cache

from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import Return
from autopack.ports import Store, Workspace


def notice_returns(
    store: Store, workspace: Workspace, *, now: float, address: AttemptAddress | None = None
) -> tuple[Return, ...]:
    """Reopen every mended blocker whose cause ended an attempt on a base that holds its fix; those attempts.

    Only git can tell whether the fix is in what an attempt was made on: a run that the blocker held has it no sooner
    than its release brings it, and one that it never held may stand on an older base. A phase that failed of a mended
    cause where the fix is not is noted with the blocker, for the next release, and git is not asked for it again. Asked
    again, it finds what a process that died in between did not note.

    Args:
        store: The record.
        workspace: Where the commits are.
        now: Seconds since the epoch.
        address: The attempt that is looked at; None for all.
    """
    holds = cache(workspace.holds)
    back: list[Return] = []
    for one in store.triage.returns(address=address):
        # What ended before a base was known, such as a program that does not start, was no matter of the base.
        if one.base_commit is None or holds(one.base_commit, one.fix_commit):
            store.triage.reopen(one, now=now)
            back.append(one)
        elif (stopped := store.triage.note_late(one, now=now)) is not None:
            store.drains.mark(stopped)
    return tuple(back)
