"""Mends and releases that are killed at every step that matters and at random instants, and what is true in the end.

``AUTOPACK_KILLS=50`` kills at every step and that often at random; without it once.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace

import pytest
import sqlalchemy as sa
from leftovers import assert_nothing_is_left, processes_of, read_ledger
from order_runner import Runner
from project import Project, phase

from autopack.domain.blocker import BlockerState
from autopack.domain.phase import PhaseState

IS_THOROUGH = "AUTOPACK_KILLS" in os.environ
KILLS = int(os.environ.get("AUTOPACK_KILLS", "0"))
SEED = int(os.environ.get("AUTOPACK_KILL_SEED", "20261129"))
END_SECONDS = 180
MOST_CALLS = 2
"""Of what is called again and again, the first calls are steps of their own."""
RUNS = ("a", "d", "e")
"""The change of ``a`` needs the mend alone; those of ``d`` and ``e`` are bad by themselves too."""
CI = """
test ! -e docs/out.md || grep -q mended rules.txt || { echo "error: rules.txt lacks what docs need"; exit 1; }
test ! -e docs/bad.md || { echo "error: docs are bad"; exit 1; }
"""
FILES = {"docs/old.txt": "old\n", "rules.txt": "none\n", "ci.sh": CI}
GOOD = {"docs/out.md": "x\n"}
BAD = {"docs/out.md": "x\n", "docs/bad.md": "x\n"}


@pytest.fixture(scope="module")
def runner():
    with closing(Runner()) as made:
        yield made


def prepare(root, runner, *, is_canary_bad=False):
    """Three runs held up by one cause, each with a change that was paid for, and the commit of a mend."""
    project = Project.make(root, FILES)
    project.configure(f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n')
    for run_id in RUNS:
        project.plan(phase(paths=("docs/",)), run_id=run_id)
        project.answer("p.1", GOOD if run_id == "a" else BAD, run_id=run_id, usage=(1000, 200))
        assert project.attempt(run_id=run_id).final_state is PhaseState.FAILED
        project.answer("p", BAD if is_canary_bad else GOOD, run_id=run_id, usage=(100, 20))
    assert runner.run(project, "triage")["code"] == 0
    project.write({"rules.txt": "mended\n"})
    project.git("checkout", "-q", "-b", "mend")
    project.commit("Mend the rules")
    project.git("checkout", "-q", "main")
    # A checkout knows its place, which is not the copies'.
    shutil.rmtree(root / ".autopack/worktrees")
    shutil.rmtree(root / ".git/worktrees")
    return project


def copy(template, root):
    shutil.copytree(template.root, root, symlinks=True)
    return replace(template, root=root)


FIXED = ("remediate", "fixed", "B1", "--commit", "mend")
RELEASE = ("remediate", "release", "B1", "--workers", "2")


def facts(project):
    """All that the world sees of the blocker and its phases."""
    with project.store() as store:
        blocker = store.triage.blocker("B1")
        phases = [store.phase(run_id, "p") for run_id in RUNS]
        counts = store.triage.release_counts(blocker)
        cause = store.drains.fingerprint(blocker.cause.fingerprint)
        assert store.drains.open_picks() == ()
        assert not store.in_flight()
    assert_canary_came_first(project)
    return {
        "blocker": (blocker.state, blocker.recurrences, cause.stopped_at is not None),
        "phases": [(it.run_id, it.state, it.attempts, it.commit) for it in phases],
        "released": counts,
        "branches": project.git("for-each-ref", "refs/heads"),
        "paid": sorted((call.phase, call.usage) for call in read_ledger(project) if call.usage),
    }


def assert_canary_came_first(project):
    """New work of a release begins with one phase; the next is asked for when that one is COMPLETE."""
    engine = sa.create_engine(project.settings.database_url)
    query = "SELECT scope, picked_at, booked_at, result FROM drain_attempt ORDER BY picked_at"
    with closing(engine.connect()) as connection:
        rows = connection.execute(sa.text(query)).all()
    engine.dispose()
    fresh = [row for row in rows if json.loads(row.scope)["replay"] == "off"]
    for row in fresh[1:]:
        assert row.picked_at >= fresh[0].booked_at
        assert json.loads(fresh[0].result)["success"]


def log_of(project):
    return project.root.with_name("programs.log").read_text()


@pytest.fixture(scope="module")
def template(tmp_path_factory, runner):
    return prepare(tmp_path_factory.mktemp("release") / "template", runner)


@pytest.fixture(scope="module")
def undisturbed(template, tmp_path_factory, runner):
    """What comes of it when nothing is killed, and the steps of the two commands."""
    project = copy(template, tmp_path_factory.mktemp("undisturbed") / "repo")
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
        ),
    }
)
"""Steps that change anything: to be killed at a reading is to be killed after the change before it."""


def go_on(project, runner):
    """What an operator does next: the same again until it is done."""
    with project.store() as store:
        state = store.triage.blocker("B1").state
    if state not in {BlockerState.VALIDATED, BlockerState.RELEASED}:
        assert runner.run(project, *FIXED).get("code") == 0, log_of(project)
    assert runner.run(project, *RELEASE).get("code") == 0, log_of(project)


def kill_at(step, template, runner, root):
    """A copy of the project whose command was killed at the step."""
    words, kill = step
    project = copy(template, root)
    if words is RELEASE:
        assert runner.run(project, *FIXED).get("code") == 0, log_of(project)
    done = runner.run(project, *words, kill=kill)
    assert done == {"signal": signal.SIGKILL}, (done, log_of(project))
    return project


def name_of(step):
    words, kill = step
    return " ".join((words[1], *map(str, kill)))


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_killed_at_a_step_a_release_ends_as_if_undisturbed(step, template, undisturbed, runner, tmp_path):
    project = kill_at(step, template, runner, tmp_path / "repo")
    go_on(project, runner)
    assert facts(project) == undisturbed[0], log_of(project)
    assert_nothing_is_left(project)


@pytest.mark.slow
@pytest.mark.skipif(not IS_THOROUGH, reason="AUTOPACK_KILLS=50 kills at every step")
def test_killed_at_every_step_a_release_ends_as_if_undisturbed(template, undisturbed, runner, tmp_path):
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
        project = kill_at(step, template, runner, tmp_path / f"{count}" / "repo")
        try:
            go_on(project, runner)
            assert facts(project) == found
            assert_nothing_is_left(project)
        except AssertionError as error:
            wrong.append((name_of(step), str(error)[:2000]))
        shutil.rmtree(project.root)
    assert not wrong, f"{len(wrong)} of {len(every)} steps: {wrong[:5]}"


# --- the mend -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_remediation_run_that_was_killed_is_found_and_asks_for_no_finished_fix_again(
    template, runner, tmp_path
):
    project = copy(template, tmp_path / "repo")
    project.answer("mend-b1", {"rules.txt": "mended\n"}, run_id="fix")
    words = ("remediate", "run", "--run-id", "fix")
    assert runner.run(project, *words, kill=("validate", 1, "before")) == {"signal": signal.SIGKILL}
    assert runner.run(project, "remediate", "run")["code"] == 0, log_of(project)
    assert [it.phase for it in read_ledger(project)].count("fix/mend-b1") == 1
    with project.store() as store:
        assert {it.run_id for it in store.runs()} == {*RUNS, "fix"}
        assert store.triage.blocker("B1").state is BlockerState.VALIDATED


@pytest.mark.slow
def test_where_no_command_shows_the_cause_one_paid_change_is_tried_before_the_stop_is_lifted(
    template, runner, tmp_path
):
    project = copy(template, tmp_path / "repo")
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
@pytest.mark.skipif(not IS_THOROUGH, reason="AUTOPACK_KILLS=50 kills at every step")
@pytest.mark.parametrize("step", CANARY_STEPS, ids=str)
def test_a_canary_that_failed_while_its_release_was_dead_stops_it_as_ever(step, runner, tmp_path):
    template = prepare(tmp_path / "template", runner, is_canary_bad=True)
    assert runner.run(template, *FIXED)["code"] == 0
    calm = copy(template, tmp_path / "calm" / "repo")
    assert runner.run(calm, *RELEASE)["code"] == 1
    found = facts(calm)
    assert [it[1] for it in found["phases"]] == [PhaseState.COMPLETE, PhaseState.FAILED, PhaseState.FAILED]
    assert len(found["paid"]) == 4, "the canary's call, and none for the other"
    project = copy(template, tmp_path / "killed" / "repo")
    assert runner.run(project, *RELEASE, kill=step) == {"signal": signal.SIGKILL}, log_of(project)
    assert runner.run(project, *RELEASE)["code"] == 1
    assert facts(project) == found, log_of(project)


# --- random instants ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_instant_a_release_ends_as_if_undisturbed(
    number, template, undisturbed, runner, tmp_path
):
    rng = random.Random(f"{SEED} {number}")
    project = copy(template, tmp_path / "repo")
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
