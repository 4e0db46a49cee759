"""Mends that are killed at every step that matters, and what is true once their release is over.

``AUTOPACK_KILLS=50`` kills at every step on each database; without it once, on SQLite.
"""

import json
import shutil
import signal
from pathlib import Path

import pytest
from leftovers import assert_nothing_is_left, read_ledger
from release_scenes import ELSEWHERE, FIXED, RELEASE, RUNS, THOROUGH, copy, facts, go_on, log_of, prepare

from autopack.domain.blocker import BlockerState

MEND = ("remediate", "run", "--run-id", "fix")
MEND_STEPS = [
    ("validate", 1, "before"),
    *(
        pytest.param((name, number, where), marks=THOROUGH)
        for name, number in (
            ("triage.move_blocker", 1),
            ("store.import_plan", 1),
            ("submit", 1),
            ("triage.move_blocker", 2),
            ("rehearse", 1),
            ("triage.validated", 1),
            ("drains.mark", 1),
        )
        for where in ("before", "after")
    ),
]
"""Before and after: the run is noted, imported and begun, its fix proposed, tried, found good, its stop lifted."""


def mended(template, root, databases):
    """A copy whose blocker has a mend in store."""
    project = copy(template, root, databases)
    project.answer("mend-b1", {"rules.txt": "mended\n"}, run_id="fix", usage=(300, 40))
    return project


def go_on_mending(project, runner):
    """What an operator does next: the same again until it is done."""
    with project.store() as store:
        is_done = store.triage.blocker("B1").state is BlockerState.VALIDATED
    if not is_done:
        # Where not even its name was noted, nothing finds the run that was to be.
        again = ("remediate", "run") if "fix" in runs_of(project) else MEND
        assert runner.run(project, *again)["code"] == 0, log_of(project)
    with project.store() as store:
        assert store.triage.blocker("B1").state is BlockerState.VALIDATED
    assert runs_of(project) == {*RUNS, "fix"}
    assert runner.run(project, *RELEASE).get("code") == 0, log_of(project)
    return facts(project)


def runs_of(project):
    with project.store() as store:
        return {it.run_id for it in store.runs()}


@pytest.fixture(scope="module")
def mended_undisturbed(template, tmp_path_factory, runner, databases):
    project = mended(template, tmp_path_factory.mktemp("mended") / "repo", databases)
    assert runner.run(project, *MEND)["code"] == 0, log_of(project)
    return go_on_mending(project, runner)


@pytest.mark.slow
@pytest.mark.parametrize("step", MEND_STEPS, ids=str)
def test_a_remediation_run_that_was_killed_is_found_and_asks_for_no_finished_fix_again(
    step, template, mended_undisturbed, runner, databases, tmp_path
):
    project = mended(template, tmp_path / "repo", databases)
    assert runner.run(project, *MEND, kill=step) == {"signal": signal.SIGKILL}, log_of(project)
    assert go_on_mending(project, runner) == mended_undisturbed, log_of(project)
    assert [it.phase for it in read_ledger(project)].count("fix/mend-b1") == 1
    assert_nothing_is_left(project)


@pytest.mark.slow
@THOROUGH
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", ["store.settle_call", "workspace.advance", "store.finish_attempt"])
def test_the_attempt_of_a_mend_that_was_killed_is_made_again_and_commits_once(
    name, where, template, mended_undisturbed, runner, databases, tmp_path
):
    project = mended(template, tmp_path / "repo", databases)
    told = {"kill": (name, 1, where), "done": str(tmp_path / "killed")}
    environ = {
        "PYTHONPATH": str(Path(__file__).parents[1] / "support" / "attempt_killing"),
        "AUTOPACK_TEST_KILL": json.dumps(told),
    }
    assert runner.run(project, *MEND, environ=environ)["code"] == 0, log_of(project)
    assert (tmp_path / "killed").exists()
    assert go_on_mending(project, runner) == mended_undisturbed, log_of(project)
    assert_nothing_is_left(project)


# --- a mend that no paid change shows -------------------------------------------------------------------


FIX_CANARY_STEPS = [
    (name, 1, where)
    for name in (
        "triage.hold_phases",
        "workspace.bring",
        "store.requeue_phase",
        "store.claim_attempt",
        "store.reserve_call",
        "store.settle_call",
        "workspace.advance",
        "store.finish_attempt",
        "triage.validated",
    )
    for where in ("before", "after")
]
AFTER_ITS_VERDICT = (("store.finish_attempt", 1, "after"), ("triage.validated", 1, "before"))


@pytest.mark.slow
@THOROUGH
def test_a_new_change_that_shows_a_mend_and_was_killed_is_neither_lost_nor_paid_for_twice(
    runner, databases, tmp_path
):
    template = prepare(tmp_path / "template", runner, databases, first=ELSEWHERE)
    calm = copy(template, tmp_path / "calm" / "repo", databases)
    for words in (FIXED, RELEASE):
        assert runner.run(calm, *words)["code"] == 0, log_of(calm)
    found = facts(calm)
    assert found["blocker"] == (BlockerState.RELEASED, 0, False)
    assert len(found["paid"]) == 6
    wrong = []
    for count, step in enumerate(FIX_CANARY_STEPS):
        project = copy(template, tmp_path / f"{count}" / "repo", databases)
        try:
            assert runner.run(project, *FIXED, kill=step) == {"signal": signal.SIGKILL}, log_of(project)
            go_on(project, runner)
            now = facts(project)
            # A phase that is COMPLETE before its word is noted is no proof to the next process, which asks for the
            # next phase: its release would have asked for that one too, after a replay in vain.
            same = found.keys() - ({"phases", "branches"} if step in AFTER_ITS_VERDICT else set())
            assert {name: now[name] for name in same} == {name: found[name] for name in same}
            assert [it[1] for it in now["phases"]] == [it[1] for it in found["phases"]]
            assert_nothing_is_left(project)
        except AssertionError as error:
            wrong.append((step, str(error)[:2000], log_of(project)[-2000:]))
        shutil.rmtree(project.root)
        databases.drop(project.database_url)
    assert not wrong, f"{len(wrong)} of {len(FIX_CANARY_STEPS)} steps: {wrong}"
