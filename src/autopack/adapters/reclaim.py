"""What ``autopack gc`` may remove, and its removal; nothing that is in use or that a run still needs."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from autopack.adapters.answer_journal import places_left
from autopack.adapters.git import GitWorkspace
from autopack.adapters.git_worktree import Slot, mark_of
from autopack.adapters.remains import delete, obstacle
from autopack.errors import WorkspaceError


class ReclaimableKind(StrEnum):
    """What sort of thing can be given back."""

    WORKTREE = "worktree"
    """A checkout of the pool that nobody uses; the next attempt makes another."""
    REMAINS = "remains"
    """What of a checkout could not be removed, since it is another user's."""
    LOGS = "logs"
    """The folder of one attempt."""
    BRANCH = "branch"
    """A run's branch."""
    BYTECODE = "bytecode"
    """Compiled modules that no run has made for long; Python makes them anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimable:
    """One thing that may be removed."""

    kind: ReclaimableKind
    name: str
    """The path, or the branch."""
    size_bytes: int
    age_seconds: float
    """Since it was last used."""
    run_id: str = ""
    """Empty for what belongs to no run."""
    head: str = ""
    """The commit of a branch: one that has moved on meanwhile stays."""
    obstacle: str = ""
    """Why it cannot be removed, whose it is and what helps; empty where nothing is in the way."""


def find_reclaimable(
    state_folder: Path,
    workspace: GitWorkspace,
    *,
    now: float,
    max_age_seconds: float,
    keep_run: Callable[[str], bool],
) -> tuple[Reclaimable, ...]:
    """List what may be removed, and touch nothing.

    Args:
        state_folder: Where Autopack keeps its own files.
        workspace: The repository.
        now: The time, in seconds since the epoch.
        max_age_seconds: What was used more recently stays. A finished run's branch that another branch holds, and
            remains, may go at any age.
        keep_run: Whether a run still needs its logs, its branch, and the worktrees in which its Builders left
            changes that are not taken yet; told a run id.

    Returns:
        Worktrees, remains, logs, branches, then compiled modules; each sort by name.
    """
    found = (
        *_worktrees(workspace, now=now, wanted=_marks_wanted(state_folder, keep_run)),
        *_logs(state_folder, now=now, keep_run=keep_run),
        *_bytecode(state_folder, now=now),
    )
    old = [item for item in found if item.age_seconds > max_age_seconds]
    branches = _branches(workspace, now=now, max_age_seconds=max_age_seconds, keep_run=keep_run)
    order = list(ReclaimableKind)
    remains = [it for path in workspace.pool.put_aside() for it in _remains(path, now=now)]
    return tuple(sorted([*old, *remains, *branches], key=lambda item: (order.index(item.kind), item.name)))


def reclaim(workspace: GitWorkspace, items: Iterable[Reclaimable]) -> tuple[Reclaimable, ...]:
    """Remove what was found.

    Returns:
        What was removed: a worktree that was taken since, or a branch that moved, stays. And what could not be, of
        worktrees and remains, with its obstacle.

    Raises:
        WorkspaceError: The disk refused; what came before is removed.
    """
    try:
        return tuple(done for item in items for done in _remove(workspace, item))
    except OSError as exc:
        raise WorkspaceError(f"cannot remove {exc.filename}: {exc.strerror}") from exc


def _remove(workspace: GitWorkspace, item: Reclaimable) -> Iterator[Reclaimable]:
    match item.kind:
        case ReclaimableKind.WORKTREE:
            yield from _remove_worktree(workspace, item)
            return
        case ReclaimableKind.REMAINS:
            path = Path(item.name)
            error = delete(path)
            yield replace(item, obstacle=obstacle(path, error) if error else "")
            return
        case ReclaimableKind.BRANCH:
            if not workspace.delete_branch(item.run_id, head=item.head):
                return
        case ReclaimableKind.LOGS:
            folder = Path(item.name)
            shutil.rmtree(folder)
            for parent in (folder.parent, folder.parent.parent):
                if not any(parent.iterdir()):
                    parent.rmdir()
        case ReclaimableKind.BYTECODE:
            shutil.rmtree(item.name)
    yield item


def _remove_worktree(workspace: GitWorkspace, item: Reclaimable) -> Iterator[Reclaimable]:
    with workspace.pool.hold(int(Path(item.name).name.removeprefix("slot-"))) as (slot, _):
        if slot is None:
            return
        left = workspace.pool.remove(slot)
    yield replace(item, obstacle="")
    for path in left:
        for rest in _remains(path, now=0):
            yield from _remove(workspace, rest)


def _marks_wanted(state_folder: Path, keep_run: Callable[[str], bool]) -> frozenset[str]:
    """The marks of worktrees for which an attempt will look; whatever bears another one is nobody's."""
    folders = [it for it in (state_folder / "logs").glob("*/*/*/builder") if keep_run(it.parts[-4])]
    return frozenset(mark for folder in folders for mark in places_left(folder))


def _worktrees(workspace: GitWorkspace, *, now: float, wanted: frozenset[str]) -> Iterator[Reclaimable]:
    for number in workspace.pool.numbers():
        with workspace.pool.hold(number) as (slot, _):
            if slot is not None and mark_of(slot) not in wanted:
                yield Reclaimable(
                    kind=ReclaimableKind.WORKTREE,
                    name=str(slot.path),
                    size_bytes=sum(_size(path) for path in slot.everything),
                    age_seconds=now - _last_use(slot),
                    obstacle=obstacle(slot.path),
                )


def _remains(path: Path, *, now: float) -> tuple[Reclaimable, ...]:
    """What was put aside, if it is there still: nothing keeps an operator from removing it meanwhile."""
    try:
        made = path.lstat().st_mtime
        size, why = _size(path), obstacle(path)
    except FileNotFoundError:
        return ()
    kind = ReclaimableKind.REMAINS
    return (
        Reclaimable(
            kind=kind, name=str(path), size_bytes=size, age_seconds=max(0.0, now - made), obstacle=why
        ),
    )


def _last_use(slot: Slot) -> float:
    # Each reset and each write touches it; a slot that never came so far is as old as its folder.
    known = [path.lstat().st_mtime for path in (slot.stamp, slot.path) if os.path.lexists(path)]
    return known[0] if known else 0.0


def _logs(state_folder: Path, *, now: float, keep_run: Callable[[str], bool]) -> Iterator[Reclaimable]:
    kept: dict[str, bool] = {}
    for folder in (state_folder / "logs").glob("*/*/*"):
        run_id = folder.parts[-3]
        if folder.is_dir() and not kept.setdefault(run_id, keep_run(run_id)):
            yield Reclaimable(
                kind=ReclaimableKind.LOGS,
                name=str(folder),
                size_bytes=_size(folder),
                age_seconds=now - _newest(folder),
                run_id=run_id,
            )


def _branches(
    workspace: GitWorkspace, *, now: float, max_age_seconds: float, keep_run: Callable[[str], bool]
) -> Iterator[Reclaimable]:
    for run_id, head, committed_at in workspace.branches():
        age_seconds = now - committed_at
        if keep_run(run_id) or workspace.is_checked_out(run_id):
            continue
        if age_seconds > max_age_seconds or workspace.is_merged(head):
            yield Reclaimable(
                kind=ReclaimableKind.BRANCH,
                name=workspace.branch_of(run_id),
                size_bytes=0,
                age_seconds=age_seconds,
                run_id=run_id,
                head=head,
            )


def _bytecode(state_folder: Path, *, now: float) -> Iterator[Reclaimable]:
    folder = state_folder / "cache" / "pycache"
    if folder.is_dir():
        yield Reclaimable(
            kind=ReclaimableKind.BYTECODE,
            name=str(folder),
            size_bytes=_size(folder),
            age_seconds=now - _newest(folder),
        )


def _size(path: Path) -> int:
    return sum(status.st_size for status in _statuses(path))


def _newest(path: Path) -> float:
    return max((status.st_mtime for status in _statuses(path)), default=0.0)


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Of the path itself and all below it; what goes away meanwhile, or cannot be looked at, is left out."""
    if not os.path.lexists(path):
        return
    yield path.lstat()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            try:
                yield (Path(folder) / name).lstat()
            except (FileNotFoundError, PermissionError):
                continue
