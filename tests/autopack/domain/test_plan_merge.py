"""A plan laid over a run that is under way."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import PlanAction
from autopack.domain.plan_merge import MergedRun, merge_run, new_run
from autopack.domain.run import Order, RunSpec, split_queued

names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)
states = st.lists(
    st.sampled_from([PhaseState.QUEUED, PhaseState.COMPLETE, PhaseState.FAILED]), min_size=6, max_size=6
)


def a_run(ids, goal="g", **fields):
    phases = tuple(PhaseSpec(phase_id=name, goal=goal) for name in ids)
    return RunSpec(run_id="shop", goal="a shop", phases=phases, **fields)


def laid_over(before, after, in_states):
    stored = new_run(a_run(before), now=1.0)
    phases = tuple(
        replace(phase, state=state) for phase, state in zip(stored.phases, in_states, strict=False)
    )
    return phases, merge_run(a_run(after, goal="new"), stored.spec, phases, now=2.0)


def as_before(phase):
    return replace(phase, index=0, updated_at=0.0)


@given(before=names, after=names, in_states=states)
def test_a_merge_keeps_its_promises(before, after, in_states):
    phases, merged = laid_over(before, after, in_states)
    started = [phase for phase in phases if phase.state is not PhaseState.QUEUED]
    kept = {phase.phase_id: phase for phase in merged.phases}
    assert [phase.index for phase in merged.phases] == list(range(len(merged.phases)))
    assert merged.spec.phases == tuple(phase.spec for phase in merged.phases)
    assert [as_before(kept[phase.phase_id]) for phase in started] == [as_before(phase) for phase in started]
    assert set(kept) == set(after) | {phase.phase_id for phase in started}
    waiting = [name for name in after if name in kept and kept[name].state is PhaseState.QUEUED]
    assert [name for name in kept if name in waiting] == waiting


@given(before=names, after=names, in_states=states)
def test_a_second_merge_finds_only_what_was_refused(before, after, in_states):
    _, merged = laid_over(before, after, in_states)
    again = merge_run(a_run(after, goal="new"), merged.spec, merged.phases, now=3.0)
    assert {change.action for change in again.changes} <= {PlanAction.REFUSED}
    assert (again.spec, again.phases) == (merged.spec, merged.phases)


@given(before=names, after=names, in_states=states)
def test_counted_needs_agree_with_what_may_go(before, after, in_states):
    _, merged = laid_over(before, after, in_states)
    runnable, _ = split_queued(merged.spec, merged.phases)
    counts = merged.count_missing()
    queued = [phase for phase in merged.phases if phase.state is PhaseState.QUEUED]
    assert [phase for phase in queued if counts[phase.index] == 0] == list(runnable)


def test_a_run_whose_own_change_is_refused_keeps_its_order():
    stored = new_run(a_run("ab"), now=1.0)
    phases = (replace(stored.phases[0], state=PhaseState.COMPLETE), stored.phases[1])
    merged = merge_run(a_run("abc", order=Order.INDEPENDENT), stored.spec, phases, now=2.0)
    assert merged.spec == a_run("abc")


def test_a_new_run_is_all_added():
    merged = new_run(a_run("ab"), now=1.0)
    assert isinstance(merged, MergedRun)
    assert merged.phases[1] == Phase(run_id="shop", index=1, spec=merged.spec.phases[1], updated_at=1.0)
    assert [change.phase_id for change in merged.changes] == [None, "a", "b"]
