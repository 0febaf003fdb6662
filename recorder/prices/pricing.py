"""What a stored call costs: by the user's own prices, else by the list of genai-prices. No I/O, no database.

What the provider itself said is not asked for here: it stands in the row already, and stays.
"""

from typing import NamedTuple

from llm_metrics_proxy.recorder.prices.call import Call
from llm_metrics_proxy.recorder.prices.list_prices import SOURCE, list_cost
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices

OWN = "file"
_LARGEST = 1_000_000  # dollars: a call of more has an absurd usage, and would be the sum of all others too


class Cost(NamedTuple):
    """In US dollars, and where it comes from: both None if it is not known."""

    usd: float | None
    source: str | None


UNKNOWN = Cost(None, None)


def cost_of(call: Call, own: OwnPrices) -> Cost:
    """What the call costs by the prices of its day; an unknown model or unknown usage has no cost, rather than 0."""
    models = tuple(name for name in (call.model, call.response_model) if name)
    entry = own.find(models, call.provider, call.timestamp)
    if entry is None:
        dollars, source = list_cost(call), SOURCE
    else:
        counts = call.counts()
        dollars, source = None if counts is None else entry.cost(*counts), OWN
    if dollars is None or not dollars.is_finite() or not 0 <= dollars <= _LARGEST:
        return UNKNOWN
    return Cost(float(dollars), source)
