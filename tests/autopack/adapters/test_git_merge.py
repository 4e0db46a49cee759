"""Whether a branch has a fix: in its history, or as a copy; and that a copy is not brought in once more."""

import subprocess

import pytest

from autopack.adapters import git_merge
from autopack.adapters.git import open_workspace
from autopack.errors import WorkspaceError

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost", "-c", "init.defaultBranch=main")
LINES = tuple(f"line {number}" for number in range(30))


class Repository:
    """A file of thirty lines on ``main``; on ``fix``, made of it, two commits that change two of them."""

    def __init__(self, root):
        root.mkdir()
        self.root = root
        self.git("init", "-q")
        self.write({})
        self.git("checkout", "-q", "-b", "fix")
        self.write({3: "mended"})
        self.write({3: "mended", 12: "mended too"})
        self.git("checkout", "-q", "-b", "run", "main")

    def git(self, *words):
        done = subprocess.run(
            ["git", "-C", self.root, *IDENTITY, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, changed, name="a.txt"):
        """Commit the lines, some of them changed."""
        text = "\n".join(changed.get(number, line) for number, line in enumerate(LINES))
        (self.root / name).write_text(f"{text}\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"{name} {sorted(changed)}")

    def squash(self):
        self.git("merge", "-q", "--squash", "fix")
        self.git("commit", "-q", "-m", "Mend it")

    def pick(self):
        self.git("cherry-pick", "fix~1", "fix")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repo")


@pytest.fixture
def workspace(repository):
    opened = open_workspace(repository.root, state_folder=repository.root / ".autopack")
    yield opened
    opened.close()


def nothing(it):
    """The run goes on without the fix."""
    it.write({20: "other work"})


def merged(it):
    it.write({20: "other work"})
    it.git("merge", "-q", "fix")


def merged_and_reverted(it):
    merged(it)
    it.git("revert", "--no-edit", "-m", "1", "HEAD")


def picked(it):
    it.write({20: "other work"})
    it.pick()


def half_picked(it):
    it.write({20: "other work"})
    it.git("cherry-pick", "fix~1")


def squashed(it):
    it.write({20: "other work"})
    it.squash()


def squashed_with_more(it):
    it.write({20: "other work"}, name="b.txt")
    it.git("merge", "-q", "--squash", "fix")
    (it.root / "c.txt").write_text("more\n")
    it.git("add", "-A")
    it.git("commit", "-q", "-m", "Mend it, and more")


def squashed_and_reverted(it):
    squashed(it)
    it.git("revert", "--no-edit", "HEAD")


def squashed_and_changed_again(it):
    it.squash()
    it.write({3: "mended and better", 12: "mended too"})


def squashed_with_more_and_changed_again(it):
    squashed_with_more(it)
    it.write({3: "mended and better", 12: "mended too"})


def picked_and_changed_again(it):
    it.pick()
    it.write({3: "mended and better", 12: "mended too"})


def picked_and_reverted(it):
    picked(it)
    it.git("revert", "--no-edit", "HEAD", "HEAD~1")


def picked_reverted_and_changed_otherwise(it):
    picked_and_reverted(it)
    it.write({3: "done otherwise", 12: "and here"})


def picked_reverted_picked_again_and_changed_again(it):
    picked_and_reverted(it)
    picked_and_changed_again(it)


def merge_into_fix(it, changed):
    """The fix becomes the merge of its branch and another."""
    it.git("checkout", "-q", "-b", "side", "main")
    it.write(changed, name="b.txt")
    it.git("checkout", "-q", "fix")
    it.git("merge", "-q", "--no-ff", "side")
    it.git("checkout", "-q", "run")


def picked_where_the_fix_is_a_merge_and_changed_again(it):
    merge_into_fix(it, {25: "more"})
    it.git("cherry-pick", "fix~1^", "fix~1", "side")
    it.write({3: "mended and better", 12: "mended too"})


def indented(it):
    """The fix changes blanks alone, and is picked."""
    it.git("checkout", "-q", "-B", "fix", "main")
    it.write({3: "    line 3"})
    it.git("checkout", "-q", "run")
    it.write({20: "other work"})
    it.git("cherry-pick", "fix")


def indented_and_changed_again(it):
    indented(it)
    it.write({3: "        line 3", 20: "other work"})


def indented_and_reverted_and_changed_otherwise(it):
    indented(it)
    it.git("revert", "--no-edit", "HEAD")
    it.write({3: "  line 3", 20: "other work"})


def changed_otherwise(it):
    it.write({3: "done otherwise"})


def another_merge_of_the_same(it):
    """Both sides of it are here, and what the fix made of them is not."""
    it.git("merge", "-q", "fix")
    it.git("checkout", "-q", "-b", "side", "main")
    it.write({}, name="b.txt")
    for name, text in (("run", "broken"), ("fix", "mended at last")):
        it.git("checkout", "-q", name)
        it.git("merge", "-q", "--no-ff", "--no-commit", "side")
        lines = "\n".join({3: "mended", 12: text}.get(number, line) for number, line in enumerate(LINES))
        (it.root / "a.txt").write_text(f"{lines}\n")
        it.git("add", "-A")
        it.git("commit", "-q", "-m", f"Merge it {text}")


def another_binary_file(it):
    for name, content in (("run", b"\0one"), ("fix", b"\0two")):
        it.git("checkout", "-q", name)
        (it.root / "a.bin").write_bytes(content)
        it.git("add", "-A")
        it.git("commit", "-q", "-m", "Add it")
    it.git("reset", "-q", "--soft", "main")
    it.git("checkout", "-q", "main", "--", "a.txt")
    it.git("commit", "-q", "-m", "Add it alone")
    it.git("checkout", "-q", "run")


CASES = [
    (nothing, False),
    (merged, True),
    # The cause may be back: that is a recurrence, as history tells it.
    (merged_and_reverted, True),
    (picked, True),
    (half_picked, False),
    (squashed, True),
    (squashed_with_more, True),
    (squashed_and_reverted, False),
    (squashed_and_changed_again, True),
    (squashed_with_more_and_changed_again, True),
    (picked_and_changed_again, True),
    (picked_and_reverted, False),
    (picked_reverted_and_changed_otherwise, False),
    (picked_reverted_picked_again_and_changed_again, True),
    (picked_where_the_fix_is_a_merge_and_changed_again, True),
    (indented_and_changed_again, True),
    (indented_and_reverted_and_changed_otherwise, False),
    (another_merge_of_the_same, False),
    (another_binary_file, False),
    (changed_otherwise, False),
]


@pytest.mark.parametrize(("make", "is_held"), CASES, ids=lambda it: getattr(it, "__name__", ""))
def test_whether_a_branch_holds_a_fix(make, is_held, repository, workspace):
    make(repository)
    assert workspace.holds(workspace.resolve("run"), workspace.resolve("fix")) is is_held


@pytest.mark.parametrize("wanted", ["0" * 40, "orphan"])
def test_what_is_not_there_or_has_no_history_in_common_is_not_held(wanted, repository, workspace):
    repository.git("checkout", "-q", "--orphan", "orphan")
    repository.write({5: "another world"})
    commit = wanted if wanted.isdigit() else workspace.resolve(wanted)
    assert workspace.holds(workspace.resolve("run"), commit) is False


def test_two_histories_are_told_from_one_that_git_cannot_read(repository, workspace):
    repository.git("branch", "alone", repository.git("commit-tree", "fix^{tree}", "-m", "From nowhere"))
    run, fix, alone = map(workspace.resolve, ("run", "fix", "alone"))
    assert workspace.are_related(run, fix)
    assert not workspace.are_related(run, alone)
    stored = repository.root / ".git/objects" / alone[:2] / alone[2:]
    stored.chmod(0o600)
    stored.write_bytes(b"junk")
    with pytest.raises(WorkspaceError, match=r"git merge-base failed: .* is corrupt"):
        workspace.are_related(run, alone)


@pytest.mark.parametrize("limit", ["_MOST_COMMITS", "_MOST_PATHS"])
def test_a_copy_that_was_changed_again_is_looked_for_within_bounds(limit, repository, workspace, monkeypatch):
    squashed_and_changed_again(repository)
    monkeypatch.setattr(git_merge, limit, 0)
    assert workspace.holds(workspace.resolve("run"), workspace.resolve("fix")) is False


@pytest.mark.parametrize("make", [make for make, is_held in CASES if is_held and make is not merged])
def test_a_copy_is_not_brought_in_once_more(make, repository, workspace):
    make(repository)
    head = workspace.resolve("run")
    repository.git("branch", "autopack/r", head)
    fix = workspace.resolve("fix")
    assert workspace.brought("r", fix, base="main", message="Bring it\n") == head
    assert workspace.bring("r", fix, base="main", message="Bring it\n") == head
    assert workspace.run_head("r", base="main") == head


def test_what_is_missing_is_brought_in_by_one_merge_that_is_the_same_each_time(repository, workspace):
    half_picked(repository)
    repository.git("branch", "autopack/r", "run")
    head, fix = workspace.resolve("run"), workspace.resolve("fix")
    foreseen = workspace.brought("r", fix, base="main", message="Bring it\n")
    assert workspace.run_head("r", base="main") == head
    assert workspace.bring("r", fix, base="main", message="Bring it\n") == foreseen
    assert workspace.holds(foreseen, fix)
    assert repository.git("log", "-1", "--format=%P", foreseen).split() == [head, fix]
