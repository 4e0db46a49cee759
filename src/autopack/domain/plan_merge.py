"""What an import leaves in the store: a plan's run laid over what has already started."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import (
    KEEPS_ITS_PLACE,
    PlanAction,
    PlanChange,
    compare_run,
    has_started,
    takes_spec,
)
from autopack.domain.run import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRun:
    """A run as an import leaves it, and how it differs from before."""

    spec: RunSpec
    phases: tuple[Phase, ...]
    """In order; each one's ``index`` is its position here and in ``spec.phases``."""
    changes: tuple[PlanChange, ...]

    def count_missing(self) -> tuple[int, ...]:
        """For each phase, how many of those that it needs are not COMPLETE."""
        complete = {phase.phase_id for phase in self.phases if phase.state is PhaseState.COMPLETE}
        return tuple(len(set(self.spec.needs_of(index)) - complete) for index in range(len(self.phases)))


def new_run(wanted: RunSpec, *, now: float) -> MergedRun:
    """A run that the store does not have yet: everything is added."""
    phases = tuple(
        Phase(run_id=wanted.run_id, index=index, spec=spec, updated_at=now)
        for index, spec in enumerate(wanted.phases)
    )
    names = (None, *(spec.phase_id for spec in wanted.phases))
    changes = tuple(
        PlanChange(action=PlanAction.ADDED, run_id=wanted.run_id, phase_id=name) for name in names
    )
    return MergedRun(spec=wanted, phases=phases, changes=changes)


def merge_run(
    wanted: RunSpec, stored: RunSpec, phases: Sequence[Phase], *, unfinished: Collection[str], now: float
) -> MergedRun:
    """Lay a plan's run over the stored one.

    Phases that have started keep their place; the plan's others fill the places between them in the plan's
    order. They keep their specification too, unless they are QUEUED again and their attempts have all ended.

    Args:
        wanted: The run of the plan.
        stored: The run of the store.
        phases: The stored run's phases in order.
        unfinished: The phases with an attempt that has no verdict.
        now: When the import happens.

    Returns:
        The run to keep. A move that a started phase prevents is reported as REFUSED.
    """
    changes = compare_run(wanted, stored, phases, unfinished=unfinished)
    if not changes:
        return MergedRun(spec=stored, phases=tuple(phases), changes=())
    merged = tuple(_in_place(wanted, phases, changes, unfinished=unfinished, now=now))
    refuses_run = any(change.phase_id is None and change.action is PlanAction.REFUSED for change in changes)
    own = stored if refuses_run else wanted
    places = {phase.phase_id: phase.index for phase in phases}
    return MergedRun(
        spec=replace(own, phases=tuple(phase.spec for phase in merged)),
        phases=merged,
        changes=tuple(_truthful(change, merged, places) for change in changes),
    )


def _in_place(
    wanted: RunSpec,
    phases: Sequence[Phase],
    changes: Sequence[PlanChange],
    *,
    unfinished: Collection[str],
    now: float,
) -> Iterator[Phase]:
    specs = {spec.phase_id: spec for spec in wanted.phases}
    by_id = {phase.phase_id: phase for phase in phases}
    gone = {change.phase_id for change in changes if change.action is PlanAction.REMOVED}
    fixed = [
        _respecified(phase, specs.get(phase.phase_id, phase.spec), now=now)
        if takes_spec(phase, unfinished)
        else phase
        for phase in phases
        if has_started(phase) and phase.phase_id not in gone
    ]
    fixed_ids = {phase.phase_id for phase in fixed}
    free = [spec for spec in wanted.phases if spec.phase_id not in fixed_ids]
    for index in range(len(fixed) + len(free)):
        takes_fixed = bool(fixed) and (not free or fixed[0].index <= index)
        phase = fixed.pop(0) if takes_fixed else _phase_of(wanted.run_id, free.pop(0), by_id, now=now)
        yield phase if phase.index == index else replace(phase, index=index, updated_at=now)


def _phase_of(run_id: str, spec: PhaseSpec, by_id: dict[str, Phase], *, now: float) -> Phase:
    stored = by_id.get(spec.phase_id)
    if stored is None:
        return Phase(run_id=run_id, index=-1, spec=spec, updated_at=now)
    return _respecified(stored, spec, now=now)


def _respecified(phase: Phase, spec: PhaseSpec, *, now: float) -> Phase:
    return phase if phase.spec == spec else replace(phase, spec=spec, updated_at=now)


def _truthful(change: PlanChange, merged: Sequence[Phase], places: dict[str, int]) -> PlanChange:
    if change.action is not PlanAction.CHANGED or change.fields != ("position",):
        return change
    index = next(phase.index for phase in merged if phase.phase_id == change.phase_id)
    if index != places[str(change.phase_id)]:
        return change
    return replace(change, action=PlanAction.REFUSED, why=KEEPS_ITS_PLACE)
