"""Answers in JSON: every sort of edit, and every way to get one wrong, named by index and field."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.change import EditAction, FileEdit, apply_edits
from autopack.domain.edits import parse_edits
from autopack.domain.resolve import resolve
from autopack.errors import PatchError

FILE = "100644"
BASE = {
    "a.py": (b"x = 1\ny = 2\nx = 1\n", "100755"),
    "win.txt": (b"one\r\ntwo\r\n", FILE),
    "b.txt": (b"b\n", FILE),
}


def resolved(*edits, **rest):
    return resolve(parse_edits(json.dumps({"edits": edits, **rest})), BASE.get)


def edit(path, action, content, mode=FILE, old_path=None):
    return FileEdit(path=path, action=action, content=content, mode=mode, old_path=old_path)


@pytest.mark.parametrize(
    ("edits", "wanted"),
    [
        pytest.param(
            [{"path": "n.py", "content": "n\n"}], [edit("n.py", EditAction.CREATE, b"n\n")], id="new file"
        ),
        pytest.param(
            [{"path": "a.py", "content": "n\n"}],
            [edit("a.py", EditAction.MODIFY, b"n\n", "100755")],
            id="a whole file keeps its mode",
        ),
        pytest.param(
            [{"path": "n.png", "content_base64": base64.b64encode(b"\0\1").decode()}],
            [edit("n.png", EditAction.CREATE, b"\0\1")],
            id="binary content",
        ),
        pytest.param(
            [{"path": "a.py", "search": "y = 2", "replace": "y = 3"}],
            [edit("a.py", EditAction.MODIFY, b"x = 1\ny = 3\nx = 1\n", "100755")],
            id="search and replace",
        ),
        pytest.param(
            [{"path": "win.txt", "search": "one\ntwo", "replace": "one\n1.5\ntwo"}],
            [edit("win.txt", EditAction.MODIFY, b"one\r\n1.5\r\ntwo\r\n")],
            id="a file with CRLF keeps it",
        ),
        pytest.param(
            [
                {"path": "a.py", "search": "y = 2", "replace": "y = 3"},
                {"path": "a.py", "search": "y = 3", "replace": "z"},
            ],
            [edit("a.py", EditAction.MODIFY, b"x = 1\nz\nx = 1\n", "100755")],
            id="one edit after another",
        ),
        pytest.param(
            [{"path": "b.txt", "delete": True}], [edit("b.txt", EditAction.DELETE, None)], id="deletion"
        ),
        pytest.param(
            [{"path": "b.txt", "rename_to": "c.txt"}],
            [edit("c.txt", EditAction.RENAME, b"b\n", old_path="b.txt")],
            id="rename",
        ),
        pytest.param(
            [{"path": "b.txt", "search": "b", "replace": "c"}, {"path": "b.txt", "rename_to": "c.txt"}],
            [edit("c.txt", EditAction.RENAME, b"c\n", old_path="b.txt")],
            id="altered, then renamed",
        ),
        pytest.param(
            [{"path": "b.txt", "rename_to": "c.txt"}, {"path": "c.txt", "rename_to": "d.txt"}],
            [edit("d.txt", EditAction.RENAME, b"b\n", old_path="b.txt")],
            id="renamed twice",
        ),
        pytest.param(
            [{"path": "b.txt", "rename_to": "c.txt"}, {"path": "b.txt", "content": "new"}],
            [edit("b.txt", EditAction.MODIFY, b"new"), edit("c.txt", EditAction.CREATE, b"b\n")],
            id="renamed and made anew",
        ),
        pytest.param(
            [{"path": "n", "content": "n"}, {"path": "n", "delete": True}], [], id="made and deleted"
        ),
        pytest.param([{"path": "b.txt", "content": "b\n"}], [], id="nothing changes"),
        pytest.param([{"path": "b.txt", "search": "b", "replace": "b"}], [], id="replaced by itself"),
        pytest.param(
            [{"path": ".\\src\\n.py", "content": ""}],
            [edit("src/n.py", EditAction.CREATE, b"")],
            id="Windows path",
        ),
        pytest.param([], [], id="no edits"),
    ],
)
def test_edits_come_to_files(edits, wanted):
    assert resolved(*edits, usage={"input_tokens": 1}) == tuple(wanted)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param("x", r"edits\[1\]: is no object", id="no object"),
        pytest.param({"path": "x"}, r"edits\[1\]: says nothing", id="nothing to do"),
        pytest.param({"content": "x"}, r"edits\[1\]\.path: is missing", id="no path"),
        pytest.param(
            {"path": 3, "content": "x"}, r"edits\[1\]\.path: is not a text", id="path of another type"
        ),
        pytest.param({"path": "../x", "content": "x"}, r"edits\[1\]\.path: .*\.\.", id="path upwards"),
        pytest.param({"path": ".git/x", "content": "x"}, r"edits\[1\]\.path: .*git's own", id="git's folder"),
        pytest.param({"path": "x/", "content": "x"}, r"edits\[1\]\.path: .*folder", id="a folder"),
        pytest.param({"path": "x", "content": None}, r"edits\[1\]\.content: is not a text", id="no content"),
        pytest.param(
            {"path": "x", "content": "\ud800"}, r"edits\[1\]\.content: holds half", id="half a character"
        ),
        pytest.param({"path": "x", "contents": "x"}, r"edits\[1\]\.contents: is no field", id="misspelt"),
        pytest.param(
            {"path": "x", "content": "x", "delete": True}, r"edits\[1\]\.delete: does not go", id="two sorts"
        ),
        pytest.param({"path": "x", "search": "x"}, r"edits\[1\]\.replace: is missing", id="no replacement"),
        pytest.param({"path": "x", "replace": "x"}, r"edits\[1\]\.replace: is no field", id="no search"),
        pytest.param(
            {"path": "x", "search": "", "replace": "x"}, r"edits\[1\]\.search: is empty", id="empty search"
        ),
        pytest.param(
            {"path": "x", "delete": "yes"}, r"edits\[1\]\.delete: is not true", id="deletion by a word"
        ),
        pytest.param({"path": "x", "content_base64": "%"}, r"edits\[1\]\.content_base64", id="no base 64"),
        pytest.param(
            {"path": "x", "rename_to": "/y"}, r"edits\[1\]\.rename_to: .*absolute", id="a target outside"
        ),
        pytest.param(
            {"path": "none", "delete": True}, r"none: cannot delete.*edits\[1\]", id="deletes nothing"
        ),
        pytest.param(
            {"path": "none", "rename_to": "y"}, r"y: cannot rename.*edits\[1\]", id="renames nothing"
        ),
        pytest.param(
            {"path": "b.txt", "rename_to": "a.py"}, r"a\.py: cannot rename.*already", id="renames onto a file"
        ),
        pytest.param(
            {"path": "a.py", "search": "x = 1", "replace": ""}, r"a\.py: .* lines 1 and 3", id="two places"
        ),
        pytest.param(
            {"path": "a.py", "search": "z", "replace": ""}, r"a\.py: .* does not occur: 'z'", id="no place"
        ),
    ],
)
def test_a_wrong_edit_is_named(edit, reason):
    with pytest.raises(PatchError, match=reason):
        resolved({"path": "fine", "content": "x"}, edit)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no edits"),
        pytest.param('{"edits": {}}', id="edits of another type"),
        pytest.param("[" * 100_000, id="nested deeply"),
        pytest.param('{"edits": [' + "1" * 5000 + "]}", id="a number too long"),
    ],
)
def test_an_answer_that_is_no_object_with_edits_is_refused(text):
    with pytest.raises(PatchError):
        parse_edits(text)


def test_white_space_alone_is_a_change_of_nothing():
    assert parse_edits(" \n").steps == ()


FIELDS = st.sampled_from(
    ["path", "content", "content_base64", "search", "replace", "delete", "rename_to", "mode"]
)
VALUES = st.one_of(st.sampled_from(["a.py", "b.txt", "n.py", "x = 1", True, None, 3]), st.text(max_size=3))


@given(st.lists(st.dictionaries(FIELDS, VALUES, max_size=4), max_size=4))
def test_whatever_edits_hold_they_are_read_or_refused(edits):
    with contextlib.suppress(PatchError):
        apply_edits(BASE, resolved(*edits))
