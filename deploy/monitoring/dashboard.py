"""The dashboard, as Grafana reads it: a heading for each row of panels, and for each panel what it shows.

Grafana's own model of a dashboard (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/)
has hundreds of fields with defaults; here are those that differ.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any, Final, NamedTuple

from deploy.monitoring import queries

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WINDOW: Final = "$__rate_interval"
_RANGE: Final = "$__range"  # as far back as the dashboard shows
_WHERE: Final = 'instance=~"$instance", provider=~"$provider", model=~"$model"'
_WIDTH: Final = 24  # of the whole
_HEIGHT: Final = {"stat": 4, "timeseries": 8, "heatmap": 8}

type Json = dict[str, Any]


class Panel(NamedTuple):
    """`queries` have the text of a legend each; `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    width: int = 12
    window: str = _WINDOW


ROWS: Final = {
    "Now": (
        Panel("Calls", "short", {"": f"sum({queries.CALLS_IN_WINDOW})"}, "stat", 6, _RANGE),
        Panel("Cost", "currencyUSD", {"": queries.COST_IN_WINDOW}, "stat", 6, _RANGE),
        Panel("Recorders", "short", {"": f"sum({queries.RECORDERS})"}, "stat", 6),
        Panel("Events lost", "short", {"": f"sum({queries.DROPPED_IN_WINDOW})"}, "stat", 6, _RANGE),
    ),
    "Calls": (
        Panel("Calls by provider", "reqps", {"{{provider}}": queries.CALLS}),
        Panel("Errors by class", "reqps", {"{{error_class}}": queries.ERRORS_BY_CLASS}),
        Panel("Share of errors", "percentunit", {"{{provider}}": queries.ERROR_SHARE}),
        Panel("Calls by outcome", "reqps", {"{{outcome}}": queries.CALLS_BY_OUTCOME}),
    ),
    "Times": (
        Panel(
            "Time to first token",
            "s",
            {"{{model}} p50": queries.FIRST_TOKEN_P50, "{{model}} p95": queries.FIRST_TOKEN_P95},
        ),
        Panel("Duration", "s", {"{{model}} p50": queries.DURATION_P50, "{{model}} p95": queries.DURATION_P95}),
        Panel("Tokens a second, p50", "short", {"{{model}}": queries.DECODE_P50}),
        Panel("Duration of all calls", "s", {"{{le}}": queries.DURATION_HEAT}, "heatmap"),
    ),
    "Tokens and cost": (
        Panel("Tokens a second by type", "short", {"{{type}}": queries.TOKENS}),
        Panel("Share of input from a cache", "percentunit", {"{{provider}}": queries.CACHED_SHARE}),
        Panel("Dollars an hour", "currencyUSD", {"{{model}}": queries.COST_AN_HOUR}),
        Panel("Calls an hour without a known cost", "short", {"{{model}}": queries.WITHOUT_COST}),
    ),
    "Recorders": (
        Panel("Up", "short", {"{{instance}}": queries.UP, "{{instance}} database": queries.DATABASE_UP}),
        Panel("Events lost", "short", {"{{instance}} {{cause}}": queries.DROPPED_IN_WINDOW}),
        Panel("Events kept aside", "bytes", {"{{instance}}": queries.SPILLED}),
        Panel(
            "Traffic that is not understood",
            "short",
            {
                "{{instance}} no parser": queries.UNRECOGNISED_IN_WINDOW,
                "{{instance}} not parsed": queries.UNPARSED_IN_WINDOW,
            },
        ),
        Panel("Events in memory", "short", {"{{instance}}": queries.WAITING}),
        Panel("Age of the newest call", "s", {"{{instance}}": queries.NEWEST_AGE}),
        Panel("Files", "bytes", {"{{instance}} database": queries.DATABASE_SIZE, "{{instance}} WAL": queries.WAL_SIZE}),
        Panel("Free disk", "bytes", {"{{instance}}": queries.DISK_FREE}),
    ),
    "Exporters": (
        Panel("Rows that wait", "short", {"{{instance}} {{exporter}}": queries.EXPORTER_WAITING}),
        Panel("Rows sent a second", "short", {"{{instance}} {{exporter}}": queries.EXPORTER_SENT}),
        Panel("Cannot be reached", "short", {"{{instance}} {{exporter}}": queries.EXPORTER_FAILING}),
        Panel("Share of rows counted for Prometheus", "percentunit", {"{{instance}}": queries.COUNTED}),
    ),
}


def document() -> Json:
    """The dashboard, to be imported into Grafana."""
    return {
        "title": "LLM calls",
        "uid": "llm-metrics",
        "tags": ["llm"],
        "schemaVersion": 36,
        "editable": True,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                _variable("instance", "label_values(llm_metrics_database_up, instance)"),
                _variable("provider", "label_values(llm_calls_total, provider)"),
                _variable("model", 'label_values(llm_calls_total{provider=~"$provider"}, model)'),
            ]
        },
        "panels": list(_panels()),
    }


def expressions() -> Iterator[str]:
    """All queries, with Grafana's variables in them."""
    for panel in document()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def _variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # when the time range changes
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[Json]:
    ids, y = count(1), 0
    for title, panels in ROWS.items():
        yield {"id": next(ids), "type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, _WIDTH, 1)}
        x, y = 0, y + 1
        for panel in panels:
            height = _HEIGHT[panel.kind]
            yield _panel(panel, next(ids), _place(x, y, panel.width, height))
            x += panel.width
            if x == _WIDTH:
                x, y = 0, y + height


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: Json) -> Json:
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": _DATASOURCE,
            "expr": queries.filled(query, panel.window, _WHERE),
            "legendFormat": legend,
            "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        }
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"calculate": False, "yAxis": {"unit": panel.unit}} if panel.kind == "heatmap" else {},
        "targets": targets,
    }
