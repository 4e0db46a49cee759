"""A model's reading of a remediation plan: marked, booked, budgeted, asked once, and nothing without it is missing."""

import json
import subprocess
import sys

import pytest
from leftovers import read_ledger
from project import Project, phase

from autopack.domain.phase import PhaseState

pytestmark = pytest.mark.slow

FILES = {"docs/old.txt": "old\n", "rules.txt": "none\n", "ci.sh": "test ! -e docs/out.md || { echo 'error: rules.txt lacks it'; exit 1; }\n"}  # fmt: skip
READING = "# B1\nrules.txt may be made by a script. token=ghp_abcdefghijklmnopqrstuvwxyz0123456789\n"


@pytest.fixture
def stuck(tmp_path):
    """Two runs that one cause holds up."""
    project = Project.make(tmp_path / "repo", FILES)
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
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads(done.stdout)["document"], "made_at": ""}


def calls(project):
    return [call for call in read_ledger(project) if call.phase.startswith("enrich-")]


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

    with stuck.store() as store:
        (run_id,) = {it.run_id for it in store.runs()} - {"a", "b"}
        assert store.phase(run_id, "reading").state is PhaseState.SKIPPED
    folder = stuck.root / ".autopack/answers" / run_id
    folder.mkdir()
    (folder / "reading.md").write_text(READING)
    told = plan(stuck, "--run-id", "fix", "--enrich")
    assert {**told, "enriched": ""} == bare
    lines = told["enriched"].splitlines()
    assert lines[0].endswith("Nothing here was checked.")
    assert lines[2:] == ["> # B1", lines[3]]
    assert lines[3].startswith("> rules.txt may be made by a script.")
    assert "ghp_" not in told["enriched"]
    paid = len(calls(stuck))
    assert calls(stuck)[-1].usage is not None
    assert f"booked to `{run_id}/reading`" in told["enriched"]

    again = plan(stuck, "--run-id", "fix", "--enrich")
    assert again == told
    assert len(calls(stuck)) == paid
