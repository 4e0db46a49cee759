import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from autopack.adapters.plan_file import read_plan
from autopack.adapters.plan_schema import plan_schema
from autopack.errors import PlanError

RUN = {"id": "r", "goal": "g", "phases": [{"id": "a", "goal": "g"}]}
PLAN = {"version": 1, "runs": [RUN]}
FULL = """\
version: 1
runs:
  - id: fileorg-p2-20251208
    goal: The file organiser gets a web front end
    project: fileorganizer
    base: main
    order: strict
    phases:
      - id: fileorg-p2-frontend-build
        goal: Set up the build
        scope: {paths: [fileorganizer/frontend/], read_only: [fileorganizer/README.md, {path: a, reason: b}]}
        deliverables: [fileorganizer/frontend/package-lock.json]
        acceptance: [npm ci succeeds]
        checks: {ci: "python -m pytest -q", timeout_seconds: 600}
        needs: []
        kind: build
        budget_tokens: 60000
        requires_approval: false
"""


@pytest.fixture(scope="module")
def validator():
    schema = plan_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def with_phase(**fields):
    return {"version": 1, "runs": [{**RUN, "phases": [{"id": "a", "goal": "g", **fields}]}]}


def with_run(**fields):
    return {"version": 1, "runs": [{**RUN, **fields}]}


def is_read(tmp_path, plan):
    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps(plan))
    try:
        read_plan(path)
    except PlanError:
        return False
    return True


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(yaml.safe_load(FULL), id="every field"),
        pytest.param(PLAN, id="what must be there"),
        pytest.param(
            with_phase(deliverables={"code": ["a.py"], "docs": "b.md"}), id="deliverables by category"
        ),
        pytest.param(with_phase(needs=None, budget_tokens=None), id="nothing where nothing may be"),
    ],
)
def test_schema_and_reader_take_the_same_plans(validator, tmp_path, plan):
    assert [error.message for error in validator.iter_errors(plan)] == []
    assert is_read(tmp_path, plan)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param([], id="list"),
        pytest.param({"version": 1}, id="no runs"),
        pytest.param({"version": 1, "runs": []}, id="empty runs"),
        pytest.param({**PLAN, "version": 2}, id="later version"),
        pytest.param({**PLAN, "version": "1"}, id="version as text"),
        pytest.param({**PLAN, "extra": 1}, id="unknown field"),
        pytest.param(with_run(id="Big"), id="id of another alphabet"),
        pytest.param(with_run(id="a..b"), id="id that git refuses"),
        pytest.param(with_run(order="loose"), id="unknown order"),
        pytest.param(with_run(phases=[]), id="no phases"),
        pytest.param(with_phase(goal=" "), id="blank goal"),
        pytest.param(with_phase(budget_tokens=0), id="no budget"),
        pytest.param(with_phase(checks={"timeout_seconds": 86_401}), id="long timeout"),
        pytest.param(with_phase(deliverables="a.py"), id="deliverables as text"),
        pytest.param(with_phase(scope={"paths": [3]}), id="number as path"),
        pytest.param(with_phase(requires_approval="yes"), id="text as truth value"),
    ],
)
def test_schema_and_reader_refuse_the_same_plans(validator, tmp_path, plan):
    assert not validator.is_valid(plan)
    assert not is_read(tmp_path, plan)


def test_the_schema_names_its_dialect_and_describes_every_field():
    schema = plan_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Autopack plan"
    run, phase = schema["$defs"]["RunForm"], schema["$defs"]["PhaseForm"]
    fields = {**schema["properties"], **run["properties"], **phase["properties"]}
    assert [name for name, field in fields.items() if not field.get("description")] == []
