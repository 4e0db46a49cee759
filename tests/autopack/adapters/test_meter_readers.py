"""Events are whole however the network cuts them, and nothing that a provider sends breaks a reader."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.adapters.meter.asks import UnreadableRequestError, expected_tokens, read_ask
from autopack.adapters.meter.endpoints import find_endpoint
from autopack.adapters.meter.readers import read_data
from autopack.adapters.meter.sse import EventSplitter, EventTooLongError, data_of
from autopack.adapters.meter.wire import Reading, WireUsage
from autopack.ports import Dialect

CHAT = find_endpoint("POST", "/v1/chat/completions", {})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "usage",
        "response",
        "message",
        "choices",
        "delta",
        "error",
        "type",
        "status",
        "candidates",
        "usageMetadata",
        "promptFeedback",
        "content",
        "parts",
        "input_tokens",
        "output_tokens",
        "prompt_tokens",
        "prompt_tokens_details",
        "finish_reason",
        "finishReason",
        "stop_reason",
        "model",
    ]
)


@given(
    events=st.lists(
        st.binary(max_size=30).filter(lambda it: b"\n" not in it and b"\r" not in it), max_size=8
    ),
    end=st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    cuts=st.lists(st.integers(0, 300), max_size=12),
    rest=st.sampled_from([b"", b"data: half"]),
)
def test_events_are_the_same_however_they_are_cut(events, end, cuts, rest):
    whole = b"".join(b"data: " + event + end for event in events) + rest
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    splitter = EventSplitter()
    found = [it for a, b in itertools.pairwise(places) for it in splitter.feed(whole[a:b])]
    assert b"".join(found) + splitter.rest() == whole
    assert [data_of(it) for it in found] == events
    assert splitter.rest() == rest


def test_a_stream_without_ends_of_events_is_not_held_for_good():
    splitter = EventSplitter(longest_bytes=100)
    assert list(splitter.feed(b"data: " + b"x" * 90 + b"\n\n" + b"y" * 100)) == [
        b"data: " + b"x" * 90 + b"\n\n"
    ]
    with pytest.raises(EventTooLongError, match="101 bytes"):
        list(splitter.feed(b"y"))


@given(
    dialect=st.sampled_from(list(Dialect)),
    event=JSON | st.dictionaries(NAMES, JSON, max_size=4),
    more=st.binary(max_size=20),
)
def test_nothing_that_comes_breaks_a_reader(dialect, event, more):
    reading = Reading()
    read_data(dialect, json.dumps(event).encode(), reading)
    read_data(dialect, more, reading)
    usage, _ = reading.total(10)
    assert usage.total_tokens >= 0


def test_geminis_stream_for_clients_that_asked_for_no_events_is_read():
    part = {"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": {"promptTokenCount": 9}}
    last = {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 3,
            "toolUsePromptTokenCount": 2,
        },
    }
    reading = Reading()
    read_data(Dialect.GEMINI, json.dumps([part, last]).encode(), reading)
    assert reading.total(0) == (WireUsage(input_tokens=11, output_tokens=7), False)


def test_counts_on_the_way_are_not_taken_for_the_last_one():
    reading = Reading()
    for tokens in (1, 2):
        event = {
            "choices": [{"delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": tokens},
        }
        read_data(Dialect.OPENAI_CHAT, json.dumps(event).encode(), reading)
    assert reading.total(0) == (WireUsage(input_tokens=9, output_tokens=2), True)
    end = {"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
    read_data(Dialect.OPENAI_CHAT, json.dumps(end).encode(), reading)
    assert reading.total(0) == (WireUsage(input_tokens=9, output_tokens=5), False)


def test_a_picture_is_not_measured_by_its_bytes():
    picture = "iVBORw0KGgo" * 100_000
    body = json.dumps({"messages": [{"content": [{"text": "what is it?"}, {"data": picture}]}]}).encode()
    assert 1600 <= expected_tokens(body) <= 1700
    assert expected_tokens(b"x y " * 1000) == 1000


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"null", b'{"background": true}'])
def test_a_request_that_cannot_be_measured_is_refused(body):
    with pytest.raises(UnreadableRequestError):
        read_ask(CHAT, body)


def test_usage_is_asked_for_beside_what_the_client_asked_for():
    body = json.dumps({"model": "m", "stream": True, "stream_options": {"other": 1}}).encode()
    ask = read_ask(CHAT, body)
    assert json.loads(ask.body)["stream_options"] == {"other": 1, "include_usage": True}
    assert (ask.original, ask.hides_usage, ask.model) == (body, True, "m")
