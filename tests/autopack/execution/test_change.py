"""A Builder's answer on a tree: the files as they will be, or what does not fit."""

import json

import pytest

from autopack.domain.change import EditAction, FileEdit
from autopack.errors import PatchError
from autopack.execution.change import (
    given_whole,
    read_change,
    reading,
    searched_paths,
    to_edits,
    without_untouched,
)
from autopack.ports import AnswerFormat, BuildAnswer

FILE = "100644"


PATCH = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n"
WANTED = (FileEdit(path="a.txt", action=EditAction.MODIFY, content=b"two\n"),)


def moved_by(verb):
    """A patch that copies or renames a file, and changes it in its new place."""
    head = f"diff --git a/lib/a.txt b/app/b.txt\nsimilarity index 50%\n{verb} from lib/a.txt\n{verb} to app/b.txt\n"
    return f"{head}--- a/lib/a.txt\n+++ b/app/b.txt\n@@ -1 +1 @@\n-one\n+two\n"


@pytest.fixture
def tree(tree_of):
    """A file and a link."""
    return tree_of({"a.txt": b"one\n", "link": (b"", "120000")})


def answer(text, answer_format=AnswerFormat.PATCH, **more):
    return BuildAnswer(format=answer_format, text=text, **more)


def test_a_patch_and_edits_come_to_the_same_files(tree):
    edits = json.dumps({"edits": [{"path": "a.txt", "search": "one", "replace": "two"}]})
    assert to_edits(answer(PATCH), tree) == WANTED
    assert to_edits(answer(edits, AnswerFormat.EDITS), tree) == WANTED


WORDS = "a.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"
WHOLE = "FILE a.txt\n```\ntwo\n```\n"


@pytest.mark.parametrize("text", [WORDS, WHOLE, PATCH, f"Here you are:\n```diff\n{PATCH}```\n"])
def test_words_in_any_format_come_to_the_same_files(text, tree):
    assert to_edits(answer(text, AnswerFormat.WORDS), tree) == WANTED


@pytest.mark.parametrize(
    ("text", "answer_format", "whole"),
    [
        pytest.param(PATCH, AnswerFormat.PATCH, (), id="a patch"),
        pytest.param(WORDS, AnswerFormat.WORDS, (), id="a block"),
        pytest.param(WHOLE, AnswerFormat.WORDS, WANTED, id="a whole file"),
        pytest.param('{"edits": []}', AnswerFormat.EDITS, WANTED, id="edits in JSON"),
    ],
)
def test_what_is_given_whole_is_told_from_what_is_fitted(text, answer_format, whole):
    assert given_whole(answer(text, answer_format), WANTED) == whole


@pytest.mark.parametrize(
    ("verb", "searched"),
    [
        pytest.param("copy", ("app/b.txt",), id="what is copied is only read"),
        pytest.param("rename", ("app/b.txt", "lib/a.txt"), id="what is renamed is lost"),
    ],
)
def test_a_source_is_searched_if_it_is_changed(verb, searched):
    assert searched_paths(read_change(AnswerFormat.PATCH, moved_by(verb))) == searched


@pytest.mark.parametrize("answer_format", AnswerFormat)
def test_an_empty_answer_changes_nothing(answer_format, tree):
    assert to_edits(answer("", answer_format), tree) == ()


def test_an_answer_that_was_cut_off_is_never_read(tree):
    with pytest.raises(PatchError, match="cut off"):
        to_edits(answer(PATCH, is_truncated=True), tree)


def test_an_answer_that_is_too_long_is_never_read(tree):
    assert to_edits(answer(PATCH), tree, max_bytes=len(PATCH)) == WANTED
    with pytest.raises(PatchError, match=f"more than {len(PATCH) - 1}"):
        to_edits(answer(PATCH), tree, max_bytes=len(PATCH) - 1)


def test_a_change_to_a_link_is_refused(tree):
    with pytest.raises(PatchError, match="link"):
        to_edits(answer(PATCH.replace("a.txt", "link")), tree)


def test_a_placeholder_that_was_shown_can_be_altered(tree):
    stubs = {"p.json": b"{}\n"}
    text = "--- a/p.json\n+++ b/p.json\n@@ -1 +1 @@\n-{}\n+[]\n"
    (edit,) = to_edits(answer(text), tree, stubs=stubs)
    assert (edit.action, edit.content) == (EditAction.CREATE, b"[]\n")
    with pytest.raises(PatchError, match="there is no file"):
        to_edits(answer(text), tree)


def test_placeholders_that_no_one_touched_are_no_work():
    stubs = {"p.json": b"{}\n", "q.json": b"{}\n"}
    touched = FileEdit(path="q.json", action=EditAction.CREATE, content=b"[]\n")
    untouched = FileEdit(path="p.json", action=EditAction.CREATE, content=b"{}\n")
    other = FileEdit(path="e.txt", action=EditAction.DELETE, content=None)
    assert without_untouched([untouched, touched, other], stubs) == (touched, other)


def test_a_tree_is_read_with_modes(tree):
    read = reading(tree)
    assert (read("a.txt"), read("link"), read("none")) == ((b"one\n", FILE), (b"", "120000"), None)
