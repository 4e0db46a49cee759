"""From a stuck backlog to none: drain, triage, a mend that is wrong at first, validation, release by replay."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import Project, phase

from autopack.domain.blocker import BlockerState
from autopack.domain.phase import PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec

pytestmark = pytest.mark.slow

GATHER = "from calc.gather import gather\n\n\ndef test_gather():\n    assert gather\n"
SKIPPED = f'import pytest\n\npytest.importorskip("praw_that_nobody_has")\n\n{GATHER}'


@pytest.fixture(scope="module")
def drained(tmp_path_factory):
    """Three runs that could not pass for a module that is not installed, and the blocker that they became."""
    project = Project.make(tmp_path_factory.mktemp("drained") / "repo")
    project.write(
        {
            "calc/gather.py": "import praw_that_nobody_has\n\n\ndef gather():\n    return praw_that_nobody_has\n",
            "tests/test_gather.py": GATHER,
        }
    )
    project.commit("Gather")
    names = ("one", "two", "three")
    runs = [
        RunSpec(run_id=name, goal="g", phases=(phase(),), base="main", order=Order.STRICT) for name in names
    ]
    with project.store() as store:
        store.import_plan(Plan(runs=tuple(runs)), now=1.0)
    for name in names:
        project.answer("p", {f"docs/{name}.md": "x\n"}, run_id=name, usage=(1000, 200))
    autopack(project, "drain", "queued", code=1)
    triage = autopack(project, "triage")
    assert [view["blocker"]["place"] for view in triage["blockers"]] == ["calc/gather.py:1"]
    assert blocker(project).cause.phases == 3
    # A checkout knows its place, which is not the copies'.
    shutil.rmtree(project.root / ".autopack/worktrees")
    shutil.rmtree(project.root / ".git/worktrees")
    return project


@pytest.fixture
def stuck(drained, tmp_path):
    return drained.copy(tmp_path / "repo")


def autopack(project, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "autopack", "--root", str(project.root), *words, "--json"],
        env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def blocker(project):
    with project.store() as store:
        (found,) = store.triage.blockers()
        return found


def phases(project, *runs):
    with project.store() as store:
        return [store.phase(run, "p").state for run in runs]


def test_what_one_cause_held_up_is_released_without_the_builder(stuck):
    document = stuck.root / "plan.md"
    plan = autopack(stuck, "remediate", "plan", "-o", str(document), "--run-id", "fix")
    assert "calc/gather.py:1" in document.read_text()
    assert "tests/test_gather.py" in Path(plan["plan_file"]).read_text()

    # The first answer leaves the cause where it is; the second one mends it.
    stuck.answer("mend-b1.1", {"tests/test_gather.py": GATHER + "\n# tried\n"}, run_id="fix")
    stuck.answer("mend-b1", {"tests/test_gather.py": SKIPPED}, run_id="fix")
    autopack(stuck, "remediate", "run", "--run-id", "fix", code=1)
    assert blocker(stuck).state is not BlockerState.VALIDATED
    autopack(stuck, "remediate", "run", "--run-id", "fix")
    assert blocker(stuck).state is BlockerState.VALIDATED

    (report,) = autopack(stuck, "remediate", "release")
    told = {name: report[name] for name in ("held", "replayed", "drained", "failed", "left", "recurrences")}
    assert told == {"held": 3, "replayed": 3, "drained": 0, "failed": 0, "left": 0, "recurrences": 0}
    assert (report["tokens_recovered"], report["tokens_spent"]) == (3600, 0)
    assert phases(stuck, "one", "two", "three") == [PhaseState.COMPLETE] * 3
    assert blocker(stuck).state is BlockerState.RELEASED

    # Runs that stand on the old base meet the cause once, and wait for the fix.
    for name in ("four", "five"):
        stuck.plan(phase(), run_id=name, base="main")
        stuck.answer("p", {f"docs/{name}.md": "x\n"}, run_id=name, usage=(1000, 200))
    autopack(stuck, "drain", "queued", "--run-id", "four", code=1)
    assert blocker(stuck).state is BlockerState.VALIDATED
    (held,) = autopack(stuck, "drain", "failed", code=0)["held_back"]
    assert (held["phases"], held["hint"]) == (1, "autopack remediate release B1")
    autopack(stuck, "drain", "queued", code=1)
    (report,) = autopack(stuck, "remediate", "release")
    assert {name: report[name] for name in told} == {**told, "held": 5, "replayed": 5}
    assert phases(stuck, "four", "five") == [PhaseState.COMPLETE] * 2
    assert blocker(stuck).state is BlockerState.RELEASED


def test_a_fix_that_mends_nothing_lifts_no_stop(stuck):
    stuck.write({"README.md": "# calc, again\n"})
    commit = stuck.commit("Mend nothing")
    fixed = autopack(stuck, "remediate", "fixed", "B1", "--commit", commit, code=1)
    assert not fixed["validated"]["passed"]
    assert fixed["validated"]["sandbox"]
    with stuck.store() as store:
        assert store.drains.fingerprint(blocker(stuck).cause.fingerprint).stopped_at is not None
    autopack(stuck, "remediate", "release", "B1", code=1)
    assert phases(stuck, "one", "two", "three") == [PhaseState.FAILED] * 3


def test_a_run_into_which_the_fix_does_not_merge_is_told_and_left(stuck):
    tree = stuck.git("rev-parse", "autopack/two")
    stuck.git("checkout", "-q", "-b", "side", tree)
    stuck.write({"tests/test_gather.py": GATHER + "\n# this run's own\n"})
    stuck.git("branch", "-f", "autopack/two", stuck.commit("Change the same lines"))
    stuck.git("checkout", "-q", "main")
    stuck.write({"tests/test_gather.py": SKIPPED + "\n# mended\n"})
    autopack(stuck, "remediate", "fixed", "B1", "--commit", stuck.commit("Mend it"))
    (report,) = autopack(stuck, "remediate", "release", code=1)
    assert [line.split(":")[0] for line in report["conflicts"]] == ["two"]
    assert (report["replayed"], report["left"], report["recurrences"]) == (2, 1, 0)
    assert phases(stuck, "one", "two", "three") == [
        PhaseState.COMPLETE,
        PhaseState.FAILED,
        PhaseState.COMPLETE,
    ]
