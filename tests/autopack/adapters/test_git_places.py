"""Where a worktree's `.git` leads, whoever wrote it."""

import os

import pytest
from project import Project

from autopack.adapters.agents.git_state import GitState
from autopack.adapters.git_command import Git
from autopack.adapters.sandbox.git_places import git_folder, git_folders


def write(name, content):
    def make(top):
        path = top / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return make


def make_pipe(top):
    (top / "admin").mkdir()
    os.mkfifo(top / "admin/commondir")
    (top / ".git").write_text(f"gitdir: {top}/admin\n")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda top: None, id="nothing"),
        pytest.param(write(".git", b"gitdir: /nowhere/\0\n"), id="a zero byte"),
        pytest.param(write(".git", b"gitdir: /" + b"x" * 100_000), id="longer than a name may be"),
        pytest.param(write(".git", b"\xff\xfe"), id="no text"),
        pytest.param(lambda top: os.mkfifo(top / ".git"), id="a pipe"),
        pytest.param(make_pipe, id="a pipe where it leads"),
        pytest.param(lambda top: (top / ".git").symlink_to(".git"), id="a link to itself"),
    ],
)
def test_a_link_that_leads_nowhere_is_a_state_like_any_other(tmp_path, make):
    make(tmp_path)
    assert git_folders(tmp_path) == (None, None)
    assert GitState.of(tmp_path).changed(GitState.of(tmp_path)) == {}


def test_a_checkout_and_its_worktrees_share_one_repository(tmp_path):
    project = Project.make(tmp_path / "repo")
    linked = tmp_path / "linked"
    Git(cwd=project.root).run("worktree", "add", "-q", "--detach", str(linked))
    git = project.root / ".git"
    assert git_folders(project.root) == (git, git)
    assert git_folders(linked) == (git / "worktrees/linked", git)
    assert git_folder(linked) == git_folder(project.root) == git
