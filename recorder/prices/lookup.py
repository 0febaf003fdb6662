"""Questions about prices: what a model would be charged, and which models that were seen have no price."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from genai_prices import data_snapshot
from genai_prices.types import Provider, TieredPrices

from llm_metrics_proxy.recorder.errors import BadPrices
from llm_metrics_proxy.recorder.prices import charging, newer_list, notes, price_file, price_list, published
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.terms import Terms, tier_word
from llm_metrics_proxy.recorder.store import database, identity

_MILLION: Final = 1_000_000
_DAY: Final = 10  # characters of a timestamp
_LEAST_NAME: Final = 4  # characters of a model's name that is looked for in all lists

_WITHOUT = f"""
    SELECT provider, model, count(*), total(prompt_tokens), total(completion_tokens), max(timestamp)
    FROM completion_requests WHERE cost_note = '{notes.NO_PRICE}' AND timestamp >= ? AND model IS NOT NULL
    GROUP BY provider, model ORDER BY count(*) DESC, provider, model LIMIT ?
"""  # noqa: S608 - a word of our own


class Rate(msgspec.Struct, frozen=True):
    """US dollars for `per` of a quantity; with `above`, where a call has more input tokens than that."""

    quantity: str
    usd: float
    per: int
    above: int | None = None


class Quote(msgspec.Struct, frozen=True):
    """What one provider's calls of a model are charged."""

    provider: str
    model: str
    at: str
    tier: str
    rates: tuple[Rate, ...]  # none: it has no price on these terms
    source: str
    note: str | None = None


class Unpriced(msgspec.Struct, frozen=True):
    """A model that was called and has no price; `lines` are for prices.toml."""

    provider: str | None
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    last_at: str
    lines: str


def quotes(own: OwnPrices, model: str, provider: str | None, at: str, tier: str) -> tuple[Quote, ...]:
    """Return what a model is charged at a moment: by the own prices, else by the list of that provider, or of each.

    `provider` is a name as in the column, or genai-prices'.

    Raises:
        BadPrices: there is no such provider.
    """
    tier = tier_word(tier)
    alias = own.alias_of((model,), provider, at)
    listed = (alias.list if alias and alias.list else None) or provider
    if (entry := own.find((model,), provider, at, tier)) is not None and (entry.tier == tier or not tier):
        rates = {"input": entry.input, "output": entry.output, "cached": entry.cached, "cache write": entry.cache_write}
        shown = tuple(Rate(name, float(usd), _MILLION) for name, usd in rates.items())
        return (Quote(provider or "", model, at, tier, shown, f"{price_file.DEFAULT_NAME}, {entry.model}"),)
    providers = _all() if listed is None else [_named(listed)]
    name = alias.name if alias and alias.name else model
    found = (_quote(one, name, at, tier) for one in providers)
    return tuple(quote for quote in found if quote is not None)


def unpriced(path: Path, since: str, at_most: int) -> list[Unpriced]:
    """Return the models that were called from a moment on, and have no price; those with most calls first.

    Raises:
        DatabaseRefused: there is no database of the present version, or SQLite refused.
    """
    try:
        with closing(database.open_reader(path)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            rows = connection.execute(_WITHOUT, (since, at_most)).fetchall()
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    return [
        Unpriced(provider, model, calls, round(prompt), round(completion), last_at, _proposal(provider, model))
        for provider, model, calls, prompt, completion, last_at in rows
    ]


def _all() -> list[Provider]:
    return list(data_snapshot.get_snapshot().providers)


def _named(name: str) -> Provider:
    provider = price_list.provider_named(name)
    if provider is None:
        what = f"The list of prices has no provider {name!r}"
        names = ", ".join(sorted(one.id for one in _all()))
        raise BadPrices(what=what, cure=f"give one of {names}")
    return provider


def _quote(provider: Provider, model: str, at: str, tier: str) -> Quote | None:
    found = price_list.find(provider, (model,))
    if found is None:
        return None
    context, times, source = Terms(tier).context, Decimal(1), newer_list.source()
    if tier and not charging.has_variant(found, at, context):
        line = published.find(published.TIER, provider.id, found.names, tier, at[:_DAY])
        if line is None:
            return Quote(provider.id, found.model.id, at, tier, (), source, notes.NO_TIER)
        times, context, source = line.value, {}, f"{source}, {line.value} times as published: {line.source}"
    rates = tuple(rate for leaf in charging.leaves(found, at, context) for rate in _rates(leaf, times))
    return Quote(provider.id, found.model.id, at, tier, rates[::-1], source)


def _rates(leaf: charging.Leaf, times: Decimal) -> Iterator[Rate]:
    times = Decimal(1) if leaf.is_fee else times
    if isinstance(leaf.price, TieredPrices):
        for tier in reversed(leaf.price.tiers):
            yield Rate(leaf.name, float(tier.price * times), leaf.per, tier.start)
        yield Rate(leaf.name, float(leaf.price.base * times), leaf.per)
    else:
        yield Rate(leaf.name, float(leaf.price * times), leaf.per)


def _proposal(provider: str | None, model: str) -> str:
    """Return the lines of prices.toml that would give a model a price."""
    lines = [f"model = {_quoted(model)}", *([f"provider = {_quoted(provider)}"] if provider else [])]
    if elsewhere := _elsewhere(model):
        name, listed = elsewhere
        return "\n".join(["[[alias]]", *lines, f"as = {_quoted(name)}", f"list = {_quoted(listed)}"])
    return "\n".join(["[[price]]", *lines, "input = 0.00   # US dollars for a million tokens", "output = 0.00"])


def _elsewhere(model: str) -> tuple[str, str] | None:
    """Return under which name another list has a model: that of its maker, if it can be told."""
    for name in dict.fromkeys((model, model.rpartition("/")[2])):
        if len(name) < _LEAST_NAME:
            continue
        try:
            provider = data_snapshot.get_snapshot().find_provider(name, None, None)
        except LookupError:
            continue
        if price_list.find(provider, (name,)):
            return name, provider.id
    return None


def _quoted(text: str) -> str:
    """As a basic string of TOML, which is JSON's."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
