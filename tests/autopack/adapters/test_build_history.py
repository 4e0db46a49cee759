import os
import signal
import subprocess
import sys

import pytest

from autopack.adapters.build_history import BuildHistory
from autopack.domain.review import ReviewDecision, Submission
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.errors import ReviewError, WorkspaceError

WRITER = """\
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_build_history_records import record
from autopack.adapters.build_history import BuildHistory
history = BuildHistory(Path({root!r}), Path({root!r}) / ".locks")
for number in range(int(sys.argv[1]), 60, 2):
    history.append([record(number)])
"""
RECORDS = """\
from autopack.domain.review import ReviewDecision, Submission
from autopack.domain.review_record import ReviewDecisionRecord
def record(number):
    waiting = ReviewDecisionRecord(review_id=f"review_{number:03}", submission=Submission(query=f"Q{number}"), submitted_at=1.0)
    return waiting.decided(ReviewDecision.APPROVED, reviewer="ada", comments="", at=1000.0 + number)
"""


def record(number, *, query=None):
    waiting = ReviewDecisionRecord(
        review_id=f"review_{number:03}", submission=Submission(query=query or f"Q{number}"), submitted_at=1.0
    )
    return waiting.decided(ReviewDecision.APPROVED, reviewer="ada", comments="", at=1000.0 + number)


@pytest.fixture
def history(tmp_path):
    return BuildHistory(tmp_path, tmp_path / ".locks")


def entries(history):
    lines = history.path.read_text("utf-8").splitlines()
    return [line.removeprefix("## Research review: ") for line in lines if line.startswith("## ")]


def test_each_entry_is_there_once_in_the_order_of_decisions(history):
    assert history.append([record(2), record(1)]) == ("review_002", "review_001")
    assert history.append([record(1), record(3)]) == ("review_003",)
    assert history.append([record(1), record(2), record(3)]) == ()
    assert entries(history) == ["Q1", "Q2", "Q3"]


def test_a_file_with_windows_line_ends_keeps_them_and_is_not_written_twice(history):
    history.append([record(2)])
    history.path.write_bytes(history.path.read_bytes().replace(b"\n", b"\r\n"))
    assert history.append([record(2)]) == ()
    assert history.append([record(1), record(3)]) == ("review_001", "review_003")
    assert entries(history) == ["Q1", "Q2", "Q3"]
    assert history.path.read_bytes().count(b"\n") == history.path.read_bytes().count(b"\r\n")


def test_what_the_operator_wrote_stays(history):
    history.path.parent.mkdir()
    history.path.write_text("# Ours\n\nBefore.", "utf-8")
    history.append([record(1)])
    history.path.write_text(history.path.read_text("utf-8") + "\nAfter.\n", "utf-8")
    history.append([record(2)])
    text = history.path.read_text("utf-8")
    assert text.startswith("# Ours\n\nBefore.\n\n<!-- review ")
    assert text.index("After.") < text.index("Q2")
    assert entries(history) == ["Q1", "Q2"]


def test_nothing_is_written_where_nothing_is_new(history):
    history.append([record(1)])
    before = history.path.stat().st_mtime_ns
    history.append([record(1)])
    assert history.path.stat().st_mtime_ns == before


def test_what_is_not_decided_has_no_history(history):
    waiting = ReviewDecisionRecord(review_id="review_1", submission=Submission(), submitted_at=1.0)
    with pytest.raises(ReviewError, match="waits for its decision"):
        history.append([waiting])
    assert not history.path.exists()


@pytest.mark.parametrize("fault", ["link", "folder link", "bytes"])
def test_a_file_that_is_none_of_ours_is_refused(history, tmp_path, fault):
    if fault == "folder link":
        (tmp_path / "elsewhere").mkdir()
        root = tmp_path / "root"
        root.mkdir()
        (root / "docs").symlink_to(tmp_path / "elsewhere")
        history = BuildHistory(root, tmp_path / ".locks")
    else:
        history.path.parent.mkdir()
    if fault == "link":
        history.path.symlink_to(tmp_path / "elsewhere.md")
    if fault == "bytes":
        history.path.write_bytes(b"\xff\xfe")
    with pytest.raises(WorkspaceError, match=r"docs/BUILD_HISTORY\.md"):
        history.append([record(1)])


@pytest.fixture
def start(tmp_path):
    (tmp_path / "test_build_history_records.py").write_text(RECORDS, "utf-8")
    program = WRITER.format(tests=str(tmp_path), root=str(tmp_path))
    started = []

    def start(first):
        process = subprocess.Popen([sys.executable, "-c", program, str(first)])
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_two_writers_at_once_lose_nothing_and_keep_the_order(history, start):
    for process in [start(0), start(1)]:
        assert process.wait(60) == 0
    assert entries(history) == [f"Q{number}" for number in range(60)]


def test_a_writer_that_is_killed_leaves_a_whole_file_and_no_lock(history, start):
    process = start(0)
    while not history.path.exists():
        assert process.poll() is None or history.path.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = entries(history)
    assert kept == [f"Q{number}" for number in range(0, 2 * len(kept), 2)]
    assert start(0).wait(60) == 0
    assert entries(history) == [f"Q{number}" for number in range(0, 60, 2)]
