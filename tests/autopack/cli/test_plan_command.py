import json

import pytest
from jsonschema import Draft202012Validator

PLAN = """\
version: 1
runs:
  - id: r
    goal: A run
    base: main
    phases:
      - {id: a, goal: Do a}
      - {id: b, goal: Do b}
"""


@pytest.fixture
def ready(root, autopack):
    (root / "plan.yaml").write_text(PLAN)
    assert autopack("init")[0] == 0
    return root


def test_a_good_plan_is_counted(autopack, autopack_json, root):
    (root / "plan.yaml").write_text(PLAN)
    assert autopack("plan", "check", "plan.yaml") == (0, "plan.yaml is a plan: 1 runs, 2 phases\n", "")
    assert autopack_json("plan", "check", "plan.yaml") == (0, {"file": "plan.yaml", "runs": 1, "phases": 2})


def test_a_plan_can_be_checked_outside_a_repository(autopack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert autopack("plan", "check", "plan.yaml")[0] == 0


@pytest.mark.parametrize("command", ["check", "import"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "plan.yaml cannot be read: No such file", id="no file"),
        pytest.param("version: 1", "plan.yaml, line 1: field 'runs': is missing", id="no runs"),
        pytest.param(
            PLAN.replace("Do b}", "Do b, needs: [c]}"),
            "plan.yaml, line 8: run 'r', phase 'b', field 'needs[0]': phase 'b' needs 'c'",
            id="bad phase",
        ),
    ],
)
def test_a_bad_plan_is_told_by_line_and_field(autopack, autopack_json, ready, command, text, message):
    (ready / "plan.yaml").unlink() if text is None else (ready / "plan.yaml").write_text(text)
    code, out, err = autopack("plan", command, "plan.yaml")
    assert (code, out) == (1, "")
    assert f"error: {message}" in err
    assert "\nhint: " in err
    code, document = autopack_json("plan", command, "plan.yaml")
    assert code == 1
    assert message in document["error"]["message"]


def test_importing_twice_finds_nothing_to_do(autopack, ready):
    code, out, err = autopack("plan", "import", "plan.yaml")
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first.startswith(f"database: SQLite {ready}/.autopack/autopack.db")
    assert [line.split() for line in lines[-2:]] == [["added", "r/a"], ["added", "r/b"]]
    code, out, err = autopack("plan", "import", "plan.yaml")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["nothing to do: the store holds this plan"]


def test_what_changes_is_told_by_phase_and_field(autopack_json, ready):
    autopack_json("plan", "import", "plan.yaml")
    (ready / "plan.yaml").write_text(PLAN.replace("Do b", "Do it well"))
    code, document = autopack_json("plan", "import", "plan.yaml")
    assert code == 0
    assert document["changes"] == [
        {"action": "changed", "run_id": "r", "phase_id": "b", "fields": ["goal"], "why": ""}
    ]


def test_a_base_that_names_no_commit_is_refused_before_anything_is_stored(autopack, autopack_json, ready):
    (ready / "plan.yaml").write_text(PLAN.replace("base: main", "base: mian"))
    code, _, err = autopack("plan", "import", "plan.yaml")
    assert code == 1
    assert "error: plan.yaml: run 'r', field 'base': " in err
    assert "mian" in err
    assert autopack_json("status")[1]["runs"] == []


def test_the_schema_takes_the_plan(autopack):
    code, out, _ = autopack("plan", "schema")
    assert code == 0
    run = {"id": "r", "goal": "g", "phases": [{"id": "a", "goal": "g"}]}
    assert Draft202012Validator(json.loads(out)).is_valid({"version": 1, "runs": [run]})
