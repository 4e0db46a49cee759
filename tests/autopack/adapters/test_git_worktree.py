import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest

from autopack.adapters.git import open_workspace
from autopack.domain.change import EditAction, FileEdit
from autopack.errors import UntakeableError, WorkspaceError

IDENTITY = (
    "-c",
    "user.name=Operator",
    "-c",
    "user.email=operator@localhost",
    "-c",
    "init.defaultBranch=main",
)
FILES = {
    "a.txt": b"a\n",
    "crlf.bat": b"one\r\ntwo\r\n",
    "pkg/b.py": b"b = 1\n",
    "pkg/deep/c.py": b"c = 1\n",
    "run.sh": b"#!/bin/sh\n",
    ".gitignore": b"*.log\nbuild/\n",
    "gr\u00f6\u00dfe/ein name.txt": b"x\n",
}


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", folder, *IDENTITY, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def shell(folder: Path, script: str) -> None:
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "repository"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "run.sh").chmod(0o755)
    git(root, "init", "-q")
    for key, value in (("user.name", "Agent"), ("user.email", "agent@localhost"), ("core.autocrlf", "true")):
        git(root, "config", key, value)
    git(root, "-c", "core.autocrlf=false", "add", "-A")
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def workspace(root):
    workspace = open_workspace(root, state_folder=root / ".autopack", max_slots=3)
    yield workspace
    workspace.close()


@pytest.fixture
def base(workspace):
    return workspace.resolve("HEAD")


@pytest.fixture
def worktree(workspace, base):
    with workspace.worktree() as worktree:
        worktree.reset(base)
        yield worktree


def files(folder: Path) -> dict[str, bytes | str]:
    """All files below a folder: a program's content begins with ``x:``, a link is its target, a folder ``dir``."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[key] = str(path.readlink())
        elif path.is_file():
            found[key] = (b"x:" if os.access(path, os.X_OK) else b"") + path.read_bytes()
        elif not any(path.iterdir()):
            found[key] = "dir"
    found.pop(".git", None)
    return found


TREE = {**FILES, "run.sh": b"x:" + FILES["run.sh"], "module": "dir"}


def create(path: str, content: bytes = b"new\n", mode: str = "100644") -> FileEdit:
    return FileEdit(path=path, action=EditAction.CREATE, content=content, mode=mode)


def modify(path: str, content: bytes = b"changed\n") -> FileEdit:
    return FileEdit(path=path, action=EditAction.MODIFY, content=content)


def delete(path: str) -> FileEdit:
    return FileEdit(path=path, action=EditAction.DELETE, content=None)


def rename(old: str, path: str, content: bytes) -> FileEdit:
    return FileEdit(path=path, action=EditAction.RENAME, content=content, old_path=old)


# --- reset

OWN_GIT = 'git_dir=$(sed "s/gitdir: //" .git)'
MESS = {
    "nothing": "true",
    "changed and deleted files": "echo more >> a.txt; rm pkg/b.py",
    "new files, ignored ones too": "mkdir -p build new/er; touch build/out x.log new/er/file new/.hidden",
    "empty folders": "mkdir -p e/m/p/ty",
    "staged": "echo more > a.txt; touch n; git add -A",
    "committed": "echo more > a.txt; git commit -qam theirs",
    "on a branch of its own": "git checkout -q -b theirs; echo more > a.txt; git commit -qam theirs",
    "in the middle of a merge": f"{OWN_GIT}; cp a.txt $git_dir/MERGE_MSG; cp $git_dir/HEAD $git_dir/MERGE_HEAD",
    "modes": "chmod 755 a.txt; chmod 644 run.sh",
    "line ends": "sed -i 's/\\r//' crlf.bat",
    "a link for a file": "ln -sf /etc/passwd a.txt",
    "a link for a folder": "rm -r pkg; ln -s /tmp pkg",
    "a folder for a file": "rm a.txt; mkdir -p a.txt/in; touch a.txt/in/x",
    "a file for a folder": "rm -r pkg; touch pkg",
    "changes that the index hides": "git update-index --assume-unchanged a.txt; git update-index --skip-worktree "
    "pkg/b.py; echo more >> a.txt; echo more >> pkg/b.py",
    "a change with the old size and time": "touch -r a.txt t; printf 'b\\n' > a.txt; touch -r t a.txt; rm t",
    "a repository in a new folder": "mkdir sub; cd sub; git init -q; touch x; git add x; git commit -qm x",
    "a repository in a folder of files": "cd pkg; git init -q; touch x; git add x; git commit -qm x",
    "a repository in an ignored folder": "mkdir -p build/sub; cd build/sub; git init -q; touch x",
    "files in a submodule": "touch module/x; mkdir module/y; touch module/y/z",
    "a repository in a submodule": "cd module; git init -q; touch x; git add x; git commit -qm x",
    "no submodule folder": "rmdir module",
    "a submodule that is a file": "rmdir module; touch module",
    "an exclusion of everything": "echo '*' > .gitignore; touch x; mkdir -p .git.d; echo '*' > .git.d/exclude",
    "locks of a killed git": f"{OWN_GIT}; touch $git_dir/index.lock $git_dir/HEAD.lock ../slot-0.index.lock",
    "a broken index": f"{OWN_GIT}; echo x > $git_dir/index; echo broken > ../slot-0.index; echo more > a.txt",
    "an index cut short": "truncate -s 100 ../slot-0.index",
    "no link to the repository": "rm .git; echo more > a.txt",
    "a repository in place of the link": "rm .git; git init -q; git add a.txt; git commit -qm x",
    "a link to elsewhere": "echo 'gitdir: /no/where' > .git",
    "a broken HEAD": f"{OWN_GIT}; echo broken > $git_dir/HEAD",
    "no note in the repository": f"{OWN_GIT}; rm -r $git_dir",
    "half a note in the repository": f"{OWN_GIT}; rm $git_dir/commondir $git_dir/HEAD",
    "no folder": "rm -r ../slot-0",
    "a file in place of the folder": "rm -r ../slot-0; touch ../slot-0",
    "leftovers of a killed write": "mkdir -p ../slot-0.scratch; touch ../slot-0.scratch/old-0; rm a.txt",
    "no own configuration": "rm -r ../../git; rm -r ../slot-0",
}


@pytest.mark.parametrize("script", [pytest.param(script, id=name) for name, script in MESS.items()])
def test_a_reset_leaves_the_commits_files_and_nothing_else(worktree, base, script):
    shell(worktree.path, script)

    worktree.reset(base)

    assert files(worktree.path) == TREE
    assert git(worktree.path, "rev-parse", "HEAD") == base
    assert git(worktree.path, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert git(worktree.path, "-c", "core.autocrlf=false", "status", "--porcelain", "--ignored") == ""
    assert worktree.diff() == ""


def test_a_reset_goes_from_one_commit_to_another(root, worktree, base):
    shell(
        root,
        "git rm -q pkg/b.py run.sh; mkdir run.sh; echo i > run.sh/inner; git add -A; git commit -qm second",
    )
    second = git(root, "rev-parse", "HEAD")

    worktree.reset(second)
    there = files(worktree.path)
    worktree.reset(base)

    assert "pkg/b.py" not in there
    assert there["run.sh/inner"] == b"i\n"
    assert files(worktree.path) == TREE


def test_a_reset_to_no_commit_is_refused_and_breaks_nothing(worktree, base):
    with pytest.raises(WorkspaceError):
        worktree.reset("0" * 40)

    assert files(worktree.path) == TREE


def test_unchanged_files_keep_their_time_and_changed_ones_get_a_later_second(worktree, base):
    def seconds() -> dict[str, int]:
        return {name: int((worktree.path / name).stat().st_mtime) for name in ("a.txt", "pkg/b.py")}

    first = seconds()
    worktree.write([modify("a.txt", b"b\n")])
    written = seconds()
    worktree.reset(base)
    restored = seconds()
    worktree.write([modify("a.txt", b"c\n")])

    assert first["pkg/b.py"] == written["pkg/b.py"] == restored["pkg/b.py"]
    assert first["a.txt"] < written["a.txt"] < restored["a.txt"] < seconds()["a.txt"]


def test_compiled_modules_that_outlive_a_reset_are_not_used_for_other_code(worktree, base, tmp_path):
    """The compiled files are kept elsewhere, and all versions have one size and are written within a second."""

    def value() -> str:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
        argv = [sys.executable, "-S", "-c", "import b; print(b.b)"]
        done = subprocess.run(
            argv, cwd=worktree.path / "pkg", env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    seen = [value()]
    for number in (2, 3):
        worktree.write([modify("pkg/b.py", f"b = {number}\n".encode())])
        seen.append(value())
        worktree.reset(base)
        seen.append(value())

    assert seen == ["1", "2", "1", "3", "1"]


# --- what a repository could make git run


@pytest.fixture
def trap(root, tmp_path):
    """A repository whose configuration, attributes and hooks each try to leave a trace."""
    trace = tmp_path / "trace"
    program = tmp_path / "program.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {trace}\ncat\n')
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-checkout", "pre-commit", "post-commit", "reference-transaction", "post-index-change"):
        shutil.copy(program, hooks / hook)
    (root / ".gitattributes").write_text("* filter=evil diff=evil text=auto eol=crlf ident\n")
    blob = git(root, "hash-object", "-w", "--no-filters", ".gitattributes")
    git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},.gitattributes")
    git(root, "commit", "-qm", "trap")
    for key in (
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.editor",
    ):
        git(root, "config", key, str(program))
    git(root, "config", "core.hooksPath", str(hooks))
    git(root, "config", "diff.noprefix", "true")
    trace.unlink(missing_ok=True)
    return trace


def test_no_filter_hook_or_driver_runs_and_no_byte_is_converted(trap, workspace):
    head = workspace.run_head("run", base="HEAD")
    with workspace.worktree() as worktree:
        worktree.reset(head)
        shell(worktree.path, f"printf 'b\\r\\n$Id$\\n' > a.txt; cp {trap.parent}/program.sh new.sh")
        patch = worktree.diff()
        commit = worktree.commit(message="m", parent=head)
        worktree.reset(commit)
        assert workspace.advance("run", old=head, new=commit)

    assert not trap.exists()
    assert workspace.tree(commit).read("a.txt") == b"b\r\n$Id$\n"
    assert workspace.tree(commit).read("crlf.bat") == FILES["crlf.bat"]
    assert "diff --git a/a.txt b/a.txt" in patch
    assert "+b\r\n+$Id$\n" in patch


def test_the_trap_would_snap(trap, root, tmp_path):
    """The test above proves something only if an ordinary git falls for it."""
    git(root, "worktree", "add", "-q", str(tmp_path / "ordinary"), "HEAD")

    assert "post-checkout" in trap.read_text()
    assert "program.sh" in trap.read_text()


# --- write


@pytest.mark.parametrize(
    ("edits", "changes"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([modify("a.txt")], {"a.txt": b"changed\n"}, id="modify"),
        pytest.param([create("n/e/w.txt")], {"n/e/w.txt": b"new\n"}, id="create with folders"),
        pytest.param([create("x.sh", mode="100755")], {"x.sh": b"x:new\n"}, id="create a program"),
        pytest.param([create("a.txt")], {"a.txt": b"new\n"}, id="create what is there"),
        pytest.param([modify("run.sh")], {"run.sh": b"changed\n"}, id="a program becomes a file"),
        pytest.param([delete("pkg/deep/c.py")], {"pkg/deep/c.py": None}, id="delete with the empty folder"),
        pytest.param([rename("a.txt", "z/a.txt", b"a2\n")], {"a.txt": None, "z/a.txt": b"a2\n"}, id="rename"),
        pytest.param(
            [rename("a.txt", "pkg/b.py", b"1"), rename("pkg/b.py", "a.txt", b"2")],
            {"a.txt": b"2", "pkg/b.py": b"1"},
            id="two files swap names",
        ),
        pytest.param(
            [delete("a.txt"), create("a.txt/b")], {"a.txt": None, "a.txt/b": b"new\n"}, id="file to folder"
        ),
        pytest.param(
            [create("pkg"), delete("pkg/b.py"), delete("pkg/deep/c.py")],
            {"pkg": b"new\n", "pkg/b.py": None, "pkg/deep/c.py": None},
            id="folder to file",
        ),
        pytest.param([create("ü ß/\t.txt", b"\r\n\0")], {"ü ß/\t.txt": b"\r\n\0"}, id="any name, any bytes"),
    ],
)
def test_edits_are_written_and_committed_as_they_are(worktree, workspace, base, edits, changes):
    worktree.write(edits)

    wanted = {path: content for path, content in {**TREE, **changes}.items() if content is not None}
    assert files(worktree.path) == wanted
    assert list((worktree.path.parent).glob("*.scratch")) == []
    committed = workspace.tree(worktree.commit(message="m", parent=base))
    assert list(committed.paths()) == sorted(wanted)
    assert {path for path in committed.paths() if committed.mode(path) == "100755"} == {
        path for path, content in wanted.items() if content[:2] == b"x:"
    }


@pytest.mark.parametrize(
    ("last", "message"),
    [
        pytest.param(modify("gone.txt"), "no file gone.txt", id="modify nothing"),
        pytest.param(delete("pkg/gone.txt"), "no file pkg/gone.txt", id="delete nothing"),
        pytest.param(delete("gone/x.txt"), "folder gone is missing", id="delete in nothing"),
        pytest.param(rename("gone", "x", b""), "no file gone", id="rename nothing"),
        pytest.param(create("pkg"), "pkg is a folder", id="a folder is there"),
        pytest.param(delete("pkg"), "pkg is a folder", id="delete a folder"),
        pytest.param(create("run.sh/x"), "run.sh is a link or a file", id="below a file"),
        pytest.param(create("link/x"), "link is a link or a file", id="through a link"),
        pytest.param(modify("link/deep/c.py"), "link is a link or a file", id="modify through a link"),
        pytest.param(create("outside/x"), "outside is a link or a file", id="through a link to outside"),
        pytest.param(create("../x"), "not the path of a file", id="above"),
        pytest.param(create("/tmp/x"), "not the path of a file", id="absolute"),
        pytest.param(create("pkg/.GIT/x"), "not the path of a file", id="in a .git"),
        pytest.param(create("a\0b"), "not the path of a file", id="a zero byte"),
        pytest.param(create("x" * 300), "File name too long", id="refused by the disk"),
        pytest.param(create("x", mode="120000"), "only files of mode", id="a link"),
        pytest.param(modify("a.txt"), "edited twice", id="a path twice"),
    ],
)
def test_when_one_edit_fails_none_is_written(worktree, base, tmp_path, last, message):
    (tmp_path / "outside").mkdir()
    shell(worktree.path, f"ln -s pkg link; ln -s {tmp_path}/outside outside; echo mine > untracked")
    before = files(worktree.path)
    well = [
        modify("a.txt"),
        delete("pkg/deep/c.py"),
        rename("crlf.bat", "n/c.bat", b""),
        create("m/n/o"),
        create("untracked"),
    ]

    with pytest.raises(WorkspaceError, match=message):
        worktree.write([*well, last])

    assert files(worktree.path) == before
    assert list((tmp_path / "outside").iterdir()) == []
    worktree.reset(base)
    assert worktree.diff() == ""


def test_a_link_that_is_replaced_is_not_followed(worktree, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("theirs\n")
    (worktree.path / "link").symlink_to(outside)

    worktree.write([create("link")])

    assert outside.read_text() == "theirs\n"
    assert not (worktree.path / "link").is_symlink()


def test_a_worktree_that_was_never_reset_writes_nothing(workspace):
    with workspace.worktree() as worktree, pytest.raises(WorkspaceError, match="must be reset"):
        worktree.write([create("x")])


# --- diff


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        pytest.param("echo b >> a.txt", ["--- a/a.txt", "+b"], id="changed"),
        pytest.param("rm a.txt", ["deleted file mode 100644", "-a"], id="deleted"),
        pytest.param("mkdir n; echo b > n/n", ["new file mode 100644", "+++ b/n/n", "+b"], id="new"),
        pytest.param("echo b > 'ö ü'", ["diff --git a/ö ü b/ö ü"], id="a name that is not ASCII"),
        pytest.param("chmod 755 a.txt", ["old mode 100644", "new mode 100755"], id="mode"),
        pytest.param("ln -s /etc/passwd l", ["new file mode 120000", "+/etc/passwd"], id="link"),
        pytest.param("head -c 100 /dev/zero > z", ["GIT binary patch"], id="binary"),
        pytest.param("printf 'caf\\351\\n' > l1", ["+caf\udce9"], id="text that is not UTF-8"),
        pytest.param(
            "git mv a.txt z.txt", ["deleted file mode 100644", "+++ b/z.txt"], id="a rename is two files"
        ),
        pytest.param("echo b > a.txt; git add a.txt; git commit -qm x", ["+b"], id="committed"),
        pytest.param(
            "git update-index --assume-unchanged a.txt; echo b > a.txt", ["+b"], id="hidden by the index"
        ),
        pytest.param(
            "touch -r a.txt t; printf 'b\\n' > a.txt; touch -r t a.txt; rm t", ["+b"], id="same size and time"
        ),
        pytest.param("mkdir s; cd s; git init -q; echo b > i", ["+++ b/s/i", "+b"], id="in a new repository"),
        pytest.param(
            "mkdir s; cd s; git init -q; echo b > i; git add i; git commit -qm x; mkdir t; cd t; git init -q; echo c > j",
            ["+++ b/s/i", "+++ b/s/t/j"],
            id="in repositories in repositories",
        ),
        pytest.param(
            "cd pkg; git init -q; echo b > i", ["+++ b/pkg/i", "+b"], id="in a repository over files"
        ),
        pytest.param(
            "rm .git; git init -q; echo '*' > .git/info/exclude; echo b > n", ["+b"], id="another .git"
        ),
        pytest.param("rm -rf .git; echo b > n", ["+b"], id="no .git"),
        pytest.param(
            "echo '* -diff binary' > .gitattributes; echo b > a.txt", ["+b"], id="attributes that hide text"
        ),
        pytest.param("rmdir module", ["deleted file mode 160000"], id="a submodule goes"),
    ],
)
def test_a_difference_shows(worktree, script, lines):
    shell(worktree.path, script)

    shown = worktree.diff().splitlines()

    assert [line for line in lines if line not in shown] == []


def test_a_difference_can_be_applied_and_gives_the_same_files(worktree, root, base):
    shell(
        worktree.path,
        "printf 'x\\r\\ny' > crlf.bat; rm a.txt; head -c 999 /dev/urandom > bin; chmod 755 pkg/b.py",
    )
    wanted = files(worktree.path)
    patch = worktree.diff().encode("utf-8", "surrogateescape")
    worktree.reset(base)

    subprocess.run(
        ["git", "-c", "core.autocrlf=false", "apply", "-"], cwd=worktree.path, input=patch, check=True
    )

    assert files(worktree.path) == wanted


def test_looking_twice_shows_the_same_and_stages_nothing(worktree):
    shell(worktree.path, "echo b > a.txt; echo n > n")

    assert worktree.diff() == worktree.diff() != ""
    assert git(worktree.path, "diff", "--cached", "--name-only") == ""


def test_ignored_files_are_left_out_and_can_be_asked_for(worktree):
    shell(worktree.path, "mkdir build; touch build/out x.log n")

    assert "x.log" not in worktree.diff()
    assert sorted(worktree.ignored()) == ["build/", "x.log"]


def test_ignored_files_that_were_written_on_purpose_are_part_of_the_change(worktree, workspace, base):
    worktree.write([create("build/out.txt"), create("x.log")])

    assert "+++ b/build/out.txt" in worktree.diff().splitlines()
    assert "x.log" in workspace.tree(worktree.commit(message="m", parent=base)).paths()
    assert "x.log" not in worktree.ignored()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(
            "touch \"$(printf 'caf\\351')\"", r"caf\\xe9' is not UTF-8", id="a name that is not UTF-8"
        ),
        pytest.param("touch module/x", "module is a submodule", id="files in a submodule"),
        pytest.param("touch git~1", "invalid path 'git~1'", id="a name that passes for .git elsewhere"),
    ],
)
def test_what_cannot_be_told_is_refused(worktree, script, message):
    shell(worktree.path, script)

    with pytest.raises(UntakeableError, match=message):
        worktree.diff()


# --- commit


def test_a_commit_is_the_same_whenever_and_wherever_it_is_made(workspace, base):
    edits = [modify("a.txt"), create("n/n"), delete("pkg/b.py")]
    with workspace.worktree() as one, workspace.worktree() as two:
        commits = set()
        for worktree in (one, two):
            worktree.reset(base)
            worktree.write(edits)
            commits.add(worktree.commit(message="m\n\nTrailer: x\n", parent=base))
        two.reset(base)
        shell(two.path, "printf 'changed\\n' > a.txt; mkdir n; printf 'new\\n' > n/n; rm pkg/b.py")
        commits.add(two.commit(message="m\n\nTrailer: x\n", parent=base))

    assert len(commits) == 1


def test_a_commit_names_its_parent_its_message_and_us(root, worktree, base):
    worktree.write([modify("a.txt")])

    commit = worktree.commit(message="subject: ü\n\nAutopack-Run: r\n", parent=base)

    assert git(root, "show", "-s", "--format=%P|%an <%ae>|%cn <%ce>|%B", commit) == (
        f"{base}|Autopack <autopack@localhost>|Autopack <autopack@localhost>|subject: ü\n\nAutopack-Run: r"
    )
    assert git(root, "rev-parse", "HEAD") == base


def test_what_a_test_run_left_behind_or_altered_is_not_committed(worktree, workspace, base):
    worktree.write([modify("a.txt"), create("n")])
    shell(worktree.path, "echo by CI > a.txt; echo by CI > coverage.xml; rm n; echo by CI > pkg/b.py")

    commit = worktree.commit(message="m", parent=base)

    assert workspace.changed_paths(base, commit) == ["a.txt", "n"]
    assert workspace.tree(commit).read("a.txt") == b"changed\n"


def test_writing_twice_adds_up(worktree, workspace, base):
    worktree.write([create("stub.json", b"{}"), create("gone")])
    worktree.write([modify("stub.json", b"[]"), delete("gone"), rename("a.txt", "b.txt", b"a\n")])

    commit = worktree.commit(message="m", parent=base)

    assert workspace.changed_paths(base, commit) == ["a.txt", "b.txt", "stub.json"]
    assert workspace.tree(commit).read("stub.json") == b"[]"


# --- the pool

HOLD = """
import sys
from pathlib import Path
from autopack.adapters.git import open_workspace
root = Path(sys.argv[1])
workspace = open_workspace(root, state_folder=root / ".autopack")
with workspace.worktree() as worktree:
    worktree.reset(workspace.resolve("HEAD"))
    print(worktree.path.name, flush=True)
    sys.stdin.read()
workspace.close()
"""


def hold_in_another_process(root: Path) -> subprocess.Popen:
    argv = [sys.executable, "-c", HOLD, str(root)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_checkout_has_one_holder_until_it_is_given_back(workspace):
    with workspace.worktree() as first:
        with workspace.worktree() as second:
            names = [first.path.name, second.path.name]
        with workspace.worktree() as again:
            names.append(again.path.name)

    assert names == ["slot-0", "slot-1", "slot-1"]


def test_an_error_gives_the_checkout_back(workspace):
    with pytest.raises(KeyError), workspace.worktree():
        raise KeyError
    with workspace.worktree() as worktree:
        assert worktree.path.name == "slot-0"


def test_more_than_there_may_be_are_refused(workspace):
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(workspace.worktree())
        with pytest.raises(WorkspaceError, match="all 3 worktrees") as refused:
            held.enter_context(workspace.worktree())

    assert "workers" in refused.value.hint


def test_a_killed_process_frees_its_checkout(root, workspace, base):
    holder = hold_in_another_process(root)
    assert holder.stdout.readline() == "slot-0\n"
    with workspace.worktree() as worktree:
        assert worktree.path.name == "slot-1"

    holder.kill()
    holder.communicate()

    with workspace.worktree() as worktree:
        assert worktree.path.name == "slot-0"
        worktree.reset(base)
        assert files(worktree.path) == TREE


def test_a_checkout_is_not_free_before_the_git_of_a_killed_process_has_ended(root, workspace, base, tmp_path):
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    slow = f"alias.slow=!echo $$ > {ready}; exec sleep 300"
    script = HOLD.replace(
        "print(worktree.path.name, flush=True)", f"worktree._git().run('-c', {slow!r}, 'slow')"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(root)])
    slow_git = psutil.Process(int(ready.read_text()))
    try:
        holder.kill()
        holder.wait()
        with workspace.worktree() as worktree:
            assert worktree.path.name == "slot-1"
    finally:
        for process in (*slow_git.parents(), slow_git):
            if process.name() == "git":
                process.kill()
        slow_git.kill()


def test_a_checkout_that_was_put_aside_by_a_killed_process_is_made_anew(workspace, base):
    with workspace.worktree() as worktree:
        worktree.reset(base)
        worktree.path.rename(worktree.path.with_name("slot-0.left-1a2b"))

    assert list(workspace.pool.numbers()) == [0], "its index is still there"
    with workspace.worktree() as worktree:
        assert worktree.path.name == "slot-0"
        worktree.reset(base)
        assert files(worktree.path) == TREE
        workspace.pool.remove(workspace.pool._slot(0))
    assert list(workspace.pool.numbers()) == []
    assert [it.name for it in workspace.pool.put_aside()] == ["slot-0.left-1a2b"]


def test_several_take_checkouts_at_once(root, base):
    together = threading.Barrier(4)

    def take() -> str:
        workspace = open_workspace(root, state_folder=root / ".autopack")
        together.wait(30)
        with workspace.worktree() as worktree:
            worktree.reset(base)
            together.wait(30)
            assert files(worktree.path) == TREE
            name = worktree.path.name
        workspace.close()
        return name

    with ThreadPoolExecutor(4) as threads:
        names = [future.result() for future in [threads.submit(take) for _ in range(4)]]

    assert sorted(names) == [f"slot-{number}" for number in range(4)]


def test_an_operators_worktree_of_the_same_name_is_another(root, tmp_path, workspace, base):
    git(root, "worktree", "add", "-q", str(tmp_path / "slot-0"))

    with workspace.worktree() as worktree:
        worktree.reset(base)
        (worktree.path / "a.txt").write_text("ours\n")

    assert git(tmp_path / "slot-0", "rev-parse", "--abbrev-ref", "HEAD") == "slot-0"
    assert (tmp_path / "slot-0" / "a.txt").read_text() == "a\n"


# --- what a Builder left


def leave(workspace, base, script):
    """What a process does that is killed when its Builder has ended."""
    with workspace.worktree() as worktree:
        worktree.reset(base)
        shell(worktree.path, script)
        marks = []
        worktree.mark(marks.append)
        return marks[0], worktree.path


def test_what_was_left_is_found_again_and_others_take_its_checkout_last(workspace, base):
    mark, path = leave(workspace, base, "echo left > left.txt")
    with workspace.worktree() as other:
        assert other.path != path
        other.reset(base)
    with workspace.marked(mark, base) as found:
        assert "b/left.txt" in found.diff()
        found.unmark()
    with workspace.worktree() as other:
        assert other.path == path
    with workspace.marked(mark, base) as found:
        assert found is None


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda worktree, base: worktree.reset(base), id="reset"),
        pytest.param(lambda worktree, base: worktree.mark(str), id="left by another"),
        pytest.param(lambda worktree, base: (worktree.path / ".git").write_text("x"), id="no longer ours"),
    ],
)
def test_what_is_no_longer_as_it_was_left_is_not_taken_for_it(root, base, spoil):
    workspace = open_workspace(root, state_folder=root / ".autopack", max_slots=1)
    mark, _ = leave(workspace, base, "echo left > left.txt")
    with workspace.worktree() as worktree:
        spoil(worktree, base)
    with workspace.marked(mark, base) as found:
        assert found is None
    workspace.close()


def test_what_was_left_stays_where_others_still_hold_its_checkout(workspace, base):
    mark, _ = leave(workspace, base, "echo left > left.txt")
    marked = partial(workspace.pool.marked, mark, base, patience_seconds=0)
    with workspace.pool.hold(0), pytest.raises(WorkspaceError, match="slot-0 cannot be read now"), marked():
        pass
    with marked() as found:
        assert "b/left.txt" in found.diff()
        found.unmark()
    with workspace.pool.hold(0), marked() as found:
        assert found is None
