"""A plan: the runs an operator asks for, what makes one valid, and how two differ."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.run import RunSpec

ID_PATTERN = r"[a-z0-9][a-z0-9._-]*"
PLAN_VERSION = 1
KEEPS_ITS_PLACE = "a phase that has started keeps its place"
_HAS_STARTED = "the phase has started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Runs in the order in which they were written."""

    runs: tuple[RunSpec, ...]
    version: int = PLAN_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProblem:
    """One thing that is wrong with a plan, and where."""

    place: tuple[str | int, ...]
    """Keys and indexes from the top: ``("runs", 0, "phases", 2, "needs", 0)``."""
    message: str
    hint: str = ""


def find_problems(plan: Plan) -> Iterator[PlanProblem]:
    """Everything that no single field shows: double ids, needs that name nothing, needs that go in a circle."""
    yield from _doubles([run.run_id for run in plan.runs], ("runs",), "run")
    for run_index, run in enumerate(plan.runs):
        place: tuple[str | int, ...] = ("runs", run_index, "phases")
        yield from _doubles([phase.phase_id for phase in run.phases], place, "phase")
        yield from _needs_problems(run, place)


def _doubles(ids: Sequence[str], place: tuple[str | int, ...], noun: str) -> Iterator[PlanProblem]:
    seen: set[str] = set()
    for index, name in enumerate(ids):
        if name in seen:
            yield PlanProblem(
                place=(*place, index, "id"),
                message=f"{noun} {name!r} is defined twice",
                hint=f"Give each {noun} an id of its own.",
            )
        seen.add(name)


def _needs_problems(run: RunSpec, place: tuple[str | int, ...]) -> Iterator[PlanProblem]:
    known = {phase.phase_id for phase in run.phases}
    is_complete = True
    for index, phase in enumerate(run.phases):
        for position, need in enumerate(phase.needs or ()):
            if need not in known:
                is_complete = False
                yield PlanProblem(
                    place=(*place, index, "needs", position),
                    message=f"phase {phase.phase_id!r} needs {need!r}, which is no phase of run {run.run_id!r}",
                    hint=f"Known phases: {', '.join(sorted(known))}.",
                )
    if is_complete and (circle := _circle(run)):
        index = next(index for index, phase in enumerate(run.phases) if phase.phase_id == circle[0])
        yield PlanProblem(
            place=(*place, index, "needs"),
            message=f"phases need each other in a circle: {' -> '.join(circle)}",
            hint="Remove one of these needs.",
        )


def _circle(run: RunSpec) -> tuple[str, ...]:
    graph = {phase.phase_id: run.needs_of(index) for index, phase in enumerate(run.phases)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


class PlanAction(StrEnum):
    """What an import does with one difference."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    REFUSED = "refused"
    """The plan differs from work that has started; the store keeps what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """One difference between a plan and the store."""

    action: PlanAction
    run_id: str
    phase_id: str | None
    """None when the difference is the run's own."""
    fields: tuple[str, ...] = ()
    """The names of the fields that differ."""
    why: str = ""


def compare_run(
    wanted: RunSpec, stored: RunSpec, phases: Iterable[Phase], *, unfinished: Collection[str]
) -> tuple[PlanChange, ...]:
    """How a plan's run differs from the stored one, and which differences may be made.

    A phase may change, move or go while it is QUEUED and was never attempted. One that is QUEUED again after its
    attempts have all ended may change, but stays where it is. A run's own fields may change while none of its
    phases has started; its goal may always.

    Args:
        wanted: The run of the plan.
        stored: The run of the store.
        phases: The stored run's phases as they are now.
        unfinished: The phases with an attempt that has no verdict.

    Returns:
        One entry a difference: the run's first, then the plan's phases in order, then those that went.
    """
    by_id = {phase.phase_id: phase for phase in phases}
    started = {name for name, phase in by_id.items() if has_started(phase)}
    changes = [*_run_changes(wanted, stored, started)]
    for index, spec in enumerate(wanted.phases):
        phase = by_id.get(spec.phase_id)
        if phase is None:
            changes.append(_phase_change(PlanAction.ADDED, wanted, spec.phase_id))
            continue
        changes.extend(_phase_changes(wanted, spec, phase, index=index, unfinished=unfinished))
    kept = {spec.phase_id for spec in wanted.phases}
    for spec in stored.phases:
        if spec.phase_id in kept:
            continue
        if spec.phase_id in started:
            changes.append(_refusal(wanted, spec.phase_id, ("removal",), _HAS_STARTED))
        else:
            changes.append(_phase_change(PlanAction.REMOVED, wanted, spec.phase_id))
    return tuple(changes)


def has_started(phase: Phase) -> bool:
    """Whether a plan may no longer move or remove the phase."""
    return phase.state is not PhaseState.QUEUED or phase.last_attempt > 0


def takes_spec(phase: Phase, unfinished: Collection[str]) -> bool:
    """Whether the phase's next attempt may be made by another specification: none is under way or to be resumed."""
    return phase.state is PhaseState.QUEUED and phase.phase_id not in unfinished


def _run_changes(wanted: RunSpec, stored: RunSpec, started: set[str]) -> Iterator[PlanChange]:
    fields = _differing(replace(wanted, phases=()), replace(stored, phases=()))
    if not fields:
        return
    if started and fields != ("goal",):
        why = f"phase {min(started)!r} has started"
        yield PlanChange(
            action=PlanAction.REFUSED, run_id=wanted.run_id, phase_id=None, fields=fields, why=why
        )
    else:
        yield PlanChange(action=PlanAction.CHANGED, run_id=wanted.run_id, phase_id=None, fields=fields)


def _phase_changes(
    run: RunSpec, spec: PhaseSpec, phase: Phase, *, index: int, unfinished: Collection[str]
) -> Iterator[PlanChange]:
    fields = _differing(spec, phase.spec)
    place = ("position",) if phase.index != index else ()
    if not has_started(phase):
        if fields or place:
            yield _phase_change(PlanAction.CHANGED, run, spec.phase_id, fields + place)
    elif takes_spec(phase, unfinished):
        if fields:
            yield _phase_change(PlanAction.CHANGED, run, spec.phase_id, fields)
        if place:
            yield _refusal(run, spec.phase_id, place, KEEPS_ITS_PLACE)
    elif fields or place:
        yield _refusal(run, spec.phase_id, fields + place, _why_refused(phase) if fields else _HAS_STARTED)


def _why_refused(phase: Phase) -> str:
    if phase.state not in {PhaseState.FAILED, PhaseState.SKIPPED}:
        return _HAS_STARTED
    name = f"{phase.run_id}/{phase.phase_id}"
    return f"the phase is {phase.state}; run `autopack requeue {name}`, then import the plan again"


def _refusal(run: RunSpec, phase_id: str, fields: tuple[str, ...], why: str) -> PlanChange:
    return PlanChange(action=PlanAction.REFUSED, run_id=run.run_id, phase_id=phase_id, fields=fields, why=why)


def _phase_change(
    action: PlanAction, run: RunSpec, phase_id: str, fields: tuple[str, ...] = ()
) -> PlanChange:
    return PlanChange(action=action, run_id=run.run_id, phase_id=phase_id, fields=fields)


def _differing(one: object, other: object) -> tuple[str, ...]:
    names: Sequence[str] = one.__slots__  # type: ignore[attr-defined]  # every value here is a slotted dataclass
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))
