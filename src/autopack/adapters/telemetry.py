"""Builder calls told to an OpenTelemetry collector, where one is configured; nothing is imported otherwise."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from autopack.domain.telemetry import CallEvent

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 2.0
"""The longest that an attempt waits for its events to be taken."""
_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_METRICS = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where spans and metrics go; None for those that nobody asked for."""

    traces_url: str | None
    metrics_url: str | None


def find_collector(environ: Mapping[str, str], otlp_endpoint: str | None) -> Collector | None:
    """The collector that the environment names, else the setting; None when neither does.

    Args:
        environ: The variables of OpenTelemetry are read, ``OTEL_SDK_DISABLED`` too.
        otlp_endpoint: The setting: a base URL without a signal's path.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    base = (environ.get(_BASE, "").strip() or otlp_endpoint or "").rstrip("/")
    found = Collector(
        traces_url=environ.get(_TRACES, "").strip() or (f"{base}/v1/traces" if base else None),
        metrics_url=environ.get(_METRICS, "").strip() or (f"{base}/v1/metrics" if base else None),
    )
    return found if found.traces_url or found.metrics_url else None


def make_export(environ: Mapping[str, str], otlp_endpoint: str | None) -> "CallExport | None":
    """What tells a collector of calls; None when none is configured, or the extra is not installed."""
    collector = find_collector(environ, otlp_endpoint)
    if collector is None:
        return None
    if not _is_installed():
        logger.warning(
            "telemetry.unavailable", extra={"hint": "pip install 'autopack[otel]', or unset the endpoint."}
        )
        return None
    return CallExport(collector)


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.sdk") is not None and find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


class CallExport:
    """Tells a collector of calls beside the attempt, which neither waits for it nor fails with it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._threads: list[threading.Thread] = []

    def tell(self, event: CallEvent) -> None:
        """Begin to send the event; returns at once."""
        # A daemon does not keep the process alive. The libraries, too, are imported beside the attempt: it takes
        # them a third of a second.
        thread = threading.Thread(target=self._send, args=(event,), name="telemetry", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Wait for what is under way, at most ``MAX_WAIT_SECONDS`` in all; the rest is dropped."""
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = sum(thread.is_alive() for thread in self._threads)
        if late:
            logger.warning("telemetry.dropped", extra={"events": late})

    def _send(self, event: CallEvent) -> None:
        from autopack.adapters import otlp  # noqa: PLC0415 - only where a collector is configured

        try:
            otlp.send(
                event,
                traces_url=self._collector.traces_url,
                metrics_url=self._collector.metrics_url,
                timeout_seconds=MAX_WAIT_SECONDS,
            )
        except (ValueError, OSError) as error:
            # A malformed URL or an OTEL_* variable that cannot be read.
            logger.warning("telemetry.failed", extra={"error": type(error).__name__})
