import hashlib
import subprocess
from pathlib import Path

import psutil
import pytest

from autopack.adapters.git import open_workspace
from autopack.adapters.git_exclude import exclude
from autopack.domain.attempt import AttemptAddress
from autopack.domain.change import EditAction, FileEdit
from autopack.errors import WorkspaceError

IDENTITY = (
    "-c",
    "user.name=Operator",
    "-c",
    "user.email=operator@localhost",
    "-c",
    "init.defaultBranch=main",
)
SUBMODULE = "1" * 40


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", folder, *IDENTITY, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit_all(root: Path, message: str = "change") -> str:
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "operator's repository"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a.txt").write_text("a\n")
    (root / "pkg").mkdir()
    (root / "pkg" / "b.py").write_text("b = 1\n")
    commit_all(root, "first")
    return root


@pytest.fixture
def open_it(root):
    opened = []

    def opener(**changes):
        opened.append(open_workspace(root, state_folder=root / ".autopack", **changes))
        return opened[-1]

    yield opener
    for workspace in opened:
        workspace.close()


@pytest.fixture
def workspace(open_it):
    return open_it()


def address(phase_id: str = "phase", number: int = 1) -> AttemptAddress:
    return AttemptAddress(run_id="run", phase_id=phase_id, number=number)


def complete(workspace, of: AttemptAddress, path: str = "new.txt") -> str:
    """A phase's commit on the run's branch."""
    head = workspace.run_head(of.run_id, base="HEAD")
    trailers = f"Autopack-Run: {of.run_id}\nAutopack-Phase: {of.phase_id}\nAutopack-Attempt: {of.number}\n"
    with workspace.worktree() as worktree:
        worktree.reset(head)
        worktree.write([FileEdit(path=path, action=EditAction.CREATE, content=str(of).encode())])
        commit = worktree.commit(message=f"phase\n\n{trailers}", parent=head)
    assert workspace.advance(of.run_id, old=head, new=commit)
    return commit


# --- opening


def make_empty(folder: Path) -> Path:
    git(folder, "init", "-q")
    return folder


def make_bare(folder: Path) -> Path:
    git(folder, "init", "-q", "--bare")
    return folder


@pytest.mark.parametrize(
    ("prepare", "message", "hint"),
    [
        pytest.param(lambda folder: folder, "is not a git repository", "git init", id="no repository"),
        pytest.param(lambda folder: folder / "gone", "there is no folder", "", id="no folder"),
        pytest.param(make_empty, "has no commit yet", "Make a first one", id="no commit"),
        pytest.param(make_bare, "has no checkout", "Clone it", id="bare"),
    ],
)
def test_what_is_no_repository_with_a_commit_is_refused(tmp_path, prepare, message, hint):
    folder = tmp_path / "folder"
    folder.mkdir()

    with pytest.raises(WorkspaceError, match=message) as refused:
        open_workspace(prepare(folder), state_folder=tmp_path / "state")

    assert hint in refused.value.hint


def test_a_folder_inside_a_repository_is_refused_with_its_top(root):
    with pytest.raises(WorkspaceError, match="not the top folder") as refused:
        open_workspace(root / "pkg", state_folder=root / ".autopack")

    assert str(root) in refused.value.hint


def test_a_state_folder_that_cannot_be_written_is_refused(root):
    with pytest.raises(WorkspaceError, match="cannot make the state folder"):
        open_workspace(root, state_folder=root / "a.txt" / "state")


def test_the_state_folder_does_not_show_in_the_operators_status(root, workspace):
    with workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))

    assert git(root, "status", "--porcelain") == ""


def test_variables_of_a_hook_that_started_us_do_not_lead_astray(root, tmp_path, open_it, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert open_it().tree("HEAD").paths() == ["a.txt", "pkg/b.py"]


def test_a_linked_worktree_of_the_operator_is_a_checkout_like_any(root, tmp_path):
    linked = tmp_path / "linked"
    git(root, "worktree", "add", "-q", "-b", "side", str(linked))
    (linked / "side.txt").write_text("side\n")
    head = commit_all(linked)
    workspace = open_workspace(linked, state_folder=linked / ".autopack")

    with workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))
        assert (worktree.path / "side.txt").read_text() == "side\n"

    assert workspace.resolve("HEAD") == head
    workspace.close()


# --- revisions and trees


def test_revisions_of_all_forms_resolve_to_commits(root, workspace):
    first = git(root, "rev-parse", "HEAD")
    git(root, "tag", "-a", "v1", "-m", "annotated")
    second = commit_all(root)

    assert [workspace.resolve(name) for name in ("main", "HEAD", "v1", "HEAD~1", first[:10])] == [
        second,
        second,
        first,
        first,
        first,
    ]


@pytest.mark.parametrize(
    "revision",
    [
        *("mian", "", "--all", "HEAD:a.txt", "HEAD\nmain", "v1^{tree}"),
        *("mian@{upstream}", "main@{upstream}", "HEAD@{900}"),
    ],
)
def test_what_names_no_commit_is_refused(workspace, revision):
    with pytest.raises(WorkspaceError, match="has no commit") as refused:
        workspace.resolve(revision)

    assert "git branch" in refused.value.hint


def test_a_tree_tells_files_links_and_modules(root, workspace):
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("a.txt")
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{SUBMODULE},module")
    git(root, "add", "run", "link")
    git(root, "commit", "-qm", "kinds")
    tree = workspace.tree(workspace.resolve("HEAD"))

    assert {path: (tree.mode(path), tree.read(path)) for path in tree.paths()} == {
        "a.txt": ("100644", b"a\n"),
        "link": ("120000", None),
        "module": ("160000", None),
        "pkg/b.py": ("100644", b"b = 1\n"),
        "run": ("100755", b"#!/bin/sh\n"),
    }
    assert (tree.mode("pkg"), tree.read("pkg"), tree.read("none")) == (None, None, None)


@pytest.mark.parametrize(
    ("prefix", "paths"),
    [
        pytest.param("", ["a", "a-b/x", "a.txt", "d/e/f", "d/g", "d0"], id="everything"),
        pytest.param("d", ["d/e/f", "d/g"], id="a folder"),
        pytest.param("d/", ["d/e/f", "d/g"], id="a folder with its slash"),
        pytest.param("a", ["a"], id="a file whose name begins others"),
        pytest.param("d/e/f", ["d/e/f"], id="a file in folders"),
        pytest.param("none", [], id="nothing"),
    ],
)
def test_paths_are_those_at_or_below_the_prefix(tmp_path, prefix, paths):
    root = tmp_path / "repository"
    for path in ("a", "a-b/x", "a.txt", "d/e/f", "d/g", "d0"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    git(root, "init", "-q")
    commit_all(root)
    workspace = open_workspace(root, state_folder=tmp_path / "state")

    assert workspace.tree("HEAD").paths(prefix) == paths


CONTENT = {
    "größe/ein name.txt": b"x\n",
    'tab\tquote".txt': b"y\n",
    "crlf.bat": b"one\r\ntwo\r\n",
    "binary": bytes(range(256)) * 300,
    "empty": b"",
    "no-newline": b"z",
}


def test_contents_and_names_come_byte_for_byte(root, workspace):
    for name, content in CONTENT.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    tree = workspace.tree(commit_all(root))

    assert {name: tree.read(name) for name in CONTENT} == CONTENT


def test_reading_goes_on_after_the_reader_was_killed(root, workspace):
    tree = workspace.tree(workspace.resolve("HEAD"))
    assert tree.read("a.txt") == b"a\n"
    (reader,) = [child for child in psutil.Process().children() if "cat-file" in child.cmdline()]
    reader.kill()
    reader.wait()

    assert tree.read("pkg/b.py") == b"b = 1\n"


def test_a_tree_of_no_commit_is_refused(workspace):
    with pytest.raises(WorkspaceError, match="ls-tree failed"):
        workspace.tree("0" * 40).paths()


def test_an_object_that_is_lost_is_named(root, workspace):
    lost = git(root, "rev-parse", "HEAD:a.txt")
    (root / ".git" / "objects" / lost[:2] / lost[2:]).unlink()

    with pytest.raises(WorkspaceError, match=f"{lost} is missing"):
        workspace.tree("HEAD").read("a.txt")


def test_changed_paths_are_sorted_and_name_both_ends_of_a_rename(root, workspace):
    first = workspace.resolve("HEAD")
    (root / "a.txt").rename(root / "z.txt")
    (root / "pkg" / "ü.py").write_text("")

    assert workspace.changed_paths(first, commit_all(root)) == ["a.txt", "pkg/ü.py", "z.txt"]


# --- run branches


def test_a_runs_branch_is_made_at_its_base_and_stays(root, workspace):
    first = workspace.resolve("HEAD")
    second = commit_all(root)

    assert workspace.run_head("run", base="HEAD~1") == first
    assert git(root, "rev-parse", "autopack/run") == first
    assert workspace.run_head("run", base="HEAD") == first
    assert second != first


@pytest.mark.parametrize(
    ("run_id", "branch"),
    [
        pytest.param("run", "autopack", id="a branch in the way"),
        pytest.param("a..b", "other", id="a name that git does not allow"),
        pytest.param("x.lock", "other", id="another such name"),
    ],
)
def test_a_branch_that_cannot_be_made_is_refused(root, workspace, run_id, branch):
    git(root, "branch", branch)

    with pytest.raises(WorkspaceError, match=f"cannot make branch autopack/{run_id}") as refused:
        workspace.run_head(run_id, base="HEAD")

    assert refused.value.hint


def test_a_branch_that_the_operator_looks_at_is_left_alone(root, workspace):
    head = workspace.run_head("run", base="HEAD")
    git(root, "checkout", "-q", "autopack/run")

    with pytest.raises(WorkspaceError, match="is checked out in") as refused:
        workspace.run_head("run", base="main")
    with pytest.raises(WorkspaceError, match="is checked out in"):
        workspace.advance("run", old=head, new=head)

    assert "git switch -c" in refused.value.hint


def test_a_branch_advances_only_from_where_it_was(root, workspace):
    first = workspace.run_head("run", base="HEAD")
    second = commit_all(root)
    third = commit_all(root)

    assert workspace.advance("run", old=first, new=second)
    assert not workspace.advance("run", old=first, new=third)
    assert workspace.run_head("run", base="HEAD") == second


def test_an_attempts_commit_is_found_by_its_trailers(root, workspace):
    first = complete(workspace, address("one"))
    second = complete(workspace, address("two", number=3))

    assert workspace.find_commit(address("one")) == first
    assert workspace.find_commit(address("two", number=3)) == second
    assert workspace.find_commit(address("two", number=1)) is None
    assert workspace.find_commit(address("tw", number=3)) is None
    assert workspace.find_commit(AttemptAddress(run_id="ru", phase_id="one", number=1)) is None


def test_an_attempts_commit_is_found_below_the_operators_own(root, tmp_path, workspace):
    made = complete(workspace, address())
    linked = tmp_path / "linked"
    git(root, "worktree", "add", "-q", str(linked), "autopack/run")
    commit_all(linked, "by hand")
    git(root, "worktree", "remove", str(linked))

    assert workspace.find_commit(address()) == made


# --- the operator's own


@pytest.mark.parametrize(
    ("base", "refused"),
    [
        pytest.param("HEAD", True, id="HEAD"),
        pytest.param("main", True, id="the branch that is checked out"),
        pytest.param("refs/heads/main", True, id="its full name"),
        pytest.param("side", False, id="another branch"),
        pytest.param("HEAD~0", False, id="a commit that was named on purpose"),
    ],
)
def test_uncommitted_changes_stop_a_base_that_seems_to_hold_them(root, workspace, base, refused):
    git(root, "branch", "side")
    (root / "untracked.txt").write_text("does not count\n")
    workspace.ensure_clean(base)
    (root / "a.txt").write_text("changed\n")

    if not refused:
        workspace.ensure_clean(base)
        return
    with pytest.raises(WorkspaceError, match=r"1 uncommitted changes, a\.txt among them") as told:
        workspace.ensure_clean(base)
    assert "stash" in told.value.hint


def fingerprint(root: Path) -> dict[str, str]:
    """A digest of every file of the operator's checkout and repository, less what we may add."""
    ours = ("worktrees/", "objects/", "refs/heads/autopack/", "logs/refs/heads/autopack/")
    found = {}
    for path in sorted(root.rglob("*")):
        key = path.relative_to(root).as_posix()
        if key.startswith(".autopack/") or key.removeprefix(".git/").startswith(ours) or not path.is_file():
            continue
        found[key] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
    return found


def test_the_operators_checkout_index_head_and_configuration_stay_as_they_are(root, workspace):
    (root / "a.txt").write_text("being worked on\n")
    git(root, "add", "a.txt")
    (root / "pkg" / "b.py").write_text("not even staged\n")
    before = fingerprint(root)
    assert {"a.txt", ".git/index", ".git/HEAD", ".git/config"} <= set(before)

    complete(workspace, address())
    with workspace.worktree() as worktree:
        worktree.reset(workspace.run_head("run", base="HEAD"))
        (worktree.path / "a.txt").write_text("an agent's\n")
        worktree.diff()

    assert fingerprint(root) == before


def test_looking_at_a_change_adds_no_object_to_the_repository(root, workspace):
    with workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))
        before = git(root, "count-objects")
        (worktree.path / "big.txt").write_text("never committed\n")
        assert "never committed" in worktree.diff()

    assert git(root, "count-objects") == before


def test_an_exclusion_is_added_once(root):
    assert exclude(root, "scratch/")
    assert not exclude(root, "scratch/")

    (root / "scratch").mkdir()
    (root / "scratch" / "x").touch()
    assert git(root, "status", "--porcelain") == ""


class TestWhatAKilledGitLeaves:
    def test_the_lock_of_a_branch_does_not_outlast_the_one_who_died(self, root, workspace):
        lock = root / ".git/refs/heads/autopack/run.lock"
        first = workspace.run_head("run", base="HEAD")
        second = commit_all(root, "second")
        lock.touch()
        assert workspace.advance("run", old=first, new=second)
        assert not lock.exists()
        assert workspace.run_head("run", base="HEAD") == second

    def test_a_lock_before_the_branch_is_made(self, root, workspace):
        lock = root / ".git/refs/heads/autopack/run.lock"
        lock.parent.mkdir(parents=True)
        lock.touch()
        assert workspace.run_head("run", base="HEAD") == git(root, "rev-parse", "HEAD")
        assert not lock.exists()

    def test_notes_of_a_checkout_that_was_never_made(self, root, workspace):
        half_made = root / ".git/worktrees/slot-0"
        half_made.mkdir(parents=True)
        (half_made / "locked").write_text("initializing")
        with workspace.worktree() as worktree:
            worktree.reset(git(root, "rev-parse", "HEAD"))
        assert [path.name for path in (root / ".git/worktrees").iterdir()] == ["slot-0"]
