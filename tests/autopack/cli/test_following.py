"""Looking on while an attempt writes."""

import pytest

from autopack.cli.following import follow


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "builder").mkdir()
    return tmp_path


def test_what_is_added_is_printed_until_the_attempt_ends(folder):
    log = folder / "executor.out"
    log.write_bytes(b"one\nt")
    ends = iter([False, False, True])
    text = follow(folder, "executor.out", lambda: next(ends))
    assert next(text) == "one\nt"
    with log.open("ab") as file:
        file.write("wo\nü".encode()[:-1])
    assert next(text) == "wo\n"
    with log.open("ab") as file:
        file.write("ü\n".encode()[1:])
    assert list(text) == ["ü\n"]


def test_the_file_that_says_most_is_gone_over_to_once_it_is_there(folder):
    (folder / "executor.out").write_text("database\n")
    ends = iter([False, True])
    text = follow(folder, None, lambda: next(ends))
    assert [next(text), next(text)] == ["==> executor.out <==\n", "database\n"]
    (folder / "builder/transcript.txt").write_text("agent: hello\n")
    assert list(text) == ["==> builder/transcript.txt <==\n", "agent: hello\n"]


def test_an_attempt_that_wrote_nothing_prints_nothing(folder):
    assert list(follow(folder, None, lambda: True)) == []
    assert list(follow(folder, "no.txt", lambda: True)) == []
