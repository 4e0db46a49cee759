"""Waits that all doors to a provider share."""

import pytest
from model_clients import DIALECTS, opened

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.faults import duration_seconds, exhausted_seconds, fault_of_status, retry_after
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.rates import ProviderRates
from autopack.ports import Dialect, FaultKind
from autopack.testing import FrozenClock, MemoryStore
from autopack.testing.provider import Scripted, serve

NOW = 1_700_000_000.0


def meter_over(store, **more):
    return LoopbackMeter(SystemClock(), store=store, longest_wait_seconds=0.5, **more)


def test_what_one_door_is_told_all_doors_keep(tmp_path, store):
    limited = Scripted(status=429, headers={"retry-after": "300"})
    meter = meter_over(store)
    with (
        serve(limited) as provider,
        opened(provider.url, tmp_path / "1", meter=meter) as one,
        opened(provider.url, tmp_path / "2", meter=meter_over(store)) as other,
        opened(provider.url, tmp_path / "3", meter=meter_over(store), provider="another") as third,
    ):
        assert one.post(Dialect.ANTHROPIC, stream=False).headers["retry-after"] == "300"
        answers = [it.post(dialect, stream=True) for it in (one, other) for dialect in DIALECTS]
        assert len(provider.seen) == 1
        third.post(Dialect.ANTHROPIC, stream=False)
        assert len(provider.seen) == 2
    assert {answer.status_code for answer in answers} == {429}
    assert all(250 <= int(answer.headers["retry-after"]) <= 400 for answer in answers)
    held = other.door.requests()[0]
    assert (held.fault, held.usage.total_tokens) == (FaultKind.RATE_LIMIT, 0)
    assert 250 <= held.retry_after_seconds <= 400


def test_a_short_wait_is_spent_before_the_request_leaves(tmp_path):
    store, came = MemoryStore(), []

    def answer(_seen):
        came.append(SystemClock().now())
        return Scripted() if len(came) > 1 else Scripted(status=429, headers={"retry-after-ms": "100"})

    meter = LoopbackMeter(SystemClock(), store=store, longest_wait_seconds=30)
    with serve(answer) as provider, opened(provider.url, tmp_path, meter=meter) as it:
        first = it.post(Dialect.OPENAI_CHAT, stream=False).status_code
        pause = store.provider_pause("scripted")
        assert pause.until >= came[0] + 0.1
        assert [first, it.post(Dialect.OPENAI_CHAT, stream=False).status_code] == [429, 200]
    assert came[1] >= pause.until


def test_the_minute_of_a_provider_is_shared_by_its_doors(tmp_path, store):
    rates = {"scripted": ProviderRates(requests_per_minute=3)}
    with (
        serve() as provider,
        opened(provider.url, tmp_path / "1", meter=meter_over(store, rates=rates)) as one,
        opened(provider.url, tmp_path / "2", meter=meter_over(store, rates=rates)) as other,
    ):
        statuses = [it.post(Dialect.ANTHROPIC, stream=False).status_code for it in (one, other) * 2]
        assert len(provider.seen) == 3
    assert statuses == [200, 200, 200, 429]
    assert "3 of 3 requests a minute" in other.door.requests()[-1].message


def test_tokens_count_as_they_were_used(tmp_path):
    rates = {"scripted": ProviderRates(tokens_per_minute=1000)}
    with (
        serve(Scripted(input_tokens=400, output_tokens=300)) as provider,
        opened(provider.url, tmp_path, meter=meter_over(MemoryStore(), rates=rates)) as it,
    ):
        assert it.post(Dialect.ANTHROPIC, stream=True, prompt="y" * 400).status_code == 200
        assert it.post(Dialect.ANTHROPIC, stream=True, prompt="y" * 1400).status_code == 429
        assert it.post(Dialect.ANTHROPIC, stream=True, prompt="y" * 400).status_code == 200
    assert len(provider.seen) == 2


def test_a_provider_that_says_it_is_exhausted_is_not_asked_in_vain(tmp_path):
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20s"}
    with (
        serve(Scripted(headers=headers)) as provider,
        opened(provider.url, tmp_path, meter=meter_over(MemoryStore())) as it,
    ):
        statuses = [it.post(Dialect.OPENAI_CHAT, stream=True).status_code for _ in range(2)]
    assert (statuses, len(provider.seen)) == ([200, 429], 1)


def test_an_answer_ends_the_row_of_faults(tmp_path):
    store = MemoryStore()
    scripts = [Scripted(status=529, headers={"retry-after-ms": "50"}), Scripted()]
    with serve(scripts) as provider, opened(provider.url, tmp_path, meter=meter_over(store)) as it:
        it.post(Dialect.ANTHROPIC, stream=False)
        assert store.provider_pause("scripted").faults == 1
        it.post(Dialect.ANTHROPIC, stream=False)
    assert store.provider_pause("scripted").faults == 0


def test_a_store_that_is_gone_refuses_and_loses_nothing(tmp_path, sql_store):
    meter = LoopbackMeter(FrozenClock(), store=sql_store)
    with serve() as provider, opened(provider.url, tmp_path, meter=meter) as it:
        assert it.post(Dialect.ANTHROPIC, stream=False).status_code == 200
        with sql_store._database.writing() as db:
            db.exec_driver_sql("DROP TABLE builder_pause")
        try:
            assert it.post(Dialect.ANTHROPIC, stream=False).status_code == 503
        finally:
            with sql_store._database.writing() as db:
                from autopack.adapters.store.tables import builder_pause

                builder_pause.create(db)
    assert len(provider.seen) == 1
    assert it.door.usage() == provider.total


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("1.5", 1.5),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("soon", None),
        ("", None),
        ("-1", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("6m0s", 360.0), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7", None), ("1x", None), ("", None)],
)
def test_durations(value, seconds):
    assert duration_seconds(value) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="says nothing"),
        pytest.param(
            {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9s"}, None, id="has some left"
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}, 9.0, id="openai"
        ),
        pytest.param(
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:32Z",
            },
            12.0,
            id="anthropic",
        ),
        pytest.param({"x-ratelimit-remaining-tokens": "0"}, None, id="says not when"),
    ],
)
def test_exhausted(headers, seconds):
    assert exhausted_seconds(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        pytest.param(
            b'{"error": {"details": [{"retryDelay": "34s"}]}}', 34.0, id="gemini says it in the body"
        ),
        pytest.param(b'[{"error": {"code": 429}}]', None, id="a list"),
        pytest.param(b"<html>busy</html>", None, id="no JSON"),
        pytest.param(b'{"error": "busy"}', None, id="a text"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_what_a_refusal_asks_for(body, seconds):
    fault = fault_of_status(429, body, {}, now=NOW)
    assert (fault.kind, fault.retry_after_seconds) == (FaultKind.RATE_LIMIT, seconds)
    assert fault.message.startswith("HTTP 429: ")
