"""What passes a door is counted as the provider counts it, and reaches the client as it was sent."""

import gzip
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from model_clients import DIALECTS, KEY, PATHS, PROMPT, Watch, body_of, key_headers, opened, text_of

from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.books import MOST_REFUSALS
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.ports import Dialect, FaultKind
from autopack.testing import MemoryStore
from autopack.testing.provider import Scripted, serve

TEXT = "All of it is said, and said again in other words. " * 4
STREAMS = [pytest.param(False, id="whole"), pytest.param(True, id="stream")]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("cached", "written"), [pytest.param(0, 0, id="no cache"), pytest.param(700, 200, id="cached")]
)
def test_metered_equals_billed(tmp_path, dialect, stream, cached, written):
    script = Scripted(
        text=TEXT, input_tokens=1200, output_tokens=345, cached_tokens=cached, cache_write_tokens=written
    )
    with serve(script) as provider, opened(provider.url, tmp_path) as it:
        answer = it.post(dialect, stream=stream)
        assert answer.status_code == 200
        assert text_of(dialect, answer, stream=stream) == TEXT
        assert it.door.usage() == provider.total
    (request,) = it.door.requests()
    assert (request.usage, request.fault, request.model) == (provider.total, None, "scripted-1")
    assert it.watch.usage == provider.total
    assert not provider.total.is_estimated
    assert request.request_id == "req_1"


def test_what_a_client_did_not_ask_for_is_not_given_to_it(tmp_path):
    with serve(Scripted(text=TEXT)) as provider, opened(provider.url, tmp_path) as it:
        plain = it.post(Dialect.OPENAI_CHAT, stream=True)
        asked = it.post(Dialect.OPENAI_CHAT, stream=True, stream_options={"include_usage": True})
    assert '"choices": []' not in plain.text
    assert plain.text.endswith("data: [DONE]\n\n")
    assert '"choices": []' in asked.text
    assert [seen.body["stream_options"] for seen in provider.seen] == [{"include_usage": True}] * 2
    assert it.door.usage() == provider.total


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES])
def test_a_server_that_counts_nothing_is_estimated(tmp_path, dialect, stream):
    with serve(Scripted(text="x" * 400, has_usage=False)) as provider, opened(provider.url, tmp_path) as it:
        it.post(dialect, stream=stream, prompt="y" * 4000)
    usage = it.door.usage()
    assert usage.is_estimated
    assert 1000 <= usage.input_tokens <= 1100
    assert 100 <= usage.output_tokens <= 110


def test_a_server_that_knows_no_stream_options_is_asked_again_without(tmp_path):
    with (
        serve(Scripted(text=TEXT, refuses_stream_options=True)) as provider,
        opened(provider.url, tmp_path) as it,
    ):
        answer = it.post(Dialect.OPENAI_CHAT, stream=True)
    assert text_of(Dialect.OPENAI_CHAT, answer, stream=True) == TEXT
    assert "stream_options" not in provider.seen[1].body
    (request,) = it.door.requests()
    assert (request.status, request.fault, request.usage.is_estimated) == (200, None, True)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param(Scripted(status=429), FaultKind.RATE_LIMIT, id="rate limit"),
        pytest.param(Scripted(status=429, error_code="insufficient_quota"), FaultKind.QUOTA, id="no credit"),
        pytest.param(Scripted(status=529), FaultKind.OVERLOAD, id="overload"),
        pytest.param(Scripted(status=500), FaultKind.OVERLOAD, id="their bug"),
        pytest.param(Scripted(status=503), FaultKind.OVERLOAD, id="unavailable"),
        pytest.param(Scripted(status=401), FaultKind.AUTH, id="auth"),
        pytest.param(Scripted(status=403), FaultKind.AUTH, id="forbidden"),
        pytest.param(Scripted(status=404, error="no such model"), FaultKind.BAD_REQUEST, id="no such model"),
        pytest.param(Scripted(status=400, error="max_tokens?"), FaultKind.BAD_REQUEST, id="bad request"),
        pytest.param(
            Scripted(status=400, error="prompt is too long: 250000 tokens"),
            FaultKind.CONTEXT_LENGTH,
            id="too long",
        ),
        pytest.param(
            Scripted(status=413, error="request_too_large"), FaultKind.CONTEXT_LENGTH, id="too large"
        ),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refusal_is_passed_on_named_and_costs_nothing(tmp_path, dialect, script, kind):
    with serve(script) as provider, opened(provider.url, tmp_path) as it:
        answer = it.post(dialect, stream=True)
    assert answer.status_code == script.status
    (request,) = it.door.requests()
    assert (request.fault, request.status) == (kind, script.status)
    assert script.error in request.message
    assert request.usage.total_tokens == 0


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        pytest.param("length", FaultKind.TRUNCATED, id="truncated"),
        pytest.param("refusal", FaultKind.REFUSAL, id="refused"),
    ],
)
def test_an_answer_that_is_none_is_named_and_paid(tmp_path, dialect, stream, stop, kind):
    with serve(Scripted(text=TEXT, stop=stop)) as provider, opened(provider.url, tmp_path) as it:
        it.post(dialect, stream=stream)
    (request,) = it.door.requests()
    assert request.fault is kind
    assert request.usage == provider.total
    assert request.stop_reason


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cut_stream_is_estimated_and_the_client_sees_the_cut(tmp_path, dialect):
    script = Scripted(text=TEXT, input_tokens=500, cut_after=12)
    with (
        serve(script) as provider,
        opened(provider.url, tmp_path) as it,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        it.post(dialect, stream=True)
    (request,) = it.door.requests()
    assert (request.fault, request.status) == (FaultKind.NETWORK, 200)
    assert request.usage.is_estimated
    assert request.usage.output_tokens > 0
    # These two say at the beginning, or all along, what the input was.
    if dialect in {Dialect.ANTHROPIC, Dialect.GEMINI}:
        assert request.usage.input_tokens == 500


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_connection_that_breaks_before_an_answer_is_estimated(tmp_path, dialect):
    with serve(Scripted(cut_after=0)) as provider, opened(provider.url, tmp_path) as it:
        answer = it.post(dialect, stream=False, prompt="y" * 4000)
    assert answer.status_code == 502
    (request,) = it.door.requests()
    assert (request.fault, request.usage.is_estimated) == (FaultKind.NETWORK, True)
    assert request.usage.input_tokens >= 1000


@pytest.mark.parametrize(
    "raw", ["<html>Sign in first</html>", "{}", '{"error": {"message": "upstream is down", "code": 502}}']
)
def test_what_is_no_answer_is_a_fault_though_its_status_is_well(tmp_path, raw):
    with serve(Scripted(raw=raw)) as provider, opened(provider.url, tmp_path) as it:
        answer = it.post(Dialect.OPENAI_CHAT, stream=True)
    assert (answer.status_code, answer.text) == (200, raw)
    (request,) = it.door.requests()
    assert request.fault in {FaultKind.NETWORK, FaultKind.OVERLOAD}
    assert request.usage.is_estimated


class EndlessEvent(BaseHTTPRequestHandler):
    """A provider whose one event is longer than any that is held."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        with suppress(ConnectionError):
            for _ in range(40):
                self.wfile.write(b"x" * (1 << 20))

    def log_message(self, *words):
        """Nothing is printed."""


def test_an_event_without_an_end_ends_the_answer(tmp_path):
    with HTTPServer(("127.0.0.1", 0), EndlessEvent) as provider:
        serving = threading.Thread(target=provider.handle_request)
        serving.start()
        with (
            opened(f"http://127.0.0.1:{provider.server_port}", tmp_path) as it,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            it.post(Dialect.OPENAI_CHAT, stream=True)
        serving.join()
    (request,) = it.door.requests()
    assert (request.fault, request.usage.is_estimated) == (FaultKind.NETWORK, True)
    assert "without the end of an event" in request.message


def test_a_half_answer_is_not_passed_on(tmp_path):
    with serve(Scripted(text=TEXT, cut_after=1)) as provider, opened(provider.url, tmp_path) as it:
        answer = it.post(Dialect.ANTHROPIC, stream=False)
    assert answer.status_code == 502
    assert it.door.requests()[0].usage.is_estimated


def test_a_provider_that_is_not_there_costs_nothing(tmp_path):
    with opened("http://127.0.0.1:1", tmp_path) as it:
        answer = it.post(Dialect.OPENAI_CHAT, stream=False)
    assert answer.status_code == 502
    (request,) = it.door.requests()
    assert (request.fault, request.status, request.usage.total_tokens) == (FaultKind.NETWORK, None, 0)


def test_a_silent_provider_is_given_up(tmp_path):
    meter = LoopbackMeter(SystemClock(), silence_seconds=0.2)
    with (
        serve(Scripted(text=TEXT, hang_after=5)) as provider,
        opened(provider.url, tmp_path, meter=meter) as it,
        # On a busy machine its first byte may be late as well: then there is an answer, which says so.
        suppress(httpx.RemoteProtocolError),
    ):
        assert it.post(Dialect.ANTHROPIC, stream=True).status_code == 504
    assert it.door.requests()[0].fault is FaultKind.NETWORK


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_hangs_up_ends_the_request_upstream(tmp_path, dialect):
    script = Scripted(text=TEXT, hang_after=10)
    with serve(script) as provider, opened(provider.url, tmp_path) as it:
        with it.streaming(dialect) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            assert provider.is_hanging.wait(30)
        assert provider.hung_up.wait(30)
    (request,) = it.door.requests()
    assert (request.fault, request.usage.is_estimated) == (FaultKind.CANCELLED, True)
    assert request.usage.input_tokens > 0


def test_a_client_that_hangs_up_before_an_answer_ends_the_request_upstream(tmp_path):
    with serve(Scripted(text=TEXT, hang_after=0)) as provider, opened(provider.url, tmp_path) as it:
        asked = it.client.build_request(
            "POST",
            "/v1/messages",
            json=body_of(Dialect.ANTHROPIC, stream=False),
            headers=key_headers(Dialect.ANTHROPIC, it.door.token),
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
        with socket.create_connection(("127.0.0.1", it.client.base_url.port)) as client:
            client.sendall(f"POST /v1/messages HTTP/1.1\r\n{head}\r\n".encode() + asked.content)
            assert provider.is_hanging.wait(30)
        assert provider.hung_up.wait(30)
    (request,) = it.door.requests()
    assert (request.fault, request.usage.is_estimated) == (FaultKind.CANCELLED, True)


def test_what_a_killed_process_left_is_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, young, strange = (tmp_path / f"autopack-door-{name}" for name in ("dead", "young", "strange"))
    for folder in (dead, young, strange):
        folder.mkdir()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "door"))
        if folder is not strange:
            listener.close()
        else:
            listener.listen()
            alive = listener
    for folder in (dead, strange):
        os.utime(folder, (0, 0))
    with serve() as provider, opened(provider.url, tmp_path / "logs"):
        assert [folder.exists() for folder in (dead, young, strange)] == [False, True, True]
    alive.close()


def test_closing_a_door_ends_and_books_what_is_under_way(tmp_path):
    threads = set(threading.enumerate())
    with serve(Scripted(text=TEXT, hang_after=10)) as provider:
        with opened(provider.url, tmp_path) as it, it.streaming(Dialect.ANTHROPIC) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            assert provider.is_hanging.wait(30)
            assert it.door.usage().is_estimated
            socket_path = it.door.socket_path
            assert socket_path.stat().st_mode & 0o077 == 0
            assert socket_path.parent.stat().st_mode & 0o077 == 0
        assert provider.hung_up.wait(30)
    assert it.door.requests()[0].fault is FaultKind.CANCELLED
    assert it.watch.usage == it.door.usage()
    assert not socket_path.parent.exists()
    late = set(threading.enumerate()) - threads
    for thread in late:
        thread.join(10)
    assert not any(it.is_alive() for it in late)
    with pytest.raises(httpx.ConnectError):
        httpx.get(it.door.base_url, trust_env=False)


class StumblingWatch(Watch):
    """Fails at the first telling, and takes the next."""

    has_stumbled = False

    def under_way(self, usage):
        if not self.has_stumbled:
            self.has_stumbled = True
            raise LookupError("no such attempt")
        super().under_way(usage)


def test_a_telling_that_fails_is_logged_and_the_next_one_comes(tmp_path, caplog):
    watch, meter = StumblingWatch(), LoopbackMeter(SystemClock(), note_seconds=0.02)
    with (
        serve(Scripted(text=TEXT, hang_after=10)) as provider,
        opened(provider.url, tmp_path, meter=meter, watch=watch) as it,
        it.streaming(Dialect.ANTHROPIC),
    ):
        assert watch.is_told.wait(30)
    assert watch.running.input_tokens > 0
    (said,) = [record for record in caplog.records if record.getMessage() == "usage.not_told"]
    assert (said.provider, str(said.exc_info[1])) == ("scripted", "no such attempt")


def test_an_error_inside_a_stream_is_a_fault(tmp_path):
    for number, dialect in enumerate(DIALECTS):
        script = Scripted(text=TEXT, stream_error="we are very busy")
        with serve(script) as provider, opened(provider.url, tmp_path / str(number)) as it:
            it.post(dialect, stream=True)
        (request,) = it.door.requests()
        assert (request.fault, request.message) == (FaultKind.OVERLOAD, "we are very busy")
        assert request.usage.is_estimated


class ErrorAndNoEnd(BaseHTTPRequestHandler):
    """A provider that says what is wrong inside its stream, and never ends it; ``is_cut`` if it goes at once."""

    protocol_version = "HTTP/1.1"
    is_cut = False

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        event = b'data: {"error": {"message": "we are very busy", "code": 503}}\n\n'
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.close_connection = True
        if not self.is_cut:
            self.connection.recv(1)

    def log_message(self, *words):
        """Nothing is printed."""


class ErrorAndCut(ErrorAndNoEnd):
    is_cut = True


@pytest.mark.parametrize(
    "scene", [pytest.param(ErrorAndNoEnd, id="the client"), pytest.param(ErrorAndCut, id="the provider")]
)
def test_what_a_provider_said_counts_whoever_hangs_up_on_it(tmp_path, scene):
    store = MemoryStore()
    meter = LoopbackMeter(SystemClock(), store=store)
    with HTTPServer(("127.0.0.1", 0), scene) as provider:
        serving = threading.Thread(target=provider.handle_request)
        serving.start()
        url = f"http://127.0.0.1:{provider.server_port}"
        with (
            opened(url, tmp_path, meter=meter) as it,
            suppress(httpx.RemoteProtocolError),
            it.streaming(Dialect.OPENAI_CHAT) as answer,
        ):
            assert b"we are very busy" in next(answer.iter_bytes())
        serving.join()
    (request,) = it.door.requests()
    assert (request.fault, request.message) == (FaultKind.OVERLOAD, "we are very busy")
    assert store.provider_pause("scripted").faults == 1


class TestBudget:
    def test_a_request_that_does_not_fit_never_leaves(self, tmp_path):
        with (
            serve(Scripted(input_tokens=900, output_tokens=50)) as provider,
            opened(provider.url, tmp_path, budget=1000) as it,
        ):
            assert it.post(Dialect.ANTHROPIC, stream=False).status_code == 200
            answers = [it.post(dialect, stream=True, prompt="y" * 400) for dialect in DIALECTS]
        assert [answer.status_code for answer in answers] == [402] * 4
        assert len(provider.seen) == 1
        refused = it.door.requests()[1:]
        assert {request.fault for request in refused} == {FaultKind.BUDGET}
        assert "950 used" in refused[0].message
        assert answers[DIALECTS.index(Dialect.ANTHROPIC)].json()["error"]["type"] == "billing_error"
        assert answers[DIALECTS.index(Dialect.OPENAI_CHAT)].json()["error"]["code"] == "budget_exhausted"
        assert answers[DIALECTS.index(Dialect.GEMINI)].json()["error"]["code"] == 402
        assert it.door.usage() == provider.total

    def test_refusals_in_a_row_are_kept_up_to_a_number(self, tmp_path):
        with (
            serve(Scripted(input_tokens=900, output_tokens=50)) as provider,
            opened(provider.url, tmp_path, budget=1000) as it,
        ):
            it.post(Dialect.ANTHROPIC, stream=False)
            answers = [
                it.post(Dialect.ANTHROPIC, stream=False, prompt="y" * 400) for _ in range(MOST_REFUSALS + 9)
            ]
            assert {answer.status_code for answer in answers} == {402}
            assert len(it.door.requests()) == len(it.lines()) == len(it.watch.reports) == 1 + MOST_REFUSALS
            it.post(Dialect.ANTHROPIC, stream=False, prompt="y")
            it.post(Dialect.ANTHROPIC, stream=False, prompt="y" * 400)
            assert it.door.requests()[-1].fault is FaultKind.BUDGET
            assert len(it.door.requests()) == 3 + MOST_REFUSALS
        assert len(provider.seen) == 2

    def test_requests_side_by_side_cannot_both_take_the_rest(self, tmp_path):
        with (
            serve(Scripted(text=TEXT, hang_after=2, input_tokens=600)) as provider,
            opened(provider.url, tmp_path, budget=1000) as it,
            it.streaming(Dialect.ANTHROPIC, prompt="y" * 2400) as first,
        ):
            assert first.status_code == 200
            assert it.post(Dialect.ANTHROPIC, stream=True, prompt="y" * 2400).status_code == 402
        assert len(provider.seen) == 1

    def test_a_stopped_call_makes_no_request(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            it.watch.is_stopped = True
            assert it.post(Dialect.ANTHROPIC, stream=False).status_code == 402
        assert not provider.seen


class TestWhoMayPass:
    @pytest.mark.parametrize("dialect", DIALECTS)
    @pytest.mark.parametrize("shown", ["", "wrong", KEY])
    def test_a_client_without_the_token_does_not(self, tmp_path, dialect, shown):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            path = PATHS[dialect, False]
            headers = key_headers(dialect, shown) if shown else {}
            answer = it.client.post(path, json=body_of(dialect, stream=False), headers=headers)
        assert answer.status_code == 401
        assert not provider.seen
        assert it.door.token not in answer.text

    def test_geminis_key_may_stand_in_the_query_and_goes_no_further(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            path = PATHS[Dialect.GEMINI, True]
            answer = it.client.post(f"{path}&key={it.door.token}", json=body_of(Dialect.GEMINI, stream=True))
        assert answer.status_code == 200
        assert provider.seen[0].query == "alt=sse"
        assert provider.seen[0].headers["x-goog-api-key"] == KEY

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_the_provider_gets_the_key_and_never_the_token(self, tmp_path, dialect):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            it.post(dialect, stream=False)
        (seen,) = provider.seen
        assert KEY in " ".join(
            key_headers(dialect, seen.headers.get(next(iter(key_headers(dialect, ""))).lower(), "")).values()
        )
        assert it.door.token not in json.dumps(dict(seen.headers)) + seen.query

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/embeddings"),
            ("POST", "/v1/files"),
            ("GET", "/v1/responses/resp_1"),
            ("DELETE", "/v1/models/m"),
            ("POST", "/v1/messages/batches"),
            ("POST", "/v1/models/../messages"),
            ("POST", "/v1/%2e%2e/v1/messages"),
            ("POST", "/x/v1/messages"),
            ("GET", "/v1/models/..%2f..%2fsecrets"),
            ("POST", "/v1beta/models/m:batchEmbedContents"),
            ("PUT", "/v1/messages"),
            ("CONNECT", "/"),
        ],
    )
    def test_no_other_endpoint_is_forwarded(self, tmp_path, method, path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            request = it.client.build_request(
                method, it.door.base_url + path, headers=key_headers(Dialect.ANTHROPIC, it.door.token)
            )
            request.url = request.url.copy_with(raw_path=path.encode())
            assert it.client.send(request).status_code in {400, 404, 405}
        assert not provider.seen

    def test_no_other_host_is_reached(self, tmp_path):
        with serve() as provider, serve() as other, opened(provider.url, tmp_path) as it:
            headers = {
                **key_headers(Dialect.ANTHROPIC, it.door.token),
                "Host": other.url.removeprefix("http://"),
            }
            it.client.post("/v1/messages", json=body_of(Dialect.ANTHROPIC, stream=False), headers=headers)
        assert (len(provider.seen), len(other.seen)) == (1, 0)
        assert provider.seen[0].headers["host"] == provider.url.removeprefix("http://")

    def test_lists_and_counts_pass_and_are_free(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            key = key_headers(Dialect.ANTHROPIC, it.door.token)
            assert it.client.get("/v1/models", headers=key).json()["data"][0]["id"] == "scripted-1"
            assert it.client.get("/v1beta/models", headers=key).status_code == 200
            counted = it.client.post("/v1/messages/count_tokens", json={"messages": []}, headers=key)
            assert counted.json()["input_tokens"] > 0
            assert it.client.head("/").status_code == 200
        assert it.door.requests() == ()
        assert len(provider.seen) == 3


def test_nothing_secret_is_kept_or_said(tmp_path, caplog):
    leak = Scripted(status=401, error=f"no such key: {KEY}", headers={"x-echo": KEY})
    scripts = [Scripted(text=TEXT), leak, Scripted(cut_after=0)]
    said = []
    with caplog.at_level(0), serve(scripts) as provider, opened(provider.url, tmp_path) as it:
        for _ in scripts:
            answer = it.post(Dialect.OPENAI_CHAT, stream=False)
            said += [answer.text, repr(answer.headers)]
        said += [repr(it.door), repr(it.door.requests()), repr(vars(it.door)), str(it.door.__dict__)]
        token = it.door.token
    said += [record.getMessage() + repr(vars(record)) for record in caplog.records]
    kept = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(it.lines()) == 3
    assert KEY not in "".join(said + kept)
    assert PROMPT not in "".join(kept)
    assert TEXT not in "".join(kept)
    assert token not in "".join(kept)


class TestTransport:
    def test_large_bodies_both_ways(self, tmp_path):
        text = "z" * (10 << 20)
        with serve(Scripted(text=text)) as provider, opened(provider.url, tmp_path, budget=10**9) as it:
            answer = it.post(Dialect.ANTHROPIC, stream=False, prompt="y " * (5 << 20))
        assert text_of(Dialect.ANTHROPIC, answer, stream=False) == text
        assert it.door.usage() == provider.total

    def test_a_compressed_request(self, tmp_path):
        body = gzip.compress(json.dumps(body_of(Dialect.OPENAI_RESPONSES, stream=False)).encode())
        with serve() as provider, opened(provider.url, tmp_path) as it:
            headers = {**key_headers(Dialect.OPENAI_RESPONSES, it.door.token), "Content-Encoding": "gzip"}
            answer = it.client.post("/v1/responses", content=body, headers=headers)
        assert answer.status_code == 200
        assert provider.seen[0].body["input"] == PROMPT
        assert "content-encoding" not in provider.seen[0].headers

    def test_a_request_in_chunks(self, tmp_path):
        body = json.dumps(body_of(Dialect.ANTHROPIC, stream=False)).encode()
        with serve() as provider, opened(provider.url, tmp_path) as it:
            headers = key_headers(Dialect.ANTHROPIC, it.door.token)
            answer = it.client.post("/v1/messages", content=iter([body[:7], body[7:]]), headers=headers)
        assert answer.status_code == 200
        assert it.door.usage() == provider.total

    def test_the_unix_socket_is_the_same_door(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            transport = httpx.HTTPTransport(uds=str(it.door.socket_path))
            with httpx.Client(transport=transport, base_url="http://door") as client:
                answer = client.post(
                    "/v1/messages",
                    json=body_of(Dialect.ANTHROPIC, stream=False),
                    headers=key_headers(Dialect.ANTHROPIC, it.door.token),
                )
            assert answer.status_code == 200
            assert it.door.usage() == provider.total

    def test_headers_of_one_connection_stay_there(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            it.client.post(
                "/v1/messages",
                json=body_of(Dialect.ANTHROPIC, stream=False),
                headers={
                    **key_headers(Dialect.ANTHROPIC, it.door.token),
                    "Connection": "keep-alive, x-mine",
                    "x-mine": "1",
                    "anthropic-beta": "a,b",
                    "Cookie": "c=1",
                },
            )
        headers = provider.seen[0].headers
        assert headers["anthropic-beta"] == "a,b"
        assert not {"x-mine", "cookie", "proxy-authorization"} & set(headers)

    def test_a_body_that_is_no_request(self, tmp_path):
        with serve() as provider, opened(provider.url, tmp_path) as it:
            headers = key_headers(Dialect.ANTHROPIC, it.door.token)
            for body in (b"", b"{", b"[]", b'{"background": true}'):
                assert it.client.post("/v1/messages", content=body, headers=headers).status_code == 400
        assert not provider.seen

    def test_many_streams_at_once(self, tmp_path):
        with (
            serve(Scripted(text=TEXT)) as provider,
            opened(provider.url, tmp_path) as it,
            ThreadPoolExecutor(20) as pool,
        ):
            answers = list(pool.map(lambda n: it.post(DIALECTS[n % 4], stream=True), range(40)))
        assert {answer.status_code for answer in answers} == {200}
        assert it.door.usage() == provider.total
        assert len(it.lines()) == 40
