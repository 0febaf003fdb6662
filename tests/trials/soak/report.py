"""A soak's figures, as a table for people and as JSON for programs."""

import statistics
from dataclasses import asdict
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


def as_json(floor: Result, ours: Result, judged: list[Promise], run: dict[str, Any]) -> dict[str, Any]:
    """Return everything."""
    return {
        "run": run,
        "promises": [asdict(promise) for promise in judged],
        "proxies": {result.traffic.name: _figures(result) for result in (floor, ours)},
    }


def _figures(result: Result) -> dict[str, Any]:
    traffic, watched = result.traffic, result.watched
    return {
        "calls": dict(traffic.kinds),
        "connections": traffic.connections,
        "wrong": traffic.wrong,
        "p50_ms": {kind: statistics.median(values) for kind, values in traffic.took_ms.items()},
        "p99_ms": {kind: percentile(values, 0.99) for kind, values in traffic.took_ms.items()},
        "rss_mb_per_1000_calls": slope(warm(watched.samples, WARM)),
        "samples": [asdict(sample) for sample in watched.samples],
    }
