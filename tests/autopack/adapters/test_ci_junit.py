"""JUnit files of several runners, and those that prove nothing."""

import os

import pytest

from autopack.adapters.ci_junit import MAX_BYTES, read_junit, stamp

PYTEST = """<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname="tests.test_a" name="test_ok" time="0.1"/>
<testcase classname="tests.test_a" name="test_bad"><failure message="assert 1 == 2&#10;more">text</failure></testcase>
<testcase classname="tests.test_a" name="test_skip"><skipped type="pytest.skip" message="why"/></testcase>
<testcase classname="tests.test_a" name="test_err"><failure message="one"/><error message="two"/></testcase>
</testsuite></testsuites>"""
NODE = """<testsuites><testsuite name="adds"><testcase name="one" classname="test" file="a.test.js"/>
<testcase name="two" classname="test" file="a.test.js"><failure type="testCodeFailure">
  Expected 1
  got 2</failure></testcase></testsuite></testsuites>"""


def outcomes(path):
    result = read_junit(path.parent, path.name, before=None)
    assert not result.problem
    return {key: (case.outcome.value, case.message) for key, case in result.cases.items()}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "out.xml"


def test_outcomes_and_first_lines_are_read(file):
    file.write_text(PYTEST)
    assert outcomes(file) == {
        "tests.test_a::test_ok": ("passed", ""),
        "tests.test_a::test_bad": ("failed", "assert 1 == 2"),
        "tests.test_a::test_skip": ("skipped", "why"),
        "tests.test_a::test_err": ("error", "one"),
    }


def test_a_message_in_the_text_is_found(file):
    file.write_text(NODE)
    assert outcomes(file) == {"test::one": ("passed", ""), "test::two": ("failed", "Expected 1")}
    assert read_junit(file.parent, file.name, before=None).cases["test::two"].file == "a.test.js"


@pytest.mark.parametrize("names", [("<failure/>", ""), ("", "<failure/>")], ids=["first", "second"])
def test_of_cases_with_one_name_the_worst_speaks(file, names):
    found = "".join(f'<testcase name="t">{inner}</testcase>' for inner in names)
    file.write_text(f"<testsuite>{found}</testsuite>")
    assert outcomes(file) == {"::t": ("failed", "")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "the command left none", id="no file"),
        pytest.param("", "no element found", id="empty"),
        pytest.param("<testsuite><testcase name='t'/>", "no element found", id="cut"),
        pytest.param("<testsuite/>", "no test case", id="no case"),
        pytest.param(
            "<x><testcase name='t'><skipped/></testcase></x>", "all 1 tests in it were skipped", id="skipped"
        ),
        pytest.param(
            '<!DOCTYPE x [<!ENTITY a "b">]><x><testcase name="&a;"/></x>',
            "declares a document type (x)",
            id="entities",
        ),
        pytest.param(
            '<!DOCTYPE x SYSTEM "file:///etc/passwd"><x><testcase name="t"/></x>',
            "document type",
            id="external",
        ),
    ],
)
def test_a_file_that_proves_nothing_says_why(file, text, reason):
    if text is not None:
        file.write_text(text)
    result = read_junit(file.parent, file.name, before=None)
    assert reason in result.problem
    assert not result.cases


def test_only_a_file_that_was_written_again_counts(file):
    file.write_text(NODE)
    before = stamp(file.parent, file.name)
    assert "from before the command ran" in read_junit(file.parent, file.name, before=before).problem
    changed = file.stat().st_mtime
    new = file.with_suffix(".new")
    new.write_text(NODE)
    os.utime(new, (changed, changed))
    new.replace(file)
    assert not read_junit(file.parent, file.name, before=before).problem


def make_link(tree, file):
    (tree / "old.xml").write_text(NODE)
    file.symlink_to("old.xml")


def make_linked_folder(tree, file):
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere" / file.name).write_text(NODE)
    file.parent.rmdir()
    file.parent.symlink_to("elsewhere")


def make_pipe(tree, file):
    os.mkfifo(file)


def make_folder(tree, file):
    file.mkdir()


def make_device(tree, file):
    file.symlink_to("/dev/zero")


def make_large(tree, file):
    file.touch()
    os.truncate(file, MAX_BYTES * 100)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(make_link, "a link", id="a link to an old report"),
        pytest.param(make_linked_folder, "a link", id="a folder that is a link"),
        pytest.param(make_device, "a link", id="a link to a device"),
        pytest.param(make_pipe, "no regular file", id="a pipe"),
        pytest.param(make_folder, "no regular file", id="a folder"),
        pytest.param(make_large, "larger than", id="too large"),
    ],
)
def test_only_a_regular_file_in_the_worktree_counts(tmp_path, make, reason):
    file = tmp_path / "reports" / "out.xml"
    file.parent.mkdir()
    make(tmp_path, file)
    stamp(tmp_path, "reports/out.xml")
    result = read_junit(tmp_path, "reports/out.xml", before=None)
    assert reason in result.problem
    assert not result.cases


@pytest.mark.parametrize("name", ["../out.xml", "reports/../../out.xml", "/dev/stdin", ".", ""])
def test_a_path_that_leaves_the_worktree_is_never_opened(tmp_path, name):
    (tmp_path / "out.xml").write_text(NODE)
    (tmp_path / "tree").mkdir()
    assert stamp(tmp_path / "tree", name) is None
    assert "does not name a file" in read_junit(tmp_path / "tree", name, before=None).problem
