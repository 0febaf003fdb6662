"""The cost of a stored call: by the user's own prices, else by the list of pydantic's genai-prices, as of its day.

A cost is what was consumed (call.py) times its prices. What the provider itself said that a call costs is not asked
for here: it stands in the row already, and stays.

Not for the proxy's process, where importing the list alone would take 30 MB. Only the prices that come with the
package are used, never the network, so that a price can be looked up again.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from genai_prices import Usage, __version__
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, Provider

from llm_metrics_proxy.recorder.prices.call import Call, Consumed
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices

SOURCE: Final = f"genai-prices {__version__}"
OWN: Final = "file"

_LARGEST: Final = 1_000_000  # dollars: a call of more has an absurd usage, and would be the sum of all others too
_LONGEST_NAME: Final = 300  # characters of what is looked up: clients choose it
_REMEMBERED: Final = 4096

# Our names of providers, and its own. Others are found by their address.
_PROVIDERS: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "aws.bedrock": "aws",
    "cohere": "cohere",
    "mistral_ai": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "x_ai": "x-ai",
    "perplexity": "perplexity",
    "openrouter": "openrouter",
    "together": "together",
    "fireworks": "fireworks",
    "cerebras": "cerebras",
    "moonshot_ai": "moonshotai",
    "minimax": "minimax",
    "novita": "novita",
    "ovhcloud": "ovhcloud",
    "voyage": "voyageai",
}
# What was asked for has the region, which has its own prices; the answer names the model alone, if at all.
_BY_WHAT_WAS_ASKED_FOR: Final = ("aws.bedrock",)
# What was asked for is the name of a deployment, which somebody chose: it only counts where the answer does not differ.
_DEPLOYMENTS: Final = ("azure.ai.openai", "azure.ai.inference")
_READS_BY_MODALITY: Final = tuple(f"cache_{modality}_read_tokens" for modality in ("text", "audio", "image", "video"))
_TRAFFIC: Final = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}  # Vertex AI's words for service tiers


class Cost(NamedTuple):
    """In US dollars, and where it comes from: both None if it is not known."""

    usd: float | None
    source: str | None


UNKNOWN: Final = Cost(None, None)


def cost_of(call: Call, own: OwnPrices) -> Cost:
    """Price a call as of its day; an unknown model or unknown usage has no cost, rather than 0."""
    consumed = call.consumed()
    if consumed is None:
        return UNKNOWN
    models = tuple(name for name in (call.model, call.response_model) if name)
    entry = own.find(models, call.provider, call.timestamp)
    dollars, source = (_list_cost(call, consumed), SOURCE) if entry is None else (entry.cost(consumed), OWN)
    if dollars is None or not dollars.is_finite() or not 0 <= dollars <= _LARGEST:
        return UNKNOWN
    return Cost(float(dollars), source)


def _list_cost(call: Call, consumed: Consumed) -> Decimal | None:
    """Price a call by the list, in US dollars; None if its model has no price there, or its usage no sense."""
    found = _find(call)
    if found is None:
        return None
    provider, model = found
    try:
        price = model.calc_price(
            _usage(consumed),
            provider,
            genai_request_timestamp=datetime.fromisoformat(call.timestamp),
            price_context=_context(call.reported()),
        )
    except (ValueError, ArithmeticError):  # it contradicts itself, or is absurd
        return None
    rates = vars(price.model_price).values()
    if not rates or (any(rates) and not price.total_price and any(consumed.values())):
        return None  # nothing of what was counted has a price; a model that is free has rates, all of them 0
    return price.total_price


def _usage(consumed: Consumed) -> Usage:
    """Return it as the list wants it: of cache reads that are told by modality, those that are not there are none."""
    counts = {name: count for name, count in consumed.items() if name in unit_data}
    if not counts.keys().isdisjoint(_READS_BY_MODALITY):
        counts = dict.fromkeys(_READS_BY_MODALITY, 0) | counts
    return Usage(**counts)


def _find(call: Call) -> tuple[Provider, ModelInfo] | None:
    known_as = _PROVIDERS.get(call.provider or "")
    address = f"https://{(call.host or '').removesuffix(':443')}{call.endpoint or ''}"[:_LONGEST_NAME]
    provider = _provider_named(known_as) if known_as else _provider_at(address)
    if provider is None:
        return None
    names: tuple[str | None, ...] = (call.response_model, call.model)
    if call.provider in _BY_WHAT_WAS_ASKED_FOR:
        names = (call.model, call.response_model)
    elif call.provider in _DEPLOYMENTS and not (call.response_model or "").startswith(call.model or ""):
        names = (call.response_model or call.model,)
    models = (_model(provider.id, name) for name in names if name and len(name) <= _LONGEST_NAME)
    return next(((provider, model) for model in models if model), None)


def _provider_named(provider_id: str) -> Provider:
    return next(provider for provider in get_snapshot().providers if provider.id == provider_id)


@lru_cache(maxsize=_REMEMBERED)
def _provider_at(address: str) -> Provider | None:
    found = (provider for provider in get_snapshot().providers if re.match(provider.api_pattern, address))
    return next(found, None)


@lru_cache(maxsize=_REMEMBERED)
def _model(provider_id: str, name: str) -> ModelInfo | None:
    if provider_id == "google":  # whose own APIs write "models/" and more before the name
        name = name.rpartition("models/")[2]
    return _provider_named(provider_id).find_model(name, all_providers=get_snapshot().providers)


def _context(said: Mapping[str, object]) -> dict[str, str]:
    """The terms that the provider says the call was made on."""
    tier = said.get("service_tier") or said.get("serviceTier") or _TRAFFIC.get(str(said.get("trafficType")))
    terms = {"speed": said.get("speed"), "processing" if tier == "batch" else "service_tier": tier}
    return {name: value.lower() for name, value in terms.items() if isinstance(value, str)}
