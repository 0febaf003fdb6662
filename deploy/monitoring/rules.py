"""The alert rules, as data: what is watched, from when on it is too much, and for how long."""

from typing import Final, NamedTuple

from deploy.monitoring import queries
from deploy.monitoring.queries import filled

MOST_ERRORS: Final = 0.1  # of a provider's calls
LEAST_CALLS: Final = 20  # in the window, before shares and percentiles say anything
SLOWEST_FIRST_TOKEN: Final = 20  # seconds, of the 95th percentile
NOTICEABLE_FIRST_TOKEN: Final = 1  # seconds: below that twice as long does not matter
MOST_DOLLARS_AN_HOUR: Final = 50
LEAST_DISK: Final = 2 << 30  # bytes
MOST_WAITING: Final = 100_000  # rows of an exporter


class Alert(NamedTuple):
    """`lasting` is how long it has to be true, `severity` page or ticket."""

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str
    description: str


_ENOUGH_CALLS = f"{filled(queries.CALLS_IN_WINDOW, '15m')} >= {LEAST_CALLS}"
_ENOUGH_STREAMS = f"{filled(queries.FIRST_TOKENS_IN_WINDOW, '1h')} >= {LEAST_CALLS}"
_FIRST_TOKEN = filled(queries.FIRST_TOKEN_P95, "1h")
_FIRST_TOKEN_LAST_WEEK = filled(queries.FIRST_TOKEN_P95, "1h] offset 1w").replace("] offset 1w]", "] offset 1w")

ALERTS: Final = (
    Alert(
        "LLMMetricsTargetDown",
        f"{queries.UP} == 0",
        "5m",
        "page",
        "llm-metrics serve on {{ $labels.instance }} does not answer.",
        "Nobody knows how the calls there go. The proxy itself may be fine: see whether the process runs.",
    ),
    Alert(
        "LLMMetricsDatabaseDown",
        f"{queries.DATABASE_UP} == 0",
        "2m",
        "page",
        "The database on {{ $labels.instance }} cannot be read.",
        "llm-metrics status says why. Events are kept aside meanwhile, for as long as there is space.",
    ),
    Alert(
        "LLMMetricsEventsDropped",
        f"{filled(queries.DROPPED_IN_WINDOW, '10m')} > 0",
        "0m",
        "page",
        "Calls on {{ $labels.instance }} were lost: {{ $labels.cause }}.",
        "{{ $value | humanize }} events in ten minutes. llm-metrics status shows the gaps.",
    ),
    Alert(
        "LLMMetricsEventsKeptAside",
        f"{queries.SPILLED} > 0",
        "5m",
        "ticket",
        "The database on {{ $labels.instance }} has taken no events for five minutes.",
        "{{ $value | humanize1024 }}B wait in files. They follow by themselves once the database can be written.",
    ),
    Alert(
        "LLMMetricsNoRecorder",
        f"{queries.RECORDERS} == 0 and (({filled(queries.RECEIVED_IN_WINDOW, '1d')} > 0) or ({queries.SPILLED} > 0))",
        "10m",
        "page",
        "No proxy with the addon runs on {{ $labels.instance }}.",
        "There were calls in the last day, or events wait for the database.",
    ),
    Alert(
        "LLMErrorRate",
        f"{filled(queries.ERROR_SHARE, '15m')} > {MOST_ERRORS} and {_ENOUGH_CALLS}",
        "5m",
        "page",
        "{{ $value | humanizePercentage }} of the calls to {{ $labels.provider }} fail.",
        "llm_errors_total by error_class says why, llm_calls_total by outcome in the provider's words.",
    ),
    Alert(
        "LLMFirstTokenSlow",
        f"{_FIRST_TOKEN} > {SLOWEST_FIRST_TOKEN} and {_ENOUGH_STREAMS}",
        "15m",
        "ticket",
        "{{ $labels.model }} takes {{ $value | humanizeDuration }} to its first token.",
        "One of twenty streams of the last hour waited longer.",
    ),
    Alert(
        "LLMFirstTokenDoubled",
        f"{_FIRST_TOKEN} > 2 * {_FIRST_TOKEN_LAST_WEEK} and {_FIRST_TOKEN} > {NOTICEABLE_FIRST_TOKEN}"
        f" and {_ENOUGH_STREAMS}",
        "15m",
        "ticket",
        "{{ $labels.model }} takes twice as long to its first token as a week ago.",
        "One of twenty streams of the last hour waited longer than {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "LLMCost",
        f"{filled(queries.COST_IN_WINDOW, '1h')} > {MOST_DOLLARS_AN_HOUR}",
        "0m",
        "ticket",
        "The calls of the last hour cost ${{ $value | humanize }}.",
        "llm_cost_dollars_total by model says which.",
    ),
    Alert(
        "LLMMetricsDiskSpace",
        f"{queries.DISK_FREE} < {LEAST_DISK}",
        "10m",
        "page",
        "{{ $value | humanize1024 }}B are free on the database's disk on {{ $labels.instance }}.",
        "When it is full, new calls are lost: llm-metrics prune, or a larger disk.",
    ),
    Alert(
        "LLMMetricsExporterBehind",
        f"{queries.EXPORTER_WAITING} > {MOST_WAITING}",
        "30m",
        "ticket",
        "{{ $value | humanize }} rows wait for {{ $labels.exporter }} on {{ $labels.instance }}.",
        "llm-metrics status says since when. What it lacks is not pruned for seven days.",
    ),
    Alert(
        "LLMMetricsExporterFailing",
        f"{queries.EXPORTER_FAILING} == 1",
        "15m",
        "ticket",
        "{{ $labels.exporter }} cannot be reached from {{ $labels.instance }}.",
        "llm-metrics status says why. What it lacks is not pruned for seven days.",
    ),
)


def document() -> dict[str, object]:
    """The file of rules, as Prometheus reads it."""
    return {
        "groups": [
            {
                "name": "llm-metrics",
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": alert.expr,
                        "for": alert.lasting,
                        "labels": {"severity": alert.severity},
                        "annotations": {"summary": alert.summary, "description": alert.description},
                    }
                    for alert in ALERTS
                ],
            }
        ]
    }
