"""A plan laid over a run that is under way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import PlanAction
from autopack.domain.plan_merge import MergedRun, merge_run, new_run
from autopack.domain.run import Order, RunSpec, split_queued

names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)
WAITING, AGAIN, RESUMED = (PhaseState.QUEUED, 0), (PhaseState.QUEUED, 1), (PhaseState.QUEUED, 2)
"""State and newest attempt: never attempted, put back after its end, and given back in the middle."""
states = st.lists(
    st.sampled_from([WAITING, AGAIN, RESUMED, (PhaseState.COMPLETE, 1), (PhaseState.FAILED, 1)]),
    min_size=6,
    max_size=6,
)


def a_run(ids, goal="g", phase_goal="g", **fields):
    phases = tuple(PhaseSpec(phase_id=name, goal=phase_goal) for name in ids)
    return RunSpec(run_id="shop", goal="a shop", phases=phases, **fields)


def laid_over(before, after, in_states):
    stored = new_run(a_run(before), now=1.0)
    phases = tuple(
        replace(phase, state=state, last_attempt=number)
        for phase, (state, number) in zip(stored.phases, in_states, strict=False)
    )
    return phases, merged_with(after, stored.spec, phases)


def merged_with(after, spec, phases):
    unfinished = {phase.phase_id for phase in phases if (phase.state, phase.last_attempt) == RESUMED}
    wanted = a_run(after, goal="new", phase_goal="new")
    return merge_run(wanted, spec, phases, unfinished=unfinished, now=2.0)


def may_change(phase):
    return (phase.state, phase.last_attempt) in {WAITING, AGAIN}


def as_before(phase):
    return replace(phase, index=0, updated_at=0.0)


@given(before=names, after=names, in_states=states)
def test_a_merge_keeps_its_promises(before, after, in_states):
    phases, merged = laid_over(before, after, in_states)
    started = [phase for phase in phases if phase.last_attempt]
    fixed = [phase for phase in started if not may_change(phase)]
    kept = {phase.phase_id: phase for phase in merged.phases}
    assert [phase.index for phase in merged.phases] == list(range(len(merged.phases)))
    assert merged.spec.phases == tuple(phase.spec for phase in merged.phases)
    assert [as_before(kept[phase.phase_id]) for phase in fixed] == [as_before(phase) for phase in fixed]
    assert {kept[name].spec.goal for name in after if may_change(kept[name])} <= {"new"}
    assert [kept[phase.phase_id].last_attempt for phase in started] == [it.last_attempt for it in started]
    assert set(kept) == set(after) | {phase.phase_id for phase in started}
    waiting = [name for name in after if not kept[name].last_attempt]
    assert [name for name in kept if name in waiting] == waiting


@given(before=names, after=names, in_states=states)
def test_a_second_merge_finds_only_what_was_refused(before, after, in_states):
    _, merged = laid_over(before, after, in_states)
    again = merged_with(after, merged.spec, merged.phases)
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
    wanted = a_run("abc", order=Order.INDEPENDENT)
    merged = merge_run(wanted, stored.spec, phases, unfinished=(), now=2.0)
    assert merged.spec == a_run("abc")


HAS_STARTED = "the phase has started"
REQUEUE = "the phase is FAILED; run `autopack requeue shop/a`, then import the plan again"


@pytest.mark.parametrize(
    ("state", "action", "why"),
    [
        pytest.param(WAITING, PlanAction.CHANGED, "", id="never attempted"),
        pytest.param(AGAIN, PlanAction.CHANGED, "", id="requeued"),
        pytest.param(RESUMED, PlanAction.REFUSED, HAS_STARTED, id="its attempt is to be resumed"),
        pytest.param((PhaseState.EXECUTING, 1), PlanAction.REFUSED, HAS_STARTED, id="under way"),
        pytest.param((PhaseState.COMPLETE, 1), PlanAction.REFUSED, HAS_STARTED, id="complete"),
        pytest.param((PhaseState.FAILED, 1), PlanAction.REFUSED, REQUEUE, id="failed"),
    ],
)
def test_a_changed_specification_is_taken_or_refused_with_a_way_out(state, action, why):
    phases, merged = laid_over("a", "a", [state])
    change = next(change for change in merged.changes if change.phase_id == "a")
    assert (change.action, change.fields, change.why) == (action, ("goal",), why)
    assert (merged.phases[0].spec != phases[0].spec) is (action is PlanAction.CHANGED)


def test_a_requeued_phase_takes_its_specification_but_not_another_place():
    _, merged = laid_over("ab", "ba", [AGAIN, AGAIN])
    told = [(change.phase_id, change.action, change.fields) for change in merged.changes if change.phase_id]
    assert told == [
        (name, action, (field,))
        for name in "ba"
        for action, field in ((PlanAction.CHANGED, "goal"), (PlanAction.REFUSED, "position"))
    ]
    assert [phase.phase_id for phase in merged.phases] == ["a", "b"]


def test_a_requeued_phase_is_not_removed():
    _, merged = laid_over("ab", "b", [AGAIN, WAITING])
    assert [phase.phase_id for phase in merged.phases] == ["a", "b"]
    assert PlanAction.REFUSED in {change.action for change in merged.changes if change.phase_id == "a"}


def test_a_new_run_is_all_added():
    merged = new_run(a_run("ab"), now=1.0)
    assert isinstance(merged, MergedRun)
    assert merged.phases[1] == Phase(run_id="shop", index=1, spec=merged.spec.phases[1], updated_at=1.0)
    assert [change.phase_id for change in merged.changes] == [None, "a", "b"]
