"""What models cost, and that an unknown price is none."""

import subprocess
import sys

import pytest
from model_clients import DIALECTS, opened

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.adapters.meter.wire import WireUsage
from autopack.adapters.prices import PriceList
from autopack.domain.budget import Usage
from autopack.errors import SettingsError
from autopack.ports import FaultKind
from autopack.settings import PriceSettings
from autopack.testing.provider import Scripted, serve

OWN = {"scripted-1": PriceSettings(input=2.0, output=10.0, cached=0.5)}
USED = WireUsage(input_tokens=100_000, output_tokens=10_000, cached_tokens=40_000)


@pytest.mark.parametrize(
    ("upstream", "models", "known"),
    [
        pytest.param("https://api.anthropic.com", ("claude-sonnet-4-5-20250929",), True, id="anthropic"),
        pytest.param("https://api.openai.com/v1", ("gpt-5",), True, id="openai"),
        pytest.param("https://generativelanguage.googleapis.com", ("gemini-2.5-pro",), True, id="gemini"),
        pytest.param(
            "https://api.openai.com/v1", ("my-own-tune", "gpt-5"), True, id="by the name it was asked by"
        ),
        pytest.param("http://127.0.0.1:11434/v1", ("gpt-5",), False, id="the same name on another machine"),
        pytest.param("https://api.openai.com/v1", ("no-such-model",), False, id="unknown model"),
        pytest.param("https://api.openai.com/v1", ("",), False, id="no name"),
    ],
)
def test_a_price_is_known_where_model_and_provider_are(upstream, models, known):
    cost = PriceList().cost_usd(upstream, models, USED)
    assert (cost is not None and cost > 0) if known else cost is None


def test_cached_input_is_cheaper_and_counted_once():
    prices, upstream = PriceList(), "https://api.anthropic.com"
    dear, cheap = (
        prices.cost_usd(
            upstream, ("claude-sonnet-4-5",), WireUsage(input_tokens=100_000, cached_tokens=cached)
        )
        for cached in (0, 100_000)
    )
    assert cheap == pytest.approx(dear / 10)


def test_the_operators_price_goes_before_any_other():
    prices = PriceList({**OWN, "gpt-5": PriceSettings(input=0.0, output=0.0)})
    assert prices.cost_usd("http://x", ("scripted-1",), USED) == pytest.approx(0.12 + 0.02 + 0.1)
    assert prices.cost_usd("https://api.openai.com", ("gpt-5-2025-08-07", "gpt-5"), USED) == 0.0


def test_cached_input_costs_as_much_as_other_input_unless_it_is_set():
    prices = PriceList({"m": PriceSettings(input=2.0, output=10.0)})
    assert prices.cost_usd("http://x", ("m",), USED) == pytest.approx(0.2 + 0.1)


def test_half_a_price_is_refused():
    with pytest.raises(SettingsError, match="'m' lacks input or output"):
        PriceList({"m": PriceSettings(input=2.0)})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_door_books_money_where_the_price_is_known(tmp_path, dialect):
    script = Scripted(input_tokens=100_000, output_tokens=10_000, cached_tokens=40_000)
    for prices, cost in ((PriceList(OWN), pytest.approx(0.24)), (PriceList(), None)):
        meter = LoopbackMeter(SystemClock(), prices=prices)
        with serve(script) as provider, opened(provider.url, tmp_path / str(cost), meter=meter) as it:
            it.post(dialect, stream=True)
            assert it.door.usage().cost_usd == cost
        assert it.lines()[0]["usage"]["cost_usd"] == cost
        assert it.watch.usage.cost_usd == cost


def test_a_request_that_money_does_not_reach_for_never_leaves(tmp_path):
    meter = LoopbackMeter(SystemClock(), prices=PriceList(OWN))
    script = Scripted(input_tokens=1000, output_tokens=1000)  # 0.012 USD
    with serve(script) as provider, opened(provider.url, tmp_path, meter=meter, budget_usd=0.02) as it:
        statuses = [it.post(DIALECTS[0], stream=False, prompt="y" * 400).status_code for _ in range(3)]
    assert (statuses, len(provider.seen)) == ([200, 200, 402], 2)
    refused = it.door.requests()[-1]
    assert (refused.fault, refused.usage) == (FaultKind.BUDGET, Usage())
    assert "0.0200 USD is spent: 0.0240 used" in refused.message


def test_money_is_no_limit_where_the_price_is_not_known(tmp_path):
    meter = LoopbackMeter(SystemClock(), prices=PriceList())
    with serve() as provider, opened(provider.url, tmp_path, meter=meter, budget_usd=0.0001) as it:
        assert it.post(DIALECTS[0], stream=False).status_code == 200
    assert provider.seen


def test_a_sum_says_what_it_does_not_hold():
    known, unknown = Usage(input_tokens=10, cost_usd=0.5), Usage(input_tokens=7, output_tokens=3)
    assert (known + unknown).unpriced_tokens == 10
    assert (unknown + known + unknown).unpriced_tokens == 20
    assert (unknown + unknown).cost_usd is None
    assert (known + known).unpriced_tokens == 0


def test_nothing_is_loaded_before_it_is_asked_for():
    code = (
        "import sys; import autopack.adapters.meter.loopback, autopack.adapters.prices; "
        "print([name for name in ('aiohttp', 'genai_prices') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
