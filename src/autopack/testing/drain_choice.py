"""Which phase a drain takes next and which it passes over, by looking at every phase there is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from autopack.domain import held_back as why
from autopack.domain.drain_policy import DrainLimits, Sample, failure_rank
from autopack.domain.held_back import Hold
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.run import Run, is_own, split_queued
from autopack.domain.session import DrainScope, HeldBack
from autopack.testing.drain_items import Item, faulty_phases, late_runs, spent_phases
from autopack.testing.store import MemoryStore

_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run with all that is asked of it."""

    run: Run
    seq: int
    phases: Sequence[Phase]
    is_busy: bool
    """An attempt of it is under way, or picked."""
    sample: Sample

    @property
    def failed(self) -> list[Phase]:
        """Its failed phases, in order."""
        return [phase for phase in self.phases if phase.state is PhaseState.FAILED]

    @property
    def ready(self) -> Sequence[Phase]:
        """Its queued phases that need nothing that is missing."""
        return split_queued(self.run.spec, self.phases)[0]

    def has_its_needs(self, phase: Phase) -> bool:
        """Whether all that a phase needs is COMPLETE."""
        complete = {it.phase_id for it in self.phases if it.state is PhaseState.COMPLETE}
        return complete.issuperset(self.run.spec.needs_of(phase.index))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Everything that a choice depends on."""

    store: MemoryStore
    items: Sequence[Item]
    samples: dict[str, Sample]
    steps: tuple[str, ...]
    """The sessions over which the limits hold."""
    scope: DrainScope
    limits: DrainLimits

    @property
    def mine(self) -> list[Item]:
        """The attempts of these sessions."""
        return [item for item in self.items if item.pick.session_id in self.steps]

    def runs(self) -> list[RunView]:
        """All runs in order of creation, but for those of Autopack's own."""
        busy = {it.address.run_id for it in self.store.in_flight()}
        busy |= {item.place[0] for item in self.items if item.is_open}
        return [
            RunView(
                run=self.store.run(it.run_id),
                seq=seq,
                phases=self.store.phases(it.run_id),
                is_busy=it.run_id in busy,
                sample=self.samples.get(it.run_id, Sample.UNSAMPLED),
            )
            for seq, it in enumerate(self.store.runs())
            if not is_own(it.run_id)
        ]

    def _is_skipped(self, run_id: str) -> bool:
        return any(run_id.startswith(prefix) for prefix in self.scope.skip_run_prefixes if prefix)

    def _is_wanted(self, view: RunView) -> bool:
        return self.scope.run_id in {None, view.run.run_id} and not self._is_skipped(view.run.run_id)

    def count_queued(self) -> int:
        """How many phases in the scope are QUEUED, whether they may go or not."""
        phases = (it for view in self.runs() if self._is_wanted(view) for it in view.phases)
        return sum(it.state is PhaseState.QUEUED for it in phases)

    def _may_repeat(self, phase: Phase) -> bool:
        known = self.store.known.get(phase.failure_fingerprint or "")
        if known is None:
            return True
        same = [item for item in self.items if item.is_open]
        under_way = sum(item.pick.expected_fingerprint == known.fingerprint for item in same)
        return known.stopped_at is None and known.seen + under_way < self.limits.max_fingerprint_repeats

    def failed_candidates(self) -> list[tuple[RunView, Phase]]:
        """The failed phases that may be tried, best first; an untouched run is represented by its best one."""
        touched = {item.place[0] for item in self.mine}
        late = late_runs(self.mine, self.limits)
        spent = spent_phases(self.mine, self.limits) | faulty_phases(self.mine, self.limits)
        found: list[tuple[RunView, Phase]] = []
        for view in self.runs():
            waits = self.scope.skip_runs_with_queued and view.ready
            if not self._is_wanted(view) or view.is_busy or waits or view.run.run_id in late:
                continue
            drainable = [it for it in view.failed if not it.is_stopped and view.has_its_needs(it)]
            drainable.sort(key=lambda it: (failure_rank(it.failure_kind), it.index))
            if view.run.run_id in touched:
                free = [it for it in drainable if (it.run_id, it.phase_id) not in spent]
            else:
                free = drainable[:1]
            found.extend((view, phase) for phase in free if self._may_repeat(phase))
        return sorted(found, key=_place_in_order)

    def queued_candidates(self, *, now: float) -> list[Phase]:
        """The first phase that may go of each idle run, runs in order of creation."""
        late = late_runs(self.mine, self.limits)
        found: list[Phase] = []
        for view in self.runs():
            if self._is_wanted(view) and not view.is_busy and view.run.run_id not in late:
                found += [it for it in view.ready if it.retry_at is None or it.retry_at <= now][:1]
        return found

    def held_back(self) -> tuple[HeldBack, ...]:
        """Failed phases that would not be taken now, by reason."""
        return tuple(held for held in self._holds() if held.phases)

    def _holds(self) -> Iterator[HeldBack]:
        views = [it for it in self.runs() if self.scope.run_id in {None, it.run.run_id}]
        if self.scope.skip_runs_with_queued:
            idle = [it for it in views if it.ready and not it.is_busy]
            waiting = tuple(it.run.run_id for it in idle if it.failed)
            yield _of_runs(idle, lambda _: True, why.by_queued_phases(waiting))
        for known in sorted(self.store.known.values(), key=lambda it: (it.stopped_at or 0, it.fingerprint)):
            if known.stopped_at is not None:
                key = known.fingerprint
                yield _of_phases(
                    views, partial(_is_held_by, key), why.by_stop(key, seen=known.seen, limit=known.limit)
                )
        yield _of_runs(views, lambda it: it.is_busy, why.IN_FLIGHT)
        for prefix in filter(None, self.scope.skip_run_prefixes):
            yield _of_runs(views, partial(_begins_with, prefix), why.by_prefix(prefix))
        late, spent = late_runs(self.mine, self.limits), spent_phases(self.mine, self.limits)
        yield _of_phases(
            self.runs(),
            lambda _, it: (it.run_id, it.phase_id) in spent,
            why.by_attempts(self.limits.max_attempts_per_phase),
        )
        faulty = faulty_phases(self.mine, self.limits)
        yield _of_phases(
            self.runs(),
            lambda _, it: (it.run_id, it.phase_id) in faulty,
            why.by_faults(self.limits.max_faults_per_phase or 0),
        )
        yield _of_phases(
            views, lambda _, it: it.run_id in late, why.by_timeouts(self.limits.max_timeouts_per_run)
        )
        yield _of_phases(views, lambda view, it: not view.has_its_needs(it), why.MISSING_NEEDS)


def _is_held_by(key: str, _: RunView, phase: Phase) -> bool:
    return phase.is_stopped and phase.failure_fingerprint == key


def _begins_with(prefix: str, view: RunView) -> bool:
    return view.run.run_id.startswith(prefix)


def _place_in_order(found: tuple[RunView, Phase]) -> tuple[int, ...]:
    view, phase = found
    return (view.sample, failure_rank(phase.failure_kind), phase.index, len(view.failed), view.seq)


def _of_runs(views: Sequence[RunView], which: Callable[[RunView], bool], hold: Hold) -> HeldBack:
    return _held([phase for view in views if which(view) for phase in view.failed], hold)


def _of_phases(views: Sequence[RunView], which: Callable[[RunView, Phase], bool], hold: Hold) -> HeldBack:
    ordered = sorted(views, key=lambda view: view.run.run_id)
    return _held([phase for view in ordered for phase in view.failed if which(view, phase)], hold)


def _held(phases: Sequence[Phase], hold: Hold) -> HeldBack:
    return HeldBack(
        reason=hold.reason,
        phases=len(phases),
        runs=len({phase.run_id for phase in phases}),
        hint=hold.hint,
        examples=tuple(f"{phase.run_id}/{phase.phase_id}" for phase in phases[:_EXAMPLES]),
    )
