"""Deliverables: what is missing, what counts as there, and whether new JSON can be read."""

import json

import pytest

from autopack.domain.deliverable import (
    find_missing,
    json_problem,
    normalise_deliverable,
    validate_new_json_deliverables_in_patch,
)
from autopack.errors import ScopeError

LOCK = "fileorganizer/frontend/package-lock.json"


@pytest.mark.parametrize(
    ("wanted", "added", "present", "removed", "missing"),
    [
        pytest.param(["a"], ["a"], [], [], [], id="in the change"),
        pytest.param(["a"], [], ["a"], [], [], id="in the workspace"),
        pytest.param(["a", "b"], ["a"], ["b"], [], [], id="one in each"),
        pytest.param(["a"], [], [], [], ["a"], id="nowhere"),
        pytest.param(["a"], [], ["a"], ["a"], ["a"], id="deleted by the change"),
        pytest.param(["a"], ["A"], [], [], ["a"], id="in another case"),
        pytest.param(["a/"], ["a/b/c"], [], [], [], id="a folder, in the change"),
        pytest.param(["a/"], [], ["a/b"], [], [], id="a folder, in the workspace"),
        pytest.param(["a/"], ["ab/c"], [], [], ["a/"], id="a folder of a longer name"),
        pytest.param(["a/"], [], ["a/b"], ["a/b"], ["a/"], id="a folder that the change empties"),
        pytest.param(["a", "a"], [], [], [], ["a"], id="named twice"),
        pytest.param([], [], [], [], [], id="none asked for"),
    ],
)
def test_what_is_missing(wanted, added, present, removed, missing):
    report = find_missing(wanted, added=added, present=present, removed=removed)
    assert report.missing == tuple(missing)


def test_the_message_names_every_missing_path_and_counts_what_was_there():
    report = find_missing([LOCK, "x.py", "there.py"], added=["lib/x.py"], present=["there.py"])
    assert report.message.startswith("DELIVERABLES_VALIDATION_FAILED")
    assert LOCK in report.message
    assert "x.py" in report.message
    assert "(+1 existing files in workspace)" in report.message
    assert "\n" not in report.message
    assert report.details == (f"Missing: {LOCK}", "Missing: x.py (found at: lib/x.py)")


def test_a_file_that_the_change_alters_counts_once():
    report = find_missing(["a"], added=["a"], present=["a"])
    assert (report.found_in_change, report.existing_in_workspace) == (("a",), ())


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        pytest.param("src\\a.py (with tests)", "src/a.py", id="note in brackets"),
        pytest.param("Documentation in docs/x.md", "docs/x.md", id="words before"),
        pytest.param("src/a.py with tests", "src/a.py", id="words after"),
        pytest.param("docs/x.md updated", "docs/x.md", id="updated"),
        pytest.param("src/a.py modifications", "src/a.py", id="modifications"),
        pytest.param("Makefile", "Makefile", id="a name without a dot"),
        pytest.param("Tests updated", "", id="no file"),
        pytest.param("unit tests", "", id="words"),
        pytest.param("docs/updated.md", "docs/updated.md", id="a word inside a name"),
        pytest.param("docs/", "docs/", id="folder"),
    ],
)
def test_a_deliverable_as_people_note_it(raw, key):
    assert normalise_deliverable(raw) == key


def test_a_deliverable_outside_is_refused():
    with pytest.raises(ScopeError):
        normalise_deliverable("../x.py (new)")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"{}", "", id="object"),
        pytest.param(b"null", "", id="any value"),
        pytest.param(b"\xef\xbb\xbf[]\r\n", "", id="byte order mark"),
        pytest.param(b"[" + b"1" * 10_000 + b"]", "", id="a long number"),
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"\xef\xbb\xbf \n\t", "empty", id="white space"),
        pytest.param(b"{", "Expecting property name", id="cut off"),
        pytest.param(b"{} x", "Extra data", id="more than a value"),
        pytest.param(b"[NaN]", "NaN is no JSON value", id="NaN"),
        pytest.param(b"{// c\n}", "Expecting property name", id="comment"),
        pytest.param(b'"\xff"', "utf-8", id="no UTF-8"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="nested deeply"),
    ],
)
def test_what_is_no_json(content, problem):
    assert problem in json_problem(content)
    assert bool(json_problem(content)) is bool(problem)


def new_file(path, text):
    lines = text.split("\n")
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


OTHER = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"
EMPTY = f"diff --git a/{LOCK} b/{LOCK}\nnew file mode 100644\nindex 0000000..e69de29\n--- /dev/null\n+++ b/{LOCK}\n"


@pytest.mark.parametrize(
    ("patch", "expected", "errors"),
    [
        pytest.param(new_file(LOCK, "{}"), [LOCK], [], id="sound"),
        pytest.param(OTHER + new_file(LOCK, "{") + OTHER, [LOCK], ["Expecting property name"], id="broken"),
        pytest.param(new_file(LOCK, ""), [LOCK], ["empty"], id="an empty line"),
        pytest.param(EMPTY, [LOCK], ["empty"], id="no content"),
        pytest.param(EMPTY + OTHER, [LOCK], ["empty"], id="no content, others follow"),
        pytest.param(
            new_file(LOCK, "{").replace("+1,1", "+1,9"), [LOCK], ["Expecting"], id="a miscounted hunk"
        ),
        pytest.param(new_file(LOCK, "{"), ["other.json"], [], id="not expected"),
        pytest.param(new_file("x.py", "{"), ["x.py"], [], id="no JSON file"),
        pytest.param(new_file("X.JSON", "{"), ["X.JSON"], ["Expecting"], id="upper case"),
        pytest.param(new_file(LOCK, "{"), [LOCK.replace("/", "\\")], ["Expecting"], id="a Windows path"),
        pytest.param(OTHER.replace("a.py", "x.json"), ["x.json"], [], id="a file that is modified"),
        pytest.param(OTHER, [LOCK], [], id="not in the patch"),
        pytest.param("", [LOCK], [], id="no patch"),
        pytest.param(
            json.dumps({"files": [{"path": LOCK, "mode": "create", "new_content": ""}]}),
            [LOCK],
            ["empty"],
            id="files",
        ),
        pytest.param(
            json.dumps({"edits": [{"path": LOCK, "content": "{"}]}), [LOCK], ["Expecting"], id="edits"
        ),
        pytest.param(json.dumps({"edits": [{"path": LOCK, "content": "[]"}]}), [LOCK], [], id="sound edits"),
        pytest.param('{"edits": [{"path": 3}, 4], "files": 5}', [LOCK], [], id="edits of another shape"),
        pytest.param("{", [LOCK], [], id="an answer that cannot be read"),
    ],
)
def test_new_json_in_a_patch(patch, expected, errors):
    is_well, messages, details = validate_new_json_deliverables_in_patch(
        patch, expected, workspace="/anywhere"
    )
    assert is_well is not bool(errors)
    assert len(messages) == len(errors) == len(details["invalid_json_files"])
    for message, error, entry in zip(messages, errors, details["invalid_json_files"], strict=True):
        assert message == f"Invalid JSON deliverable ({json_reason(entry)}): {entry['path']}"
        assert error in message
        assert entry["path"] in {path.replace("\\", "/") for path in expected}


def json_reason(entry):
    return entry["reason"].removeprefix("invalid_json: ")
