"""How long a backlog takes from its plan files into a store."""

import json
import time
from pathlib import Path

from autopack.adapters.plan_file import read_plan
from autopack.adapters.store import SqlStore
from autopack.domain.phase import PhaseSpec
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from benchmarks.selection.backlog import specs

PHASES_A_FILE = 18_000
"""A plan file may hold 10 MiB."""


def seconds_of_import(store: SqlStore, size: int) -> float:
    """How long the store takes to import a plan of so many phases, which it does not have yet."""
    plan = Plan(runs=tuple(specs(size)))
    started = time.perf_counter()
    changes = store.import_plan(plan, now=1.0)
    seconds = time.perf_counter() - started
    if len(changes) != size + len(plan.runs):
        raise SystemExit(f"{len(changes)} changes of {size} phases and {len(plan.runs)} runs")
    return seconds


def seconds_of_reading(folder: Path) -> dict[str, float]:
    """How long reading a plan file takes, for each phase in it, by its format."""
    wanted = list(specs(PHASES_A_FILE))
    yaml = "version: 1\nruns:\n" + "".join(map(_run_text, wanted))
    documents = {"YAML": yaml, "JSON": json.dumps({"version": 1, "runs": list(map(_run_object, wanted))})}
    return {name: _seconds_of_file(folder / f"plan.{name.lower()}", text) for name, text in documents.items()}


def _seconds_of_file(path: Path, text: str) -> float:
    path.write_text(text)
    started = time.perf_counter()
    plan = read_plan(path)
    seconds = time.perf_counter() - started
    if sum(len(run.phases) for run in plan.runs) != PHASES_A_FILE:
        raise SystemExit(f"{path.name} was not read whole")
    return seconds / PHASES_A_FILE


def _run_object(run: RunSpec) -> dict[str, object]:
    phases = [_phase_object(spec) for spec in run.phases]
    return {"id": run.run_id, "goal": run.goal, "order": run.order, "phases": phases}


def _phase_object(spec: PhaseSpec) -> dict[str, object]:
    return {
        "id": spec.phase_id,
        "goal": spec.goal,
        "scope": {"paths": spec.scope.paths},
        "deliverables": spec.deliverables,
        "acceptance": spec.acceptance,
    }


def _run_text(run: RunSpec) -> str:
    head = f"- id: {run.run_id}\n  goal: {run.goal}\n  order: {run.order}\n  phases:\n"
    return head + "".join(map(_phase_text, run.phases))


def _phase_text(spec: PhaseSpec) -> str:
    return (
        f"  - id: {spec.phase_id}\n    goal: {spec.goal}\n"
        f"    scope: {{paths: [{', '.join(spec.scope.paths)}]}}\n"
        f"    deliverables: [{', '.join(spec.deliverables)}]\n    acceptance: [{spec.acceptance[0]}]\n"
    )
