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
from autopack.errors import UntakeableError
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
        worktree.reset(base)
        print("then:", sorted(path.name for path in worktree.path.iterdir()))
workspace.close()
"""
BOUND = "--bounding-set=-dac_override,-dac_read_search,-fowner"
IS_ROOT = os.geteuid() == 0
needs_modes = pytest.mark.skipif(
    IS_ROOT and not shutil.which("setpriv"), reason="modes do not bind root here"
)


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
    """What a process says of the worktree that is bound by the modes of files, whoever runs the tests."""
    bound = ["setpriv", BOUND] if IS_ROOT else []
    argv = [*bound, sys.executable, "-c", LOOK, str(root), script, *more]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()


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
@pytest.mark.skipif(not IS_ROOT, reason="only root makes files of others")
@pytest.mark.parametrize(
    ("script", "name"),
    [
        pytest.param("mkdir -p d/e; chmod 700 d/e; chown 65534 d/e", "d/e", id="a folder"),
        pytest.param("echo x > d; chmod 600 d; chown 65534 d", "d", id="a file"),
    ],
)
def test_what_another_user_locked_is_refused(root, script, name):
    assert looked(root, script) == [f"refused: {name} cannot be read: Permission denied"]
