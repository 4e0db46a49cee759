"""Mends and releases that are killed at every step that matters and at random instants, and what is true in the end.

``AUTOPACK_KILLS=50`` kills at every step and that often at random, on each database; without it once, on SQLite.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from leftovers import assert_nothing_is_left, processes_of, read_ledger
from release_scenes import END_SECONDS, FIXED, RELEASE, RUNS, THOROUGH, copy, facts, go_on, log_of, prepare

from autopack.domain.blocker import BlockerState
from autopack.domain.phase import PhaseState

KILLS = int(os.environ.get("AUTOPACK_KILLS", "0"))
SEED = int(os.environ.get("AUTOPACK_KILL_SEED", "20261129"))
MOST_CALLS = 2
"""Of what is called again and again, the first calls are steps of their own."""


@pytest.fixture(scope="module")
def undisturbed(template, tmp_path_factory, runner, databases):
    """What comes of it when nothing is killed, and the steps of the two commands."""
    project = copy(template, tmp_path_factory.mktemp("undisturbed") / "repo", databases)
    steps = {}
    for words in (FIXED, RELEASE):
        done = runner.run(project, *words)
        assert done.get("code") == 0, (done, log_of(project))
        steps[words] = done["calls"]
    found = facts(project)
    assert found["blocker"] == (BlockerState.RELEASED, 0, False)
    assert [it[1:3] for it in found["phases"]] == [
        (PhaseState.COMPLETE, 2),
        (PhaseState.COMPLETE, 3),
        (PhaseState.COMPLETE, 3),
    ]
    assert len(found["paid"]) == 5, "one call for each first attempt, and one each for new work"
    return found, steps


STEPS = [(RELEASE, ("drains.pick", 2, "after"))]
WRITES = frozenset(
    {
        *("validate", "rehearse", "submit", "mark_some", "workspace.bring", "workspace.run_head"),
        *("store.claim_attempt", "store.finish_attempt", "store.release_attempt", "store.requeue_phase"),
        *(
            f"drains.{name}"
            for name in ("start", "touch", "pick", "book", "drop_pick", "finish", "lift", "mark")
        ),
        *(
            "triage.validated",
            "triage.move_blocker",
            "triage.mark_conflict",
            "triage.mark_unpaid",
            "triage.reopen",
            "triage.begin_release",
            "triage.end_release",
            "triage.hold_phases",
        ),
    }
)
"""Steps that change anything: to be killed at a reading is to be killed after the change before it."""


def kill_at(step, project, runner):
    """Kill the project's command at the step."""
    words, kill = step
    if words is RELEASE:
        assert runner.run(project, *FIXED).get("code") == 0, log_of(project)
    done = runner.run(project, *words, kill=kill)
    assert done == {"signal": signal.SIGKILL}, (done, log_of(project))


def name_of(step):
    words, kill = step
    return " ".join((words[1], *map(str, kill)))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_killed_at_a_step_a_release_ends_as_if_undisturbed(
    step, template, undisturbed, runner, databases, tmp_path
):
    project = copy(template, tmp_path / "repo", databases)
    kill_at(step, project, runner)
    go_on(project, runner)
    assert facts(project) == undisturbed[0], log_of(project)
    assert_nothing_is_left(project)


@pytest.mark.slow
@THOROUGH
def test_killed_at_every_step_a_release_ends_as_if_undisturbed(
    template, undisturbed, runner, databases, tmp_path
):
    found, steps = undisturbed
    every = [
        (words, (name, number, where))
        for words, calls in steps.items()
        for name, most in sorted(calls.items())
        if name in WRITES
        for number in range(1, min(most, MOST_CALLS) + 1)
        for where in ("before", "after")
    ]
    wrong = []
    for count, step in enumerate(every):
        project = copy(template, tmp_path / f"{count}" / "repo", databases)
        try:
            kill_at(step, project, runner)
            go_on(project, runner)
            assert facts(project) == found
            assert_nothing_is_left(project)
        except AssertionError as error:
            wrong.append((name_of(step), str(error)[:2000]))
        shutil.rmtree(project.root)
        databases.drop(project.database_url)
    assert not wrong, f"{len(wrong)} of {len(every)} steps: {wrong[:5]}"


@pytest.mark.slow
def test_where_no_command_shows_the_cause_one_paid_change_is_tried_before_the_stop_is_lifted(
    template, runner, databases, tmp_path
):
    project = copy(template, tmp_path / "repo", databases)
    drain = ("drain", "failed", "--batch-size", "1", "--max-fingerprint-repeats", "1")
    assert runner.run(project, *drain)["code"] == 1
    heads = project.git("for-each-ref", "refs/heads/autopack")
    refused = runner.run(project, "remediate", "fixed", "B1", "--commit", "main")
    assert (refused["code"], refused["calls"]["rehearse"]) == (1, 3), log_of(project)
    with project.store() as store:
        blocker = store.triage.blocker("B1")
        assert blocker.state is BlockerState.FIX_PROPOSED
        assert store.drains.fingerprint(blocker.cause.fingerprint).stopped_at is not None
        assert [store.phase(run_id, "p").state for run_id in RUNS] == [PhaseState.FAILED] * 3
    passed = runner.run(project, *FIXED)
    assert (passed["code"], passed["calls"]["rehearse"]) == (0, 1), log_of(project)
    # Nothing but the stop has changed: no branch, no attempt.
    assert project.git("for-each-ref", "refs/heads/autopack") == heads
    with project.store() as store:
        assert store.drains.fingerprint(blocker.cause.fingerprint).stopped_at is None
        assert [len(store.attempts(run_id, "p")) for run_id in RUNS] == [2, 1, 1]


# --- a canary that fails --------------------------------------------------------------------------------


CANARY_STEPS = [("drains.book", 4, "before"), ("submit", 4, "after"), ("drains.book", 4, "after")]


@pytest.mark.slow
@THOROUGH
@pytest.mark.parametrize("step", CANARY_STEPS, ids=str)
def test_a_canary_that_failed_while_its_release_was_dead_stops_it_as_ever(step, runner, databases, tmp_path):
    template = prepare(tmp_path / "template", runner, databases, is_canary_bad=True)
    assert runner.run(template, *FIXED)["code"] == 0
    calm = copy(template, tmp_path / "calm" / "repo", databases)
    assert runner.run(calm, *RELEASE)["code"] == 1
    found = facts(calm)
    assert [it[1] for it in found["phases"]] == [PhaseState.COMPLETE, PhaseState.FAILED, PhaseState.FAILED]
    assert len(found["paid"]) == 4, "the canary's call, and none for the other"
    project = copy(template, tmp_path / "killed" / "repo", databases)
    assert runner.run(project, *RELEASE, kill=step) == {"signal": signal.SIGKILL}, log_of(project)
    assert runner.run(project, *RELEASE)["code"] == 1
    assert facts(project) == found, log_of(project)


# --- random instants ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_instant_a_release_ends_as_if_undisturbed(
    number, template, undisturbed, runner, databases, tmp_path
):
    rng = random.Random(f"{SEED} {number}")
    project = copy(template, tmp_path / "repo", databases)
    if rng.random() > 0.2:
        assert runner.run(project, *FIXED)["code"] == 0
    kill_sometime(project, rng)
    go_on(project, runner)
    found = facts(project)
    lost = {call.phase for call in read_ledger(project) if call.usage is None}
    assert {**found, "paid": undisturbed[0]["paid"]} == undisturbed[0], log_of(project)
    # A call whose process died is paid for and lost; no other is made twice.
    assert len(found["paid"]) == len(undisturbed[0]["paid"]), lost
    assert_nothing_is_left(project)


def kill_sometime(project, rng):
    """Begin what comes next, and kill it, alone or with all that works for it."""
    with project.store() as store:
        is_validated = store.triage.blocker("B1").state is BlockerState.VALIDATED
    with project.root.with_name("programs.log").open("ab") as log:
        controller = subprocess.Popen(
            [
                *(sys.executable, "-m", "autopack", "--root", str(project.root)),
                *(RELEASE if is_validated else FIXED),
            ],
            cwd=project.root,
            env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with suppress(subprocess.TimeoutExpired):
        controller.wait(rng.uniform(0.3, 8 if is_validated else 2))
    others = processes_of(project.root) if rng.random() < 0.5 else {}
    for pid in (controller.pid, *others):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    controller.wait(END_SECONDS)
