"""Calls told to a real OTLP/HTTP receiver on this machine, beside the attempt and at no risk to it."""

import gzip
import logging
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from autopack.adapters.telemetry import MAX_WAIT_SECONDS, Collector, find_collector, make_export
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.telemetry import CallEvent

KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
SECRET = "sk-" + "a1B2" * 10


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP and keeps what it was told."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.told = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.status = 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, kind):
        return [message for message in self.told if isinstance(message, kind)]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.may_answer.wait(30)
        self.server.told.append(KINDS[self.path].FromString(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.may_answer.set()
        server.shutdown()
        thread.join()


def event(**fields):
    values = {
        "call_id": 7,
        "address": AttemptAddress(run_id="shop", phase_id="build", number=2),
        "session_id": "batch-drain-1",
        "turn": 1,
        "builder": "anthropic:some-model",
        "begun_at": 1_700_000_000.0,
        "ended_at": 1_700_000_003.0,
        "latency_seconds": 2.5,
        "model": "some-model-1",
        "predicted_tokens": 1200,
        "input_tokens": 800,
        "output_tokens": 200,
        "cached_tokens": 100,
        "cost_usd": 0.25,
        "stop_reason": "end_turn",
    }
    return CallEvent(**{**values, **fields})


def told(receiver, one):
    export = make_export({}, receiver.url)
    export.tell(one)
    for thread in export._threads:
        thread.join(30)
    return receiver


def plain(attributes):
    found = {}
    for it in attributes:
        kind = it.value.WhichOneof("value")
        value = getattr(it.value, kind)
        found[it.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


def span_of(receiver):
    [request] = receiver.of(ExportTraceServiceRequest)
    [resource] = request.resource_spans
    [scope] = resource.scope_spans
    [span] = scope.spans
    return span, plain(resource.resource.attributes)


def points_of(receiver):
    [request] = receiver.of(ExportMetricsServiceRequest)
    [resource] = request.resource_metrics
    [scope] = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_a_call_is_a_span_with_the_conventions_for_generative_ai(receiver):
    span, resource = span_of(told(receiver, event()))
    assert resource["service.name"] == "autopack"
    assert (span.name, span.kind) == ("chat some-model", Span.SPAN_KIND_CLIENT)
    assert span.start_time_unix_nano == 1_700_000_000_000_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000_000
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert plain(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "some-model",
        "gen_ai.response.model": "some-model-1",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 800,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "autopack.run_id": "shop",
        "autopack.phase_id": "build",
        "autopack.attempt": 2,
        "autopack.turn": 1,
        "autopack.session_id": "batch-drain-1",
        "autopack.predicted_tokens": 1200,
        "autopack.cost_usd": 0.25,
        "autopack.usage_is_estimated": False,
        "autopack.is_truncated": False,
    }


def test_tokens_and_duration_are_metrics_that_add_up_over_processes(receiver):
    metrics = points_of(told(receiver, event()))
    tokens = metrics["gen_ai.client.token.usage"]
    assert (tokens.unit, tokens.histogram.aggregation_temporality) == ("{token}", 1)
    found = {plain(it.attributes)["gen_ai.token.type"]: it.sum for it in tokens.histogram.data_points}
    assert found == {"input": 800, "output": 200}
    duration = metrics["gen_ai.client.operation.duration"]
    [point] = duration.histogram.data_points
    assert (duration.unit, point.sum, list(point.explicit_bounds)[:2]) == ("s", 2.5, [0.01, 0.02])
    assert plain(point.attributes)["gen_ai.request.model"] == "some-model"


def test_a_failed_call_is_an_error_of_its_kind(receiver):
    span, _ = span_of(told(receiver, event(failure_kind=FailureKind.BUILDER_ERROR, model="")))
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.status.message == ""
    assert plain(span.attributes)["error.type"] == "builder_error"
    [point] = points_of(receiver)["gen_ai.client.operation.duration"].histogram.data_points
    assert plain(point.attributes)["error.type"] == "builder_error"


def test_tokens_that_nobody_counted_are_no_metric(receiver):
    assert "gen_ai.client.token.usage" not in points_of(told(receiver, event(is_estimated=True)))


@pytest.mark.parametrize(
    ("builder", "operation", "provider"),
    [
        pytest.param(f"command:agent --key {SECRET}", "invoke_agent", "command", id="a command"),
        pytest.param(f"acp:agent {SECRET}", "invoke_agent", "acp", id="an agent"),
        pytest.param(SECRET, "invoke_agent", "other", id="no scheme"),
        pytest.param(f"openai:{SECRET}", "chat", "openai", id="a key for a model"),
    ],
)
def test_no_secret_and_no_command_line_is_sent(receiver, builder, operation, provider):
    one = event(builder=builder, model=f"m {SECRET}", stop_reason=f"token={SECRET}")
    span, _ = span_of(told(receiver, one))
    found = plain(span.attributes)
    assert (found["gen_ai.operation.name"], found["gen_ai.provider.name"]) == (operation, provider)
    assert SECRET.encode() not in b"".join(message.SerializeToString() for message in receiver.told)
    assert "--key" not in str(receiver.told)


def test_a_collector_that_hangs_holds_an_attempt_up_no_longer_than_two_seconds(receiver, caplog):
    receiver.may_answer.clear()
    export = make_export({}, receiver.url)
    started = time.monotonic()
    export.tell(event())
    export.tell(event())
    assert time.monotonic() - started < MAX_WAIT_SECONDS
    with caplog.at_level(logging.WARNING):
        export.close()
    assert time.monotonic() - started < MAX_WAIT_SECONDS * 5
    assert "telemetry.dropped" in caplog.messages


@pytest.mark.parametrize(
    "endpoint",
    [
        pytest.param("http://127.0.0.1:9", id="nobody listens"),
        pytest.param("no url at all", id="malformed"),
        pytest.param("http://[", id="unparsable"),
    ],
)
def test_a_collector_that_is_not_there_fails_nothing(endpoint, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    export = make_export({}, endpoint)
    export.tell(event())
    export.close()


def test_a_collector_that_refuses_fails_nothing(receiver):
    receiver.status = 400
    assert told(receiver, event()).told


@pytest.mark.parametrize(
    ("environ", "setting", "collector"),
    [
        pytest.param({}, None, None, id="nothing"),
        pytest.param(
            {},
            "http://c:4318/",
            Collector(traces_url="http://c:4318/v1/traces", metrics_url="http://c:4318/v1/metrics"),
            id="the setting",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e:1"},
            "http://c:4318",
            Collector(traces_url="http://e:1/v1/traces", metrics_url="http://e:1/v1/metrics"),
            id="the environment goes first",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x"},
            None,
            Collector(traces_url="http://t/x", metrics_url=None),
            id="traces alone",
        ),
        pytest.param({"OTEL_SDK_DISABLED": "true"}, "http://c:4318", None, id="switched off"),
    ],
)
def test_the_collector_is_the_one_that_is_configured(environ, setting, collector):
    assert find_collector(environ, setting) == collector


MODULES = """
import sys
import autopack.autonomous_executor
from autopack import bootstrap
from autopack.adapters.telemetry import make_export
assert make_export({}, None) is None
print([name for name in sys.modules if name.split(".")[0] in {"opentelemetry", "google", "requests"}])
"""
BLOCKED = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from autopack.adapters.telemetry import make_export
print(make_export({}, "http://127.0.0.1:9"))
"""


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)


def test_without_a_collector_nothing_is_imported():
    assert run(MODULES).stdout == "[]\n"


def test_without_the_extra_the_attempt_goes_on_and_the_log_says_so():
    done = run(BLOCKED)
    assert (done.stdout, done.stderr) == ("None\n", "telemetry.unavailable\n")
