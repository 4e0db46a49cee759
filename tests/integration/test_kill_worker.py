"""Workers and attempts that are killed at random instants, and what is true when they were started again.

``AUTOPACK_KILLS=50`` kills that often on each database; without it a few times.
"""

import os
import random
import signal
import subprocess
from contextlib import suppress

import pytest
from leftovers import assert_nothing_is_left, attempts_of, processes_of, read_ledger
from workers import END_SECONDS, facts, lines, log_of, make_project, start

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order

KILLS = int(os.environ.get("AUTOPACK_KILLS", "5"))
KILLS_PER_PROJECT = 5
"""A phase that dies more often in a row than these may fail, which is right, and tested elsewhere."""
SEED = int(os.environ.get("AUTOPACK_KILL_SEED", "20261123"))
RUNS = {"a": (Order.STRICT, ("one", "two")), "b": (Order.INDEPENDENT, ("bad", "good"))}
ENDS = {
    "a/one": (PhaseState.COMPLETE, None),
    "a/two": (PhaseState.COMPLETE, None),
    "b/bad": (PhaseState.FAILED, FailureKind.TEST_REGRESSION),
    "b/good": (PhaseState.COMPLETE, None),
}


def check(project, undisturbed, kills):
    assert facts(project, RUNS) == undisturbed
    calls = read_ledger(project)
    lost = [call.phase for call in calls if call.usage is None]
    # A worker takes a call of each run with it.
    assert len(lost) <= kills * len(RUNS)
    asked, answered = lines(project, "asked"), lines(project, "answered")
    for name in ENDS:
        # An answer that came too late for the ledger is lost with its process; one that is in it is final.
        assert asked.count(name) <= 1 + lost.count(name)
        assert answered.count(name) >= 1
    assert lines(project, "overlaps") == []
    assert_nothing_is_left(project)


class Victims:
    """Kills, as a seeded generator has it."""

    def __init__(self, project, rng):
        self._project = project
        self._rng = rng

    def kill(self, workers):
        """Kill a worker, its process group, an attempt, or an attempt's group; says what."""
        what = self._rng.choice(["worker", "group", "attempt", "attempt group", "everything"])
        attempts = attempts_of(self._project.root)
        if what.startswith("attempt") and attempts:
            pid = self._rng.choice(attempts)
            with suppress(ProcessLookupError):
                (os.kill if what == "attempt" else os.killpg)(pid, signal.SIGKILL)
            return what
        if what == "everything":
            for pid in processes_of(self._project.root):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            worker = self._rng.choice(workers)
            (os.kill if what == "worker" else os.killpg)(worker.pid, signal.SIGKILL)
        return what


def work_off(project, rng, kills, seconds):
    """Start workers until all is done, and kill at ``kills`` instants; what was killed."""
    victims, killed = Victims(project, rng), []
    for _ in range(kills + 2):
        workers = [start(project, "worker", "--once") for _ in range(rng.choice([1, 1, 2]))]
        while len(killed) < kills and workers:
            with suppress(subprocess.TimeoutExpired):
                workers[0].wait(rng.uniform(0.05, seconds))
            if workers[0].returncode is not None:
                break
            what = victims.kill(workers)
            killed.append(what)
            workers = [it for it in workers if not has_died(it, what)]
        for worker in workers:
            worker.wait(END_SECONDS)
        if is_done(project):
            break
    return killed


def has_died(worker, what):
    if what.startswith("attempt"):
        return False
    with suppress(subprocess.TimeoutExpired):
        worker.wait(0.2)
    return worker.returncode is not None


def is_done(project):
    with project.store() as store:
        return all(it.state.is_terminal for run_id in RUNS for it in store.phases(run_id))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What comes of the plan when nothing is killed, and how long that takes here and now."""
    project = make_project(tmp_path_factory.mktemp("undisturbed") / "repo", None, RUNS)
    began = os.times().elapsed
    assert start(project, "worker", "--once").wait(END_SECONDS) == 0, log_of(project)
    seconds = os.times().elapsed - began
    found = facts(project, RUNS)
    assert found["ends"] == ENDS
    check(project, found, kills=0)
    return found, seconds


BATCHES = -(-KILLS // KILLS_PER_PROJECT)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_at_random_instants_all_ends_as_if_undisturbed(
    batch, new_database, undisturbed, tmp_path, record_property
):
    found, seconds = undisturbed
    rng = random.Random(f"{SEED} {batch}")
    killed = []
    while len(killed) < KILLS_PER_PROJECT:
        # An instant may lie beyond the end of all work; then another project gets the kill that is left.
        with new_database() as url:
            project = make_project(
                tmp_path / f"{len(killed)}-{rng.random()}/repo",
                url,
                RUNS,
                limits=f"max_crashes = {KILLS_PER_PROJECT + 1}",
            )
            now = work_off(project, rng, KILLS_PER_PROJECT - len(killed), seconds)
            check(project, found, kills=len(now))
        killed += now
    record_property("killed", killed)
