"""Pydantic's genai-prices, the list of prices: which of its providers and models bills a call.

What the list charges for a model is worked out in charging.py.
"""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, Provider

from llm_metrics_proxy.recorder.prices.call import Call

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
    "baseten": "baseten",
    "meta": "meta",
}
# Addresses that the list does not know as those of a provider whose prices it has.
_ADDRESSES: Final = (
    (re.compile(r"https://(?:[a-z0-9-]+\.)*githubcopilot\.com"), "github-copilot"),
    (re.compile(r"https://api\.z\.ai"), "zai"),
    (re.compile(r"https://open\.bigmodel\.cn"), "zhipuai"),
)
# An API whose calls are billed by a list of their own.
_APIS: Final = {("openai", "/decisions"): "openai-decisions"}
# What was asked for has the region, which has its own prices; the answer names the model alone, if at all.
_BY_WHAT_WAS_ASKED_FOR: Final = ("aws.bedrock",)
# What was asked for is the name of a deployment, which somebody chose: it only counts where the answer does not differ.
_DEPLOYMENTS: Final = ("azure.ai.openai", "azure.ai.inference")


class Found(msgspec.Struct, frozen=True, eq=False):
    """A model of the list; the same one is the same object."""

    provider: Provider
    model: ModelInfo
    name: str  # by which it was found

    @property
    def names(self) -> tuple[str, str]:
        """The names under which more may be known of it."""
        return self.name, self.model.id

    @property
    def is_its_own(self) -> bool:
        """False if the provider's price is taken from another one, whose variants need not be its own."""
        return any(self.model is one for one in self.provider.models)


def provider_of(call: Call) -> Provider | None:
    """Return the list's provider that bills a call."""
    return _provider_of(call.provider, call.host, call.endpoint)


@lru_cache(maxsize=_REMEMBERED)
def _provider_of(name: str | None, host: str | None, endpoint: str | None) -> Provider | None:
    api = f"/{(endpoint or '').rpartition('/')[2]}"
    if (of_api := _APIS.get((name or "", api))) in _providers():
        return _providers()[of_api]
    if known_as := _PROVIDERS.get(name or ""):
        return provider_named(known_as)
    return _provider_at(f"https://{(host or '').removesuffix(':443')}{endpoint or ''}"[:_LONGEST_NAME])


def names_of(call: Call) -> tuple[str, ...]:
    """Return the names of a call's model, in the order in which the list is asked for them."""
    return _names_of(call.provider, call.model, call.response_model)


@lru_cache(maxsize=_REMEMBERED)
def _names_of(provider: str | None, asked: str | None, answered: str | None) -> tuple[str, ...]:
    names: tuple[str | None, ...] = (answered, asked)
    if provider in _BY_WHAT_WAS_ASKED_FOR:
        names = (asked, answered)
    elif provider in _DEPLOYMENTS and not (answered or "").startswith(asked or ""):
        names = (answered or asked,)
    return tuple(name for name in names if name)


def provider_named(name: str) -> Provider | None:
    """Return a provider by genai-prices' name, or by that of the column `provider`."""
    return _providers().get(_PROVIDERS.get(name, name))


def column_name_of(provider: Provider) -> str:
    """Return a provider's name as the column `provider` has it."""
    return next((ours for ours, theirs in _PROVIDERS.items() if theirs == provider.id), provider.id)


def lists_with(model: str) -> tuple[Provider, ...]:
    """Return the providers that have a price of a model: that of its maker alone, if its name tells that."""
    with suppress(LookupError):
        maker = data_snapshot.get_snapshot().find_provider(model, None, None)
        if find(maker, (model,)):
            return (maker,)
    return tuple(provider for provider in _providers().values() if find(provider, (model,)))


def find(provider: Provider, names: tuple[str, ...]) -> Found | None:
    """Return the first of the models that the provider has a price of."""
    return _find(provider.id, names)


def forget() -> None:
    """Look up everything anew: the list is another one."""
    for remembered in (_providers, _provider_of, _provider_at, _find, _model):
        remembered.cache_clear()


@lru_cache(maxsize=1)
def _providers() -> dict[str, Provider]:
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


@lru_cache(maxsize=_REMEMBERED)
def _provider_at(address: str) -> Provider | None:
    ours = next((name for pattern, name in _ADDRESSES if pattern.match(address)), "")
    if ours in _providers():
        return _providers()[ours]
    return next((provider for provider in _providers().values() if re.match(provider.api_pattern, address)), None)


@lru_cache(maxsize=_REMEMBERED)
def _find(provider_id: str, names: tuple[str, ...]) -> Found | None:
    return next((found for name in names if len(name) <= _LONGEST_NAME and (found := _model(provider_id, name))), None)


@lru_cache(maxsize=_REMEMBERED)
def _model(provider_id: str, name: str) -> Found | None:
    if provider_id == "google":  # whose own APIs write "models/", the maker's name and more before the name
        name = name.rpartition("/")[2]
    provider = _providers()[provider_id]
    model = provider.find_model(name, all_providers=list(_providers().values()))
    return None if model is None else Found(provider, model, name)
