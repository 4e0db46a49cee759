from math import comb
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.forecast import Try, count_interval, forecast
from autopack.domain.interval import Share


def tries(*tokens, complete=0):
    return [Try(tokens=used, is_complete=index < complete) for index, used in enumerate(tokens)]


def test_a_forecast_by_hand():
    found = forecast(10, tries(80, 90, 100, 110, 120, complete=4))
    # s = 15.811, t with 4 degrees 2.776, and the root of 10 + 100/5 is 5.477.
    assert found.tokens == 1_000
    assert found.tokens_interval.high == pytest.approx(1_000 + 2.77645 * 15.81139 * 5.47723, rel=1e-5)
    assert found.completions == pytest.approx(10 * 4.5 / 6)
    assert (found.completions_interval.low, found.completions_interval.high) == (3, 10)
    assert (
        str(found)
        == "retrying 10 phases: 1,000 ± 240 tokens, 7.5 completions (3 to 10), told from 5 attempts"
    )


@pytest.mark.parametrize(
    ("record", "words"),
    [
        pytest.param(
            [], "an unknown number of tokens, 2.0 completions (0 to 4), told from 0 attempts", id="nothing"
        ),
        pytest.param(
            tries(50, 50, complete=2),
            "about 200 tokens, give or take what 2 attempts cannot tell, 3.3 completions (1 to 4)",
            id="too little for an interval",
        ),
    ],
)
def test_a_short_record_says_so(record, words):
    assert words in str(forecast(4, record))


def test_no_phases_cost_and_bring_nothing():
    found = forecast(0, tries(*range(10, 20), complete=3))
    assert (found.tokens, found.tokens_interval.high, found.completions_interval.high) == (0, 0, 0)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_the_interval_holds_whole_numbers_around_the_expected(hits, misses, count):
    found = count_interval(count, Share(hits=hits, total=hits + misses))
    expected = count * (hits + 0.5) / (hits + misses + 1)
    assert 0 <= found.low <= found.high <= count
    assert found.low - 1 < expected < found.high + 1


@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 40), st.integers(2, 6))
def test_fewer_attempts_widen_the_interval(hits, misses, count, times):
    few = count_interval(count, Share(hits=hits, total=hits + misses))
    many = count_interval(count, Share(hits=hits * times, total=(hits + misses) * times))
    # Ends are whole numbers, each of which may be rounded the other way.
    assert many.high - many.low <= few.high - few.low + 1


def test_with_a_long_record_only_chance_is_left():
    found = count_interval(30, Share(hits=600_000, total=1_000_000))
    weights = [comb(30, k) * 0.6**k * 0.4 ** (30 - k) for k in range(31)]
    low = next(k for k in range(31) if sum(weights[: k + 1]) > 0.025)
    high = next(k for k in range(31) if sum(weights[: k + 1]) >= 0.975)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize(("size", "count"), [(5, 30), (12, 8), (40, 20)])
def test_completions_lie_within_the_interval_19_times_in_20(size, count):
    """By enumeration of what a record and what follows it may be, for 49 true shares."""

    def weights(cases, true):
        return [comb(cases, k) * true**k * (1 - true) ** (cases - k) for k in range(cases + 1)]

    intervals = [count_interval(count, Share(hits=hits, total=size)) for hits in range(size + 1)]

    def coverage(true):
        after = weights(count, true)
        return sum(
            before * sum(weight for k, weight in enumerate(after) if k in interval)
            for before, interval in zip(weights(size, true), intervals, strict=True)
        )

    covered = [coverage(step / 50) for step in range(1, 50)]
    assert fmean(covered) > 0.945
    assert min(covered) > 0.85


@pytest.mark.parametrize(
    ("draw", "least"),
    [
        pytest.param(lambda chance: chance.uniform(2_000, 30_000), 0.93, id="anything"),
        pytest.param(lambda chance: chance.gauss(20_000, 4_000), 0.93, id="about the same"),
        pytest.param(lambda chance: chance.choice([0, 30_000]), 0.90, id="all or nothing"),
        # Few dear attempts among many cheap ones: a short record does not show them.
        pytest.param(lambda chance: chance.lognormvariate(9, 0.7), 0.88, id="skewed"),
    ],
)
def test_the_sum_of_tokens_lies_within_the_interval(draw, least):
    chance = Random(20251228)

    def is_hit():
        record = tries(*(int(draw(chance)) for _ in range(12)))
        return sum(draw(chance) for _ in range(25)) in forecast(25, record).tokens_interval

    hits = sum(is_hit() for _ in range(800))
    assert hits / 800 >= least


@settings(max_examples=50)
@given(st.lists(st.integers(0, 50_000), min_size=5, max_size=30), st.integers(1, 40))
def test_the_expected_tokens_lie_within_the_interval(tokens, count):
    found = forecast(count, tries(*tokens))
    assert found.tokens in found.tokens_interval
    assert found.tokens_interval.low >= 0
