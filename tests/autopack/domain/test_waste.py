from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.waste import BookedCall, CallEnd, Cause, SavedCall, Saving, Sums, book, cause_of, cut

DAY = 86_400.0


def call(*, run="r", phase="p", number=1, tokens=100, at=0.0, **changes):
    address = AttemptAddress(run_id=run, phase_id=phase, number=number)
    return BookedCall(address=address, tokens=tokens, reserved_at=at, **changes)


COMPLETE = {"final_state": PhaseState.COMPLETE}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        pytest.param(COMPLETE, Cause.USEFUL, id="the phase is complete"),
        pytest.param(
            {"is_used_later": True, "is_blocker": True}, Cause.USEFUL, id="replayed with success later"
        ),
        pytest.param(
            {**COMPLETE, "end": CallEnd.LOST}, Cause.TRANSIENT, id="a lost call before the one that helped"
        ),
        pytest.param(
            {**COMPLETE, "end": CallEnd.FAULT}, Cause.TRANSIENT, id="an overloaded provider before that"
        ),
        pytest.param({"is_open": True, "end": CallEnd.LOST}, Cause.TRANSIENT, id="lost, and made again now"),
        pytest.param({"is_open": True}, Cause.PENDING, id="no verdict yet"),
        pytest.param({"end": CallEnd.UNDER_WAY, "is_open": True}, Cause.PENDING, id="the call is under way"),
        pytest.param(
            {"is_open": True, **COMPLETE}, Cause.PENDING, id="what an open attempt's state is tells nothing"
        ),
        pytest.param(
            {"is_retryable": True, "is_blocker": True}, Cause.TRANSIENT, id="a fault shared by many"
        ),
        pytest.param({"failure_kind": FailureKind.INFRASTRUCTURE}, Cause.TRANSIENT, id="a full disk"),
        pytest.param({"final_state": PhaseState.QUEUED}, Cause.TRANSIENT, id="given back and never judged"),
        pytest.param(
            {"failure_kind": FailureKind.DOOMED, "is_blocker": True}, Cause.DOOMED, id="doomed, shared"
        ),
        pytest.param(
            {"failure_kind": FailureKind.TIMEOUT, "is_blocker": True}, Cause.TIMEOUT, id="time-out, shared"
        ),
        pytest.param({"is_flaky": True, "is_blocker": True}, Cause.FLAKY, id="flaky, shared"),
        pytest.param({"is_blocker": True}, Cause.SYSTEMIC, id="a blocker"),
        pytest.param(
            {"failure_kind": FailureKind.IMPORT_CRASH}, Cause.SYSTEMIC, id="the executor's own fault"
        ),
        pytest.param({"failure_kind": FailureKind.PATCH_REJECTED}, Cause.REJECTED, id="not good enough"),
        pytest.param({"failure_kind": FailureKind.APPROVAL_DENIED}, Cause.REJECTED, id="denied"),
        pytest.param({}, Cause.REJECTED, id="failed without a kind"),
    ],
)
def test_the_cause_of_a_call(changes, cause):
    assert cause_of(call(**changes)) is cause


def test_one_attempt_may_have_calls_of_several_causes():
    ledger = book(
        [
            call(tokens=5, end=CallEnd.LOST, **COMPLETE),
            call(tokens=70, cost_usd=0.1, **COMPLETE),
            call(tokens=20, cost_usd=0.2, at=DAY, run="q", fingerprint="F", is_blocker=True),
        ]
    )
    assert {cause: sums.tokens for cause, sums in ledger.by_cause().items() if sums.calls} == {
        Cause.USEFUL: 70,
        Cause.TRANSIENT: 5,
        Cause.SYSTEMIC: 20,
    }
    assert {day: sums.tokens for day, sums in ledger.by_day().items()} == {"1970-01-01": 75, "1970-01-02": 20}
    assert {key: sums.tokens for key, sums in ledger.by_fingerprint().items()} == {"": 75, "F": 20}
    assert ledger.total.cost_usd == pytest.approx(0.3)
    assert ledger.by_cause()[Cause.TRANSIENT].cost_usd is None


def test_what_was_not_spent_is_in_no_sum():
    address = AttemptAddress(run_id="r", phase_id="p", number=2)
    saved = [SavedCall(address=address, saving=Saving.REPLAY, tokens=900, at=0.0)]
    ledger = book([call(**COMPLETE)], saved)
    assert ledger.total.tokens == 100
    assert {saving: sums.tokens for saving, sums in ledger.by_saving().items()} == {
        Saving.REPLAY: 900,
        Saving.DOOM_CHECK: 0,
    }


CALLS = st.lists(
    st.builds(
        call,
        run=st.sampled_from(["r1", "r2"]),
        phase=st.sampled_from(["a", "b", "c"]),
        number=st.integers(1, 2),
        tokens=st.integers(0, 10**9),
        at=st.floats(0, 3 * DAY),
        cost_usd=st.one_of(st.none(), st.floats(0, 1_000)),
        end=st.sampled_from(CallEnd),
        is_open=st.booleans(),
        final_state=st.sampled_from(PhaseState),
        failure_kind=st.one_of(st.none(), st.sampled_from(FailureKind)),
        is_retryable=st.booleans(),
        fingerprint=st.sampled_from([None, "F", "G"]),
        is_blocker=st.booleans(),
        is_flaky=st.booleans(),
        is_used_later=st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(CALLS)
def test_every_cut_adds_up_to_what_was_spent_exactly(calls):
    ledger = book(calls)
    whole = Sums(
        calls=len(calls),
        tokens=sum(one.tokens for one in calls),
        cost=sum((Fraction(one.cost_usd) for one in calls if one.cost_usd is not None), Fraction(0)),
        unpriced_calls=sum(one.cost_usd is None for one in calls),
    )
    assert ledger.total == whole
    cuts = [ledger.by_cause(), ledger.by_run(), ledger.by_phase(), ledger.by_day(), ledger.by_fingerprint()]
    cuts.append(cut(ledger.spent, lambda cell: (cell.run_id, cell.cause)))
    assert all(sum(parts.values(), Sums()) == whole for parts in cuts)


@settings(max_examples=40)
@given(CALLS, st.randoms(use_true_random=False))
def test_the_order_of_the_calls_does_not_matter(calls, chance):
    shuffled = list(calls)
    chance.shuffle(shuffled)
    assert list(book(calls).spent.items()) == list(book(shuffled).spent.items())


def test_costs_that_floats_cannot_add_in_any_order_are_added_exactly():
    costs = [0.1, 0.2, 0.3, 1e16, -0.0]
    totals = {book([call(cost_usd=cost) for cost in order]).total for order in permutations(costs)}
    assert len(totals) == 1
