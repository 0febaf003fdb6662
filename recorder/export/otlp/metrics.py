"""Metrics of calls, from their spans.

A point of a metric has the time of its sending, so calls that ended long before are no part of it: a back-fill would
look like traffic of today. The SDK adds up per process: after a restart everything begins at zero, as receivers know.
"""

import time
from collections.abc import Iterable
from typing import Final, TypeIs

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.util.types import AttributeValue

from llm_metrics_proxy.recorder.export.otlp import names

type _Labels = dict[str, AttributeValue]

HISTORY_NS: Final = 3_600 * 1_000_000_000  # what ended longer ago than this is history
_NS: Final = 1_000_000_000
# Values that clients and servers choose, and how many different ones a process tells apart.
_AT_MOST: Final = {
    names.OPERATION: 50,
    names.PROVIDER: 100,
    names.REQUEST_MODEL: 200,
    names.RESPONSE_MODEL: 200,
    names.SERVER_ADDRESS: 100,
    names.SERVER_PORT: 100,
    names.ERROR_TYPE: 50,
}
_REQUIRED: Final = (names.OPERATION, names.PROVIDER)
_OPTIONAL: Final = (names.REQUEST_MODEL, names.RESPONSE_MODEL, names.SERVER_ADDRESS, names.SERVER_PORT)
_TOKENS: Final = ((names.INPUT_TOKENS, "input"), (names.OUTPUT_TOKENS, "output"))
_SECONDS: Final = list(names.SECONDS_BUCKETS)
_LONGEST_LABEL: Final = 200
_REMEMBERED: Final = 10_000  # spans


class Metrics:
    """The metrics that this process has recorded, and those that it has not sent."""

    def __init__(self, resource: Resource, scope: str, version: str, exporter: MetricExporter) -> None:
        # As the SDK's own reader does: what the environment asks for stands in the exporter.
        self._reader = InMemoryMetricReader(
            exporter._preferred_temporality,  # noqa: SLF001
            exporter._preferred_aggregation,  # noqa: SLF001
        )
        provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        meter = provider.get_meter(scope, version)
        self._duration = meter.create_histogram(
            names.DURATION_METRIC, "s", "GenAI operation duration.", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self._first_chunk = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK_METRIC,
            "s",
            "Time to receive the first chunk.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            names.TOKEN_USAGE_METRIC,
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=[float(bound) for bound in names.TOKEN_BUCKETS],
        )
        self._cost = meter.create_counter(names.COST_METRIC, "USD", "What calls cost, as far as it is known.")
        self._known: dict[str, set[AttributeValue]] = {name: set() for name in _AT_MOST}
        self._recorded: dict[int, None] = {}  # ids of the last spans
        self._unsent: MetricsData | None = None
        self._new = False  # whether something was recorded since it was collected

    def record(self, spans: Iterable[ReadableSpan]) -> None:
        """Add calls that are not history, each once, although a batch may come again after an outage."""
        since = time.time_ns() - HISTORY_NS
        for span in spans:
            context, end = span.context, span.end_time
            if context is None or end is None or end < since or context.span_id in self._recorded:
                continue
            self._recorded[context.span_id] = None
            self._add(span, (end - (span.start_time or end)) / _NS)
        while len(self._recorded) > _REMEMBERED:
            del self._recorded[next(iter(self._recorded))]

    def to_send(self, *, anyway: bool = False) -> MetricsData | None:
        """The metrics to send now, `anyway` also when nothing is new; None for nothing.

        It is the same until `taken`: what was collected may not be there a second time.
        """
        if self._unsent is None and (self._new or anyway):
            self._unsent, self._new = self._reader.get_metrics_data(), False
        return self._unsent

    def taken(self) -> None:
        """It was sent, or never will be."""
        self._unsent = None

    def _add(self, span: ReadableSpan, seconds: float) -> None:
        found = span.attributes or {}
        labels: _Labels = {name: self._label(name, found.get(name, names.OTHER)) for name in _REQUIRED}
        labels |= {name: self._label(name, found[name]) for name in _OPTIONAL if name in found}
        error = found.get(names.ERROR_TYPE)
        self._duration.record(
            seconds, labels if error is None else labels | {names.ERROR_TYPE: self._label(names.ERROR_TYPE, error)}
        )
        if _is_number(first := found.get(names.TIME_TO_FIRST_CHUNK)):
            self._first_chunk.record(first, labels)
        for name, kind in _TOKENS if error is None else ():
            if _is_number(count := found.get(name)):
                self._tokens.record(count, labels | {names.TOKEN_TYPE: kind})
        if _is_number(cost := found.get(names.COST)):
            self._cost.add(cost, labels)
        self._new = True

    def _label(self, name: str, value: AttributeValue) -> AttributeValue:
        """The value, if there are not too many others already."""
        known = self._known[name]
        if isinstance(value, str):
            value = value[:_LONGEST_LABEL]
        if value not in known:
            if len(known) >= _AT_MOST[name]:
                return names.OTHER
            known.add(value)
        return value


def _is_number(value: AttributeValue | None) -> TypeIs[int | float]:
    return isinstance(value, int | float) and value >= 0
