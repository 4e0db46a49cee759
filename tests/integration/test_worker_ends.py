"""How a worker ends and how another goes on: dead, interrupted, without an executor, a disk or a lock."""

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from ended import has_ended
from leftovers import assert_nothing_is_left, attempts_of
from workers import (
    END_SECONDS,
    STOPPING,
    Gate,
    copy_autopack,
    facts,
    lines,
    log_of,
    make_project,
    start,
    wait_for,
)

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order

COMPLETE, QUEUED = PhaseState.COMPLETE, PhaseState.QUEUED
TWO = {"a": (Order.INDEPENDENT, ("one", "two"))}


@pytest.fixture
def make_gated(tmp_path):
    """Makes a project whose agent waits, and the gate at which it does."""
    gates = []

    def make(runs, database_url=None, limits=""):
        project = make_project(tmp_path / "repo", database_url, runs, is_gated=True, limits=limits)
        gates.append(Gate(project))
        return project, gates[-1]

    yield make
    for gate in gates:
        gate.close()


def ends(project, run_id="a"):
    with project.store() as store:
        return {it.phase_id: it.state for it in store.phases(run_id)}


def worker_of(attempt):
    """The process that started an attempt's guard."""
    return psutil.Process(attempt).parent().parent()


def test_a_living_worker_takes_over_from_a_dead_one(make_gated, database_url):
    # Whoever had to wait for the lease to run out would wait for longer than this test does.
    limits = f"lease_seconds = {10 * END_SECONDS}"
    runs = dict.fromkeys("ab", (Order.STRICT, ("one",)))
    project, gate = make_gated(runs, database_url, limits)
    workers = [start(project, "worker", "--slots", "1", "--once") for _ in range(2)]
    began = []
    while len(began) < 2:
        began += gate.wait()
    assert sorted(began) == ["a/one", "b/one"], log_of(project)
    attempt = next(pid for pid in attempts_of(project.root) if "a" in psutil.Process(pid).cmdline())
    dead = worker_of(attempt)
    assert {worker_of(pid).pid for pid in attempts_of(project.root)} == {it.pid for it in workers}
    dead.kill()
    assert has_ended(attempt)
    gate.open()
    assert gate.wait() == ["a/one"]
    gate.open()
    for worker in workers:
        worker.wait(END_SECONDS)
    found = facts(project, "ab")
    assert set(found["ends"].values()) == {(COMPLETE, None)}
    assert_nothing_is_left(project)


def test_two_workers_never_make_two_attempts_of_one_run(database_url, tmp_path):
    names = ("one", "two", "three")
    runs = dict.fromkeys("ab", (Order.INDEPENDENT, names))
    project = make_project(tmp_path / "repo", database_url, runs)
    for worker in [start(project, "worker", "--slots", "2", "--once") for _ in range(2)]:
        assert worker.wait(END_SECONDS) == 0, log_of(project)
    assert lines(project, "overlaps") == []
    assert sorted(lines(project, "asked")) == sorted(f"{run_id}/{name}" for run_id in runs for name in names)
    assert set(facts(project, runs)["ends"].values()) == {(COMPLETE, None)}
    assert_nothing_is_left(project)


def test_one_interrupt_finishes_what_runs_and_begins_nothing(make_gated):
    project, gate = make_gated(TWO)
    run = start(project, "run", "a")
    assert gate.wait() == ["a/one"]
    run.send_signal(signal.SIGINT)
    wait_for(project, run, STOPPING)
    gate.open()
    assert run.wait(END_SECONDS) == 130, log_of(project)
    assert ends(project) == {"one": COMPLETE, "two": QUEUED}
    assert_nothing_is_left(project)
    gate.open()
    assert start(project, "run", "a").wait(END_SECONDS) == 0, log_of(project)
    assert ends(project) == {"one": COMPLETE, "two": COMPLETE}
    assert lines(project, "asked") == ["a/one", "a/two"]


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGINT, signal.SIGINT], id="two interrupts"),
        pytest.param([signal.SIGTERM], id="one request to terminate"),
    ],
)
def test_an_operator_in_a_hurry_stops_all_and_loses_nothing(numbers, make_gated):
    project, gate = make_gated(TWO)
    run = start(project, "run", "a")
    assert gate.wait() == ["a/one"]
    run.send_signal(numbers[0])
    for number in numbers[1:]:
        wait_for(project, run, STOPPING)
        run.send_signal(number)
    assert run.wait(END_SECONDS) == 130, log_of(project)
    assert_nothing_is_left(project)
    stopped = project.phase("one", run_id="a")
    assert (stopped.state, stopped.crashes, stopped.attempts) == (QUEUED, 0, 0)
    gate.open()
    gate.open()
    assert start(project, "run", "a").wait(END_SECONDS) == 0, log_of(project)
    assert ends(project) == {"one": COMPLETE, "two": COMPLETE}


def test_an_executor_that_cannot_be_imported_is_its_runs_verdict_alone(tmp_path, record_property):
    runs = {"broken": (Order.STRICT, ("one",)), "sound": (Order.STRICT, ("one",))}
    project = make_project(tmp_path / "repo", None, runs)
    copy_autopack(tmp_path / "broken/autopack")
    executor = tmp_path / "broken/autopack/autonomous_executor.py"
    broken = 'import sys\nif "broken" in sys.argv:\n    import autopack.nowhere\n'
    executor.write_text(f"{broken}{executor.read_text()}")
    worker = start(project, "worker", "--once", PYTHONPATH=str(tmp_path / "broken"))
    assert worker.wait(END_SECONDS) == 0, log_of(project)
    with project.store() as store:
        (attempt,) = store.attempts("broken", "one")
        used = store.usage_of("broken")
    failure = attempt.outcome.failure
    assert (failure.kind, failure.returncode) == (FailureKind.IMPORT_CRASH, 1)
    assert failure.message == "ModuleNotFoundError: No module named 'autopack.nowhere'"
    assert "Traceback" in Path(failure.log_paths[1]).read_text()
    record_property("import_crash_seconds", failure.duration_seconds)
    assert failure.duration_seconds > 0
    assert used.total_tokens == 0
    assert ends(project, "broken") == {"one": PhaseState.FAILED}
    assert ends(project, "sound") == {"one": COMPLETE}


def test_a_database_that_is_locked_for_a_while_is_waited_for(make_gated):
    project, gate = make_gated(TWO)
    run = start(project, "run", "a")
    assert gate.wait() == ["a/one"]
    with closing(sqlite3.connect(project.root / ".autopack/autopack.db", timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        gate.open()
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(3)
        other.rollback()
    gate.open()
    assert run.wait(END_SECONDS) == 0, log_of(project)
    assert lines(project, "asked") == ["a/one", "a/two"]


@pytest.fixture
def small_disk(tmp_path):
    """A state folder on a disk of its own, and how to mount that again."""
    folder = tmp_path / "repo/.autopack"
    folder.mkdir(parents=True)
    made = mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    if made.returncode:
        pytest.skip(f"no file system may be mounted here: {made.stderr}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(*words):
    try:
        return subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 1, stderr=str(error))


def test_a_full_disk_is_told_and_nothing_that_was_stored_is_lost(small_disk, tmp_path):
    project = make_project(tmp_path / "repo", None, {"a": (Order.STRICT, ("one",))})
    (project.root / "ci.sh").write_text(
        f"test ! -e {small_disk}/fill || cat /dev/zero > {small_disk}/filler\ntrue\n"
    )
    project.commit("CI that fills the disk, when it is told to")
    (small_disk / "fill").touch()
    run = start(project, "run", "a")
    assert run.wait(END_SECONDS) == 1, log_of(project)
    assert "disk is full" in log_of(project)
    (small_disk / "fill").unlink()
    (small_disk / "filler").unlink()
    assert start(project, "run", "a").wait(END_SECONDS) == 0, log_of(project)
    assert ends(project) == {"one": COMPLETE}
    assert lines(project, "asked") == ["a/one"]
    assert_nothing_is_left(project)


def test_a_state_folder_that_is_read_only_is_told_and_works_again_afterwards(small_disk, tmp_path):
    project = make_project(tmp_path / "repo", None, {"a": (Order.STRICT, ("one",))})
    mount("-o", "remount,ro", str(small_disk)).check_returncode()
    run = start(project, "run", "a")
    assert run.wait(END_SECONDS) == 1, log_of(project)
    assert "hint: " in log_of(project)
    assert "bug" not in log_of(project)
    mount("-o", "remount,rw", str(small_disk)).check_returncode()
    assert start(project, "run", "a").wait(END_SECONDS) == 0, log_of(project)
    assert ends(project) == {"one": COMPLETE}
