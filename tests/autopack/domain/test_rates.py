"""How long a request has to wait for room in a provider's minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.rates import WINDOW_SECONDS, ProviderRates, Taken, Turn, wait_for_turn

NOW = 1000.0


def taken(*ages_and_tokens):
    return [Taken(at=NOW - age, tokens=tokens) for age, tokens in ages_and_tokens]


@pytest.mark.parametrize(
    ("before", "tokens", "rates", "wait"),
    [
        pytest.param([], 10**9, ProviderRates(), 0, id="no limit"),
        pytest.param([], 500, ProviderRates(requests_per_minute=1), 0, id="the first"),
        pytest.param([(10, 1)], 1, ProviderRates(requests_per_minute=1), 50, id="one a minute"),
        pytest.param([(60, 1)], 1, ProviderRates(requests_per_minute=1), 0, id="a minute ago is over"),
        pytest.param(
            [(50, 1), (40, 1), (10, 1)], 1, ProviderRates(requests_per_minute=2), 20, id="two must leave"
        ),
        pytest.param([(30, 600)], 400, ProviderRates(tokens_per_minute=1000), 0, id="tokens just fit"),
        pytest.param([(30, 600)], 401, ProviderRates(tokens_per_minute=1000), 30, id="tokens do not fit"),
        pytest.param(
            [(50, 100), (20, 900)], 400, ProviderRates(tokens_per_minute=1000), 40, id="small one left first"
        ),
        pytest.param(
            [(30, 1)],
            5000,
            ProviderRates(tokens_per_minute=1000),
            30,
            id="too large for a minute waits alone",
        ),
        pytest.param([], 5000, ProviderRates(tokens_per_minute=1000), 0, id="and then goes"),
        pytest.param(
            [(50, 900), (10, 1)],
            200,
            ProviderRates(requests_per_minute=2, tokens_per_minute=1000),
            10,
            id="both limits",
        ),
    ],
)
def test_wait(before, tokens, rates, wait):
    turn = wait_for_turn(taken(*before), tokens, rates, now=NOW)
    assert turn.wait_seconds == wait
    assert bool(turn.reason) == bool(wait)


@given(
    sizes=st.lists(st.integers(0, 700), max_size=40),
    gaps=st.lists(st.floats(0, 30), min_size=40, max_size=40),
    requests=st.integers(1, 6),
    tokens=st.integers(700, 2000),
)
def test_no_minute_holds_more_than_its_limits(sizes, gaps, requests, tokens):
    rates = ProviderRates(requests_per_minute=requests, tokens_per_minute=tokens)
    now, made = 0.0, []
    for size, gap in zip(sizes, gaps, strict=False):
        now += gap
        while (turn := wait_for_turn(made, size, rates, now=now)) != Turn():
            now += turn.wait_seconds + 1e-6
        made.append(Taken(at=now, tokens=size))
    for end in made:
        minute = [it for it in made if end.at - WINDOW_SECONDS < it.at <= end.at]
        assert len(minute) <= requests
        assert sum(it.tokens for it in minute) <= tokens
