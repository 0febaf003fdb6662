"""A soak's figures, as a table for people and for the record."""

import statistics
from typing import Any

from tests.support import verdict
from tests.support.percentile import percentile
from tests.support.process_watch import slope, warm
from tests.support.verdict import Promise
from tests.trials.soak.verdict import WARM, Result


def table(floor: Result, ours: Result, judged: list[Promise]) -> str:
    """Return the summary."""
    lines = [f"{'':24} {'calls':>7} {'no-op p50 / p99 ms':>20} {'ours p50 / p99 ms':>20}"]
    for kind, count in sorted(ours.traffic.kinds.items(), key=lambda pair: -pair[1]):
        times = [result.traffic.took_ms.get(kind, []) for result in (floor, ours)]
        shown = [f"{statistics.median(values or [0]):.1f} / {percentile(values, 0.99):.1f}" for values in times]
        lines.append(f"{kind:24} {count:7} {shown[0]:>20} {shown[1]:>20}")
    lines.append("")
    return "\n".join([*lines, verdict.table(judged)])


def figures(floor: Result, ours: Result) -> dict[str, Any]:
    """Return what was measured of both proxies: times in ms, memory in MB."""
    return {result.traffic.name: _figures(result) for result in (floor, ours)}


def _figures(result: Result) -> dict[str, Any]:
    traffic, watched = result.traffic, result.watched
    return {
        "calls": dict(traffic.kinds),
        "connections": traffic.connections,
        "p50_ms": {kind: round(statistics.median(values), 2) for kind, values in traffic.took_ms.items()},
        "p99_ms": {kind: round(percentile(values, 0.99), 2) for kind, values in traffic.took_ms.items()},
        "rss_mb": {"first": watched.samples[0].rss_mb, "last": watched.samples[-1].rss_mb},
        "rss_mb_per_1000_calls": round(slope(warm(watched.samples, WARM)), 4),
    }
