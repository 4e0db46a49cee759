"""What an agent locked in its worktree: opened where it is ours, refused where it is not; never a fault that stays."""

import os
import shutil
import subprocess
import sys

import pytest

LOOK = """
import subprocess, sys
from pathlib import Path
from autopack.adapters.git import open_workspace
from autopack.errors import UntakeableError, WorkspaceError
root, script = Path(sys.argv[1]), sys.argv[2]
workspace = open_workspace(root, state_folder=root / ".autopack")
with workspace.worktree() as worktree:
    worktree.reset(base := workspace.resolve("HEAD"))
    subprocess.run(["sh", "-ec", script], cwd=worktree.path, check=True)
    try:
        print(worktree.diff())
    except UntakeableError as error:
        print("refused:", error)
    for script in sys.argv[3:]:
        subprocess.run(["sh", "-ec", script], cwd=worktree.path, check=True)
        try:
            worktree.reset(base)
        except WorkspaceError as error:
            print("failed:", error)
        else:
            print("then:", sorted(path.name for path in worktree.path.iterdir()))
workspace.close()
"""
BOUND = "--bounding-set=-dac_override,-dac_read_search,-fowner"
IS_ROOT = os.geteuid() == 0
needs_modes = pytest.mark.skipif(
    IS_ROOT and not shutil.which("setpriv"), reason="modes do not bind root here"
)
needs_others = pytest.mark.skipif(not IS_ROOT, reason="only root makes files of others")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    (root / "a.txt").write_text("a\n")
    (root / ".gitignore").write_text("ignored/\n")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@localhost", *words], cwd=root, check=True
        )
    return root


def looked(root, script, *more):
    """What a process says of the worktree."""
    return run(root, "-c", LOOK, str(root), script, *more)


def run(root, *words):
    """What a Python says in the repository that is bound by the modes of files, whoever runs the tests."""
    bound = ["setpriv", BOUND] if IS_ROOT else []
    argv = [*bound, sys.executable, *words]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()


def put_aside(root):
    return sorted((root / ".autopack/worktrees").glob("slot-0.left-*"))


@needs_modes
def test_what_an_agent_locked_is_part_of_its_change_and_in_nobodys_way(root):
    script = """
        mkdir -p closed shut ignored/cache; echo 1 > closed/in; echo 2 > shut/in; echo 3 > file; echo 4 > ignored/cache/in
        ln -s "$PWD/../.." link; chmod 444 shut; chmod 000 closed file ignored/cache
    """
    lines = looked(root, script, "chmod 000 closed")
    changed = [line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")]
    assert sorted(changed) == ["closed/in", "file", "link", "shut/in"]
    assert lines[-1] == "then: ['.git', '.gitignore', 'a.txt']"


@needs_modes
@needs_others
@pytest.mark.parametrize(
    ("script", "name"),
    [
        pytest.param("mkdir -p d/e; chmod 700 d/e; chown 65534 d/e", "d/e", id="a folder"),
        pytest.param("echo x > d; chmod 600 d; chown 65534 d", "d", id="a file"),
    ],
)
def test_what_another_user_locked_is_refused(root, script, name):
    assert looked(root, script) == [f"refused: {name} cannot be read: Permission denied"]


@needs_modes
@needs_others
@pytest.mark.parametrize("script", ["chown -R 65534 d", "chmod 700 d; chown -R 65534 d", "chown -R 65534 ."])
def test_what_another_user_left_is_put_aside(root, script):
    lines = looked(root, f"mkdir d; echo x > d/in; echo x > own; {script}", "true")
    assert lines[-1] == "then: ['.git', '.gitignore', 'a.txt']"
    (left,) = put_aside(root)
    assert (left / "d/in").exists()


@needs_modes
@needs_others
def test_what_can_be_neither_removed_nor_put_aside_is_a_fault(root):
    state = root / ".autopack/worktrees"
    lines = looked(root, "mkdir d; echo x > d/in; chown -R 65534 d", f"chmod 555 {state}")
    assert lines[-1].startswith(f"failed: cannot reset {state}/slot-0 to ")


@needs_modes
@needs_others
@pytest.mark.parametrize("then", [["true"], []], ids=["put aside", "in the worktree"])
def test_what_another_user_left_is_named_with_its_owner_and_what_helps(root, then):
    script = "mkdir -p d/e own/e; echo x > d/in; echo x > own/in; chmod 444 own d; chown 4321 d"
    looked(root, script, *then)
    run(root, "-m", "autopack", "init")
    gc = ("-m", "autopack", "gc", "--older-than", "0s")
    (foreseen,) = [it for it in run(root, *gc, "--dry-run") if it.startswith("cannot remove")]
    kind, name = (
        ("remains", put_aside(root)[0]) if then else ("worktree", root / ".autopack/worktrees/slot-0")
    )
    assert foreseen.startswith(f"cannot remove: {kind} {name} ")
    assert foreseen.endswith(f": {name}/d belongs to user 4321; this removes it: sudo rm -r {name}")
    (said,) = [it for it in run(root, *gc) if it.startswith("cannot remove")]
    (left,) = put_aside(root)
    assert said.endswith(f": {left}/d belongs to user 4321; this removes it: sudo rm -r {left}")
    assert sorted(it.name for it in left.iterdir()) == ["d"]
    shutil.rmtree(left / "d")
    assert any(it.startswith(f"removed: remains {left} ") for it in run(root, *gc))
    assert put_aside(root) == []
