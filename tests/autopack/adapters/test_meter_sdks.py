"""The providers' own SDKs through a door: what they understand of it, and that they do not storm it."""

import anthropic
import openai
import pytest
from model_clients import Watch

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.ports import FaultKind, MeterOrder, ModelRoute
from autopack.testing.provider import serve
from autopack.testing.provider_wire import Scripted, ToolCall

TOOL = ToolCall(name="write_file", arguments={"path": "a.txt", "content": "hello"})
SCRIPT = Scripted(text="I write it.", tool=TOOL, input_tokens=800, output_tokens=40, cached_tokens=300)
ASKED = [{"role": "user", "content": "Write a.txt."}]


@pytest.fixture
def open_door(tmp_path):
    """Opens a door to a provider that answers as told."""

    def opened(url, budget=10_000):
        route = ModelRoute(provider="scripted", upstream=url, key="the-real-key")
        order = MeterOrder(route=route, budget_tokens=budget, log_folder=tmp_path)
        return LoopbackMeter(SystemClock()).open(order, Watch())

    return opened


def openai_client(door):
    return openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.token, max_retries=2)


def anthropic_client(door):
    return anthropic.Anthropic(base_url=door.base_url, api_key=door.token, max_retries=2)


def chat(door):
    with (
        openai_client(door) as client,
        client.chat.completions.stream(model="m", messages=ASKED) as stream,
    ):
        return stream.get_final_completion().choices[0].message.tool_calls[0].function.name


def responses(door):
    with (
        openai_client(door) as client,
        client.responses.stream(model="m", input="Write a.txt.") as stream,
    ):
        return stream.get_final_response().output[1].name


def messages(door):
    with (
        anthropic_client(door) as client,
        client.messages.stream(model="m", max_tokens=100, messages=ASKED) as stream,
    ):
        return stream.get_final_message().content[1].name


WAYS = [
    pytest.param(chat, id="chat"),
    pytest.param(responses, id="responses"),
    pytest.param(messages, id="messages"),
]


@pytest.mark.parametrize("ask", WAYS)
def test_a_stream_is_read_to_its_end_and_counted_exactly(open_door, ask):
    with serve(SCRIPT) as provider, open_door(provider.url) as door:
        assert ask(door) == "write_file"
        assert door.usage() == provider.total
    assert not provider.total.is_estimated


@pytest.mark.parametrize("ask", WAYS)
def test_a_spent_budget_is_told_once_and_not_asked_again(open_door, ask):
    with (
        serve(SCRIPT) as provider,
        open_door(provider.url, budget=10) as door,
        pytest.raises(
            (openai.APIStatusError, anthropic.APIStatusError), match="budget of 10 tokens"
        ) as raised,
    ):
        ask(door)
    assert raised.value.status_code == 402
    assert [request.fault for request in door.requests()] == [FaultKind.BUDGET]
    assert not provider.seen


@pytest.mark.parametrize("ask", WAYS)
def test_a_busy_provider_is_asked_again_by_the_client_and_each_time_is_booked(open_door, ask):
    busy = Scripted(status=429, headers={"retry-after-ms": "10"})
    with serve([busy, busy, SCRIPT]) as provider, open_door(provider.url) as door:
        assert ask(door) == "write_file"
    assert [request.status for request in door.requests()] == [429, 429, 200]
    assert door.usage() == provider.total


def test_the_free_calls_of_a_client_pass(open_door):
    with serve(SCRIPT) as provider, open_door(provider.url) as door:
        with anthropic_client(door) as client:
            assert client.messages.count_tokens(model="m", messages=ASKED).input_tokens > 0
            assert client.models.list().data[0].id == "scripted-1"
        with openai_client(door) as client:
            assert client.models.list().data[0].id == "scripted-1"
    assert door.requests() == ()
