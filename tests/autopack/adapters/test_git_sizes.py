"""How large a change may be that is taken from a worktree: told from sizes alone, before any content is read."""

import subprocess
from contextlib import contextmanager

import pytest

from autopack.adapters.git import open_workspace
from autopack.adapters.git_sizes import ChangeLimits, check_sizes
from autopack.errors import UntakeableError

LARGE = 5_000
LIMITS = ChangeLimits(file_bytes=2_000, total_bytes=20_000)


@contextmanager
def changed(tmp_path, script, limits=LIMITS):
    """A worktree in which a script ran; its commit has a small file and a large one."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "small.txt").write_text("x\n" * 10)
    (root / "large.txt").write_text("x" * (LARGE - 1) + "\n")
    (root / ".gitignore").write_text("build/\n")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@localhost", *words], cwd=root, check=True
        )
    workspace = open_workspace(root, state_folder=root / ".autopack", limits=limits)
    with workspace.worktree() as worktree:
        worktree.reset(workspace.resolve("HEAD"))
        subprocess.run(["sh", "-ec", script], cwd=worktree.path, check=True)
        yield worktree
    workspace.close()


@pytest.mark.parametrize(
    ("script", "named"),
    [
        pytest.param(
            "truncate -s 4G made.bin",
            r"made\.bin has 4,294,967,296 bytes, more than 2,000",
            id="a new file of 4 GB",
        ),
        pytest.param(
            "truncate -s 4G small.txt", "small.txt has 4,294,967,296 bytes", id="a file that has grown"
        ),
        pytest.param(
            "head -c 7001 /dev/zero > large.txt",
            "large.txt has 7,001 bytes, more than 7,000",
            id="a large one that has grown",
        ),
        pytest.param(
            "for n in 0 1 2 3 4 5 6; do head -c 2000 /dev/zero > $n; done",
            r"7 files with 21,000 bytes before and after \(1,000 for each file's name\), more than 20,000; the largest is",
            id="many files",
        ),
        pytest.param(
            "for n in $(seq 21); do touch $n; done", "21 files with 21,000 bytes", id="many empty files"
        ),
    ],
)
def test_a_change_that_is_too_large_is_refused_by_its_sizes(tmp_path, script, named):
    with (
        changed(tmp_path, script) as worktree,
        pytest.raises(UntakeableError, match=f"change too large: .*{named}"),
    ):
        worktree.diff()


@pytest.mark.parametrize(
    ("script", "path"),
    [
        pytest.param("rm large.txt", "large.txt", id="a large file goes"),
        pytest.param("echo y > large.txt", "large.txt", id="a large file becomes small"),
        pytest.param(
            "printf y | dd of=large.txt conv=notrunc status=none", "large.txt", id="a large one changes"
        ),
        pytest.param(
            "head -c 7000 /dev/zero > large.txt", "large.txt", id="a large one that has grown a little"
        ),
        pytest.param(
            "mkdir build; truncate -s 4G build/out; echo y > small.txt", "small.txt", id="ignored files"
        ),
        pytest.param("touch 'a\rb'", r"a\rb", id="a carriage return in a name"),
        pytest.param("touch 'large.txt\r'", r"large.txt\r", id="a carriage return after a name"),
        pytest.param("touch 'a\nb'", r"a\nb", id="a line break in a name"),
        pytest.param("touch 'a\vb'", r"a\vb", id="another character that ends a line elsewhere"),
        pytest.param("ln -s /dev/zero link", "link", id="a link to what has no end"),
    ],
)
def test_what_has_not_grown_much_or_is_no_part_of_the_change_is_taken(tmp_path, script, path):
    with changed(tmp_path, script) as worktree:
        assert f"b/{path}" in worktree.diff()


def test_a_name_with_a_carriage_return_is_not_excused_by_another_ones_size(tmp_path):
    with (
        changed(tmp_path, "head -c 3000 /dev/zero > 'large.txt\r'") as worktree,
        pytest.raises(UntakeableError, match="has 3,000 bytes, more than 2,000"),
    ):
        worktree.diff()


def test_what_was_large_counts_before_and_after(tmp_path):
    with (
        changed(tmp_path, "rm large.txt", ChangeLimits(total_bytes=LARGE)) as worktree,
        pytest.raises(UntakeableError, match="1 files with 6,000 bytes"),
    ):
        worktree.diff()


class Heard:
    """Git, and what it was asked."""

    def __init__(self, git):
        self._git = git
        self.questions = []

    def run(self, *words, stdin=b""):
        self.questions += stdin.splitlines()
        return self._git.run(*words, stdin=stdin)


def test_git_is_not_asked_for_the_earlier_sizes_of_new_files(tmp_path):
    with changed(
        tmp_path, "echo y > small.txt; mkdir new; for n in 1 2 3; do touch new/$n; done"
    ) as worktree:
        git = Heard(worktree._git())
        check_sizes(git, worktree.path, worktree._base(), LIMITS)
    assert [line.rpartition(b":")[2] for line in git.questions] == [b"small.txt"]
