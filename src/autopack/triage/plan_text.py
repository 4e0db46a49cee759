"""A plan as the file that describes it."""

from autopack.domain.phase import PhaseSpec
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec


def plan_text(plan: Plan) -> str:
    """YAML that ``autopack plan import`` reads as this plan."""
    import yaml  # noqa: PLC0415 -- only who writes a plan needs it

    document = {"version": 1, "runs": [_run(run) for run in plan.runs]}
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))


def _run(run: RunSpec) -> dict[str, object]:
    return {
        "id": run.run_id,
        "goal": run.goal,
        **({"project": run.project} if run.project else {}),
        "base": run.base,
        "order": str(run.order),
        "phases": [_phase(phase) for phase in run.phases],
    }


def _phase(phase: PhaseSpec) -> dict[str, object]:
    scope = {"paths": list(phase.scope.paths), "read_only": list(phase.scope.read_only)}
    checks = {"ci": phase.checks.ci, "timeout_seconds": phase.checks.timeout_seconds}
    fields = {
        "id": phase.phase_id,
        "goal": phase.goal,
        "kind": str(phase.kind),
        "scope": {name: keys for name, keys in scope.items() if keys},
        "deliverables": list(phase.deliverables),
        "acceptance": list(phase.acceptance),
        "checks": {name: value for name, value in checks.items() if value is not None},
        "needs": None if phase.needs is None else list(phase.needs),
        "budget_tokens": phase.budget_tokens,
        "requires_approval": phase.requires_approval or None,
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}
