"""Token usage: a provider's own numbers are kept as reported, and counted as quantities of one meaning.

Every wire format declares in its own file which of its keys counts which quantity (`UsageKeys`); the columns and what
is billed both come from that one reading. Input includes cache reads and writes, output includes reasoning. Usage in
streams is cumulative, so the last value of each key wins that says anything, and nothing is added up over events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

import msgspec

from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CITATION,
    DURATIONS,
    INPUT,
    MODEL,
    OTHER_MODELS,
    OUTPUT,
    REASONING,
    TOTAL,
)
from llm_metrics_proxy.addon.providers.values import integer, is_word, number, text

type Usage = dict[str, object]
type Key = tuple[str, ...]
"""A path into nested objects."""
type Quantities = dict[str, Any]
"""Counts by the names of quantities.py, which has the shape; what is not there is unknown."""


class Tokens(msgspec.Struct, frozen=True):
    """Token counts, named as the columns are; None is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Consumed(msgspec.Struct, frozen=True, gc=False):
    """Usage of a call, as its provider reports it."""

    tokens: Tokens
    counted: Quantities
    """Quantities that are not 0, and input and output tokens wherever they are known, even as 0."""
    sane: bool
    """Nothing was said that cannot be true, such as a negative count."""

    @property
    def billed(self) -> Quantities | None:
        """Billable quantities; None if they are not known."""
        return self.counted if self.counted and self.sane else None


_NOTHING = Consumed(Tokens(), {}, sane=True)


class UsageReader(Protocol):
    """Reads the quantities of a provider's usage."""

    def read(self, usage: Usage) -> Consumed:
        """Read what was consumed."""
        ...


@dataclass(frozen=True, slots=True)
class Apart:
    """A key that counts `part`, which the provider leaves out of `whole`: it is added, where the whole is known."""

    part: str
    whole: str


@dataclass(frozen=True, slots=True)
class Instead:
    """A key that counts a quantity only where no other key does: another name, or one that repeats it."""

    entry: "str | Apart"


@dataclass(frozen=True, slots=True)
class Listed:
    """A key whose value is a list of objects, each with its kind and its count; without `count` the object is counted.

    Kinds that are not in `counts` are counted nowhere. A kind that is a number stands there as its digits.
    """

    kind: str
    count: str | None
    counts: "Mapping[str, Entry]"


@dataclass(frozen=True, slots=True)
class OtherModel:
    """A key whose value is the usage of another model, which it names in `model` if at all."""

    reader: UsageReader


type Entry = str | Apart | Instead | Listed | OtherModel | tuple[Entry, ...] | Keys
"""The meaning of a key: a quantity, several at once, or the meanings of its nested keys."""
type Keys = Mapping[str, Entry]

_LARGEST = 10**12  # as of `integer`
_MOST_LISTED = 100


class UsageKeys:
    """The table of a wire format's usage: `keys` has the shape of the provider's own JSON.

    `settle` corrects what was counted, where a format means different things by the same key. `seen` reads the columns
    where they are told apart from what is billed. Quantities in `zeros` are 0
    when they are left out, as protobuf writes them; their columns stay unknown.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        settle: Callable[[Quantities], None] | None = None,
        seen: "UsageKeys | None" = None,
        zeros: tuple[str, ...] = (),
    ) -> None:
        self.keys = keys
        self.seen = seen
        self._settle = settle
        self._zeros = zeros

    def read(self, usage: Usage) -> Consumed:
        """Read what was consumed; a missing total is input plus output, where both are known."""
        if not usage:
            return _NOTHING
        counts: Quantities = {}
        later: _Later = []
        sane = _count(usage, self.keys, counts, later)
        if later:
            _settle_later(later, counts)
        if self._settle is not None:
            self._settle(counts)
        if counts.get(INPUT, 0) > _LARGEST or counts.get(OUTPUT, 0) > _LARGEST:  # together, what no part is alone
            counts, sane = {name: n for name, n in counts.items() if name != OTHER_MODELS and n <= _LARGEST}, False
        total = counts.pop(TOTAL, None)
        counted: Quantities = {name: count for name, count in counts.items() if count or name in _KEPT}
        if counted:
            for name in self._zeros:
                counted.setdefault(name, 0)
        consumed = Consumed(_tokens(counts, total), counted, sane)
        return consumed if self.seen is None else _seen_apart(consumed, self.seen.read(usage))


class FirstOf:
    """Several readers for an API whose models report in different ways: the first that finds most counts."""

    def __init__(self, *readers: UsageReader) -> None:
        self.readers = readers

    def read(self, usage: Usage) -> Consumed:
        """Read what was consumed."""
        found = [reader.read(usage) for reader in self.readers] if usage else [_NOTHING]
        return min(found, key=lambda one: (one.tokens.prompt_tokens, one.tokens.completion_tokens).count(None))


_KEPT = (INPUT, OUTPUT)

type _Later = list[tuple[Apart | Instead, int]]


def _count(said: Mapping[str, object], keys: Keys, counts: Quantities, later: _Later) -> bool:
    """Add up what `said` reports to `counts`; return whether all of what `keys` names can be true.

    What depends on the other counts is put off to `later`.
    """
    sane = True
    for key, value in said.items():
        entry = keys.get(key)
        if entry is None or value is None:
            continue
        if type(value) is int and 0 <= value <= _LARGEST:
            if type(entry) is str:
                counts[entry] = counts.get(entry, 0) + value
            else:
                sane = _add(entry, value, counts, later) and sane
        elif type(value) is dict and type(entry) is dict:
            sane = _count(value, entry, counts, later) and sane
        else:
            sane = _count_other(value, entry, counts, later) and sane
    return sane


def _count_other(value: object, entry: Entry, counts: Quantities, later: _Later) -> bool:
    """Count what is neither a whole number nor an object: a list, or a number with a point; False for all else."""
    if isinstance(entry, Listed) and isinstance(value, list):
        sane = True
        for part in value[:_MOST_LISTED]:
            if isinstance(part, dict) and isinstance(kind := part.get(entry.kind), str | int):
                count = part if entry.count is None else part.get(entry.count)
                sane = _count({str(kind): count}, entry.counts, counts, later) and sane
        return sane
    if isinstance(entry, OtherModel) and isinstance(value, dict):
        return _count_apart(value, entry, counts)
    if (whole := integer(value)) is not None:
        return _add(entry, whole, counts, later)
    if type(value) is float and entry in DURATIONS and 0 <= value <= _LARGEST:
        counts[str(entry)] = value
        return True
    return isinstance(entry, dict) and not value  # some write an empty list for an object without keys


def _count_apart(usage: Usage, entry: OtherModel, counts: Quantities) -> bool:
    """Count what another model used, if it did anything."""
    used = entry.reader.read(usage)
    if any(used.counted.values()):
        named = text(usage.get(MODEL))
        name: Quantities = {MODEL: named} if named and is_word(named) else {}
        counts.setdefault(OTHER_MODELS, []).append(name | used.counted)
    return used.sane


def _add(entry: Entry, count: int, counts: Quantities, later: _Later) -> bool:
    """Count something by an entry; False if the entry is about more than one number."""
    if isinstance(entry, str):
        counts[entry] = counts.get(entry, 0) + count
    elif isinstance(entry, Apart):
        counts[entry.part] = counts.get(entry.part, 0) + count
        later.append((entry, count))
    elif isinstance(entry, Instead):
        later.append((entry, count))
    elif type(entry) is tuple:
        for one in entry:
            _add(one, count, counts, later)
    else:
        return not count
    return True


def _settle_later(later: _Later, counts: Quantities) -> None:
    """Count what depends on the other counts: first what only counts where nothing else does, then the wholes."""
    for put_off, count in later.copy():
        if isinstance(put_off, Instead):
            entry = put_off.entry
            if (entry.part if isinstance(entry, Apart) else entry) not in counts:
                _add(entry, count, counts, later)
    for put_off, count in later:
        if isinstance(put_off, Apart) and put_off.whole in counts:
            counts[put_off.whole] += count


def _tokens(counts: Quantities, total: int | None) -> Tokens:
    prompt, completion = counts.get(INPUT), counts.get(OUTPUT)
    if completion is not None and CITATION in counts:
        completion -= counts[CITATION]
    if total is None and prompt is not None and completion is not None:
        total = integer(prompt + completion)
    return Tokens(prompt, completion, total, counts.get(CACHE_READ), counts.get(CACHE_WRITE), counts.get(REASONING))


def _seen_apart(billed: Consumed, seen: Consumed) -> Consumed:
    """Join what is billed with what the model saw; each stands for the other where only one is told."""
    tokens = billed.tokens if seen.tokens.prompt_tokens is None else seen.tokens
    return Consumed(tokens, billed.counted or seen.counted, billed.sane and seen.sane)


_DEEPEST = 4  # objects within objects; no provider goes beyond three
_MOST_KEYS = 100


def merge(known: Usage, reported: object, depth: int = _DEEPEST) -> Usage:
    """Return `known` with every value of `reported` in it that says something, nested objects alike, down to a depth.

    Zero says nothing where a number is known: some servers write zeros for what an earlier event has counted.
    """
    if type(reported) is not dict:
        return known
    merged = known.copy()
    for key, value in reported.items():
        if type(value) is dict:
            inner = merged.get(key)
            if depth:
                merged[key] = merge(inner if type(inner) is dict else {}, value, depth - 1)
        elif value or (not merged.get(key) and (value is not None or key not in merged)):
            merged[key] = value
    if len(merged) > _MOST_KEYS:
        return dict(islice(merged.items(), _MOST_KEYS))
    return merged


def _value_at(usage: Usage, key: Key) -> object:
    value: object = usage
    for name in key:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


# Where a provider states what the call cost: OpenRouter, Perplexity, xAI (whose ticks are 1e-10 dollars), DeepInfra.
# Azure sends xAI's ticks as 0 whatever the call cost, so none is taken for unknown.
_COSTS: tuple[tuple[Key, float], ...] = (
    (("cost",), 1.0),
    (("cost", "total_cost"), 1.0),
    (("cost_in_usd_ticks",), 1e-10),
    (("estimated_cost",), 1.0),
)
_COST_KEYS = frozenset(key[0] for key, _ in _COSTS)
_UPSTREAM_COST = ("cost_details", "upstream_inference_cost")


_LARGEST_COST = 1e6  # dollars: a call of more is a mistake, which would be the sum of all others too


def cost_in(usage: Usage) -> float | None:
    """Return what the provider says that the call cost, in US dollars.

    With an own key (`is_byok`) a gateway charges its fee, and the provider behind it the rest: the cost is both.
    """
    if _COST_KEYS.isdisjoint(usage):  # nearly always
        return None
    for key, dollars in _COSTS:
        stated = number(_value_at(usage, key)) if key[0] in usage else None
        if stated is None or (key == ("cost_in_usd_ticks",) and stated == 0):
            continue
        if usage.get("is_byok") is True:
            upstream = number(_value_at(usage, _UPSTREAM_COST))
            if upstream is None:
                return None
            stated += upstream
        if 0 <= (cost := stated * dollars) <= _LARGEST_COST:
            return cost
    return None


def own_key_fee(usage: Usage) -> float | None:
    """Return what a gateway charges for a call with an own key, where it does not know what the provider charges."""
    if usage.get("is_byok") is not True or number(_value_at(usage, _UPSTREAM_COST)) is not None:
        return None
    fee = number(usage.get("cost"))
    return fee if fee is not None and 0 <= fee <= _LARGEST_COST else None


# Words for a tier that is nothing special, and for none at all.
_ORDINARY_TIERS = frozenset({"default", "standard", "on_demand", "on-demand"})
_NO_TIERS = frozenset({"auto", "unspecified", "service_tier_unspecified", "traffic_type_unspecified"})
_LONGEST_TIER = 64  # characters: what is remembered is bounded
_TIER_KEYS = ("speed", "service_tier", "serviceTier", "trafficType")  # Anthropic and others, Gemini, Vertex AI


def tier_of(*said: object) -> str | None:
    """Return the tier that served a call, in the provider's word: the first that is special, else the first."""
    ordinary = None
    for word in said:
        if type(word) is str and len(word) <= _LONGEST_TIER and _is_tier(word):
            if word.lower() not in _ORDINARY_TIERS:
                return word
            ordinary = ordinary or word
    return ordinary


@lru_cache(maxsize=64)
def _is_tier(word: str) -> bool:
    return word != "" and is_word(word) and word.lower() not in _NO_TIERS


def tier_in(usage: Usage, said_beside: str | None) -> str | None:
    """Return the tier of a usage and of what was said beside it."""
    if usage.keys().isdisjoint(_TIER_KEYS):  # nearly always
        return said_beside
    return tier_of(said_beside, *[usage[key] for key in _TIER_KEYS if key in usage])


def timing_in(usage: object) -> Usage | None:
    """Return what some providers (Groq, Ollama) say about their own time among the counts."""
    if not isinstance(usage, dict):
        return None
    return {key: value for key, value in usage.items() if key.endswith(("_time", "_duration"))} or None
