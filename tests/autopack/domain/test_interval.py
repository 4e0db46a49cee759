from math import comb, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.interval import Share, student_t, wilson


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # z = 1.959964 and z² = 3.841459; none of n ends at z² / (n + z²), all of n begins at n / (n + z²).
        pytest.param(0, 30, 0.0, 3.841459 / 33.841459, id="none of 30"),
        pytest.param(5, 5, 5 / 8.841459, 1.0, id="all of 5"),
        # (k + z²/2 ± z·√(k(n-k)/n + z²/4)) / (n + z²), worked by hand.
        pytest.param(1, 5, 0.036224, 0.624465, id="1 of 5"),
        pytest.param(5, 10, 0.236593, 0.763407, id="half of 10"),
        # R. G. Newcombe, Statistics in Medicine 17 (1998), page 861, method 3.
        pytest.param(81, 263, 0.2553, 0.3662, id="Newcombe 81/263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="Newcombe 15/148"),
        pytest.param(0, 20, 0.0, 0.1611, id="Newcombe 0/20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="Newcombe 1/29"),
    ],
)
def test_wilson(hits, total, low, high):
    found = wilson(hits, total)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_of_no_cases_nothing_is_known():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert str(Share(hits=0, total=0)) == "0 of 0, nothing is known"


def test_a_share_tells_its_interval():
    assert str(Share(hits=1, total=5)) == "1 of 5, 20.0 % (3.6 % to 62.4 %)"


SHARES = st.integers(1, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(SHARES)
def test_the_interval_holds_the_share_and_lies_between_0_and_1(share):
    hits, total = share
    found = wilson(hits, total)
    assert 0 <= found.low <= hits / total <= found.high <= 1
    assert hits / total in found


@given(SHARES)
def test_the_interval_of_misses_is_its_mirror_image(share):
    hits, total = share
    ours, theirs = wilson(hits, total), wilson(total - hits, total)
    assert isclose(ours.low, 1 - theirs.high, abs_tol=1e-12)
    assert isclose(ours.high, 1 - theirs.low, abs_tol=1e-12)


@given(SHARES, st.floats(0.5, 0.98))
def test_the_ends_rise_with_hits_and_fall_with_misses_and_confidence_widens(share, confidence):
    hits, total = share
    found, miss, hit = wilson(hits, total), wilson(hits, total + 1), wilson(hits + 1, total + 1)
    assert miss.low <= found.low + 1e-12
    assert miss.high <= found.high + 1e-12
    assert hit.low >= found.low - 1e-12
    assert hit.high >= found.high - 1e-12
    narrower, wider = wilson(hits, total, confidence=confidence), wilson(hits, total, confidence=0.99)
    assert wider.low <= narrower.low <= narrower.high <= wider.high


@pytest.mark.parametrize("total", [5, 20, 30, 73, 100])
def test_it_covers_the_true_share_19_times_in_20(total):
    """By enumeration of the binomial distribution, for 199 true shares."""

    def coverage(true):
        chance = (comb(total, k) * true**k * (1 - true) ** (total - k) for k in range(total + 1))
        return sum(weight for k, weight in enumerate(chance) if true in wilson(k, total))

    covered = [coverage(step / 200) for step in range(1, 200)]
    # Known of the rule: right on average, and low only for shares close to 0 or 1.
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.015)
    assert min(covered) > 0.83
    assert min(covered[20:-20]) > 0.89


@pytest.mark.parametrize(
    ("degrees", "confidence", "expected"),
    [
        # The usual tables of Student's distribution.
        (1, 0.95, 12.7062),
        (2, 0.95, 4.30265),
        (3, 0.95, 3.18245),
        (4, 0.95, 2.77645),
        (5, 0.99, 4.03214),
        (9, 0.95, 2.26216),
        (10, 0.90, 1.81246),
        (29, 0.95, 2.04523),
        (30, 0.99, 2.75000),
        (120, 0.95, 1.97993),
        (10_000, 0.95, 1.96234),
    ],
)
def test_student_t(degrees, confidence, expected):
    assert student_t(degrees, confidence=confidence) == pytest.approx(expected, abs=2e-5)
