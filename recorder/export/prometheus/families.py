"""Families of metrics for Prometheus, made of totals and facts, with the names and units that it is used to."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from llm_metrics_proxy.recorder.export.prometheus.facts import MOST_WINDOWS, Surrounding, Window, Written, seconds
from llm_metrics_proxy.recorder.export.prometheus.totals import (
    RATE_BOUNDS,
    TIME_BOUNDS,
    TOKENS,
    Group,
    Histogram,
    Kind,
    Labels,
    Totals,
)

_GROUP = ("provider", "model", "operation")
_LEAST_MS = tuple(str(bound / 1_000) for bound in TIME_BOUNDS)
_LEAST_RATE = tuple(str(float(bound)) for bound in RATE_BOUNDS)
_MS = 1_000
_WINDOW = ("provider", "key_id", "model", "kind", "window")

# The recorder's counters: names here, and what they count. Each is there from the beginning with 0, since Prometheus
# takes no increase from a series that begins with 1.
_COUNTERS: Final = {
    "received": ("events_received", "Events that the recorders got from the traffic."),
    "written": ("events_written", "Calls that were written as rows."),
    "completed": ("events_completed", "Answers that came later, and completed the row of their call."),
    "duplicates": ("events_duplicate", "Calls that had been written before."),
    "unrecognised": ("events_unrecognised", "Requests that look like LLM calls and that no parser understood."),
    "limits": ("events_limits", "Answers that stated limits, one a minute for each key and model."),
    "tunnelled": ("events_tunnelled", "Hosts whose TLS was not opened, each once in a few seconds."),
    "spilled": ("events_spilled", "Events kept aside in files since the database refused them."),
    "replayed": ("events_replayed", "Events that went from these files to the database."),
    "rejected": ("events_rejected", "Events that no row could be made of, kept in a file."),
    "unparsed": ("calls_unparsed", "Calls with a body that could not be parsed: numbers are missing in their rows."),
    "body_too_large": ("calls_body_too_large", "Calls with a body that was too large to be parsed."),
    "client_tls_failed": ("clients_tls_failed", "Connections of clients that do not trust the proxy's CA."),
    "requests_refused": ("requests_refused", "Requests that were not meant for the port that they reached."),
    "workers_lost": ("workers_lost", "Workers that ended unasked, and were replaced."),
    "recorder_errors": ("recorder_errors", "Faults of the recorder's own."),
    "addon_errors": ("addon_errors", "Faults of the addon's own."),
}
_DROPPED: Final = "dropped_"
_CAUSES: Final = ("queue_full", "rejected", "shutdown", "spill_damaged")
_MOST_CAUSES: Final = 20
_MOST_LISTED: Final = 50  # exporters, and counters whose names are not known here


class Seen(msgspec.Struct, frozen=True):
    """The progress of the totals, for a look from outside."""

    share: float
    waiting: int
    last_row_id: int
    saved_at: float | None  # seconds since 1970
    version: str
    schema_version: int


def of_calls(totals: Totals) -> Iterator[Metric]:
    """The calls and their times."""
    kinds = list(totals.kinds.values())
    labels = (*_GROUP, "outcome", "streaming")
    calls = CounterMetricFamily(
        "llm_calls", "Calls to LLM APIs; outcome: success, or the type of the error.", labels=labels
    )
    took = HistogramMetricFamily(
        "llm_call_duration_seconds", "From the request's headers to the last byte.", labels=labels
    )
    for kind in kinds:
        values = _values(kind)
        calls.add_metric(values, kind.calls)
        took.add_metric(values, *_buckets(kind.duration, _LEAST_MS, _MS))
    yield calls
    yield took
    first = HistogramMetricFamily(
        "llm_time_to_first_token_seconds", "From the request's headers to a stream's first output.", labels=_GROUP
    )
    rate = HistogramMetricFamily(
        "llm_decode_tokens_per_second", "Tokens a second of a stream, from its first output to its last.", labels=_GROUP
    )
    tokens = CounterMetricFamily(
        "llm_tokens",
        "Tokens as the providers counted them: cached and cache_write are parts of input, reasoning of output.",
        labels=(*_GROUP, "type"),
    )
    errors = CounterMetricFamily(
        "llm_errors",
        "Failed calls by the class of the cause, one word over all providers.",
        labels=(*_GROUP, "error_class"),
    )
    for group in totals.groups.values():
        for failure, failed in group.errors.items():
            errors.add_metric((*group.key, failure), failed)
        if any(group.first_token.counts):  # there are none of embeddings, for example
            first.add_metric(group.key, *_buckets(group.first_token, _LEAST_MS, _MS))
        if any(group.rate.counts):
            rate.add_metric(group.key, *_buckets(group.rate, _LEAST_RATE, 1))
        for kind_of_token, count in zip(TOKENS, group.tokens, strict=True):
            tokens.add_metric((*group.key, kind_of_token), count)
    yield errors
    yield first
    yield rate
    yield tokens


def of_costs(groups: Iterable[Group]) -> Iterator[Metric]:
    """The costs of the calls."""
    cost = CounterMetricFamily(
        "llm_cost_dollars", "US dollars that are billed, of the calls whose cost is known; at least.", labels=_GROUP
    )
    plan = CounterMetricFamily(
        "llm_plan_cost_dollars", "US dollars that calls of plans would have cost; nobody pays them.", labels=_GROUP
    )
    priceless = CounterMetricFamily("llm_calls_without_cost", "Calls whose cost is not known.", labels=_GROUP)
    lacking = CounterMetricFamily(
        "llm_calls_with_partial_cost",
        "Calls whose cost is a lower bound or unknown, by reason.",
        labels=(*_GROUP, "reason"),
    )
    for group in groups:
        cost.add_metric(group.key, group.cost)
        priceless.add_metric(group.key, group.priceless)
        if group.plan_cost:
            plan.add_metric(group.key, group.plan_cost)
        for reason, calls in group.lacking.items():
            lacking.add_metric((*group.key, reason), calls)
    yield cost
    yield plan
    yield priceless
    yield lacking


def of_database(written: Written) -> Iterator[Metric]:
    """The recorders' and the exporters' own records."""
    counters = dict(written.counters)
    for name, (shown, what) in _COUNTERS.items():
        yield _counter(shown, what, counters.pop(name, 0))
    dropped = dict.fromkeys(_CAUSES, 0)
    dropped |= {name.removeprefix(_DROPPED): n for name, n in counters.items() if name.startswith(_DROPPED)}
    others = {name: n for name, n in counters.items() if not name.startswith(_DROPPED)}
    yield _by("events_dropped", "Events that were lost, by cause.", "cause", dropped, _MOST_CAUSES)
    yield _by("other_counts", "The recorders' other counters.", "name", others, _MOST_LISTED)
    yield _gauge("events_waiting", "Events in the recorders' memory at their last transaction.", written.in_memory)
    yield _gauge("newest_call_timestamp_seconds", "When the newest call began.", written.newest_at)
    yield from _of_exporters(written)
    yield from _of_quota(written.quota)


def of_surrounding(around: Surrounding) -> Iterator[Metric]:
    """The files around the database."""
    yield _gauge("recorders", "Recorders that run now.", around.recorders)
    yield _gauge("database_size_bytes", "The database's file.", around.database_bytes)
    yield _gauge("wal_size_bytes", "What was committed and is not in the database's file yet.", around.wal_bytes)
    yield _gauge("spill_files", "Files with events that wait for the database.", around.spill_files)
    yield _gauge("spill_size_bytes", "Events that wait for the database.", around.spill_bytes)
    yield _gauge("rejected_size_bytes", "Events that no row could be made of.", around.rejected_bytes)
    yield _gauge("disk_free_bytes", "Free on the database's disk.", around.free_bytes)


def database_up(*, up: bool) -> Metric:
    """A gauge: 1 if the other figures are of now."""
    return _gauge("database_up", "Whether the database could be read just now.", int(up))


def of_counting(seen: Seen) -> Iterator[Metric]:
    """The state of this program itself."""
    version = InfoMetricFamily("llm_metrics_build", "The program, and the schema that it reads.")
    version.add_metric((), {"version": seen.version, "schema_version": str(seen.schema_version)})
    yield version
    yield _gauge(
        "counted_ratio",
        "The share of the rows that the totals have; before it was 1 once, there are no totals of calls.",
        seen.share,
    )
    yield _gauge("rows_waiting", "Rows that are not in the totals yet; at most.", seen.waiting)
    yield _gauge("last_row_id", "The id of the last row that is in the totals of calls.", seen.last_row_id)
    yield _gauge("totals_saved_timestamp_seconds", "When the totals were last saved.", seen.saved_at)


def _of_exporters(written: Written) -> Iterator[Metric]:
    waiting = _family(GaugeMetricFamily, "exporter_rows_waiting", "Rows that an exporter has not sent; at most.")
    sent = _family(CounterMetricFamily, "exporter_rows_sent", "Rows that an exporter has sent.")
    refused = _family(CounterMetricFamily, "exporter_rows_refused", "Rows that its destination will never take.")
    reached = _family(GaugeMetricFamily, "exporter_reached_timestamp_seconds", "When it last sent, or had sent all.")
    fails = _family(GaugeMetricFamily, "exporter_failing", "Whether its destination could not be reached since then.")
    labels = Labels(_MOST_LISTED)
    by_label = {labels.label(exporter.name): exporter for exporter in written.exporters}
    for label, exporter in by_label.items():
        name = (label,)
        waiting.add_metric(name, exporter.waiting)
        sent.add_metric(name, exporter.sent)
        refused.add_metric(name, exporter.refused)
        fails.add_metric(name, int(exporter.error is not None))
        if (reached_at := seconds(exporter.reached_at)) is not None:
            reached.add_metric(name, reached_at)
    yield from (waiting, sent, refused, reached, fails)


def _of_quota(windows: Iterable[Window]) -> Iterator[Metric]:
    limit = GaugeMetricFamily("llm_quota_limit", "A limit, as an answer stated it last.", labels=_WINDOW)
    remaining = GaugeMetricFamily("llm_quota_remaining", "What an answer said is left of a limit.", labels=_WINDOW)
    resets = GaugeMetricFamily("llm_quota_reset_timestamp_seconds", "When a limit's window resets.", labels=_WINDOW)
    shown = [Labels(MOST_WINDOWS) for _ in _WINDOW]
    seen: dict[tuple[str, ...], Window] = {}
    for window in windows:
        said = window.provider, window.key_id, window.model, window.kind, window.window
        seen.setdefault(tuple(of.label(one) if one else "" for of, one in zip(shown, said, strict=True)), window)
    for values, window in seen.items():
        for family, value in (
            (limit, window.limit),
            (remaining, window.remaining),
            (resets, seconds(window.resets_at)),
        ):
            if value is not None:
                family.add_metric(values, value)
    yield from (limit, remaining, resets)


def _family[F: (CounterMetricFamily, GaugeMetricFamily)](make: type[F], name: str, what: str) -> F:
    return make(f"llm_metrics_{name}", what, labels=("exporter",))


def _gauge(name: str, what: str, value: float | None) -> Metric:
    """A gauge without labels, and without a value as long as that is unknown."""
    return GaugeMetricFamily(f"llm_metrics_{name}", what, value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"llm_metrics_{name}", what, value)


def _by(name: str, what: str, label: str, values: Mapping[str, int], most: int) -> Metric:
    """A counter by one label; what is too many is added up as `other`."""
    labels, sums = Labels(most), dict[str, int]()
    for text, n in values.items():
        shown = labels.label(text)
        sums[shown] = sums.get(shown, 0) + n
    family = CounterMetricFamily(f"llm_metrics_{name}", what, labels=(label,))
    for shown, n in sums.items():
        family.add_metric((shown,), n)
    return family


def _values(kind: Kind) -> tuple[str, ...]:
    return *kind.key, kind.outcome, "true" if kind.streaming else "false"


def _buckets(histogram: Histogram, bounds: tuple[str, ...], unit: int) -> tuple[list[tuple[str, float]], float]:
    """The arguments of `add_metric`: how many values were at most each bound, and their sum."""
    return list(zip((*bounds, "+Inf"), accumulate(histogram.counts), strict=True)), histogram.total / unit
