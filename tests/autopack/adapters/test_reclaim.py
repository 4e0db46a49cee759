import os
import subprocess
from pathlib import Path

import pytest

from autopack.adapters.answer_journal import FileJournal
from autopack.adapters.git import open_workspace
from autopack.adapters.reclaim import ReclaimableKind, find_reclaimable, reclaim
from autopack.domain.attempt import AttemptAddress
from autopack.domain.change import EditAction, FileEdit
from autopack.ports import BuildAnswer, PaidAnswer

IDENTITY = (
    "-c",
    "user.name=Operator",
    "-c",
    "user.email=operator@localhost",
    "-c",
    "init.defaultBranch=main",
)
DAY = 86_400.0
NOW = 2_000_000_000.0


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", folder, *IDENTITY, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    root.mkdir()
    (root / "a.txt").write_text("a\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, f"@{int(NOW - 10 * DAY)} +0000")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def state(root):
    return root / ".autopack"


@pytest.fixture
def workspace(root, state):
    workspace = open_workspace(root, state_folder=state)
    yield workspace
    workspace.close()


@pytest.fixture
def find(workspace, state):
    """What may be removed: kind and name below the state folder."""

    def finder(*, days: float = 5, unfinished: str = ""):
        return find_reclaimable(
            state,
            workspace,
            now=NOW,
            max_age_seconds=days * DAY,
            keep_run=lambda run_id: run_id == unfinished,
        )

    return finder


def names(items, state: Path) -> list[str]:
    return [item.name.removeprefix(f"{state}/") for item in items]


def log(state: Path, attempt: str, *, days_ago: float) -> Path:
    folder = state / "logs" / attempt
    (folder / "ci").mkdir(parents=True)
    (folder / "ci" / "out.txt").write_text("x" * 1000)
    for path in (folder / "ci" / "out.txt", folder / "ci", folder):
        os.utime(path, (NOW - days_ago * DAY, NOW - days_ago * DAY))
    return folder


def use_worktrees(workspace, count: int, *, days_ago: float) -> None:
    if count == 0:
        return
    with workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))
        use_worktrees(workspace, count - 1, days_ago=days_ago)
        stamp = worktree.path.with_name(f"{worktree.path.name}.stamp")
        os.utime(stamp, (NOW - days_ago * DAY, NOW - days_ago * DAY))


def advance(workspace, run_id: str) -> str:
    head = workspace.run_head(run_id, base="HEAD")
    with workspace.worktree() as worktree:
        worktree.reset(head)
        worktree.write([FileEdit(path=run_id, action=EditAction.CREATE, content=b"")])
        commit = worktree.commit(message=run_id, parent=head)
    workspace.advance(run_id, old=head, new=commit)
    return commit


def of(kind: ReclaimableKind, items):
    return [item for item in items if item.kind is kind]


def test_nothing_is_found_where_nothing_was_done(find):
    assert find() == ()


def test_old_worktrees_that_nobody_uses_go(workspace, find, state, root):
    use_worktrees(workspace, 2, days_ago=6)
    found = find()
    assert names(found, state) == ["worktrees/slot-0", "worktrees/slot-1"]
    assert all(item.size_bytes > 0 and item.age_seconds == 6 * DAY for item in found)

    assert reclaim(workspace, found) == found

    assert list((state / "worktrees").iterdir()) == []
    assert git(root, "worktree", "list").count("\n") == 0
    use_worktrees(workspace, 1, days_ago=0)


def test_a_worktree_in_use_stays_and_so_does_one_that_was_taken_since(workspace, find, state):
    use_worktrees(workspace, 2, days_ago=6)
    with workspace.worktree():
        assert names(find(), state) == ["worktrees/slot-1"]
    found = find()

    with workspace.worktree() as taken:
        assert names(reclaim(workspace, found), state) == ["worktrees/slot-1"]
        assert (taken.path / "a.txt").exists()


def leave_change(workspace, state, run_id, *, days_ago: float) -> Path:
    """A worktree with a change that nobody has taken; the file that says so."""
    kept, folder = FileJournal(), state / "logs" / run_id / "p" / "1" / "builder"

    def note(mark):
        paid = PaidAnswer(
            call_id=1,
            address=AttemptAddress(run_id=run_id, phase_id="p", number=1),
            store="s",
            answer=BuildAnswer(),
            base_commit=workspace.resolve("HEAD"),
            duration_seconds=1.0,
            begun_at=1.0,
            left_in=mark,
        )
        kept.keep(folder, paid)

    use_worktrees(workspace, 1, days_ago=days_ago)
    with workspace.worktree() as worktree:
        worktree.mark(note)
    return folder / "paid-1.json"


@pytest.mark.parametrize(
    ("unfinished", "is_kept", "goes"),
    [
        pytest.param("run", True, False, id="of a run that goes on"),
        pytest.param("other", True, True, id="of a run that is done"),
        pytest.param("run", False, True, id="for which nobody looks any more"),
    ],
)
def test_a_worktree_with_a_change_to_be_taken_stays_however_old(
    unfinished, is_kept, goes, workspace, find, state
):
    path = leave_change(workspace, state, "run", days_ago=60)
    if not is_kept:
        path.unlink()
    found = of(ReclaimableKind.WORKTREE, find(unfinished=unfinished))
    assert names(found, state) == (["worktrees/slot-0"] if goes else [])


def test_half_made_worktrees_go_too(workspace, find, state):
    (state / "worktrees" / "slot-3").mkdir(parents=True)
    (state / "worktrees" / "slot-7.index").touch()
    os.utime(state / "worktrees" / "slot-3", (0, 0))

    found = find()

    assert names(found, state) == ["worktrees/slot-3", "worktrees/slot-7"]
    assert len(reclaim(workspace, found)) == 2
    assert list((state / "worktrees").iterdir()) == []


def test_old_logs_of_finished_runs_go_with_their_empty_parents(workspace, find, state):
    log(state, "done/a/1", days_ago=6)
    recent = log(state, "done/b/2", days_ago=4)
    log(state, "gone/a/1", days_ago=6)
    needed = log(state, "going/a/1", days_ago=6)

    found = find(unfinished="going")

    assert names(found, state) == ["logs/done/a/1", "logs/gone/a/1"]
    assert [item.run_id for item in found] == ["done", "gone"]
    assert all(item.size_bytes >= 1000 for item in found)
    reclaim(workspace, found)
    assert sorted((state / "logs").iterdir()) == [state / "logs" / "done", state / "logs" / "going"]
    assert recent.is_dir()
    assert needed.is_dir()
    assert not (state / "logs" / "done" / "a").exists()


@pytest.mark.parametrize(
    ("days", "unfinished", "merged", "goes"),
    [
        pytest.param(5, "", False, True, id="old and finished"),
        pytest.param(15, "", False, False, id="recent and nowhere else"),
        pytest.param(15, "", True, True, id="recent and merged"),
        pytest.param(5, "run", False, False, id="old and unfinished"),
        pytest.param(5, "run", True, False, id="merged and unfinished"),
    ],
)
def test_branches_of_finished_runs_go(workspace, find, root, days, unfinished, merged, goes):
    advance(workspace, "run")
    if merged:
        git(root, "merge", "-q", "autopack/run")

    found = of(ReclaimableKind.BRANCH, find(days=days, unfinished=unfinished))
    reclaim(workspace, found)

    assert [item.name for item in found] == (["autopack/run"] if goes else [])
    assert git(root, "branch", "--list", "autopack/run") == ("" if goes else "autopack/run")


def test_a_branch_that_is_looked_at_or_has_moved_stays(workspace, find, root):
    advance(workspace, "run")
    found = of(ReclaimableKind.BRANCH, find())
    advance(workspace, "run")
    assert reclaim(workspace, found) == ()

    git(root, "checkout", "-q", "autopack/run")
    assert of(ReclaimableKind.BRANCH, find()) == []


def test_compiled_modules_go_when_no_run_made_any_for_long(workspace, find, state):
    cache = state / "cache" / "pycache"
    cache.mkdir(parents=True)
    (cache / "x.pyc").touch()
    os.utime(cache, (0, 0))
    os.utime(cache / "x.pyc", (NOW - 4 * DAY, NOW - 4 * DAY))
    assert find() == ()

    found = find(days=3)

    assert names(found, state) == ["cache/pycache"]
    reclaim(workspace, found)
    assert not cache.exists()


def test_what_an_operator_removes_meanwhile_is_in_nobodys_way(workspace, find, state, monkeypatch):
    left = state / "worktrees/slot-0.left-1"
    left.mkdir(parents=True)
    (found,) = find()
    left.rmdir()
    monkeypatch.setattr(workspace.pool, "put_aside", lambda: [left])
    assert find() == ()
    (removed,) = reclaim(workspace, [found])
    assert not removed.obstacle
