"""The arithmetic of genai-prices, worked out once for each model, day and set of quantities.

Units are a tree: the count of one that has a price of its own is taken out of its wholes'. The list works that out
anew for each call, which takes longer than all else; here a million calls take seconds. Tests compare both.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from genai_prices import Usage
from genai_prices.data_units import unit_data
from genai_prices.types import ConditionalPrice, PriceVariant, TieredPrices, TimeOfDateConstraint
from genai_prices.units import UnitDef, UnitRegistry

from llm_metrics_proxy.addon.providers.quantities import DURATIONS, INPUT
from llm_metrics_proxy.recorder.prices.price_list import Found

UNITS: Final = UnitRegistry(unit_data).units

_REMEMBERED: Final = 8192
_NOTHING: Final = Decimal(0)
_PRICED_BY: Final = {unit.price_key: unit for unit in UNITS.values()}
_READS_BY_MODALITY: Final = tuple(f"cache_{modality}_read_tokens" for modality in ("text", "audio", "image", "video"))
_LEAST_SECONDS: Final = 10  # Groq bills transcriptions of less as that
_REQUESTS: Final = "requests"
_TOKENS: Final = "tokens"
_DAY: Final = 10  # characters of a timestamp
# Output that is no text has a price of its own, but where a model puts out nothing else: their names say so.
_ONLY: Final = {"audio": ("tts", "speech", "voice"), "image": ("image", "banana"), "video": ("video", "omni")}
# Audio in costs these what text costs, unless the list says otherwise: of OpenAI's models with such names it lacks it.
_AUDIO_MODELS: Final = ("audio", "realtime")

type Context = Mapping[str, str]
type Price = Decimal | TieredPrices


class Charged(NamedTuple):
    """A price, in US dollars, and the quantities that are not in it, since the list has no price of them."""

    tokens: Decimal
    fees: Decimal  # of calls of tools, which no tier and no region multiplies
    lacking: tuple[str, ...]
    saved: Decimal = _NOTHING  # by reads from a cache, against input that is no cache's
    spent: Decimal = _NOTHING  # on writes to one, beyond the same


class Leaf(NamedTuple):
    """A unit with a price; of its count those of the leaves `within` it are taken away."""

    name: str
    price: Price
    per: int
    is_fee: bool
    within: tuple[int, ...]


class _Rate(NamedTuple):
    """A leaf, ready to be multiplied."""

    name: str
    usd: Decimal  # for one of them
    above: tuple[tuple[float, Decimal], ...]  # from so much input on for all of them, the largest first
    is_fee: bool
    within: tuple[int, ...]


class _Plan(NamedTuple):
    rates: tuple[_Rate, ...]
    lacking: tuple[str, ...]
    within: tuple[tuple[str, str], ...]  # quantities that are priced as parts of another one, which is never less
    caches: tuple[tuple[int, bool], ...]  # which rates are of a cache, and if of writes; none without one of all input


def has_variant(found: Found, timestamp: str, context: Context) -> bool:
    """Tell whether the list has a price of its own for a service tier at a moment."""
    return found.is_its_own and bool(_variants(found, _moment(found, timestamp), tuple(context.items())))


def charge(found: Found, counts: Mapping[str, float], timestamp: str, context: Context | None = None) -> Charged | None:
    """Charge quantities as of a moment, in the ordinary tier or in that of `context`; None if they make no sense.

    Raises:
        ValueError: `timestamp` is none.
    """
    if not counts.keys().isdisjoint(_READS_BY_MODALITY):  # of reads that are told by modality, others are none
        counts = dict.fromkeys(_READS_BY_MODALITY, 0) | dict(counts)
    if found.provider.id == "groq":
        counts = {
            name: max(count, _LEAST_SECONDS) if name in DURATIONS and count else count for name, count in counts.items()
        }
    zeros = tuple([name for name, count in counts.items() if not count])
    moment = _moment(found, timestamp)
    plan = _plan(found, moment, tuple(context.items()) if context else (), tuple(counts), zeros)
    return plan and _charged(plan, counts)


def leaves(found: Found, timestamp: str, context: Context | None = None) -> tuple[Leaf, ...]:
    """Return all prices that the list has of a model at a moment.

    Raises:
        ValueError: `timestamp` is none.
    """
    return _leaves(found, _moment(found, timestamp), tuple((context or {}).items()))


def forget() -> None:
    """Work everything out anew: the list is another one."""
    for remembered in (_is_hourly, _variants, _leaves, _plan):
        remembered.cache_clear()


def _charged(plan: _Plan, counts: Mapping[str, float]) -> Charged | None:
    tokens = fees = _NOTHING
    rests: list[float | Decimal] = []
    for name, usd, above, is_fee, within in plan.rates:
        rest: float | Decimal = 1 if name == _REQUESTS else counts.get(name, 0)
        if isinstance(rest, float):
            rest = Decimal(repr(rest))
        for index in within:
            rest -= rests[index]  # type: ignore[operator] # a fraction is a Decimal by now
        if rest < 0:
            return None
        rests.append(rest)
        if rest:
            part = (_at(above, counts.get(INPUT, 0), usd) if above else usd) * rest
            if is_fee:
                fees += part
            else:
                tokens += part
    lacking = plan.lacking
    for part_of, whole in plan.within:
        if counts[part_of] > counts.get(whole, 0):
            lacking = (*lacking, part_of)
    return Charged(tokens, fees, lacking, *(_of_caches(plan, counts, rests) if plan.caches else ()))


def _of_caches(plan: _Plan, counts: Mapping[str, float], rests: Sequence[float | Decimal]) -> tuple[Decimal, Decimal]:
    """Return what reads saved, and what writes cost more, than the same as plain input."""
    saved = spent = _NOTHING
    total = counts.get(INPUT, 0)
    plain = next(_at(above, total, usd) for name, usd, above, _, _ in plan.rates if name == INPUT)
    for index, is_write in plan.caches:
        _, usd, above, _, _ = plan.rates[index]
        more = (plain - _at(above, total, usd)) * rests[index]  # type: ignore[operator] # as above
        if is_write:
            spent -= more
        else:
            saved += more
    return saved, spent


def _at(above: tuple[tuple[float, Decimal], ...], total_input: float, usd: Decimal) -> Decimal:
    for start, more in above:
        if total_input > start:
            return more
    return usd


def _moment(found: Found, timestamp: str) -> str:
    return timestamp if _is_hourly(found) else timestamp[:_DAY]


@lru_cache(maxsize=_REMEMBERED)
def _is_hourly(found: Found) -> bool:
    prices = found.model.prices if isinstance(found.model.prices, list) else []
    dated: Iterable[ConditionalPrice | PriceVariant] = (*prices, *(found.model.price_variants or ()))
    return any(isinstance(one.constraint, TimeOfDateConstraint) for one in dated)


@lru_cache(maxsize=_REMEMBERED)
def _variants(found: Found, moment: str, context: tuple[tuple[str, str], ...]) -> tuple[PriceVariant, ...]:
    at, words = datetime.fromisoformat(moment), dict(context)
    return tuple(
        variant
        for variant in found.model.price_variants or ()
        if variant.when.items() <= words.items() and (variant.constraint is None or variant.constraint.active(at))
    )


@lru_cache(maxsize=_REMEMBERED)
def _leaves(found: Found, moment: str, context: tuple[tuple[str, str], ...]) -> tuple[Leaf, ...]:
    """Those of fewer words come last, so that a leaf's own ones are known before it."""
    prices = found.model.get_prices(datetime.fromisoformat(moment), dict(context))
    priced = [
        (_PRICED_BY[key], price)
        for key, price in vars(prices).items()
        if key in _PRICED_BY and isinstance(price, Decimal | TieredPrices)
    ]
    priced.sort(key=lambda one: (-len(one[0].dimensions), one[0].usage_key))
    return tuple(
        Leaf(
            name=unit.usage_key,
            price=price,
            per=unit.per,
            is_fee=unit.dimensions.get("family") in ("tool_calls", "requests"),
            within=tuple(at for at, (other, _) in enumerate(priced[:index]) if _is_part(other, unit)),
        )
        for index, (unit, price) in enumerate(priced)
    )


@lru_cache(maxsize=_REMEMBERED)
def _plan(
    found: Found, moment: str, context: tuple[tuple[str, str], ...], names: tuple[str, ...], zeros: tuple[str, ...]
) -> _Plan | None:
    """None if the quantities cannot be told apart as the prices want it."""
    of_model = _leaves(found, moment, context)
    reported = Usage(**{name: 0 if name in zeros else 1 for name in names if name in UNITS})
    try:
        for leaf in of_model:
            if leaf.name != _REQUESTS:
                getattr(reported, leaf.name)
    except ValueError:  # a part was told, and not its whole
        return None
    # Of a price whose quantity was not told, nothing is charged, nor of its parts.
    told = [index for index, leaf in enumerate(of_model) if leaf.name in names or leaf.name == _REQUESTS]
    at = {index: position for position, index in enumerate(told)}
    needed = tuple(_rate(of_model[index], at) for index in told)
    asked = set(names).difference(zeros) if of_model else names
    wholes = {name: _priced_by(found, name, of_model) for name in sorted(asked)}
    lacking = tuple(name for name, whole in wholes.items() if whole is None)
    within = tuple((name, whole) for name, whole in wholes.items() if whole not in (None, name, _REQUESTS))
    caches = [(at, "write" in rate.name) for at, rate in enumerate(needed) if rate.name.startswith("cache_")]
    has_input = any(rate.name == INPUT for rate in needed)
    return _Plan(needed, lacking, within, tuple(caches) if has_input else ())


def _rate(leaf: Leaf, at: Mapping[int, int]) -> _Rate:
    """`at` has the positions of the leaves that count, by their own."""
    base, tiers = (leaf.price.base, leaf.price.tiers) if isinstance(leaf.price, TieredPrices) else (leaf.price, ())
    above = tuple((tier.start, tier.price / leaf.per) for tier in reversed(tiers))
    within = tuple(at[one] for one in leaf.within if one in at)
    return _Rate(leaf.name, base / leaf.per, above, leaf.is_fee, within)


def _priced_by(found: Found, name: str, of_model: tuple[Leaf, ...]) -> str | None:
    """Return whose price a quantity has: its own, or that of a whole which costs the same; None if there is none."""
    if (unit := UNITS.get(name)) is None:
        return None
    wholes = [UNITS[leaf.name] for leaf in of_model if _is_part(unit, UNITS[leaf.name])]
    if not wholes:
        return None
    whole = max(wholes, key=lambda one: len(one.dimensions))
    return whole.usage_key if _costs_the_same(found.model.id, unit.dimensions, whole.dimensions) else None


def _costs_the_same(model: str, part: Mapping[str, str], whole: Mapping[str, str]) -> bool:
    if part.get("cache_ttl") == "1h" and "cache_ttl" not in whole and whole.get("token_type") == "cache_write":
        return False  # that is the price of five minutes
    kind = part.get("modality", "text")
    if kind == "text" or "modality" in whole or part.get("family") != _TOKENS:
        return True
    if part["direction"] == "output":
        return any(word in model for word in _ONLY[kind])
    return kind != "audio" or not model.startswith("gpt-") or not any(word in model for word in _AUDIO_MODELS)


def _is_part(unit: UnitDef, whole: UnitDef) -> bool:
    return whole.dimensions.items() <= unit.dimensions.items()
