"""What a call may use beside all others, and what follows when it may not."""

from dataclasses import replace

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import StopRule
from autopack.domain.estimate import Complexity, Estimate, Sort
from autopack.domain.failure import FailureKind
from autopack.domain.spending import (
    UNLIMITED,
    Account,
    AccountKind,
    Amount,
    SpendingLimits,
    accounts_of,
    allowance,
    budget_failure,
    budget_stop,
    over_attempt,
    over_budget,
    shared_accounts,
    wanted_by,
)

RUN = Account(kind=AccountKind.RUN, name="shop")
AT = AttemptAddress(run_id="shop", phase_id="build", number=2)
NEW_YEAR = 1_767_225_600.0
"""2026-01-01 00:00 UTC, in seconds since the epoch."""


def limits(**fields):
    return replace(UNLIMITED, **fields)


@pytest.mark.parametrize(
    ("spent", "wanted", "given", "unit"),
    [
        pytest.param(Amount(tokens=990), Amount(tokens=10), {"run_tokens": 1000}, None, id="just fits"),
        pytest.param(
            Amount(tokens=990), Amount(tokens=11), {"run_tokens": 1000}, "tokens", id="one too many"
        ),
        pytest.param(Amount(tokens=1000), Amount(), {"run_tokens": 1000}, "tokens", id="nothing is left"),
        pytest.param(Amount(tokens=999), Amount(), {"run_tokens": 1000}, None, id="something is left"),
        pytest.param(Amount(tokens=10**9), Amount(tokens=1), {"run_tokens": 0}, None, id="0 is no limit"),
        pytest.param(Amount(cost_usd=4.0), Amount(cost_usd=1.5), {"run_usd": 5.0}, "USD", id="money"),
        pytest.param(Amount(cost_usd=5.0), Amount(tokens=1), {"run_usd": 5.0}, "USD", id="money is gone"),
        pytest.param(Amount(tokens=10**9), Amount(tokens=1), {"day_tokens": 1}, None, id="another's limit"),
    ],
)
def test_a_limit_holds_what_is_spent_and_what_is_wanted(spent, wanted, given, unit):
    over = over_budget(RUN, spent, wanted, limits(**given))
    assert (over and over.unit) == unit


def test_every_limit_is_on_by_default():
    assert all(getattr(SpendingLimits(), name) > 0 for name in SpendingLimits.__dataclass_fields__)


@pytest.mark.parametrize(
    ("now", "session", "names"),
    [
        pytest.param(
            NEW_YEAR - 1,
            None,
            ["phase:shop/build", "run:shop", "day:2025-12-31"],
            id="the last second of a day, without a session",
        ),
        pytest.param(
            NEW_YEAR,
            "batch-1",
            ["phase:shop/build", "run:shop", "session:batch-1", "day:2026-01-01"],
            id="the first second of a day, in a session",
        ),
    ],
)
def test_a_call_is_booked_to_phase_run_session_and_day(now, session, names):
    assert [str(account) for account in accounts_of(AT, session, now=now)] == names


def test_what_is_shared_leaves_the_phase_out():
    shared = shared_accounts(run_id=None, session_id="s", now=NEW_YEAR)
    assert [str(account) for account in shared] == ["session:s", "day:2026-01-01"]


def test_a_shared_budget_makes_the_attempt_wait_and_says_what_to_raise():
    over = over_budget(RUN, Amount(tokens=1_990_000), Amount(tokens=15_000), limits(run_tokens=2_000_000))
    failure = budget_failure(over)
    assert failure.kind is FailureKind.BUDGET_EXCEEDED
    assert failure.message == (
        "run shop has used 1,990,000 of 2,000,000 tokens and the call needs about 15,000; "
        "raise [budget] run_tokens"
    )
    assert (failure.retryable, failure.is_wait, failure.retry_after_seconds) == (True, True, 60.0)


@pytest.mark.parametrize(
    ("over", "setting"),
    [
        pytest.param(over_attempt(AT, used=0, wanted=11, limit=10), "budget_tokens", id="attempt"),
        pytest.param(
            over_budget(
                Account(kind=AccountKind.PHASE, name="shop/build"),
                Amount(tokens=9),
                Amount(tokens=2),
                limits(phase_tokens=10),
            ),
            "[budget] phase_tokens",
            id="phase",
        ),
    ],
)
def test_a_budget_of_the_phase_itself_fails_the_attempt(over, setting):
    failure = budget_failure(over)
    assert (failure.retryable, failure.is_wait) == (False, False)
    assert setting in failure.hint


def test_a_session_that_may_spend_no_more_ends_with_the_numbers():
    day = Account(kind=AccountKind.DAY, name="2026-01-01")
    stop = budget_stop(over_budget(day, Amount(cost_usd=101.5), Amount(), limits(day_usd=100.0)))
    assert (stop.rule, stop.seen, stop.limit) == (StopRule.BUDGET, 101.5, 100.0)
    assert stop.subject == "day 2026-01-01 (USD)"


@pytest.mark.parametrize(
    ("predicted", "own_left", "booked"),
    [
        pytest.param(None, 1000, Amount(tokens=100), id="no prediction: the prompt"),
        pytest.param(400, 1000, Amount(tokens=400, cost_usd=0.5), id="the prediction"),
        pytest.param(50, 1000, Amount(tokens=100, cost_usd=0.5), id="at least the prompt"),
        pytest.param(4000, 1000, Amount(tokens=1000, cost_usd=0.5), id="at most what the attempt has left"),
    ],
)
def test_the_greater_of_prompt_and_prediction_is_booked(predicted, own_left, booked):
    sort = Sort(category="build .py", complexity=Complexity.SMALL, deliverables=1)
    made = predicted and Estimate(sort=sort, tokens=predicted, samples=1, cost_usd=0.5)
    assert wanted_by(100, made, own_left=own_left) == booked


@pytest.mark.parametrize(
    ("own_left", "shared_left", "allowed"),
    [(1000, None, 1000), (1000, 50, 150), (1000, 5000, 1000), (1000, 0, 100)],
)
def test_a_call_is_stopped_before_it_uses_what_nobody_has_left(own_left, shared_left, allowed):
    assert allowance(own_left, Amount(tokens=100), shared_left) == allowed
