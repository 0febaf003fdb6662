"""A call whose columns are given, and its price, for tests of prices."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import cost_of

NOWHERE = Path("/nonexistent/metrics.db")
MOMENT = "2026-01-02T03:04:05.678Z"
SONNET = {"provider": "anthropic", "model": "claude-sonnet-4-5", "prompt_tokens": 2112, "completion_tokens": 9}
CACHED = {"cached_tokens": 2000, "cache_write_tokens": 100}


def call(**fields: Any) -> Call:  # noqa: ANN401 - columns of any type
    return Call(**{"timestamp": MOMENT, "operation": "chat"} | fields)


def price(call: Call, own: OwnPrices | None = None) -> float | None:
    return cost_of(call, own or OwnPrices()).usd


def usd(*parts: tuple[int, float | str]) -> float:
    """Tokens at dollars for a million."""
    return float(sum(tokens * Decimal(str(rate)) for tokens, rate in parts) / 1_000_000)
