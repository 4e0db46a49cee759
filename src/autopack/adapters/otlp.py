"""One Builder call as a span and metrics over OTLP/HTTP; needs the extra ``otel``.

Names are those of OpenTelemetry's conventions for generative AI, its own beside them under ``autopack.``. What was
asked and answered is never sent, nor a Builder's command line, nor the text of an error: they may hold secrets.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from collections.abc import Mapping
from math import inf

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from autopack import __version__
from autopack.domain.masking import mask_secrets
from autopack.domain.telemetry import CallEvent

Attributes = Mapping[str, str | int | float | bool | tuple[str, ...]]
# The conventions' advice on buckets.
_TOKEN_BUCKETS = [4.0**power for power in range(14)]
_SECOND_BUCKETS = [0.01 * 2.0**power for power in range(14)]
_MODEL_APIS = frozenset({"anthropic", "openai"})
_CHATS = frozenset({*_MODEL_APIS, "replay"})
_LONGEST = 200


def send(
    event: CallEvent, *, traces_url: str | None, metrics_url: str | None, timeout_seconds: float
) -> None:
    """Send one ended call; a collector that does not take it is logged by the library.

    Raises:
        ValueError: A URL or an ``OTEL_`` variable cannot be read.
    """
    resource = Resource.create({"service.name": "autopack", "service.version": __version__})
    if traces_url is not None:
        _send_span(event, resource, OTLPSpanExporter(endpoint=traces_url, timeout=timeout_seconds))
    if metrics_url is not None:
        # Each process tells of its own calls only, so what it adds is told, not a sum that begins anew each time.
        exporter = OTLPMetricExporter(
            endpoint=metrics_url,
            timeout=timeout_seconds,
            preferred_temporality={Histogram: AggregationTemporality.DELTA},
        )
        _send_metrics(event, resource, exporter, timeout_seconds)


def _send_span(event: CallEvent, resource: Resource, exporter: OTLPSpanExporter) -> None:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    about = call_attributes(event)
    span = provider.get_tracer("autopack", __version__).start_span(
        " ".join(
            str(about[name]) for name in ("gen_ai.operation.name", "gen_ai.request.model") if name in about
        ),
        kind=SpanKind.CLIENT,
        attributes={**about, **_answer_attributes(event), **_own_attributes(event)},
        start_time=int(event.begun_at * 1e9),
    )
    if event.failure_kind is not None:
        span.set_status(Status(StatusCode.ERROR))
    span.end(int((event.begun_at + (event.latency_seconds or 0.0)) * 1e9))
    provider.shutdown()


def _send_metrics(
    event: CallEvent, resource: Resource, exporter: OTLPMetricExporter, timeout_seconds: float
) -> None:
    timeout_ms = timeout_seconds * 1000
    reader = PeriodicExportingMetricReader(
        exporter, export_interval_millis=inf, export_timeout_millis=timeout_ms
    )
    provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter("autopack", __version__)
    about = call_attributes(event)
    if event.latency_seconds is not None:
        meter.create_histogram(
            "gen_ai.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_SECOND_BUCKETS
        ).record(event.latency_seconds, about)
    # The conventions forbid to report numbers that nobody counted.
    if event.tokens and not event.is_estimated:
        tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS
        )
        tokens.record(event.input_tokens, {**about, "gen_ai.token.type": "input"})
        tokens.record(event.output_tokens, {**about, "gen_ai.token.type": "output"})
    provider.force_flush(timeout_millis=timeout_ms)
    provider.shutdown(timeout_millis=timeout_ms)


def call_attributes(event: CallEvent) -> dict[str, str]:
    """What spans and metrics say alike of a call."""
    scheme, _, rest = event.builder.partition(":")
    about = {
        "gen_ai.operation.name": "chat" if scheme in _CHATS else "invoke_agent",
        "gen_ai.provider.name": scheme if scheme.isidentifier() else "other",
    }
    if scheme in _MODEL_APIS and rest:
        about["gen_ai.request.model"] = _short(rest)
    if event.model:
        about["gen_ai.response.model"] = _short(event.model)
    if event.failure_kind is not None:
        about["error.type"] = str(event.failure_kind)
    return about


def _answer_attributes(event: CallEvent) -> Attributes:
    told: dict[str, str | int | tuple[str, ...]] = {}
    if event.tokens:
        told["gen_ai.usage.input_tokens"] = event.input_tokens
        told["gen_ai.usage.output_tokens"] = event.output_tokens
        told["gen_ai.usage.cache_read.input_tokens"] = event.cached_tokens
    if event.stop_reason:
        told["gen_ai.response.finish_reasons"] = (_short(event.stop_reason),)
    return told


def _own_attributes(event: CallEvent) -> Attributes:
    told: dict[str, str | int | float | None] = {
        "autopack.run_id": event.address.run_id,
        "autopack.phase_id": event.address.phase_id,
        "autopack.attempt": event.address.number,
        "autopack.turn": event.turn,
        "autopack.session_id": event.session_id,
        "autopack.predicted_tokens": event.predicted_tokens,
        "autopack.cost_usd": event.cost_usd,
        "autopack.usage_is_estimated": event.is_estimated,
        "autopack.is_truncated": event.is_truncated,
        **{f"autopack.{name}": _short(text) for name, text in event.notes.items()},
    }
    return {name: value for name, value in told.items() if value is not None}


def _short(text: str) -> str:
    return mask_secrets(text)[:_LONGEST]
