"""Turns to ask a provider, in every store: each minute's room is given out once, whichever process asks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.rates import ProviderRates

TWO = ProviderRates(requests_per_minute=2)
BUSY = FailureReport(
    kind=FailureKind.BUILDER_ERROR, message="slow down", retryable=True, retry_after_seconds=40.0
)


def take(store, now, *, provider="anthropic", tokens=10, rates=TWO):
    return store.take_turn(provider, tokens=tokens, rates=rates, now=now)


def test_a_minute_holds_its_requests_and_no_more(store):
    first, second, third = (take(store, now) for now in (100.0, 101.0, 102.0))
    assert first.turn_id != second.turn_id
    assert (third.turn_id, third.wait_seconds) == (None, 58.0)
    assert "2 of 2 requests" in third.reason
    assert take(store, 160.0).turn_id


def test_each_provider_has_a_minute_of_its_own(store):
    for _ in range(2):
        take(store, 100.0)
    assert take(store, 100.0, provider="openai").turn_id
    assert take(store, 100.0).wait_seconds


def test_what_was_used_counts_and_not_what_was_expected(store):
    rates = ProviderRates(tokens_per_minute=1000)
    turn = take(store, 100.0, tokens=900, rates=rates)
    assert take(store, 101.0, tokens=200, rates=rates).wait_seconds
    store.settle_turn(turn.turn_id, tokens=0)
    assert take(store, 102.0, tokens=200, rates=rates).turn_id


def test_a_turn_that_nobody_settles_is_over_with_its_minute(store):
    rates = ProviderRates(tokens_per_minute=1000)
    take(store, 100.0, tokens=1000, rates=rates)
    assert take(store, 159.0, tokens=1, rates=rates).wait_seconds == 1.0
    assert take(store, 160.0, tokens=1000, rates=rates).turn_id


def test_a_pause_goes_before_the_minute_and_holds_one_provider_back(store):
    store.pause_provider("anthropic", BUSY, now=100.0)
    held = take(store, 101.0)
    assert 39.0 <= held.wait_seconds <= 50.0
    assert "slow down" in held.reason
    assert take(store, 101.0, provider="openai").turn_id
    assert take(store, 155.0).turn_id


def test_a_row_of_faults_ends_with_an_answer(store):
    store.pause_provider("anthropic", BUSY, now=100.0)
    assert store.provider_pause("anthropic").faults == 1
    store.note_provider_answer("anthropic")
    pause = store.provider_pause("anthropic")
    assert (pause.faults, pause.until > 100.0) == (0, True)
    store.note_provider_answer("openai")
    assert store.provider_pause("openai") is None


def test_a_turn_alone_is_no_pause(store):
    take(store, 100.0)
    assert store.provider_pause("anthropic") is None


def test_many_threads_share_one_minute(store):
    rates = ProviderRates(requests_per_minute=5)
    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(lambda _: take(store, 100.0, rates=rates), range(16)))
    assert sum(turn.turn_id is not None for turn in turns) == 5


SCRIPT = """
import sys
from autopack.adapters.store import open_store
from autopack.domain.rates import ProviderRates
store = open_store(sys.argv[1], create=False)
sys.stdin.readline()
rates = ProviderRates(tokens_per_minute=1000)
turns = [store.take_turn("anthropic", tokens=100, rates=rates, now=100.0) for _ in range(10)]
print(sum(turn.turn_id is not None for turn in turns))
"""


def test_two_processes_share_one_minute(sql_store, store_url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, store_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    given = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(given) == 10
