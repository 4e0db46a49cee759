"""The table of a phase's states: what it holds works, all else is refused, and every way ends."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.phase import LEGAL_MOVES, Phase, PhaseSpec, PhaseState, check_move
from autopack.errors import IllegalTransitionError

PAIRS = list(product(PhaseState, PhaseState))
LEGAL = [(now, then) for now, then in PAIRS if then in LEGAL_MOVES[now]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def phase(state):
    return Phase(run_id="run", index=0, spec=PhaseSpec(phase_id="build", goal="g"), state=state, attempts=2)


def reachable(start):
    found, waiting = set(), [start]
    while waiting:
        for state in LEGAL_MOVES[waiting.pop()] - found:
            found.add(state)
            waiting.append(state)
    return found


def test_every_state_has_its_row():
    assert set(LEGAL_MOVES) == set(PhaseState)


@pytest.mark.parametrize(("now", "then"), LEGAL)
def test_a_legal_move_changes_the_state_and_nothing_else(now, then):
    before = phase(now)
    after = before.enter(then)
    assert after == phase(then)
    assert before.state is now


@pytest.mark.parametrize(("now", "then"), ILLEGAL)
def test_any_other_move_is_refused_by_name(now, then):
    with pytest.raises(
        IllegalTransitionError, match=f"run/build is {now} and cannot become {then}"
    ) as caught:
        phase(now).enter(then)
    assert all(state in caught.value.hint for state in LEGAL_MOVES[now])
    with pytest.raises(IllegalTransitionError):
        check_move(now, then, of="run/build")


def test_nothing_leaves_complete():
    assert reachable(PhaseState.COMPLETE) == set()


def test_complete_is_reached_from_ci_alone():
    assert [now for now in PhaseState if PhaseState.COMPLETE in LEGAL_MOVES[now]] == [PhaseState.CI_RUNNING]


@pytest.mark.parametrize("state", [state for state in PhaseState if state is not PhaseState.COMPLETE])
def test_every_state_can_still_come_to_each_end(state):
    ends = {other for other in PhaseState if other.is_terminal}
    assert ends <= reachable(state) | {state}


@pytest.mark.parametrize("state", PhaseState)
def test_a_state_is_queued_in_flight_or_terminal(state):
    assert [state is PhaseState.QUEUED, state.is_in_flight, state.is_terminal].count(True) == 1


@given(st.lists(st.integers(min_value=0, max_value=11), max_size=30))
def test_no_way_passes_over_execution_and_ci(choices):
    current, way = phase(PhaseState.QUEUED), [PhaseState.QUEUED]
    for choice in choices:
        if open_moves := sorted(LEGAL_MOVES[current.state]):
            current = current.enter(open_moves[choice % len(open_moves)])
            way.append(current.state)
    if PhaseState.COMPLETE in way:
        last_start = len(way) - 1 - way[::-1].index(PhaseState.QUEUED)
        steps = way[last_start + 1 :]
        assert steps[:2] == [PhaseState.EXECUTING, PhaseState.GATE]
        assert steps[-2:] == [PhaseState.CI_RUNNING, PhaseState.COMPLETE]
