"""One attempt, end to end: what it commits, what it refuses, and what it never pays for twice."""

import json
import threading

import pytest
from project import Project, phase

from autopack.adapters.store import SqlStore
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "repo")


GOOD = {
    "calc/core.py": "def add(a, b):\n    return a + b\n\n\ndef halve(a):\n    return a / 2\n\n\ndef twice(a):\n    return 2 * a\n",
    "tests/test_twice.py": "from calc.core import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n",
}


def test_a_good_change_becomes_one_commit_with_trailers(project):
    project.plan(phase(deliverables=["tests/test_twice.py"]))
    project.answer(edits=GOOD)
    outcome = project.attempt()
    assert outcome.failure is None
    assert outcome.final_state is PhaseState.COMPLETE
    assert project.git("rev-parse", "autopack/r") == outcome.commit
    assert project.branch_log() == ["p: Do p"]
    trailers = project.git("log", "-1", "--format=%(trailers:only)", "autopack/r").splitlines()
    assert trailers[:3] == ["Autopack-Run: r", "Autopack-Phase: p", "Autopack-Attempt: 1"]
    assert "def twice" in project.show("calc/core.py")
    assert outcome.usage.total_tokens == 30
    assert [gate.gate for gate in outcome.gates][-1] == "ci"


def test_the_operators_own_checkout_is_not_touched(project):
    project.plan(phase())
    project.answer(edits=GOOD)
    (project.root / "README.md").write_text("edited, not committed\n")
    before = (project.git("status", "--porcelain"), project.git("rev-parse", "HEAD"))
    project.attempt()
    assert (project.git("status", "--porcelain"), project.git("rev-parse", "HEAD")) == before


KINDS = [
    pytest.param({}, FailureKind.EMPTY_CHANGE, id="a Builder that says done and did nothing"),
    pytest.param({"README.md": "x\n"}, FailureKind.SCOPE_VIOLATION, id="out of scope"),
    pytest.param({"calc/core.py": "def add(a, b:\n"}, FailureKind.SYNTAX_ERROR, id="a syntax error"),
    pytest.param({"docs/x.json": "{"}, FailureKind.INVALID_JSON_DELIVERABLE, id="broken JSON"),
    pytest.param(
        {"calc/new.py": "import nowhere_to_be_found\n"}, FailureKind.IMPORT_ERROR, id="a missing module"
    ),
    pytest.param(
        {"calc/core.py": "def add(a, b):\n    return a - b\n\n\ndef halve(a):\n    return a / 2\n"},
        FailureKind.TEST_REGRESSION,
        id="a regression",
    ),
    pytest.param({"tests/test_core.py": None}, FailureKind.TEST_REGRESSION, id="a deleted test"),
    pytest.param({"tests/test_core.py": ""}, FailureKind.TEST_REGRESSION, id="a test file that was emptied"),
    pytest.param(
        {"tests/conftest.py": "import nowhere\n"}, FailureKind.COLLECTION_ERROR, id="a broken conftest"
    ),
    pytest.param(
        {"tests/test_new.py": "from calc.core import nothing\n"},
        FailureKind.COLLECTION_ERROR,
        id="a name that is not there",
    ),
    pytest.param(
        {"tests/test_new.py": "import os\nos._exit(0)\n"},
        FailureKind.CRASHED,
        id="a test module that ends the interpreter",
    ),
]


@pytest.mark.parametrize(("edits", "kind"), KINDS)
def test_a_bad_change_fails_with_its_kind_and_commits_nothing(edits, kind, project):
    deliverables = ["docs/x.json"] if "docs/x.json" in edits else []
    project.plan(phase(deliverables=deliverables))
    project.answer(edits=edits)
    outcome = project.attempt()
    assert outcome.failure is not None
    assert outcome.failure.kind is kind, outcome.failure
    assert outcome.final_state is PhaseState.FAILED
    assert project.phase().failure_kind is kind
    assert project.branch_log() == []


def test_a_module_that_no_phase_could_collect_is_foreseen_although_the_phases_own_tests_pass(project):
    project.write({"tests/other/test_broken.py": "import not_there\n"})
    project.commit("Break a module that the phase does not run")
    project.plan(phase(paths=("docs/",), ci="python -m pytest -q -p no:cacheprovider tests/test_core.py"))
    project.answer(edits={"docs/x.md": "x\n"})
    outcome = project.attempt()
    assert outcome.failure.kind is FailureKind.DOOMED
    assert "test_broken.py" in outcome.failure.message
    assert outcome.usage.total_tokens == 0


def test_nothing_beats_any_more_when_the_verdict_is_written(project, monkeypatch):
    """A beat after it would end the process as one that lost its lease, its last words unsaid."""
    seen = []
    finish = SqlStore.finish_attempt

    def watched(store, *args, **kwargs):
        seen.append({thread.name for thread in threading.enumerate()})
        finish(store, *args, **kwargs)

    monkeypatch.setattr(SqlStore, "finish_attempt", watched)
    project.plan(phase(paths=["data/link/x"], deliverables=[".github/x.yml"]))
    assert project.attempt().final_state is PhaseState.FAILED
    assert [names & {"heartbeat"} for names in seen] == [set()]


def test_an_attempt_is_made_once_however_often_it_is_asked_for(project):
    project.plan(phase())
    project.answer(edits=GOOD)
    first = project.spawn(number=1)
    database, verdict = first.communicate()[0].splitlines()
    assert database.startswith("database: SQLite")
    assert verdict == "r/p/1 COMPLETE"
    again = project.spawn(number=1)
    _, err = again.communicate()
    assert again.returncode == 4
    assert "r/p/1" in err
    assert len(project.branch_log()) == 1


def test_a_phase_under_a_project_root_finds_its_stub_where_the_gates_look(project):
    """The doubled project folder of a backlog that was once stuck: each root and key is joined in one place."""
    told = project.root / ".autopack/seen"
    seen = f"find . -name package-lock.json > {told}; echo more >> fileorganizer/README.md"
    project.write({"fileorganizer/README.md": "# organiser\n"})
    project.commit("A project in a folder")
    project.builder = f"command:{seen}"
    lock = "fileorganizer/frontend/package-lock.json"
    project.plan(phase(paths=[lock, "fileorganizer/README.md"], deliverables=[lock]), project="fileorganizer")
    outcome = project.attempt()
    found = told.read_text().split()
    assert found == [f"./{lock}"]
    assert outcome.failure is None, outcome.failure
    assert json.loads(project.show(lock)) == {}
    gate = next(gate for gate in outcome.gates if gate.gate == "deliverables")
    assert any("+1 existing files in workspace" in note for note in gate.notes)
