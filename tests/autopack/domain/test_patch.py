"""Patches read strictly: what git would take is taken, what is damaged or dangerous is refused by name."""

import contextlib
import subprocess
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unidiff import PatchSet

from autopack.domain.change import BinaryDelta, EditAction, FileEdit, Intent, apply_edits
from autopack.domain.patch import parse_patch
from autopack.domain.patch_binary import apply_delta
from autopack.domain.patch_lines import new_files_of
from autopack.domain.patch_writer import write_patch
from autopack.domain.resolve import resolve
from autopack.errors import PatchError

FILE = "100644"
BASE = {
    "src/a.py": (b"one\ntwo\nthree\nfour\nfive\n", FILE),
    "src/win.py": (b"one\r\ntwo\r\nthree\r\n", FILE),
    "src/open.py": (b"one\ntwo", FILE),
    "src/twice.py": (b"x = 1\ny = 2\n\nx = 1\ny = 2\n", FILE),
    "run.sh": (b"#!/bin/sh\n", FILE),
    "with space.txt": (b"a\n", FILE),
    "caf\u00e9.txt": (b"a\n", FILE),
    "empty.txt": (b"", FILE),
    "logo.png": (b"\x89PNG\0" + bytes(range(200)), FILE),
}


def patch(text):
    return dedent(text).lstrip("\n")


def resolved(text, files=BASE):
    return resolve(parse_patch(text), files.get)


def after(text, files=BASE):
    return apply_edits(files, resolved(text, files))


CHANGE_TWO = patch("""
    --- a/src/a.py
    +++ b/src/a.py
    @@ -1,3 +1,3 @@
     one
    -two
    +TWO
     three
    """)
TWO_CHANGED = b"one\nTWO\nthree\nfour\nfive\n"

GIT_NEW = "diff --git a/{0} b/{0}\nnew file mode {1}\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"

# What git takes, and what becomes of the file; git agrees with each.
TAKEN = [
    pytest.param(CHANGE_TWO, "src/a.py", TWO_CHANGED, id="as it should be"),
    pytest.param(
        CHANGE_TWO.replace("-1,3 +1,3", "-3,3 +3,3"), "src/a.py", TWO_CHANGED, id="wrong line numbers"
    ),
    pytest.param("Here it is:\n\n" + CHANGE_TWO, "src/a.py", TWO_CHANGED, id="prose before"),
    pytest.param(CHANGE_TWO + "\nThat is all.\n", "src/a.py", TWO_CHANGED, id="prose after"),
    pytest.param(CHANGE_TWO + "-- \n2.39.5\n", "src/a.py", TWO_CHANGED, id="signature of git format-patch"),
    pytest.param(
        CHANGE_TWO.replace("@@ -1,3 +1,3 @@", "@@ -1,3 +1,3 @@ def f():"),
        "src/a.py",
        TWO_CHANGED,
        id="function name in the hunk header",
    ),
    pytest.param(
        CHANGE_TWO.replace("a/src/a.py", "a/src/a.py\t2025-12-28 10:00:00.0 +0000"),
        "src/a.py",
        TWO_CHANGED,
        id="time stamp",
    ),
    pytest.param(
        CHANGE_TWO + "@@ -4,2 +4,3 @@\n four\n+four and a half\n five\n",
        "src/a.py",
        b"one\nTWO\nthree\nfour\nfour and a half\nfive\n",
        id="two hunks",
    ),
    pytest.param(
        patch("""
            diff --git a/src/new.py b/src/new.py
            new file mode 100644
            index 0000000..257cc56
            --- /dev/null
            +++ b/src/new.py
            @@ -0,0 +1 @@
            +x = 1
            """),
        "src/new.py",
        b"x = 1\n",
        id="new file",
    ),
    pytest.param(
        "--- /dev/null\n+++ b/n.txt\n@@ -0,0 +1 @@\n+x\n", "n.txt", b"x\n", id="new file without git's lines"
    ),
    pytest.param(
        "diff --git a/src/__init__.py b/src/__init__.py\nnew file mode 100644\nindex 0000000..e69de29\n",
        "src/__init__.py",
        b"",
        id="new empty file",
    ),
    pytest.param(
        "--- a/src/open.py\n+++ b/src/open.py\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+TWO\n",
        "src/open.py",
        b"one\nTWO\n",
        id="newline added at the end",
    ),
    pytest.param(
        "--- a/src/a.py\n+++ b/src/a.py\n@@ -4,2 +4,2 @@\n four\n-five\n+five\n\\ No newline at end of file\n",
        "src/a.py",
        b"one\ntwo\nthree\nfour\nfive",
        id="newline removed at the end",
    ),
    pytest.param(
        "--- a/src/twice.py\n+++ b/src/twice.py\n@@ -2,3 +2,4 @@\n y = 2\n\n+z = 3\n x = 1\n",
        "src/twice.py",
        b"x = 1\ny = 2\n\nz = 3\nx = 1\ny = 2\n",
        id="an empty line that lost its space",
    ),
    pytest.param(
        "--- a/with space.txt\t\n+++ b/with space.txt\t\n@@ -1 +1 @@\n-a\n+b\n",
        "with space.txt",
        b"b\n",
        id="a path with a space",
    ),
    pytest.param(
        'diff --git "a/caf\\303\\251.txt" "b/caf\\303\\251.txt"\n--- "a/caf\\303\\251.txt"\n+++ "b/caf\\303\\251.txt"\n'
        "@@ -1 +1 @@\n-a\n+b\n",
        "caf\u00e9.txt",
        b"b\n",
        id="a quoted path",
    ),
    pytest.param(
        "diff --git a/empty.txt b/empty.txt\n--- a/empty.txt\n+++ b/empty.txt\n@@ -0,0 +1 @@\n+x\n",
        "empty.txt",
        b"x\n",
        id="a line for an empty file",
    ),
    pytest.param(
        "--- a/src/win.py\n+++ b/src/win.py\n@@ -1,3 +1,3 @@\n one\r\n-two\r\n+TWO\r\n three\r\n",
        "src/win.py",
        b"one\r\nTWO\r\nthree\r\n",
        id="a file with CRLF, faithfully",
    ),
    pytest.param(
        "diff --git a/src/a.py b/src/b.py\nsimilarity index 100%\ncopy from src/a.py\ncopy to src/b.py\n",
        "src/b.py",
        BASE["src/a.py"][0],
        id="copy",
    ),
]

TAKEN += [
    pytest.param(
        "diff --git a/other b/src/a.py\n" + CHANGE_TWO, "src/a.py", TWO_CHANGED, id="the sides name the file"
    ),
    pytest.param(
        GIT_NEW.format("n", FILE).replace("a/n b/n", "/dev/null b/n"),
        "n",
        b"x\n",
        id="git's line with /dev/null",
    ),
]

# What git refuses but can only mean one thing.
TAKEN_BY_US = [
    pytest.param(CHANGE_TWO.removesuffix("\n"), "src/a.py", TWO_CHANGED, id="no newline at the patch's end"),
    pytest.param(
        f"Sure!\n\n```diff\n{CHANGE_TWO}```\n\n- done\n", "src/a.py", TWO_CHANGED, id="fenced in prose"
    ),
    pytest.param(f"```\n{CHANGE_TWO}```\n", "src/a.py", TWO_CHANGED, id="fence without a word"),
    pytest.param(f"~~~~patch\n{CHANGE_TWO}~~~~\n", "src/a.py", TWO_CHANGED, id="fence of tildes"),
    pytest.param(
        f"```python\nprint(1)\n```\nbecomes\n```diff\n{CHANGE_TWO}```\n",
        "src/a.py",
        TWO_CHANGED,
        id="two fences",
    ),
    pytest.param(CHANGE_TWO.replace("\n", "\r\n"), "src/a.py", TWO_CHANGED, id="a patch with CRLF"),
    pytest.param(
        CHANGE_TWO.replace("a/src/a.py", "src/a.py").replace("b/src/a.py", "src/a.py"),
        "src/a.py",
        TWO_CHANGED,
        id="no prefixes",
    ),
    pytest.param(
        CHANGE_TWO.replace("src/a.py", "src/win.py"),
        "src/win.py",
        b"one\r\nTWO\r\nthree\r\n",
        id="a file with CRLF keeps it",
    ),
    pytest.param(
        CHANGE_TWO.replace("one\n", "one\r\n")
        .replace("TWO\n", "TWO\r\n")
        .replace("two\n", "two\r\n")
        .replace("three\n", "three\r\n"),
        "src/a.py",
        TWO_CHANGED,
        id="a file without CRLF gets none",
    ),
]


# What git refuses too.
REFUSED = [
    pytest.param("I could not do it.\n", "holds no patch", id="prose"),
    pytest.param(CHANGE_TWO.replace("-1,3", "-1,4"), "cut off", id="a count too high"),
    pytest.param(CHANGE_TWO.replace("-1,3 +1,3", "-1,2 +1,1"), "more lines", id="the new count too low"),
    pytest.param(CHANGE_TWO.replace("@@ -1,3 +1,3 @@", "@@ ... @@"), "hunk header", id="a bare hunk header"),
    pytest.param(CHANGE_TWO[: -len(" three\n")], "cut off", id="cut off in a hunk"),
    pytest.param(CHANGE_TWO[: CHANGE_TWO.index("@@")], "no hunk follows", id="cut off before the hunk"),
    pytest.param("--- a/src/a.py\n", "cut off", id="cut off after the first line"),
    pytest.param("diff --git a/src/a.py b/src/a.py\n", "nothing changes", id="cut off after git's line"),
    pytest.param("@@ -1 +1 @@\n-a\n+b\n", "under no file", id="a hunk without a file"),
    pytest.param(CHANGE_TWO.replace(" one", " ONE"), "src/a.py", id="a wrong line of context"),
    pytest.param(
        CHANGE_TWO.replace("src/a.py", "src/none.py"), "there is no file", id="a file that is not there"
    ),
    pytest.param(GIT_NEW.format("src/a.py", FILE), "already", id="a new file that is there"),
    pytest.param(
        "diff --git a/src/a.py b/src/a.py\ndeleted file mode 100644\n--- a/src/a.py\n+++ /dev/null\n"
        "@@ -1,2 +0,0 @@\n-one\n-two\n",
        "does not remove all",
        id="a deletion that leaves lines",
    ),
    pytest.param(
        CHANGE_TWO.replace("a/src/a.py", "a/../x").replace("b/src/a.py", "b/../x"), r"'\.\.'", id="upwards"
    ),
    pytest.param(GIT_NEW.format("../evil", FILE), r"'\.\.'", id="a new file upwards"),
    pytest.param(GIT_NEW.format(".git/hooks/pre-commit", "100755"), "git's own", id="a hook of git"),
    pytest.param(
        CHANGE_TWO + CHANGE_TWO.replace("src/a.py", "src/none.py"), "there is no file", id="one file of two"
    ),
    pytest.param(
        "diff --git a/src/none.py b/src/b.py\nsimilarity index 100%\nrename from src/none.py\nrename to src/b.py\n",
        "there is no file",
        id="a rename of nothing",
    ),
    pytest.param(
        "diff --git a/src/a.py b/run.sh\nsimilarity index 100%\nrename from src/a.py\nrename to run.sh\n",
        "already",
        id="a rename onto a file",
    ),
    pytest.param(
        "diff --git a/logo.png b/logo.png\nindex 12..34 100644\nBinary files a/logo.png and b/logo.png differ\n",
        "does not bring",
        id="binary without content",
    ),
]

DAMAGED = [
    pytest.param(
        "diff --git a/run.sh b/run.sh\nindex 1..2 100644\n@@ -1 +1 @@\n-#!/bin/sh\n+x\n",
        "without '---'",
        id="no sides",
    ),
    pytest.param(
        "diff --git a/run.sh b/run.sh\nold mode 100644\nold mode 100644\n",
        "stands twice",
        id="one of git's lines twice",
    ),
    pytest.param(
        CHANGE_TWO.replace("+1,3", "+1,2"), "does not have as many lines", id="the new count alone too low"
    ),
    pytest.param(
        "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1,2 @@\n-#!/bin/sh\n+x\n\\ No newline at end of file\n+y\n",
        "before its last line",
        id="the end of the file in the middle",
    ),
    pytest.param(
        "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n\\ No newline at end of file\n-#!/bin/sh\n+x\n",
        "follows no line",
        id="the end of the file before any line",
    ),
    pytest.param(
        "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n-#!/bin/sh\n+\ud800\n",
        "half a character",
        id="half a character",
    ),
    pytest.param(
        "diff --git a/n b/n\nnew file mode 100644\nGIT binary patch\n", "no binary content", id="no content"
    ),
    pytest.param(
        "diff --git a/n b/n\nnew file mode 100644\ndeleted file mode 100644\n",
        "at once",
        id="made and deleted at once",
    ),
    pytest.param("diff --git a/run.sh b/run.sh\nold mode 100644\n", "by half", id="half a change of mode"),
    pytest.param("--- a/run.sh\n+++ b/src/a.py\n@@ -1 +1 @@\n-x\n+y\n", "names two files", id="two names"),
    pytest.param(
        "diff --git a/run.sh b/run.sh\n" + CHANGE_TWO, "different files", id="sides that are another file's"
    ),
    pytest.param(
        GIT_NEW.format("n", FILE).replace("-0,0", "-1").replace("+x", "-y\n+x"),
        "there already",
        id="old lines of a new file",
    ),
    pytest.param("diff --cc run.sh\nindex 1,2..3\n", "cannot be applied", id="a merge"),
    pytest.param("Binary files a/x and b/x differ\n", "brings no content", id="binary, by diff alone"),
    pytest.param(
        "--- a/run.sh\n+++ b/run.sh\n@@ -1,2 +1,2 @@\n #!/bin/sh\n-x\n+y\n",
        "the file ends at line 1",
        id="a file too short",
    ),
]

# What git takes and we do not.
REFUSED_BY_US = [
    pytest.param("--- /dev/null\n+++ /etc/evil\n@@ -0,0 +1 @@\n+x\n", "absolute", id="an absolute path"),
    pytest.param(
        CHANGE_TWO.replace("-1,3 +1,3", "-1,2 +1,2"), "more lines", id="counts too low, the rest dropped"
    ),
    pytest.param(GIT_NEW.format("link", "120000"), "symbolic link", id="a new link"),
    pytest.param(GIT_NEW.format("x", "104755"), "mode 104755", id="a setuid program"),
    pytest.param(GIT_NEW.format("x", "100600"), "mode 100600", id="an odd mode"),
    pytest.param(
        "diff --git a/m b/m\nnew file mode 160000\nindex 0000000..1111111\n--- /dev/null\n+++ b/m\n"
        "@@ -0,0 +1 @@\n+Subproject commit 1111111111111111111111111111111111111111\n",
        "submodule",
        id="a submodule",
    ),
    pytest.param(
        "--- a/src/twice.py\n+++ b/src/twice.py\n@@ -3,2 +3,2 @@\n-x = 1\n+x = 9\n y = 2\n",
        "lines 1, 4",
        id="two places",
    ),
    pytest.param(
        "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..e69de29\n--- /dev/null\n+++ b/x\n",
        "no hunk follows",
        id="a new file cut off before its content",
    ),
    pytest.param(f"```diff\n{CHANGE_TWO}", "never closed", id="a fence that is never closed"),
    pytest.param(GIT_NEW.format("ab:c", FILE), "stream", id="a stream on Windows"),
    pytest.param(
        "diff --git a/src/a.py b/src/a.py\nold mode 100644\nnew mode 120000\n",
        "symbolic link",
        id="a file becomes a link",
    ),
]


@pytest.mark.parametrize(("text", "path", "content"), [*TAKEN, *TAKEN_BY_US])
def test_a_sound_patch_is_taken(text, path, content):
    found = after(text)
    assert found.pop(path)[0] == content
    assert found == {key: file for key, file in BASE.items() if key != path}


@pytest.mark.parametrize(("text", "reason"), [*REFUSED, *DAMAGED, *REFUSED_BY_US])
def test_a_bad_patch_is_refused_by_name(text, reason):
    with pytest.raises(PatchError, match=reason):
        resolved(text)


@pytest.fixture
def git_tree(tmp_path):
    """The same files in a folder that git applies patches to."""
    for path, (content, _) in BASE.items():
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    return tmp_path


def git_apply(folder, text):
    # Under /tmp git finds no repository around the folder, and then applies to plain files.
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["git", "apply", "-"],
        cwd=folder,
        input=text.encode(),
        capture_output=True,
        env=environment,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize(("text", "path", "content"), TAKEN)
def test_git_takes_the_same_patch_in_the_same_way(git_tree, text, path, content):
    assert git_apply(git_tree, text)
    assert (git_tree / path).read_bytes() == content


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_git_refuses_the_same_patch(git_tree, text, reason):
    assert not git_apply(git_tree, text)


@pytest.mark.parametrize("text", [pytest.param(p.values[0], id=p.id) for p in TAKEN if "@@" in p.values[0]])
def test_another_reader_counts_the_same_lines(text):
    ours = [hunk for step in parse_patch(text).steps if isinstance(step.body, tuple) for hunk in step.body]
    theirs = [hunk for file in PatchSet(text) for hunk in file if file.source_file != "/dev/null"]
    assert [(len(h.old), len(h.new)) for h in ours] == [(len(h.source), len(h.target)) for h in theirs]


WHOLE = (
    "diff --git a/src/a.py b/lib/a.py\nsimilarity index 60%\nrename from src/a.py\nrename to lib/a.py\n"
    "index 12..34 100644\n" + CHANGE_TWO.replace("b/src/a.py", "b/lib/a.py")
)


@pytest.mark.parametrize(
    "count",
    [count for count in range(1, WHOLE.count("\n")) if WHOLE.split("\n")[count - 1] != "rename to lib/a.py"],
)
def test_a_patch_that_lost_its_last_lines_is_refused(count):
    assert resolved(WHOLE)
    with pytest.raises(PatchError):
        resolved("\n".join(WHOLE.split("\n")[:count]) + "\n")


def test_a_path_that_was_cut_short_is_refused():
    text = WHOLE[: WHOLE.index("/a.py\nindex")]
    with pytest.raises(PatchError, match="different files"):
        resolved(text)


def test_white_space_alone_is_a_change_of_nothing():
    assert parse_patch(" \n\n").steps == ()
    assert resolved("") == ()


def test_a_patch_without_effect_comes_to_nothing():
    assert resolved("--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n-#!/bin/sh\n+#!/bin/sh\n") == ()


def test_a_mode_change_alone():
    text = "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
    (edit,) = resolved(text)
    assert edit == FileEdit(path="run.sh", action=EditAction.MODIFY, content=b"#!/bin/sh\n", mode="100755")


def test_a_deletion():
    text = "diff --git a/run.sh b/run.sh\ndeleted file mode 100644\n--- a/run.sh\n+++ /dev/null\n@@ -1 +0,0 @@\n-#!/bin/sh\n"
    assert resolved(text) == (FileEdit(path="run.sh", action=EditAction.DELETE, content=None),)


def test_a_rename_with_a_change():
    text = (
        "diff --git a/src/a.py b/lib/a.py\nsimilarity index 80%\nrename from src/a.py\nrename to lib/a.py\n"
        + CHANGE_TWO.replace("b/src/a.py", "b/lib/a.py")
    )
    (edit,) = resolved(text)
    assert (edit.action, edit.path, edit.old_path, edit.content) == (
        EditAction.RENAME,
        "lib/a.py",
        "src/a.py",
        TWO_CHANGED,
    )


def test_two_files_that_change_places():
    def move(old, new):
        return f"diff --git a/{old} b/{new}\nsimilarity index 100%\nrename from {old}\nrename to {new}\n"

    found = after(move("src/a.py", "run.sh") + move("run.sh", "src/a.py"))
    assert found["run.sh"][0] == BASE["src/a.py"][0]
    assert found["src/a.py"][0] == BASE["run.sh"][0]


def test_binary_content_comes_whole_or_as_a_delta(git_tree):
    new = BASE["logo.png"][0] + b"\0more\0" * 30
    for command in ("init -q", "add -A", "-c user.name=x -c user.email=x@x commit -qm x"):
        subprocess.run(["git", *command.split()], cwd=git_tree, check=True)
    (git_tree / "logo.png").write_bytes(new)
    (git_tree / "new.png").write_bytes(b"\0\1\2" * 40)
    subprocess.run(["git", "add", "-N", "."], cwd=git_tree, check=True)
    done = subprocess.run(
        ["git", "diff", "--binary"], cwd=git_tree, check=True, capture_output=True, text=True
    )
    assert "delta " in done.stdout
    assert "literal " in done.stdout
    found = after(done.stdout)
    assert found["logo.png"][0] == new
    assert found["new.png"][0] == b"\0\1\2" * 40


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text.replace("literal 120", "literal 121"), id="another length"),
        pytest.param(lambda text: text.replace("literal 120", "literal 99999999999"), id="a huge length"),
        pytest.param(lambda text: text.rstrip("\n") + "\n", id="cut off"),
        pytest.param(lambda text: text.replace("\nz", "\n!"), id="a damaged line"),
    ],
)
def test_damaged_binary_content_is_refused(damage):
    new = FileEdit(path="n.png", action=EditAction.CREATE, content=bytes(range(120)))
    text = write_patch([new], {}.get)
    assert resolved(text, {}) == (new,)
    assert damage(text) != text
    with pytest.raises(PatchError, match=r"n\.png"):
        resolved(damage(text), {})


COPY_TWO = b"\x04\x04" + b"\x90\x02" + b"\x02zz"
"""Made for four bytes, gives four: the first two of the old ones, then two of its own."""


def test_a_delta_is_made_of_the_old_content():
    assert apply_delta(b"abcd", BinaryDelta(instructions=COPY_TWO)) == b"abzz"


@pytest.mark.parametrize(
    ("instructions", "reason"),
    [
        pytest.param(b"\x05" + COPY_TWO[1:], "is for 5 bytes", id="for another file"),
        pytest.param(COPY_TWO[:1], "ends too early", id="cut off in its head"),
        pytest.param(COPY_TWO[:3], "ends too early", id="cut off in a copy"),
        pytest.param(COPY_TWO[:-1], "damaged", id="cut off in its own bytes"),
        pytest.param(COPY_TWO[:4], "damaged", id="cut off between two"),
        pytest.param(b"\x04\x09\x90\x09", "past the end", id="copies what is not there"),
        pytest.param(b"\x04\x04\x00", "damaged", id="an unknown instruction"),
    ],
)
def test_a_damaged_delta_is_refused(instructions, reason):
    with pytest.raises(PatchError, match=reason):
        apply_delta(b"abcd", BinaryDelta(instructions=instructions))


def test_every_file_and_hunk_that_does_not_fit_is_listed():
    text = (
        CHANGE_TWO.replace(" one", " ONE")
        + "@@ -4,2 +4,2 @@\n FOUR\n-five\n+5\n"
        + GIT_NEW.format("run.sh", FILE)
        + GIT_NEW.format("fine.txt", FILE)
    )
    with pytest.raises(PatchError) as caught:
        resolved(text)
    problems = caught.value.problems
    assert len(problems) == 3
    assert "src/a.py: hunk 1" in problems[0]
    assert "line 1 is 'one', not 'ONE'" in problems[0]
    assert "src/a.py: hunk 2" in problems[1]
    assert "run.sh: cannot create" in problems[2]
    assert "2 more" in str(caught.value)


def test_a_hunk_of_added_lines_needs_a_line_to_follow():
    text = "--- a/run.sh\n+++ b/run.sh\n@@ -9,0 +10 @@\n+x\n"
    with pytest.raises(PatchError, match="the file has 1"):
        resolved(text)


def test_lines_are_not_added_behind_a_line_without_an_ending():
    with pytest.raises(PatchError, match="no line ending"):
        resolved("--- a/src/open.py\n+++ b/src/open.py\n@@ -2,0 +3 @@\n+three\n")


def test_hunks_that_overlap_are_refused():
    with pytest.raises(PatchError, match="overlaps"):
        resolved(CHANGE_TWO + "@@ -2,2 +2,2 @@\n two\n-three\n+3\n")


def test_new_files_are_read_even_where_the_patch_is_damaged():
    text = GIT_NEW.format("a.json", FILE).replace("+1 @@", "+1,7 @@") + CHANGE_TWO
    assert new_files_of(text) == {"a.json": "x"}
    with pytest.raises(PatchError):
        parse_patch(text)


def test_bytes_that_are_no_utf8_go_through():
    files = {"old.txt": (b"caf\xe9\nx\n", FILE)}
    text = b"--- a/old.txt\n+++ b/old.txt\n@@ -1,2 +1,2 @@\n caf\xe9\n-x\n+y\n".decode(
        "utf-8", "surrogateescape"
    )
    assert after(text, files)["old.txt"][0] == b"caf\xe9\ny\n"


def test_a_link_is_never_followed():
    with pytest.raises(PatchError, match="link"):
        resolve(parse_patch(CHANGE_TWO), {"src/a.py": (b"", "120000")}.get)


def test_a_placeholder_may_be_altered_or_created():
    alter = "--- a/p.json\n+++ b/p.json\n@@ -1 +1 @@\n-{}\n+[]\n"
    create = GIT_NEW.format("p.json", FILE).replace("+x", "+[]")
    wanted = (FileEdit(path="p.json", action=EditAction.CREATE, content=b"[]\n"),)
    for text in (alter, create):
        assert resolve(parse_patch(text), {}.get, placeholders={"p.json": b"{}\n"}) == wanted


FRAGMENTS = [line for text in (WHOLE, CHANGE_TWO, GIT_NEW.format("n", FILE)) for line in text.split("\n")]
FRAGMENTS += [
    "```diff",
    "```",
    "\\ No newline at end of file",
    "GIT binary patch",
    "literal 3",
    "KcmV",
    "delta 9",
    "-- ",
    "\r",
]
FRAGMENTS += [
    "+x\r",
    "diff --git",
    'diff --git "a/\\303" b/x',
    "rename from",
    "old mode 100644",
    "@@ -0,0 +0,0 @@",
    "\ud800",
]


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=5)), max_size=25))
def test_whatever_an_answer_holds_it_is_read_or_refused(lines):
    with contextlib.suppress(PatchError):
        apply_edits(BASE, resolved("\n".join(lines)))


def test_steps_say_where_they_stand_in_the_answer():
    (step,) = parse_patch("Words.\n\n" + CHANGE_TWO).steps
    assert (step.where, step.intent, step.path) == ("line 3", Intent.MODIFY, "src/a.py")
