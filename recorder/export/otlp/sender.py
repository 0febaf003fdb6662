"""The part that over_http.py and over_grpc.py share: one request at a time, and a `Failure` if it did not succeed."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from llm_metrics_proxy.recorder.export.otlp import failure
from llm_metrics_proxy.recorder.export.otlp.failure import Failure

LONGEST_SECONDS: Final = 7.0  # of one request: two of them, for spans and metrics, stay below 15 s
POINTS_AT_ONCE: Final = 1_000  # of metrics in one request, so that it stays below the 4 MiB that grpc takes

# The exporters log each failure, some with a traceback. What came of a request is told as a `Failure` instead.
_log = logging.getLogger("opentelemetry")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class Note:
    """The result of the last request, noted below the exporter, which would keep it to itself."""

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.rejected = 0  # spans of the last request that was taken otherwise

    def clear(self) -> None:
        """Nothing was asked yet."""
        self.failure, self.rejected = None, 0


class Sender(Protocol):
    """Sends the two signals; both raise `Failure`."""

    metric_exporter: MetricExporter

    def spans(self, spans: Sequence[ReadableSpan]) -> int:
        """Send these; how many of them the receiver rejected, although it took the rest."""

    def metrics(self, data: MetricsData) -> None:
        """Send these."""

    def close(self) -> None:
        """Let go of connections."""


class Exporting:
    """A `Sender` made of two exporters of the SDK and what both note."""

    def __init__(self, spans: SpanExporter, metrics: MetricExporter, note: Note) -> None:
        self.metric_exporter = metrics
        self._span_exporter, self._note = spans, note

    def spans(self, spans: Sequence[ReadableSpan]) -> int:
        """Send these; how many of them the receiver rejected, although it took the rest."""
        self._send(lambda: self._span_exporter.export(spans) is SpanExportResult.SUCCESS)
        return self._note.rejected

    def metrics(self, data: MetricsData) -> None:
        """Send these."""
        self._send(lambda: self.metric_exporter.export(data) is MetricExportResult.SUCCESS)

    def close(self) -> None:
        """Let go of connections."""
        self._span_exporter.shutdown()
        self.metric_exporter.shutdown()

    def _send(self, export: Callable[[], bool]) -> None:
        self._note.clear()
        try:
            done = export()
        except Exception as error:  # what an exporter lets through: the text may hold headers
            raise (self._note.failure or failure.not_sent()) from error
        if not done:
            raise self._note.failure or failure.not_sent()


def seconds(signal: str) -> float:
    """The time limit of a request: that of the environment for `TRACES` or `METRICS`, but not too long."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"):
        try:
            wanted = float(os.environ.get(name, ""))
        except ValueError:
            continue
        if wanted > 0:
            return min(wanted, LONGEST_SECONDS)
    return LONGEST_SECONDS
