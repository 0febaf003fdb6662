"""Percentiles of what trials measure."""

from collections.abc import Iterable

from llm_metrics_proxy.recorder.percentile import nearest_rank


def percentile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank percentile of values in any order; `share` is 0 to 1. 0 without any values."""
    return nearest_rank(sorted(values), share * 100) or 0.0
