"""A model's reading of a remediation plan: marked, booked, budgeted, asked once, and nothing without it is missing."""

import json
import signal
import subprocess
import sys

import pytest
from leftovers import read_ledger
from project import Project, phase
from release_scenes import THOROUGH

from autopack.domain.phase import PhaseState
from autopack.triage.enrichment import RUN

pytestmark = pytest.mark.slow

FILES = {"docs/old.txt": "old\n", "rules.txt": "none\n", "ci.sh": "test ! -e docs/out.md || { echo 'error: rules.txt lacks it'; exit 1; }\n"}  # fmt: skip
READING = "# B1\nrules.txt may be made by a script. token=ghp_abcdefghijklmnopqrstuvwxyz0123456789\n"


@pytest.fixture
def stuck(tmp_path):
    return make_stuck(tmp_path / "repo")


def make_stuck(root, database_url=None):
    """Two runs that one cause holds up."""
    project = Project.make(root, FILES, database_url=database_url)
    project.configure(f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n')
    for run_id in ("a", "b"):
        project.plan(phase(paths=("docs/",)), run_id=run_id)
        project.answer(edits={"docs/out.md": "x\n"}, run_id=run_id)
        assert project.attempt(run_id=run_id).final_state is PhaseState.FAILED
    return project


def plan(project, *words):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "autopack",
            "--root",
            str(project.root),
            "remediate",
            "plan",
            *words,
            "--json",
        ],
        env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads(done.stdout)["document"], "made_at": ""}


def calls(project):
    return [call for call in read_ledger(project) if call.phase.startswith(f"{RUN}/")]


def left(project):
    """The readings that are in the record, by name."""
    with project.store() as store:
        return {it.phase_id: it.state for it in store.phases(RUN)}


def answer(project, name):
    folder = project.root / ".autopack/answers" / RUN
    folder.mkdir()
    (folder / f"{name}.md").write_text(READING)


def test_a_model_adds_to_the_plan_and_never_takes_its_place(stuck):
    bare = plan(stuck, "--run-id", "fix")
    assert bare["enriched"] == ""

    small = plan(stuck, "--run-id", "fix", "--enrich", "--budget-tokens", "10")
    assert "nothing was added" in small["enriched"]
    assert "10" in small["enriched"]
    assert {**small, "enriched": ""} == bare
    assert calls(stuck) == []

    silent = plan(stuck, "--run-id", "fix", "--enrich")
    assert "nothing was added" in silent["enriched"]
    assert {**silent, "enriched": ""} == bare

    # The smaller budget asks the same: one reading, which failed twice.
    ((name, state),) = left(stuck).items()
    assert state is PhaseState.SKIPPED
    answer(stuck, name)
    told = plan(stuck, "--run-id", "fix", "--enrich")
    assert {**told, "enriched": ""} == bare
    lines = told["enriched"].splitlines()
    assert lines[0].endswith("Nothing here was checked.")
    assert lines[2:] == ["> # B1", lines[3]]
    assert lines[3].startswith("> rules.txt may be made by a script.")
    assert "ghp_" not in told["enriched"]
    paid = len(calls(stuck))
    assert calls(stuck)[-1].usage is not None
    assert f"booked to `{RUN}/{name}`" in told["enriched"]

    again = plan(stuck, "--run-id", "fix", "--enrich")
    assert again == told
    assert len(calls(stuck)) == paid


# --- killed ---------------------------------------------------------------------------------------------


ENRICH = ("remediate", "plan", "--run-id", "fix", "--enrich")


@pytest.mark.parametrize(
    ("kill", "state"),
    [
        pytest.param(("store.import_plan", 1, "after"), PhaseState.QUEUED, id="before it is begun"),
        pytest.param(("store.claim_attempt", 1, "after"), PhaseState.EXECUTING, id="begun", marks=THOROUGH),
        pytest.param(("store.reserve_call", 1, "after"), PhaseState.EXECUTING, id="asked", marks=THOROUGH),
        pytest.param(("store.settle_call", 1, "before"), PhaseState.EXECUTING, id="answered", marks=THOROUGH),
        pytest.param(("store.finish_attempt", 1, "before"), PhaseState.CI_RUNNING, id="before its verdict"),
    ],
)
def test_what_a_killed_reading_leaves_no_drain_takes_and_the_next_finishes(kill, state, new_database, runner, tmp_path):  # fmt: skip
    with new_database() as url:
        project = make_stuck(tmp_path / "repo", url)
        assert runner.run(project, *ENRICH)["code"] == 0
        (name,) = left(project)
        answer(project, name)
        assert runner.run(project, *ENRICH, kill=kill) == {"signal": signal.SIGKILL}
        assert left(project) == {name: state}

        for words in (("drain", "queued"), ("drain", "queued", "--run-id", RUN)):
            runner.run(project, *words)
        with project.store() as store:
            assert len(store.attempts(RUN, name)) <= 2
            assert [it for session in store.drains.sessions(limit=9) for it in store.drains.results(session.session_id)] == []  # fmt: skip
        # A claim of the dead is given back by whoever looks for one first.
        assert left(project)[name] in {state, PhaseState.QUEUED}

        assert runner.run(project, *ENRICH)["code"] == 0
        assert left(project) == {name: PhaseState.COMPLETE}
