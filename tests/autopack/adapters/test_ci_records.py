"""The recorder's lines, however few or broken."""

import json
import os

import pytest

from autopack.adapters import ci_records
from autopack.adapters.ci_records import read_records
from autopack.adapters.ci_verdict import CiRun, find_exit_problem, find_problem
from autopack.domain.ci_report import CiOutcome, CiStage
from autopack.ports import Finished

START = [{"event": "loaded"}, {"event": "configure", "root": "/wt"}, {"event": "sessionstart"}]
COLLECTED = [*START, {"event": "items", "nodes": ["a.py::t", "a.py::u"]}, {"event": "collected", "count": 2}]


def ran(node, outcome="passed", **more):
    return [
        {"event": "start", "node": node},
        {"event": "test", "node": node, "when": "call", "outcome": outcome, **more},
        {"event": "end", "node": node},
    ]


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines, tail="", is_collection=False):
        path = tmp_path / "record.jsonl"
        texts = [json.dumps({"pid": 1, "worker": ""} | line) for line in lines]
        path.write_text("\n".join(texts) + "\n" + tail)
        return read_records(path, worktree=tmp_path, is_collection=is_collection)

    return read_lines


ENDED = Finished(returncode=0, timed_out=False, was_cancelled=False, duration_seconds=1)
FINISH = {"event": "finish", "exit": 0, "foreign": []}


@pytest.mark.parametrize(
    ("lines", "stage", "culprit"),
    [
        pytest.param([], CiStage.NOTHING, "", id="nothing"),
        pytest.param(START[:2], CiStage.LOADED, "", id="loaded"),
        pytest.param(
            [*START, {"event": "collectstart", "node": "a.py"}], CiStage.COLLECTING, "a.py", id="collecting"
        ),
        pytest.param(
            [*COLLECTED, {"event": "start", "node": "a.py::t"}], CiStage.RUNNING, "a.py::t", id="first test"
        ),
        pytest.param([*COLLECTED, *ran("a.py::t"), FINISH], CiStage.RUNNING, "", id="a test has no result"),
        pytest.param([*COLLECTED, *ran("a.py::t"), *ran("a.py::u")], CiStage.RUNNING, "", id="no end"),
        pytest.param(
            [*COLLECTED, *ran("a.py::t"), *ran("a.py::u"), FINISH], CiStage.FINISHED, "", id="whole"
        ),
    ],
)
def test_how_far_a_run_got(read, lines, stage, culprit):
    found = read(*lines)
    assert (found.stage, found.culprit) == (stage, culprit)


def test_no_file_is_no_session(tmp_path):
    assert read_records(tmp_path / "gone", worktree=tmp_path, is_collection=False).stage is CiStage.NOTHING


@pytest.mark.parametrize(
    "tail",
    [
        '{"event": "fini',
        "\x00\x01",
        "[1]",
        '"text"',
        '{"event": "finish"}',
        "null",
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"pid": 1, "event": "finish", "exit": "abc"}', id="an exit of letters"),
        pytest.param('{"pid": 1, "event": "finish", "exit": 1e999}', id="an endless exit"),
        pytest.param('{"pid": 1, "event": "finish", "exit": ' + "9" * 5000 + "}", id="a huge exit"),
        pytest.param('{"pid": [], "event": "finish", "exit": 0}', id="a list of processes"),
        pytest.param(
            '{"pid": 1, "event": "test", "node": "a.py::t", "outcome": "failed", "when": []}', id="no step"
        ),
    ],
)
def test_a_cut_or_foreign_line_counts_for_nothing(read, tail):
    assert read(*COLLECTED, *ran("a.py::t"), *ran("a.py::u"), tail=tail).stage is CiStage.RUNNING


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("x" * 5_000_000, "one of its lines", id="a line"),
        pytest.param(("x" * 999_999 + "\n") * 3, "larger than 2000000 bytes", id="the whole"),
    ],
)
def test_a_record_larger_than_any_proves_nothing(read, monkeypatch, text, reason):
    monkeypatch.setattr(ci_records, "MAX_BYTES", 2_000_000)
    found = read(*COLLECTED, *ran("a.py::t"), *ran("a.py::u"), FINISH, tail=text)
    assert reason in found.unreadable
    run = CiRun(finished=ENDED, recorded=found, evidence="", is_collection=False, timeout_seconds=1)
    assert find_problem(run) == find_exit_problem(run) == found.unreadable


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_what_stands_in_for_the_record_is_not_read(tmp_path, kind):
    path = tmp_path / "record.jsonl"
    path.symlink_to("/dev/zero") if kind == "a link" else os.mkfifo(path)
    assert "cannot be read" in read_records(path, worktree=tmp_path, is_collection=False).unreadable


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        pytest.param([("call", "passed")], CiOutcome.PASSED, id="passed"),
        pytest.param([("setup", "failed")], CiOutcome.ERROR, id="setup"),
        pytest.param([("call", "passed"), ("teardown", "failed")], CiOutcome.ERROR, id="teardown"),
        pytest.param(
            [("call", "failed"), ("teardown", "failed")], CiOutcome.FAILED, id="the first red step speaks"
        ),
        pytest.param([("setup", "rerun"), ("call", "passed")], CiOutcome.PASSED, id="tried again"),
        pytest.param([("???", "failed")], CiOutcome.FAILED, id="its worker died"),
        pytest.param([("call", "xfailed")], CiOutcome.XFAILED, id="expected failure"),
    ],
)
def test_three_steps_make_one_outcome(read, steps, outcome):
    lines = [{"event": "test", "node": "a.py::t", "when": when, "outcome": found} for when, found in steps]
    assert read(*START, *lines).tests["a.py::t"].outcome is outcome


@pytest.mark.parametrize(("part", "outcome"), [("skipped", CiOutcome.PASSED), ("failed", CiOutcome.FAILED)])
def test_a_part_of_a_test_can_only_make_it_fail(read, part, outcome):
    lines = [*ran("a.py::t", part, part=True), *ran("a.py::t")]
    assert read(*START, *lines).tests["a.py::t"].outcome is outcome


def test_a_worker_that_died_while_it_collected_is_named(read):
    worker = {"pid": 2, "worker": "gw0"}
    lines = [*START, worker | {"event": "loaded"}, worker | {"event": "collectstart", "node": "a.py"}]
    found = read(*lines, FINISH | {"exit": 5})
    assert (found.lost_worker, found.stage) == ("a.py", CiStage.COLLECTING)


def test_a_worker_whose_death_is_a_failed_test_is_told_by_that(read):
    worker = {"pid": 2, "worker": "gw0"}
    dead = [worker | {"event": "start", "node": "a.py::t"}, *ran("a.py::t", "failed")[1:2]]
    found = read(*COLLECTED, *dead, *ran("a.py::u"), FINISH | {"exit": 1})
    assert (found.lost_worker, found.stage) == ("", CiStage.FINISHED)


def test_a_collection_is_whole_without_a_result(read):
    assert read(*COLLECTED, FINISH, is_collection=True).stage is CiStage.FINISHED
