"""What a call is expected to use, learned from earlier ones, with an error that is honest."""

import random
from itertools import pairwise
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.domain.estimate import (
    PRIOR_DELIVERABLE_TOKENS,
    PRIOR_PROMPT_TOKENS,
    Complexity,
    Sample,
    Sort,
    estimate,
    sort_of,
)
from autopack.domain.phase import PhaseKind, PhaseSpec, Scope

PY = Sort(category="build .py", complexity=Complexity.SMALL, deliverables=1)
BIG_PY = Sort(category="build .py", complexity=Complexity.LARGE, deliverables=3)
TS = Sort(category="build .ts", complexity=Complexity.SMALL, deliverables=1)


def calls(count, tokens, sort=PY, *, prompt=1000, cost=None):
    return [Sample(sort=sort, prompt_tokens=prompt, tokens=tokens, cost_usd=cost)] * count


@pytest.mark.parametrize(
    ("scope", "deliverables", "sort"),
    [
        pytest.param(Scope(), (), ("build -", "small", 0), id="nothing"),
        pytest.param(Scope(paths=("a.py",)), ("a.py",), ("build .py", "small", 1), id="one file"),
        pytest.param(
            Scope(paths=("src/",), read_only=("x.md",)), ("a.ts",), ("build .ts", "medium", 1), id="a folder"
        ),
        pytest.param(
            Scope(paths=("a/", "b/")),
            ("x.py", "y.ts", "z.ts"),
            ("build .ts", "large", 3),
            id="commonest suffix",
        ),
        pytest.param(Scope(), ("b.ts", "a.py"), ("build .py", "small", 2), id="a tie does not hang on order"),
        pytest.param(Scope(), ("Makefile", ".env"), ("build .env", "small", 2), id="no suffix: the name"),
    ],
)
def test_the_sort_of_a_phase_is_told_by_its_plan(scope, deliverables, sort):
    found = sort_of(PhaseSpec(phase_id="p", goal="g", scope=scope, deliverables=deliverables))
    assert (found.category, found.complexity, found.deliverables) == sort


def test_the_kind_of_phase_is_part_of_its_sort():
    spec = PhaseSpec(phase_id="p", goal="g", kind=PhaseKind.RESEARCH, deliverables=("a.md",))
    assert sort_of(spec).category == "research .md"


def test_without_earlier_calls_it_is_a_guess_and_says_so():
    made = estimate(PY, [], prompt_tokens=700)
    assert (made.tokens, made.samples, made.alike) == (700 + PRIOR_DELIVERABLE_TOKENS, 0, 0)
    assert (made.error, made.low, made.high, made.cost_usd) == (None, None, None, None)
    assert estimate(PY, []).tokens == PRIOR_PROMPT_TOKENS + PRIOR_DELIVERABLE_TOKENS


def test_the_more_calls_are_known_the_nearer_it_is():
    off = [abs(estimate(PY, calls(count, 9000), prompt_tokens=1000).tokens - 9000) for count in (0, 1, 4, 16)]
    assert all(before > after for before, after in pairwise(off))
    assert off[-1] < 200


def test_calls_of_the_same_sort_count_more_than_others():
    history = calls(20, 2000, TS) + calls(20, 20_000, BIG_PY) + calls(20, 8000, PY)
    for sort, used in ((TS, 2000), (BIG_PY, 20_000), (PY, 8000)):
        assert estimate(sort, history).tokens == pytest.approx(used, rel=0.15)


def test_a_sort_never_seen_is_judged_by_its_category_then_by_all():
    history = calls(20, 2000, TS) + calls(20, 20_000, BIG_PY)
    assert estimate(PY, history).tokens > 15_000
    other = Sort(category="research .md", complexity=Complexity.SMALL, deliverables=1)
    assert 2000 < estimate(other, history).tokens < 20_000


def test_one_call_that_ran_away_does_not_move_it():
    history = calls(15, 3000) + calls(1, 900_000)
    assert estimate(PY, history, prompt_tokens=1000).tokens < 3300


@pytest.mark.parametrize(
    ("use", "name"),
    [
        pytest.param(lambda prompt: prompt + 500, "on top of the prompt", id="one question, one answer"),
        pytest.param(lambda prompt: prompt * 12, "in proportion to it", id="an agent with many turns"),
        pytest.param(lambda prompt: 30_000, "whatever it is", id="an agent that reads for itself"),
    ],
)
def test_it_finds_out_how_use_hangs_on_the_prompt(use, name):
    sizes = random.Random(7).sample(range(500, 20_000), 30)
    history = [Sample(sort=PY, prompt_tokens=size, tokens=use(size)) for size in sizes]
    for size in (800, 5000, 15_000):
        assert estimate(PY, history, prompt_tokens=size).tokens == pytest.approx(use(size), rel=0.2), name


def test_the_error_and_the_interval_are_those_of_calls_it_had_not_seen():
    told, found, inside = [], [], []
    for seed in range(20):
        draw = random.Random(seed)
        used = [round(1000 + 4000 * draw.lognormvariate(0, 0.5)) for _ in range(120)]
        made = estimate(PY, [call for tokens in used[:60] for call in calls(1, tokens)], prompt_tokens=1000)
        told.append(made.error)
        found.append(median(abs(made.tokens - tokens) / tokens for tokens in used[60:]))
        inside += [made.low <= tokens <= made.high for tokens in used[60:]]
    assert mean(told) == pytest.approx(mean(found), abs=0.03)
    assert mean(inside) == pytest.approx(0.8, abs=0.05)


def test_the_price_is_that_of_earlier_tokens():
    history = calls(3, 2000, cost=0.02) + calls(1, 2000)
    made = estimate(PY, history, prompt_tokens=1000)
    assert made.cost_usd == pytest.approx(made.tokens * 0.00001)


@given(
    history=st.lists(
        st.builds(
            Sample,
            sort=st.sampled_from([PY, BIG_PY, TS, None]),
            prompt_tokens=st.integers(0, 10**6),
            tokens=st.integers(1, 10**7),
            cost_usd=st.none() | st.floats(0, 100),
        ),
        max_size=30,
    ),
    prompt=st.none() | st.integers(1, 10**6),
)
def test_any_history_gives_a_usable_number(history, prompt):
    made = estimate(PY, history, prompt_tokens=prompt)
    assert made.tokens >= 1
    assert made.error is None or made.error >= 0
    assert made.low is None or 0 <= made.low <= made.high
