"""What models answer: taken where it can mean one thing, refused as a whole where it cannot."""

import contextlib
import time
from collections import Counter
from dataclasses import replace
from textwrap import dedent
from unicodedata import is_normalized

import pytest
from answer_writer import quoted, write_answer
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.answer_formats import Spoken, parse_answer
from autopack.domain.change import EditAction, Hunk, Intent, Passage, Passages, Step, WholeText, apply_edits
from autopack.domain.drafts import draft_of
from autopack.domain.ladder import Rung
from autopack.domain.loose_patch import parse_loose_patch
from autopack.domain.passages import fit_passages
from autopack.domain.placement import place_hunks
from autopack.domain.resolve import resolve, try_change
from autopack.domain.search import Search
from autopack.errors import PatchError, TooMuchError

FILE = "100644"
BASE = {
    "src/a.py": (b"def one():\n    return 1\n\n\ndef two():\n    return 2\n", FILE),
    "src/win.py": (b"one\r\ntwo\r\nthree\r\n", FILE),
    "src/open.py": (b"one\ntwo", FILE),
    "src/twice.py": (b"x = 1\ny = 2\n\n\n\n\n\n\n\nx = 1\ny = 2\n", FILE),
    "src/trail.py": (b"if x:   \n\ty = 1\t\n", FILE),
    "src/quotes.txt": ("say \u201chello\u201d \u2013 now\nand go\n".encode(), FILE),
    "empty.py": (b"", FILE),
    "latin.txt": (b"caf\xe9\nplain\n", FILE),
    "link": (b"", "120000"),
    "run.sh": (b"#!/bin/sh\n", FILE),
}


def answer(text):
    return dedent(text).lstrip("\n")


def after(text, files=BASE):
    _, change = parse_answer(text)
    return apply_edits(files, resolve(change, files.get))


def block(path, old, new):
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def diff(path, *hunks):
    return f"--- a/{path}\n+++ b/{path}\n" + "".join(hunks)


NEWLINE = "\n"
ONE_BLOCK = block("src/a.py", "    return 1\n", "    return 9\n")
ONE = "@@ -1,2 +1,2 @@\n def one():\n-    return 1\n+    return 9\n"
ONE_DONE = BASE["src/a.py"][0].replace(b"return 1", b"return 9")
BLANKS = {"src/b.py": (b"a = 1\nc = 3\n\nd = 4\ne = 5\n", FILE)}
SHORT = "@@ -1,2 +1,3 @@\n a = 1\n+b = 2\n c = 3\n\n-d = 4\n+d = 5\n e = 5\n"
NEW = "--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"

TAKEN = [
    pytest.param(block("src/a.py", "    return 1\n", "    return 9\n"), "src/a.py", ONE_DONE, id="a block"),
    pytest.param(
        f"I change one:\n\n**src/a.py**\n```python\n{ONE_BLOCK.partition(NEWLINE)[2]}```\nDone.\n",
        "src/a.py",
        ONE_DONE,
        id="a block in a fence, with prose and a path in bold",
    ),
    pytest.param(
        f"```\n{ONE_BLOCK}```\n",
        "src/a.py",
        ONE_DONE,
        id="path inside the fence",
    ),
    pytest.param(
        block("### `src/a.py`:", "    return 1\n", "    return 9\n"),
        "src/a.py",
        ONE_DONE,
        id="path as heading",
    ),
    pytest.param(
        block("FILE src/a.py", "    return 1\n", "    return 9\n"),
        "src/a.py",
        ONE_DONE,
        id="FILE above a block",
    ),
    pytest.param(
        block("src/a.py", "    return 1\n", "    return 0\n") + block("", "    return 0\n", "    return 9\n"),
        "src/a.py",
        ONE_DONE,
        id="a second block of the same file, which sees the first",
    ),
    pytest.param(
        block("src/new.py", "", "x = 1\n"), "src/new.py", b"x = 1\n", id="an empty SEARCH makes a file"
    ),
    pytest.param(
        block("empty.py", "", "x = 1\n"), "empty.py", b"x = 1\n", id="an empty SEARCH fills an empty file"
    ),
    pytest.param(
        block("src/a.py", "    return 1\n\n\n", ""),
        "src/a.py",
        b"def one():\ndef two():\n    return 2\n",
        id="an empty REPLACE removes",
    ),
    pytest.param("FILE src/b.py\n```python\nx = 1\n```\n", "src/b.py", b"x = 1\n", id="a whole new file"),
    pytest.param("FILE src/a.py\n```\nx\n```\n", "src/a.py", b"x\n", id="a whole file over another"),
    pytest.param("FILE src/b.py\n```\n```\n", "src/b.py", b"", id="an empty file"),
    pytest.param(
        "FILE src/win.py\n```\na\nb\n```\n", "src/win.py", b"a\r\nb\r\n", id="a whole file keeps CRLF"
    ),
    pytest.param(
        "FILE doc.md\n````markdown\nRun:\n```\nmake\n```\n````\n",
        "doc.md",
        b"Run:\n```\nmake\n```\n",
        id="a longer fence around fences",
    ),
    pytest.param(
        "FILE doc.txt\n```\n--- a/x\n+++ b/x\n*** Begin Patch\n<<<<<<<< SEARCH\n```\n",
        "doc.txt",
        b"--- a/x\n+++ b/x\n*** Begin Patch\n<<<<<<<< SEARCH\n",
        id="other formats quoted in a file",
    ),
    pytest.param(
        "a.rst\n<<<<<<<< SEARCH\n========\nTitle\n=======\n>>>>>>>> REPLACE\n",
        "a.rst",
        b"Title\n=======\n",
        id="longer marks around a text with marks",
    ),
    pytest.param("MOVE src/a.py -> src/z.py\n", "src/z.py", BASE["src/a.py"][0], id="a move"),
    pytest.param("DELETE run.sh\n", "run.sh", None, id="a deletion"),
    pytest.param(
        block("cafe\u0301.txt", "", "x\n"), "caf\u00e9.txt", b"x\n", id="a path that is not composed"
    ),
    pytest.param(diff("src/a.py", ONE), "src/a.py", ONE_DONE, id="a diff"),
    pytest.param(diff("src/a.py", ONE).rstrip("\n"), "src/a.py", ONE_DONE, id="no newline at its end"),
    pytest.param(
        diff("src/a.py", ONE.replace("-1,2 +1,2", "-70,2 +71,2")),
        "src/a.py",
        ONE_DONE,
        id="wrong line numbers",
    ),
    pytest.param(
        f"Here:\n```diff\n{diff('src/a.py', ONE.replace('-1,2 +1,2', '-1,7 +1,9'))}```\n",
        "src/a.py",
        ONE_DONE,
        id="wrong counts in a closed fence",
    ),
    pytest.param(
        diff("src/a.py", ONE.replace("-1,2 +1,2", "-1 +1")),
        "src/a.py",
        ONE_DONE,
        id="counts that are too small",
    ),
    pytest.param(
        diff("src/a.py", ONE.replace("-1,2 +1,2 @@", "... @@")), "src/a.py", ONE_DONE, id="a bare hunk header"
    ),
    pytest.param(
        diff("src/a.py", ONE) + "\nThis makes one return nine.\n- It is a list\n",
        "src/a.py",
        ONE_DONE,
        id="prose below, with a list",
    ),
    pytest.param(f"x\n```diff\n{diff('src/a.py', ONE)}```\ny\n", "src/a.py", ONE_DONE, id="fenced in prose"),
    pytest.param(diff("src/a.py", ONE).replace("\n", "\r\n"), "src/a.py", ONE_DONE, id="a diff with CRLF"),
    pytest.param(
        diff("src/win.py", "@@ -1,2 +1,3 @@\n one\n-two\n+TWO\n+more\n"),
        "src/win.py",
        b"one\r\nTWO\r\nmore\r\nthree\r\n",
        id="a file with CRLF",
    ),
    pytest.param(
        diff("src/twice.py", "@@ -11,2 +11,2 @@\n x = 1\n-y = 2\n+y = 3\n"),
        "src/twice.py",
        b"x = 1\ny = 2\n\n\n\n\n\n\n\nx = 1\ny = 3\n",
        id="an ambiguous place that its line number names",
    ),
    pytest.param(NEW.format("src/new.py"), "src/new.py", b"x\n", id="a new file in a diff"),
    pytest.param(
        diff("src/open.py", "@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+two\n"),
        "src/open.py",
        b"one\ntwo\n",
        id="a missing newline at the end is added",
    ),
    pytest.param(
        answer("""
            *** Begin Patch
            *** Update File: src/a.py
            @@ def two():
            -    return 2
            +    return 3
            *** End Patch
            """),
        "src/a.py",
        BASE["src/a.py"][0].replace(b"return 2", b"return 3"),
        id="Begin Patch",
    ),
    pytest.param(
        answer("""
            *** Begin Patch
            *** Update File: src/twice.py
            @@
             x = 1
            -y = 2
            +y = 4
            *** End of File
            *** End Patch
            """),
        "src/twice.py",
        b"x = 1\ny = 2\n\n\n\n\n\n\n\nx = 1\ny = 4\n",
        id="Begin Patch at the end of the file",
    ),
    pytest.param(
        "*** Begin Patch\n*** Add File: n.py\n+x\n+\n+y\n*** End Patch",
        "n.py",
        b"x\n\ny\n",
        id="Begin Patch adds",
    ),
    pytest.param(
        "*** Begin Patch\n*** Delete File: run.sh\n*** End Patch", "run.sh", None, id="Begin Patch deletes"
    ),
    pytest.param(
        "*** Begin Patch\n*** Update File: src/a.py\n*** Move to: src/m.py\n@@\n-    return 1\n+    return 9\n*** End Patch",
        "src/m.py",
        ONE_DONE,
        id="Begin Patch moves and changes",
    ),
]


@pytest.mark.parametrize(("text", "path", "content"), TAKEN)
def test_an_answer_that_means_one_thing_is_taken(text, path, content):
    found = after(text)
    assert found.get(path, (None,))[0] == content
    others = {name: file for name, file in found.items() if name != path}
    assert others == {name: BASE[name] for name in others}


RUNGS = [
    pytest.param("src/a.py", "    return 1\n", "    return 9\n", Rung.EXACT, ONE_DONE, id="exact"),
    pytest.param("src/win.py", "two\n", "TWO\n", Rung.LINE_ENDS, b"one\r\nTWO\r\nthree\r\n", id="line ends"),
    pytest.param(
        "src/trail.py",
        "if x:\n\ty = 1\n",
        "if x:\n\ty = 1\n\tz = 2\n",
        Rung.TRAILING_SPACE,
        b"if x:   \n\ty = 1\t\n\tz = 2\n",
        id="trailing white space, which lines that stay keep",
    ),
    pytest.param(
        "src/a.py",
        "return 1\n",
        "if True:\n    return 9\n",
        Rung.INDENTATION,
        b"def one():\n    if True:\n        return 9\n\n\ndef two():\n    return 2\n",
        id="less indentation",
    ),
    pytest.param(
        "src/a.py",
        "  def one():\n      return 1\n",
        "  def one():\n      return 9\n",
        Rung.INDENTATION,
        ONE_DONE,
        id="more indentation",
    ),
    pytest.param(
        "src/a.py",
        "\n    return 1\n",
        "\n    return 9\n",
        Rung.BLANK_EDGE,
        ONE_DONE,
        id="a blank line too many above",
    ),
    pytest.param(
        "src/a.py",
        "    return 2\n\n",
        "    return 3\n",
        Rung.BLANK_EDGE,
        BASE["src/a.py"][0].replace(b"return 2", b"return 3"),
        id="a blank line too many below",
    ),
    pytest.param(
        "src/quotes.txt",
        'say "hello" - now\nand go\n',
        'say "hello" - now\nand stop\n',
        Rung.TYPOGRAPHY,
        "say \u201chello\u201d \u2013 now\nand stop\n".encode(),
        id="typographic characters, which lines that stay keep",
    ),
    pytest.param(
        "src/a.py",
        "def one():\n...\n    return 2\n",
        "def uno():\n...\n    return 22\n",
        Rung.ELISION,
        b"def uno():\n    return 1\n\n\ndef two():\n    return 22\n",
        id="elision between unique lines",
    ),
    pytest.param(
        "latin.txt", "plain\n", "fancy\n", Rung.EXACT, b"caf\xe9\nfancy\n", id="bytes that are no UTF-8 stay"
    ),
    pytest.param(
        "src/open.py", "two\n", "two\nsix\n", Rung.EXACT, b"one\ntwo\nsix", id="no newline at the end"
    ),
]


@pytest.mark.parametrize(("path", "old", "new", "rung", "content"), RUNGS)
def test_a_passage_is_found_on_the_first_rung_that_holds(path, old, new, rung, content):
    _, change = parse_answer(block(path, old, new))
    trial = try_change(change, BASE.get)
    assert (trial.misfits, trial.rungs) == ((), (rung,))
    assert trial.edits[0].content == content


def test_a_program_becomes_one_by_its_mode_alone():
    found = after("diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n")
    assert found["run.sh"] == (BASE["run.sh"][0], "100755")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an empty answer"),
        pytest.param(
            block("src/a.py", "    return 1\n", "    return 1\n"), id="a block that changes nothing"
        ),
    ],
)
def test_what_changes_nothing_comes_to_no_change(text):
    assert after(text) == BASE


CUT = "    return 1\n=======\n    return 9\n"
REFUSED = [
    pytest.param("I would rather not.\n", "holds no change", id="prose only"),
    pytest.param(f"src/a.py\n<<<<<<< SEARCH\n{CUT}", "cut off", id="a block without its end"),
    pytest.param("src/a.py\n<<<<<<< SEARCH\n    return 1\n", "cut off", id="a block without its middle"),
    pytest.param(
        f"src/a.py\n<<<<<<< SEARCH\n{CUT}" + block("src/a.py", "def two():\n", "def zwei():\n"),
        "cut off",
        id="a block begins inside another",
    ),
    pytest.param(f"```\n{ONE_BLOCK}", "never closed", id="an open fence"),
    pytest.param("FILE src/b.py\n```\nx = 1\n", "never closed", id="a file in an open fence"),
    pytest.param("FILE src/b.py\nx = 1\n", "no fence", id="a file without a fence"),
    pytest.param(
        "FILE doc.md\n```\nRun:\n```\nmake\n```\nend\n```\n", "more characters", id="fences of one length"
    ),
    pytest.param(
        "FILE doc.py\n```\nx\n```sh\nmake\n```\n```\n", "more characters", id="a fence inside a fence"
    ),
    pytest.param(block("", "    return 1\n", ""), "names no file", id="a block without a path"),
    pytest.param(block("Now the function:", "    return 1\n", ""), "no path", id="prose instead of a path"),
    pytest.param(block("a.rst", "Title\n=======\n", ""), "two lines '======='", id="a mark inside a block"),
    pytest.param(
        "src/a.py\n<<<<<<< SEARCH src/a.py\n", "stands under no block", id="a mark with a path in it"
    ),
    pytest.param(
        block("src/a.py", "x\n", "") + diff("src/a.py", ONE), "mixes blocks and diff", id="two formats"
    ),
    pytest.param("\ud800" + block("src/a.py", "x\n", ""), "half a character", id="half a character"),
    pytest.param(block("src/a.py", "    return 7\n", "x\n"), "stands nowhere", id="one wrong word"),
    pytest.param(block("src/twice.py", "x = 1\n", "x = 2\n"), "alike at lines 1 and 10", id="two places"),
    pytest.param(
        block("src/twice.py", " x = 1\n", " x = 2\n"), "alike at lines 1 and 10", id="two places, indented"
    ),
    pytest.param(
        block("src/a.py", "", "x\n"), "quotes no line", id="an empty SEARCH in a file that has lines"
    ),
    pytest.param(
        block("src/none.py", "x\n", "y\n"), "there is no file", id="a block for a file that is not there"
    ),
    pytest.param(
        block("src/twice.py", "x = 1\n...\ny = 2\n", "a\n...\nb\n"),
        "several places",
        id="elision, not unique",
    ),
    pytest.param(
        block("src/a.py", "def one():\n...\n    return 2\n", "def uno():\n"),
        "both sides",
        id="elision on one side",
    ),
    pytest.param(
        block("src/a.py", "    return 2\n...\ndef one():\n", "a\n...\nb\n"),
        "another order",
        id="elision backwards",
    ),
    pytest.param(
        block("src/a.py", "      def one():\n          return 1\n", "def one():\n"),
        "indented less",
        id="outdented",
    ),
    pytest.param("DELETE src/none.py\n", "there is no file", id="deletes what is not there"),
    pytest.param("MOVE run.sh -> src/a.py\n", "there already", id="moves over a file"),
    pytest.param(
        diff("src/a.py", ONE.replace("def one", "def eins")), "stands nowhere", id="a diff with a wrong word"
    ),
    pytest.param(diff("src/a.py", ONE).rsplit("\n", 2)[0], "cut off", id="a diff that is cut off in a hunk"),
    pytest.param(
        diff("src/a.py", "@@ -1 +1 @@\n"), "stands nowhere|quotes no line|cut off", id="a hunk without lines"
    ),
    pytest.param(diff("src/a.py"), "cut off", id="a diff without a hunk"),
    pytest.param(f"```diff\n{diff('src/a.py', ONE)}", "never closed", id="a diff in an open fence"),
    pytest.param(
        f"```diff\n{diff('src/a.py', ONE)}def lost():\n+    pass\n```\n",
        "none of the signs",
        id="a line without a sign",
    ),
    pytest.param(
        diff("src/b.py", SHORT), "ends by its counts", id="lines with signs behind the counts of a hunk"
    ),
    pytest.param(
        diff("src/a.py", ONE) + "\ndef two():\n-    return 2\n+    return 3\n",
        "stands in no hunk",
        id="lines with signs behind one without",
    ),
    pytest.param(NEW.format("src/a.py"), "there already", id="a new file that is there"),
    pytest.param(
        diff("src/twice.py", "@@ -6,2 +6,2 @@\n x = 1\n-y = 2\n+y = 3\n"),
        "alike at lines",
        id="a number between two",
    ),
    pytest.param(
        diff("src/a.py", ONE, "@@ -2 +2 @@\n-    return 1\n+    return 8\n"),
        "overlaps",
        id="hunks that overlap",
    ),
    pytest.param(
        "--- a/src/a.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-def one():\n-    return 1\n",
        "does not remove all",
        id="a deletion of a part",
    ),
    pytest.param(NEW.format("../x"), r"\.\.", id="a path that leaves"),
    pytest.param(block("/etc/passwd", "", "x\n"), "/etc/passwd", id="an absolute path"),
    pytest.param(block("C:/x.py", "", "x\n"), "C:", id="a drive"),
    pytest.param(block(".git/hooks/pre-commit", "", "x\n"), r"\.git", id="git's own folder"),
    pytest.param(block(".GIT/config", "", "x\n"), r"\.GIT", id="git's own folder in capitals"),
    pytest.param(block('"a\\000b"', "", "x\n"), "NUL|control", id="a NUL in a path"),
    pytest.param(block("//server/share/x", "", "x\n"), "absolute", id="a share"),
    pytest.param(block("\\\\server\\share\\x", "", "x\n"), "absolute", id="a share with backslashes"),
    pytest.param(block(".git./config", "", "x\n"), "git's own", id="git's own folder with a dot behind"),
    pytest.param(block("git~1/config", "", "x\n"), "git's own", id="git's own folder by its short name"),
    pytest.param(
        block("src/.git/config", "", "x\n"), "git's own", id="git's own folder of a repository within"
    ),
    pytest.param("MOVE run.sh -> ../run.sh\n", r"\.\.", id="a move that leaves"),
    pytest.param(NEW.format(".git/hooks/pre-commit"), "git's own", id="a hook of git in a diff"),
    pytest.param(NEW.format("x").replace("b/x", "/etc/x"), "absolute", id="an absolute path in a diff"),
    pytest.param(block("link", "x\n", "y\n"), "a link", id="a link"),
    pytest.param(
        "diff --git a/link b/link\nindex 1..2 120000\n--- a/link\n+++ b/link\n@@ -1 +1 @@\n-x\n+/etc\n",
        "symbolic link",
        id="points a link elsewhere",
    ),
    pytest.param(
        "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n",
        "symbolic link",
        id="makes a link",
    ),
    pytest.param(
        "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 104755\n",
        "mode 104755",
        id="sets the user id",
    ),
    pytest.param(
        "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 101755\n",
        "mode 101755",
        id="sets the sticky bit",
    ),
    pytest.param(
        "diff --git a/d b/d\nnew file mode 060000\n--- /dev/null\n+++ b/d\n@@ -0,0 +1 @@\n+x\n",
        "mode 060000",
        id="makes a device",
    ),
    pytest.param(
        "diff --git a/sub b/sub\nnew file mode 160000\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n+Subproject commit 1\n",
        "submodule",
        id="makes a submodule",
    ),
    pytest.param(
        "diff --git a/l b/l\nnew file mode 100644\nindex 0..1\nBinary files /dev/null and b/l differ\n",
        "binary",
        id="binary",
    ),
    pytest.param(
        "*** Begin Patch\n*** Update File: src/a.py\n@@\n-    return 1\n",
        "cut off",
        id="Begin Patch without its end",
    ),
    pytest.param(
        "*** Begin Patch\n*** Update File: src/a.py\n    return 1\nreturn 3\n*** End Patch\n",
        "none of the signs",
        id="Begin Patch without signs",
    ),
    pytest.param(
        "*** Begin Patch\n*** Add File: src/a.py\n+x\n*** End Patch\n",
        "there already",
        id="adds a known file",
    ),
]


@pytest.mark.parametrize(("text", "named"), REFUSED)
def test_an_answer_that_is_damaged_or_fits_nowhere_changes_nothing(text, named):
    with pytest.raises(PatchError, match=named):
        after(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("".join(block("src/a.py", f"x{n}\n", "y\n") for n in range(5001)), id="blocks"),
        pytest.param(diff("src/a.py", *("@@ @@\n-x\n+y\n" for _ in range(5001))), id="hunks in words"),
    ],
)
def test_too_many_edits_are_refused_before_any_is_looked_for(text):
    draft = draft_of([text], BASE.get)
    assert not draft.fits
    assert "has 5,001 edits that are looked for in files, more than 5,000" in draft.problem


PASSAGE = Passage(line=1, old=("x = 1",), new=("x = 2",))
HUNK = (("-", b"x = 1\n"), ("+", b"x = 2\n"))
MEGABYTE = b"x = 1\n" + b"y = 2\n" * 166_665
LOOKS = [
    pytest.param(
        lambda search: fit_passages(MEGABYTE, [PASSAGE], search), 1, id="a block that stands literally"
    ),
    pytest.param(
        lambda search: fit_passages(MEGABYTE, [replace(PASSAGE, old=(" x = 1",))], search),
        41,
        id="a block that does not",
    ),
    pytest.param(
        lambda search: place_hunks(MEGABYTE, [Hunk(line=1, old_start=9, lines=HUNK)], search),
        1,
        id="a hunk that stands at another line",
    ),
]


@pytest.mark.parametrize(("look", "times"), LOOKS)
def test_what_edits_are_looked_for_in_is_counted_and_has_a_limit(look, times):
    assert look(Search(most_bytes=times * len(MEGABYTE)))
    with pytest.raises(TooMuchError, match="MiB of files"):
        look(Search(most_bytes=times * len(MEGABYTE) - 1))


def test_nine_hundred_blocks_of_a_megabyte_are_made():
    lines = [f"    line {n} = value\n" for n in range(40_000)]
    text = "".join(block("long.py", lines[n], lines[n].upper()) for n in range(900))
    made = after(text, {"long.py": ("".join(lines).encode(), FILE)})["long.py"][0]
    assert made == "".join([it.upper() for it in lines[:900]] + lines[900:]).encode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```" + " " * 200_000 + "`\n", id="a fence and blanks"),
        pytest.param('MOVE "' + '" -> "' * 40_000 + "x y\n", id="a move with many arrows"),
        pytest.param("FILE a\n```\n```\n" * 5_000, id="many files"),
    ],
)
def test_a_long_text_is_read_in_one_go(text):
    began = time.process_time()
    with contextlib.suppress(PatchError):
        parse_answer(text)
    assert time.process_time() - began < 5


def test_one_bad_block_refuses_all_and_shows_what_the_file_has():
    text = block("src/a.py", "    return 1\n", "    return 9\n") + block(
        "src/a.py", "def two(): # twice\n    return 2\n", "x\n"
    )
    _, change = parse_answer(text)
    trial = try_change(change, BASE.get)
    (misfit,) = trial.misfits
    assert trial.edits == ()
    assert (misfit.step, misfit.path, misfit.where) == (1, "src/a.py", "block 2, line 8")
    assert "5: def two():\n6:     return 2" in misfit.excerpt


def test_the_lines_around_both_places_are_shown_when_a_block_fits_twice():
    _, change = parse_answer(block("src/twice.py", "x = 1\n", "x = 2\n"))
    (misfit,) = try_change(change, BASE.get).misfits
    assert "1: x = 1" in misfit.excerpt
    assert "10: x = 1" in misfit.excerpt


TWO_HUNKS = [
    pytest.param(
        diff("src/a.py", ONE, "@@ -5,2 +5,2 @@\n def two():\n-    return two\n+    return 22\n"),
        "line 7",
        id="a diff",
    ),
    pytest.param(
        answer("""
            *** Begin Patch
            *** Update File: src/a.py
            @@
            -    return 1
            +    return 9
            @@ def two():
            -    return two
            +    return 22
            *** End Patch
            """),
        "line 7",
        id="Begin Patch",
    ),
]


@pytest.mark.parametrize(("text", "where"), TWO_HUNKS)
def test_the_hunks_of_a_file_that_fit_are_kept_and_only_the_others_are_told(text, where):
    draft = draft_of([text], BASE.get)
    (misfit,) = draft.misfits
    assert (misfit.path, misfit.where) == ("src/a.py", where)
    mended = draft_of([text, block("src/a.py", "    return 2\n", "    return 22\n")], BASE.get)
    both = BASE["src/a.py"][0].replace(b"return 1", b"return 9").replace(b"return 2", b"return 22")
    assert (mended.fits, mended.edits[0].content) == (True, both)


def test_the_file_is_shown_as_it_is_with_the_hunks_that_were_kept():
    text = diff("src/a.py", "@@\n def one():\n+    x = 0\n", "@@\n-    return two\n+    return 22\n")
    (misfit,) = draft_of([text], BASE.get).misfits
    assert "3:     return 1\n" in misfit.excerpt
    assert "7:     return 2" in misfit.excerpt


RENAME = "diff --git a/{0} b/{1}\nsimilarity index 50%\nrename from {0}\nrename to {1}\n"
HUNKS = "--- a/{0}\n+++ b/{1}\n@@ -1 +1 @@\n{2}"
BAD_HUNK, GOOD_HUNK = "-def uno():\n+def eins():\n", "-def one():\n+def eins():\n"


def test_a_file_is_moved_where_only_its_hunk_does_not_fit():
    text = (RENAME + HUNKS).format("src/a.py", "src/z.py", BAD_HUNK)
    draft = draft_of([text], BASE.get)
    assert [(it.action, it.old_path, it.path) for it in draft.edits] == [
        (EditAction.RENAME, "src/a.py", "src/z.py")
    ]
    mended = draft_of([text, block("src/z.py", "def one():\n", "def eins():\n")], BASE.get)
    assert mended.fits
    assert {it.path for it in mended.edits} == {"src/a.py", "src/z.py"}


STAYS = [
    pytest.param([("src/a.py", "run.sh")], id="its new place is taken"),
    pytest.param([("src/a.py", "link"), ("run.sh", "src/a.py")], id="another was to take its place"),
    pytest.param([("run.sh", "src/a.py"), ("src/a.py", "link")], id="another has taken its place"),
    pytest.param([("link", "x"), ("run.sh", "link")], id="it is a link"),
]


@pytest.mark.parametrize("moves", STAYS)
def test_a_file_that_cannot_be_moved_stays(moves):
    draft = draft_of(["".join(RENAME.format(*move) for move in moves)], BASE.get)
    assert (draft.fits, draft.edits) == (False, ())


def test_files_that_swap_their_names_in_a_patch_are_moved():
    text = RENAME.format("src/a.py", "run.sh") + RENAME.format("run.sh", "src/a.py")
    found = after(text)
    assert (found["src/a.py"], found["run.sh"]) == (BASE["run.sh"], BASE["src/a.py"])


def test_a_deletion_whose_lines_do_not_fit_deletes_nothing():
    draft = draft_of(["--- a/run.sh\n+++ /dev/null\n@@ -1 +0,0 @@\n-#!/bin/zsh\n"], BASE.get)
    assert (len(draft.misfits), draft.edits) == (1, ())


def test_a_mode_change_to_a_program_is_told():
    (edit,) = resolve(
        parse_answer("diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n")[1], BASE.get
    )
    assert edit.mode == "100755"


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        pytest.param(" \n", Spoken.NOTHING, id="nothing"),
        pytest.param(block("src/a.py", "x\n", "x\n"), Spoken.BLOCKS, id="a block"),
        pytest.param(diff("src/a.py", ONE), Spoken.DIFF, id="a diff"),
        pytest.param("*** Begin Patch\n*** End Patch", Spoken.BEGIN_PATCH, id="Begin Patch"),
    ],
)
def test_the_format_of_an_answer_is_told(text, spoken):
    assert parse_answer(text)[0] is spoken


def test_a_block_that_says_what_is_there_changes_nothing():
    text = block("src/a.py", "    return 1\n", "    return 1\n")
    assert resolve(parse_answer(text)[1], BASE.get) == ()


def test_a_placeholder_is_written_over_not_added_to():
    text = block("new.json", "", "[]\n")
    (edit,) = resolve(parse_answer(text)[1], BASE.get, placeholders={"new.json": b"{}\n"})
    assert (edit.action, edit.content) == (EditAction.CREATE, b"[]\n")


def test_a_hunk_in_a_fence_goes_on_behind_a_blank_line_at_which_its_counts_are_met():
    text = f"```diff\n{diff('src/b.py', SHORT)}```\n"
    assert after(text, BLANKS)["src/b.py"][0] == b"a = 1\nb = 2\nc = 3\n\nd = 5\ne = 5\n"


SIGNED = st.sampled_from(["+new", "+", "-old", "-", "+    new", "-- item", "- * item", "+x = 1"])
HUNK_LINES = st.lists(SIGNED | st.sampled_from([" kept", "", " ", "unsigned"]), min_size=1, max_size=8)


@given(HUNK_LINES, st.integers(0, 6), st.integers(0, 6), st.booleans())
def test_no_line_of_a_hunk_is_dropped_whatever_its_counts_say(lines, old, new, is_fenced):
    text = diff("a.py", f"@@ -1,{old} +1,{new} @@\n", *(f"{line}\n" for line in lines))
    with contextlib.suppress(PatchError):
        (step,) = parse_loose_patch(f"```diff\n{text}```\n" if is_fenced else text).steps
        (passage,) = step.body.items
        for sign, kept in (("+", passage.new), ("-", passage.old)):
            assert Counter(line[1:] for line in lines if line.startswith(sign)) <= Counter(kept)


LINE = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12)
MARKED = st.sampled_from(
    ["", "...", "=======", "<<<<<<< SEARCH", ">>>>>>> REPLACE", "```", "FILE x", "DELETE x", "a", "  a"]
)
LINES = st.lists(LINE | MARKED, max_size=6).map(tuple)
PART = st.text(
    st.characters(categories=["L", "N"], include_characters=" #*`._-\"'"), min_size=1, max_size=6
).map(lambda part: f"x{part}x")
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join).filter(lambda path: is_normalized("NFC", path))


def passage_step(path, old, new):
    intent = Intent.MODIFY if old else Intent.WRITE
    return Step(where="", path=path, intent=intent, body=Passages(items=(Passage(line=0, old=old, new=new),)))


STEPS = st.one_of(
    st.builds(passage_step, PATH, LINES, LINES),
    st.builds(
        lambda path, lines: Step(
            where="", path=path, intent=Intent.WRITE, body=WholeText(text="".join(f"{it}\n" for it in lines))
        ),
        PATH,
        # Under a FILE line, a fence that begins with a block holds that block.
        LINES.filter(lambda lines: not lines or "SEARCH" not in lines[0]),
    ),
    st.builds(lambda path: Step(where="", path=path, intent=Intent.DELETE), PATH),
    st.builds(lambda a, b: Step(where="", path=a, intent=Intent.RENAME, old_path=b), PATH, PATH),
)


def without_places(step):
    body = step.body
    if isinstance(body, Passages):
        (passage,) = body.items
        body = (passage.old, passage.new)
    return step.path, step.intent, body, step.old_path


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_edits_that_are_written_and_read_are_the_same(steps):
    spoken, change = parse_answer(write_answer(steps))
    assert spoken is Spoken.BLOCKS
    assert [without_places(step) for step in change.steps] == [without_places(step) for step in steps]


@given(PATH)
def test_a_path_is_read_as_it_was_written(path):
    _, change = parse_answer(f"DELETE {quoted(path)}\n")
    assert change.steps[0].path == path


@given(st.text(st.sampled_from("ab <>=S\n`+-@* ") | st.characters(), max_size=200))
def test_no_text_makes_the_reader_fail_otherwise_than_by_refusing(text):
    files = dict(BASE)
    with contextlib.suppress(PatchError):
        after(text, files)
    assert files == BASE
