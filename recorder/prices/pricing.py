"""The cost of a stored call: by the user's own prices, else by the list of pydantic's genai-prices, as of its day.

A cost is what was consumed (call.py) times its prices, on the terms of the call (terms.py). A service tier or a region
has a variant of the price in the list, or a multiplier that the provider publishes (published.py); where it has
neither, there is no cost, since the ordinary price would look like the right one. What the provider itself says that a
call costs counts before all.

Not for the proxy's process, where importing the list alone would take 30 MB. Nothing here asks the network, so that a
price can be looked up again.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from genai_prices.types import Provider

from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_WRITE_30M,
    GROUNDED_MAP_PROMPTS,
    GROUNDED_PROMPTS,
    INPUT,
    WEB_SEARCHES,
)
from llm_metrics_proxy.recorder.prices import charging, notes, price_list, published
from llm_metrics_proxy.recorder.prices.call import Call, Consumed, Counts
from llm_metrics_proxy.recorder.prices.newer_list import source
from llm_metrics_proxy.recorder.prices.price_file import OwnPrice, OwnPrices
from llm_metrics_proxy.recorder.prices.price_list import Found
from llm_metrics_proxy.recorder.prices.terms import Terms, terms_of

OWN: Final = "file"
STATED: Final = "provider"

_LARGEST: Final = 1_000_000  # dollars: a call of more has an absurd usage, and would be the sum of all others too
_BILLED_BY_THE_PROMPT: Final = ("gemini-1", "gemini-2")  # and not by each search of it
_ALWAYS_SEARCHES: Final = ("openai", ("-search-preview", "-search-api"))  # once a call, whether or not it says so
_BY_INPUT_ALONE: Final = ("openai-decisions",)  # output and what a cache gave cost nothing, or nothing else
# Whose fees depend on more than was told, as how much of the web was read: bills say them, and the list the highest.
_FEES_BY_TERMS: Final = ("perplexity",)
# The ordinary age of a cache write, which has no price of its own.
_ORDINARY: Final = CACHE_WRITE_30M
_NO_UNITS: Final = frozenset((_ORDINARY, GROUNDED_PROMPTS, WEB_SEARCHES))
_DAY: Final = 10  # characters of a timestamp


class Cost(NamedTuple):
    """In US dollars, and where it comes from: both None if it is not known. `COLUMNS` are those of a row."""

    usd: float | None
    source: str | None
    complete: int | None = None
    note: str | None = None
    cache_saved: float | None = None  # by reads, against input that is no cache's; None where no cache was used
    cache_spent: float | None = None  # on writes, beyond the same


COLUMNS: Final = ("cost_usd", "cost_source", "cost_complete", "cost_note", "cache_saved_usd", "cache_spent_usd")


UNKNOWN: Final = Cost(None, None)


class Whose(NamedTuple):
    """A model of a list: its names, in the order in which the list is asked for them."""

    names: tuple[str, ...]
    provider: Provider | None  # None: no list is known


class _Part(NamedTuple):
    """Dollars, with what they lack; without them, the reason."""

    dollars: Decimal | None
    note: str | None = None
    saved: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)


_FREE: Final = _Part(Decimal(0))
_ONCE: Final = Decimal(1)


def cost_of(call: Call, own: OwnPrices, before: Cost = UNKNOWN) -> Cost:
    """Price a call as of its day; an unknown model or unknown usage has no cost, rather than 0.

    `before` is what stands in the row: a cost that the provider itself stated stays.
    """
    said = call.reported() if before.source == STATED or call.tells_more else {}
    stated = call.stated(said, before.usd) if before.source == STATED else None
    if stated is not None and not call.cached_tokens and not call.cache_write_tokens:
        return Cost(stated, STATED, 1)
    consumed = call.consumed(said)
    if not consumed.counts and not consumed.others:
        return Cost(None, None, None, consumed.note) if stated is None else Cost(stated, STATED, 1)
    whose = whose_prices(call, own)
    terms = terms_of(call, said, whose.provider.id if whose.provider else "")
    cost = cost_on(call, own, consumed, whose, terms)
    if stated is not None:
        return cost._replace(usd=stated, source=STATED, complete=1, note=None)
    fee = call.fee_beside(said)
    return cost if fee is None or cost.usd is None else cost._replace(usd=cost.usd + fee)


def whose_prices(call: Call, own: OwnPrices) -> Whose:
    """Return the names of the model whose prices hold for a call, and the provider in whose list they are."""
    names = price_list.names_of(call)
    alias = own.alias_of((*filter(None, (call.model, call.response_model)),), call.provider, call.timestamp)
    provider = price_list.provider_of(call)
    if alias is not None:
        names = (alias.name, *names) if alias.name else names
        provider = price_list.provider_named(alias.list) if alias.list else provider
    return Whose(names, provider)


def cost_on(call: Call, own: OwnPrices, consumed: Consumed, whose: Whose, terms: Terms) -> Cost:
    """Price what was consumed on given terms; of `call` the moment counts, and its names where `own` has them."""
    pricing = _Pricing(call, own, whose.provider, terms)
    part, by = pricing.whole(consumed.counts, whose.names) if consumed.counts else (_Part(Decimal(0)), source())
    note = consumed.note or part.note
    dollars = part.dollars
    if dollars is not None:
        for model, counts in consumed.others:
            other, _ = pricing.whole(counts, (model,) if model else (), of_other=True)
            dollars += other.dollars or 0
            note = note or (notes.OTHER_MODEL if other.dollars is None else other.note)
    if dollars is None:
        return Cost(None, None, None, part.note)
    if not dollars.is_finite() or not 0 <= dollars <= _LARGEST:
        return Cost(None, None, None, notes.CONTRADICTORY)
    if not consumed.used_cache:
        return Cost(float(dollars), by, 0 if note else 1, note)
    return Cost(float(dollars), by, 0 if note else 1, note, float(part.saved), float(part.spent))


class _Pricing:
    """Prices what one call consumed."""

    def __init__(self, call: Call, own: OwnPrices, provider: Provider | None, terms: Terms) -> None:
        self._call = call
        self._own = own
        self._provider = provider
        self._terms = terms

    def whole(self, counts: Counts, names: tuple[str, ...], *, of_other: bool = False) -> tuple[_Part, str]:
        """Price quantities of a model, and say by which prices."""
        call, terms = self._call, self._terms
        if of_other:
            terms = Terms("", terms.region)
        models = names if of_other else (*names, *filter(None, (call.model, call.response_model)))
        found = None if self._provider is None else price_list.find(self._provider, names)
        if (entry := self._own.find(models, call.provider, call.timestamp, terms.tier)) is not None:
            return self._by_entry(entry, counts, found, terms, models), OWN
        return self._by_list(found, counts, terms) if found else _Part(None, notes.NO_PRICE), source()

    def _by_list(self, found: Found, counts: Counts, terms: Terms) -> _Part:
        counts = _as_billed(found, counts)
        day = self._call.timestamp[:_DAY]
        context: Mapping[str, str] = terms.context
        multiplier = _ONCE
        try:
            if context and not charging.has_variant(found, self._call.timestamp, context):
                if (line := published.find(published.TIER, found.provider.id, found.names, terms.tier, day)) is None:
                    return _Part(None, notes.NO_TIER)
                multiplier, context = line.value, {}
            if terms.region and published.has(published.REGION, found.provider.id):
                line = published.find(published.REGION, found.provider.id, found.names, terms.region, day)
                if line is None:
                    return _Part(None, notes.NO_REGION)
                multiplier *= line.value
            charged = charging.charge(found, counts, self._call.timestamp, context)
        except (ValueError, ArithmeticError):  # the moment is none, or a count is absurd
            return _Part(None, notes.CONTRADICTORY)
        if charged is None:
            return _Part(None, notes.CONTRADICTORY)
        fees = _FREE
        if charged.fees and found.provider.id in _FEES_BY_TERMS:
            fees = _Part(-charged.fees, notes.NO_FEE)
        elif charged.lacking:
            fees = self._fees(charged.lacking, counts, found.provider.id, found.names)
        if fees.dollars is None:
            return fees
        dollars = charged.tokens * multiplier + charged.fees + fees.dollars
        return _Part(dollars, fees.note, charged.saved * multiplier, charged.spent * multiplier)

    def _by_entry(
        self, entry: OwnPrice, counts: Counts, found: Found | None, terms: Terms, models: tuple[str, ...]
    ) -> _Part:
        """Price by the user's own prices; what a tool costs beside them is as published."""
        if not counts:
            return _Part(None, notes.NO_USAGE)
        multiplier = Decimal(1)
        provider = self._provider.id if self._provider else ""
        if terms.tier and not entry.tier:
            line = published.find(published.TIER, provider, models, terms.tier, self._call.timestamp[:_DAY])
            if line is None:
                return _Part(None, notes.NO_TIER)
            multiplier = line.value
        dollars, lacking = entry.cost(counts)
        if dollars is None:
            return _Part(None, notes.NO_PRICE)
        fees = self._fees(lacking, counts, provider, found.names if found else models)
        if fees.dollars is None:
            return fees
        saved, spent = (one * multiplier for one in entry.cache(counts))
        return _Part(dollars * multiplier + fees.dollars, fees.note, saved, spent)

    def _fees(self, lacking: tuple[str, ...], counts: Counts, provider: str, names: tuple[str, ...]) -> _Part:
        """Price what has no price in the list, as published; NULL where it is not."""
        dollars, note = Decimal(0), None
        for name in lacking:
            if _is_tokens(name):
                return _Part(None, notes.NO_PRICE)
            line = next(self._published(provider, names, name), None)
            if line is None:
                return _Part(None, notes.NO_FEE)
            dollars += line.value * Decimal(repr(counts[name]))
            note = notes.NO_FEE if line.kind == published.FEE_AT_LEAST else note
        return _Part(dollars, note)

    def _published(self, provider: str, names: tuple[str, ...], name: str) -> Iterator[published.Published]:
        for kind in (published.FEE, published.FEE_AT_LEAST):
            if line := published.find(kind, provider, names, name, self._call.timestamp[:_DAY]):
                yield line


def _as_billed(found: Found, counts: Counts) -> Counts:
    """Leave out what is no price of its own: the ordinary age of a cache, and how searches come about."""
    if found.provider.id == _ALWAYS_SEARCHES[0] and any(word in found.model.id for word in _ALWAYS_SEARCHES[1]):
        counts = {WEB_SEARCHES: 1} | dict(counts)
    if counts.keys().isdisjoint(_NO_UNITS) and found.provider.id not in _BY_INPUT_ALONE:
        return counts
    counts = {name: count for name, count in counts.items() if name != _ORDINARY}
    if found.provider.id in _BY_INPUT_ALONE:
        counts = {INPUT: counts.get(INPUT, 0)}
    prompts = counts.pop(GROUNDED_PROMPTS, None)
    if WEB_SEARCHES in counts and found.model.id.startswith(_BILLED_BY_THE_PROMPT):
        counts[WEB_SEARCHES] = prompts if prompts is not None else min(counts[WEB_SEARCHES], 1)
    elif prompts and not counts.get(WEB_SEARCHES) and GROUNDED_MAP_PROMPTS not in counts:
        counts[WEB_SEARCHES] = prompts
    return counts


def _is_tokens(name: str) -> bool:
    unit = charging.UNITS.get(name)
    return name.endswith("_tokens") if unit is None else unit.dimensions.get("family") != "tool_calls"
