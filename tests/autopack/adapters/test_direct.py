"""Direct Builders: the real SDKs through the real meter to a scripted provider, fault by fault."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from model_clients import Watch

from autopack.adapters.builders.direct_factory import make_direct
from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind
from autopack.errors import BuilderError, SettingsError
from autopack.ports import AnswerFormat, BuildRequest, Exchange
from autopack.settings import DirectSettings, ProviderSettings, Settings
from autopack.testing import FrozenClock
from autopack.testing.provider import Scripted, serve

PROVIDERS = ["anthropic", "openai"]
KEY = "real-key-0f1e2d3c4b5a69788796"
STABLE, REST = "All that stays the same.\n", "What is new.\n"
REQUEST = BuildRequest(
    address=AttemptAddress(run_id="r", phase_id="p", number=1),
    goal="Do it",
    prompt=STABLE + REST,
    stable_size=len(STABLE),
    instructions="Answer in blocks.",
    files=(),
    scope_paths=("a",),
    deliverables=(),
    worktree=None,
    log_folder=None,
    budget_tokens=50_000,
    timeout_seconds=120.0,
)


class Bench:
    """A direct Builder whose provider is the scripted one."""

    def __init__(self, folder, provider, upstream, *, meter=None, clock=None, **settings):
        self.watch = Watch()
        self.folder = folder / "logs"
        made = Settings(
            root=folder,
            database_url="sqlite://",
            direct=DirectSettings(**settings),
            providers={provider: ProviderSettings(base_url=upstream, key_env="MODEL_KEY")},
        )
        clock = clock or SystemClock()
        self.builder = make_direct(
            f"{provider}:scripted-1",
            made,
            {**os.environ, "MODEL_KEY": KEY},
            clock=clock,
            meter=lambda: meter or LoopbackMeter(clock),
            prompt_version="task/7 #0fe1",
        )

    def build(self, **changes):
        return self.builder.build(replace(REQUEST, log_folder=self.folder, **changes), self.watch)

    def reply(self, *said):
        request = replace(REQUEST, log_folder=self.folder, turn=1 + len(said))
        return self.builder.reply(request, said, self.watch)

    def requests(self):
        return [json.loads(line) for line in (self.folder / "requests.jsonl").read_text().splitlines()]


@pytest.fixture(params=PROVIDERS)
def provider_name(request):
    return request.param


def test_an_answer_comes_as_words_and_costs_what_the_provider_counted(provider_name, tmp_path):
    script = Scripted(text="FILE a\n```\nb\n```\n", input_tokens=900, output_tokens=40, cached_tokens=700)
    with serve(script) as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        answer = bench.build()
    assert (answer.failure, answer.format, answer.text) == (None, AnswerFormat.WORDS, script.text)
    assert answer.usage == provider.total == bench.watch.usage
    assert answer.usage.cached_tokens == 700
    assert answer.usage.cost_usd is None, "a price that is not known is not zero"
    assert (answer.model, answer.is_truncated) == ("scripted-1", False)
    assert answer.notes["prompt"] == "task/7 #0fe1"
    assert (bench.folder / "answer-1.md").read_text() == script.text
    (seen,) = provider.seen
    assert seen.is_stream


def test_the_stable_part_comes_first_and_is_marked_for_the_cache(tmp_path):
    with serve() as provider:
        Bench(tmp_path, "anthropic", provider.url).build()
    body = provider.seen[0].body
    (system,) = body["system"]
    assert (system["text"], system["cache_control"]) == (REQUEST.instructions, {"type": "ephemeral"})
    stable, rest = body["messages"][0]["content"]
    assert (stable["text"], stable["cache_control"]) == (STABLE, {"type": "ephemeral"})
    assert (rest["text"], "cache_control" in rest) == (REST, False)


def test_a_question_without_instructions_sends_none(provider_name, tmp_path):
    with serve() as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        assert bench.build(instructions="", stable_size=0).failure is None
    body = provider.seen[0].body
    assert "system" not in body
    assert [it["role"] for it in body["messages"]] == ["user"]


def test_a_reply_goes_on_with_the_same_conversation(provider_name, tmp_path):
    with serve() as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        assert bench.reply(Exchange(answer="first", reply="no")).failure is None
    messages = [it for it in provider.seen[0].body["messages"] if it["role"] != "system"]
    assert [it["role"] for it in messages] == ["user", "assistant", "user"]
    assert [it["content"] for it in messages[1:]] == ["first", "no"]
    assert (bench.folder / "answer-2.md").exists()


@pytest.mark.parametrize(("name", "limit"), [("anthropic", "max_tokens"), ("openai", "max_tokens")])
def test_limits_are_sent_and_a_temperature_only_if_it_is_set(name, limit, tmp_path):
    with serve() as provider:
        Bench(tmp_path, name, provider.url, max_output_tokens=123).build()
        Bench(tmp_path, name, provider.url, temperature=0.5).build()
        Bench(tmp_path, name, provider.url).build(budget_tokens=2000)
    first, second, third = (seen.body for seen in provider.seen)
    assert (first[limit], "temperature" in first) == (123, False)
    assert (second[limit], second["temperature"]) == (16_000, 0.5)
    assert third[limit] < 2000, "an answer may not be longer than the budget that is left"


RATE = {"Retry-After": "7"}
FAULTS = [
    pytest.param(
        Scripted(status=429, headers=RATE), ("rate limit", FailureKind.BUILDER_ERROR, True, 7.0), id="429"
    ),
    pytest.param(
        Scripted(status=529),
        ("overloaded", FailureKind.BUILDER_ERROR, True, None),
        id="529, no wait asked for",
    ),
    pytest.param(
        Scripted(status=401, error="invalid x-api-key"),
        ("does not accept the key", FailureKind.BUILDER_ERROR, False, None),
        id="auth",
    ),
    pytest.param(
        Scripted(status=400, error="prompt is too long: 300000 tokens", error_code="invalid_request_error"),
        ("longer than the model's context", FailureKind.BUILDER_ERROR, False, None),
        id="context length",
    ),
    pytest.param(
        Scripted(status=400, error="no such model", error_code="invalid_request_error"),
        ("refused the request: HTTP 400: no such model", FailureKind.BUILDER_ERROR, False, None),
        id="bad request",
    ),
    pytest.param(
        Scripted(text="half of", stop="length"),
        ("cut off at its output limit", FailureKind.BUILDER_ERROR, False, None),
        id="truncation",
    ),
    pytest.param(
        Scripted(text="", stop="refusal"),
        ("refused to answer", FailureKind.BUILDER_ERROR, False, None),
        id="refusal",
    ),
    pytest.param(
        Scripted(status=402, error="insufficient balance"),
        ("no credit left", FailureKind.BUILDER_ERROR, False, None),
        id="no credit",
    ),
]


@pytest.mark.parametrize(("script", "expected"), FAULTS)
def test_a_fault_is_a_failure_by_its_own_name(script, expected, provider_name, tmp_path):
    named, kind, retryable, after = expected
    with serve(script) as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        answer = bench.build()
    assert named in answer.failure.message
    assert (answer.failure.kind, answer.failure.retryable) == (kind, retryable)
    assert answer.failure.retry_after_seconds == after
    assert answer.failure.hint or retryable
    assert len(provider.seen) == 1, "no SDK may try again by itself"
    assert answer.usage == provider.total
    assert answer.is_truncated == (script.stop == "length")
    assert KEY not in repr(answer)


def test_a_stream_that_breaks_off_is_asked_for_once_more_and_both_are_paid(provider_name, tmp_path):
    whole = Scripted(text="one two three four", input_tokens=100, output_tokens=9)
    with serve([replace(whole, cut_after=4), whole]) as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        answer = bench.build()
    assert (answer.failure, answer.text) == (None, "one two three four")
    assert len(provider.seen) == 2
    assert answer.usage == bench.watch.usage
    assert answer.usage.is_estimated, "what broke off was not counted by the provider"
    assert answer.usage.input_tokens > 100
    assert "one two three four".startswith((bench.folder / "answer-1.md").read_text().strip())
    assert (bench.folder / "answer-1.again.md").read_text() == "one two three four"


def test_a_stream_that_always_breaks_off_is_a_fault_that_passes(provider_name, tmp_path):
    with serve(Scripted(text="one two three", cut_after=3)) as provider:
        answer = Bench(tmp_path, provider_name, provider.url).build()
    assert len(provider.seen) == 2
    assert (answer.failure.kind, answer.failure.retryable) == (FailureKind.BUILDER_ERROR, True)
    assert "broke off" in answer.failure.message
    assert answer.usage.total_tokens


@pytest.mark.parametrize("text", ["", "I begin. "])
def test_a_refusal_that_ends_like_an_answer_is_none(text, tmp_path):
    with serve(Scripted(text=text, refusal="I cannot help with that")) as provider:
        bench = Bench(tmp_path, "openai", provider.url)
        answer = bench.build()
    assert answer.failure.message == "The model refused to answer: I cannot help with that"
    assert (answer.failure.retryable, answer.text) == (False, text)
    assert len(provider.seen) == 1
    assert "I cannot" in (bench.folder / "answer-1.md").read_text()


SAID = ["insufficient_quota", "prompt is too long", "the server is overloaded"]


@pytest.mark.parametrize("said", SAID)
def test_what_a_provider_says_in_its_stream_is_not_asked_for_again(said, provider_name, tmp_path):
    with serve(Scripted(text="one two", stream_error=said)) as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        answer = bench.build()
    assert len(provider.seen) == 1
    assert said in answer.failure.message
    assert answer.usage == bench.watch.usage


def test_a_character_that_comes_in_halves_is_whole_in_the_answer(provider_name, tmp_path):
    script = Scripted(text="so \U0001f600", pieces=("so ", "\ud83d", "\ude00"))
    with serve(script) as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        answer = bench.build()
    assert (answer.failure, answer.text) == (None, "so \U0001f600")
    assert len(provider.seen) == 1
    assert (bench.folder / "answer-1.md").read_text() == "so \\ud83d\\ude00"


def test_what_broke_off_is_taken_from_the_budget_of_the_second_time(provider_name, tmp_path):
    with serve(Scripted(text="word " * 400, cut_after=390, input_tokens=10)) as provider:
        answer = Bench(tmp_path, provider_name, provider.url).build(budget_tokens=500)
    assert len(provider.seen) == 1
    assert answer.failure.kind is FailureKind.BUDGET_EXCEEDED


def test_a_provider_that_is_not_there_is_a_fault_that_passes(provider_name, tmp_path):
    answer = Bench(tmp_path, provider_name, "http://127.0.0.1:9").build()
    assert (answer.failure.kind, answer.failure.retryable) == (FailureKind.BUILDER_ERROR, True)
    assert answer.usage == Usage()


@pytest.mark.parametrize(
    "has_pings", [pytest.param(False, id="falls silent"), pytest.param(True, id="never ends")]
)
def test_a_provider_that_is_not_done_in_time_is_a_timeout(provider_name, has_pings, tmp_path):
    clock = FrozenClock()
    with (
        serve(Scripted(text="one two three", hang_after=3, has_pings=has_pings)) as provider,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(Bench(tmp_path, provider_name, provider.url, clock=clock).build)
        assert provider.is_hanging.wait(30)
        clock.advance(REQUEST.timeout_seconds)
        answer = asked.result(timeout=30)
        assert provider.hung_up.wait(30)
    assert answer.failure.kind is FailureKind.TIMEOUT
    assert "120 s" in answer.failure.message
    assert answer.usage.is_estimated
    assert len(provider.seen) == 1


def test_what_an_answer_under_way_used_is_told(provider_name, tmp_path):
    clock = SystemClock()
    with serve(Scripted(text="one two three", hang_after=3)) as provider:
        bench = Bench(tmp_path, provider_name, provider.url, meter=LoopbackMeter(clock, note_seconds=0.02))
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(bench.build)
            assert bench.watch.is_told.wait(30)
            told = bench.watch.running
            bench.watch.is_stopped = True
            answer = answer.result(timeout=30)
    assert told.input_tokens > 0
    assert told.is_estimated
    assert answer.failure.kind is FailureKind.BUDGET_EXCEEDED
    assert answer.usage == bench.watch.usage


def test_a_budget_that_does_not_hold_the_prompt_asks_nobody(provider_name, tmp_path):
    with serve() as provider:
        answer = Bench(tmp_path, provider_name, provider.url).build(budget_tokens=10)
    assert answer.failure.kind is FailureKind.BUDGET_EXCEEDED
    assert (provider.seen, answer.usage) == ([], Usage())


def test_a_budget_that_is_spent_meanwhile_is_refused_at_the_door(provider_name, tmp_path):
    with serve() as provider:
        bench = Bench(tmp_path, provider_name, provider.url)
        bench.watch.is_stopped = True
        answer = bench.build()
    assert answer.failure.kind is FailureKind.BUDGET_EXCEEDED
    assert provider.seen == []


@pytest.mark.parametrize(
    ("spec", "environ", "error", "named"),
    [
        pytest.param("openai:", {}, BuilderError, "names no model", id="no model"),
        pytest.param("openai:m", {}, SettingsError, "OPENAI_API_KEY", id="no key"),
        pytest.param("anthropic:m", {}, SettingsError, "ANTHROPIC_API_KEY", id="no key of the other"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_call(spec, environ, error, named, tmp_path):
    settings = Settings(root=tmp_path, database_url="sqlite://")
    with pytest.raises(error, match=named):
        make_direct(spec, settings, environ, clock=SystemClock(), meter=lambda: None, prompt_version="")


def test_a_provider_of_the_operators_own_is_spoken_to_in_its_dialect(tmp_path):
    with serve() as provider:
        providers = {"near": ProviderSettings(base_url=provider.url, dialect="anthropic")}
        settings = Settings(root=tmp_path, database_url="sqlite://", providers=providers)
        clock = SystemClock()
        builder = make_direct(
            "near:scripted-1",
            settings,
            {},
            clock=clock,
            meter=lambda: LoopbackMeter(clock),
            prompt_version="",
        )
        answer = builder.build(replace(REQUEST, log_folder=tmp_path / "logs"), Watch())
    assert (answer.failure, builder.spec) == (None, "near:scripted-1")
    assert provider.seen[0].path == "/v1/messages"
    assert (
        "authorization" not in provider.seen[0].headers
        or KEY not in provider.seen[0].headers["authorization"]
    )
