"""A resolved change: made, undone, written as a patch and read again, it is always the same."""

import contextlib
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.change import EditAction, FileEdit, apply_edits, reverse
from autopack.domain.patch import parse_patch
from autopack.domain.patch_writer import MAX_COMPARED_LINES, write_patch
from autopack.domain.placement import split_lines
from autopack.domain.resolve import resolve
from autopack.errors import PatchError

FILE, PROGRAM = "100644", "100755"
NAMES = ["a.py", "src/b.py", "src/with space.py", "caf\u00e9.txt", 'say"so.txt', "x/y/z", "a/b", "-- dash"]
# Lines that look like parts of a patch, that differ in their endings alone, and that occur twice.
LINES = st.sampled_from(
    [
        "x",
        "y",
        "",
        "x\r",
        "--- a/x",
        "+++ b/x",
        "@@ -1 +1 @@",
        "\\ No newline",
        "-- ",
        "diff --git a/a b/a",
        "\u2028",
        "\x0c",
    ]
)
TEXTS = st.builds(
    lambda lines, ending: ("\n".join(lines) + ending).encode(),
    st.lists(LINES, max_size=12),
    st.sampled_from(["", "\n"]),
)
CONTENTS = st.one_of(TEXTS, st.binary(max_size=300))
FILES = st.dictionaries(st.sampled_from(NAMES), st.tuples(CONTENTS, st.sampled_from([FILE, PROGRAM])))


@st.composite
def trees_and_edits(draw):
    """A tree, and edits that lead from it to another one."""
    before = draw(FILES)
    target = draw(FILES)
    edits = []
    gone = [path for path in before if path not in target]
    for path, (content, mode) in target.items():
        if path in before:
            if before[path] != (content, mode):
                edits.append(FileEdit(path=path, action=EditAction.MODIFY, content=content, mode=mode))
        elif gone and draw(st.booleans()):
            old = gone.pop()
            edits.append(
                FileEdit(path=path, action=EditAction.RENAME, content=content, mode=mode, old_path=old)
            )
        else:
            edits.append(FileEdit(path=path, action=EditAction.CREATE, content=content, mode=mode))
    edits += [FileEdit(path=path, action=EditAction.DELETE, content=None) for path in gone]
    return before, target, tuple(sorted(edits, key=lambda edit: edit.path))


@settings(max_examples=50)
@given(trees_and_edits())
def test_a_change_and_its_reverse_leave_the_tree_as_it_was(case):
    before, target, edits = case
    assert apply_edits(before, edits) == target
    assert apply_edits(target, reverse(edits, before.get)) == before


@settings(max_examples=50)
@given(trees_and_edits())
def test_a_written_patch_reads_as_the_same_change(case):
    before, _, edits = case
    assert resolve(parse_patch(write_patch(edits, before.get)), before.get) == edits


@settings(max_examples=50)
@given(trees_and_edits(), FILES)
def test_a_patch_on_another_tree_fits_or_is_refused_whole(case, other):
    before, _, edits = case
    copy = dict(other)
    with contextlib.suppress(PatchError):
        apply_edits(other, resolve(parse_patch(write_patch(edits, before.get)), other.get))
    assert other == copy


@given(st.binary(max_size=300))
def test_lines_are_a_file_cut_at_line_feeds(content):
    lines = split_lines(content)
    assert b"".join(lines) == content
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines[:-1])


def many_lines(count):
    return b"".join(b"line %d\n" % number for number in range(count))


GIT_CASES = [
    pytest.param({"a": b"1\n2\n3\n"}, {"a": b"1\n3\n4"}, id="lines"),
    pytest.param({}, {"new/file.py": b"x\n", "empty": b""}, id="new files"),
    pytest.param({"a": b"1\n", "e": b""}, {}, id="deletions"),
    pytest.param({"a": b"\0\1"}, {"a": b"\0\2" * 40, "b": b"caf\xe9\n"}, id="binary content"),
    pytest.param(
        {'q"uo\\te': b"1\n", "sp ace": b"1\n", "caf\u00e9": b"1\n"},
        {'q"uo\\te': b"2\n", "sp ace": b"2\n", "caf\u00e9": b"2\n"},
        id="odd names",
    ),
    pytest.param({"a": b"1\r\n2\r\n"}, {"a": b"1\n2\r\n"}, id="line endings"),
    pytest.param({"a": b"open"}, {"a": b"open\n"}, id="newline at the end"),
    pytest.param({"a": many_lines(MAX_COMPARED_LINES)}, {"a": many_lines(30)}, id="too long to compare"),
]


@pytest.mark.parametrize(("before", "target"), GIT_CASES)
def test_git_applies_a_written_patch(tmp_path, before, target):
    edits = [
        FileEdit(
            path=path, action=EditAction.MODIFY if path in before else EditAction.CREATE, content=content
        )
        for path, content in target.items()
    ]
    edits += [
        FileEdit(path=path, action=EditAction.DELETE, content=None) for path in before if path not in target
    ]
    for path, content in before.items():
        (tmp_path / path).write_bytes(content)
    text = write_patch(edits, {path: (content, FILE) for path, content in before.items()}.get)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=text.encode(), check=True)
    found = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == target


def test_git_applies_a_written_rename_with_a_mode(tmp_path):
    (tmp_path / "old").write_bytes(b"1\n2\n")
    edit = FileEdit(path="new", action=EditAction.RENAME, content=b"1\n3\n", mode=PROGRAM, old_path="old")
    text = write_patch([edit], {"old": (b"1\n2\n", FILE)}.get)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=text.encode(), check=True)
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "new").read_bytes() == b"1\n3\n"
    assert (tmp_path / "new").stat().st_mode & 0o100


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(FileEdit(path="a", action=EditAction.CREATE, content=b""), id="create what is there"),
        pytest.param(FileEdit(path="b", action=EditAction.MODIFY, content=b""), id="modify nothing"),
        pytest.param(FileEdit(path="b", action=EditAction.DELETE, content=None), id="delete nothing"),
        pytest.param(
            FileEdit(path="c", action=EditAction.RENAME, content=b"", old_path="b"), id="rename nothing"
        ),
        pytest.param(
            FileEdit(path="a", action=EditAction.RENAME, content=b"", old_path="d"), id="rename onto a file"
        ),
    ],
)
def test_edits_that_do_not_fit_are_refused(edit):
    files = {"a": (b"1", FILE), "d": (b"2", FILE)}
    with pytest.raises(PatchError):
        apply_edits(files, [edit])
    assert files == {"a": (b"1", FILE), "d": (b"2", FILE)}


@pytest.mark.parametrize("make", [reverse, write_patch])
def test_what_was_not_there_can_be_neither_undone_nor_written(make):
    with pytest.raises(PatchError, match="there was no such file"):
        make([FileEdit(path="a", action=EditAction.MODIFY, content=b"")], {}.get)
