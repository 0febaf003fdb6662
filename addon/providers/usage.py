"""Token usage: every provider's own numbers are kept as reported, and brought to one meaning by a table of keys.

The meaning (design of the columns): prompt tokens include cache reads and writes, completion tokens include
reasoning. Usage in streams is cumulative, so the last non-null value of each key wins and nothing is added up
over events.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import msgspec

from llm_metrics_proxy.addon.providers.values import integer, number

type Usage = dict[str, object]
type Key = tuple[str, ...]
"""A path into nested objects."""


class Tokens(msgspec.Struct, frozen=True):
    """Token counts, named as the columns are; None is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def columns(self) -> dict[str, int | None]:
        """Return all counts."""
        return msgspec.structs.asdict(self)


_NO_TOKENS = Tokens()


class UsageReader(Protocol):
    """Reads the counts of a provider's usage."""

    def tokens(self, usage: Usage) -> Tokens:
        """Read the counts."""
        ...


@dataclass(frozen=True)
class UsageKeys:
    """Where a wire format reports which count.

    `prompt` and `completion` are sums over those of their keys that are present, and unknown when the first is
    missing. The others are the first key that is present.
    """

    prompt: tuple[Key, ...]
    completion: tuple[Key, ...]
    total: tuple[Key, ...] = ()
    cached: tuple[Key, ...] = ()
    cache_write: tuple[Key, ...] = ()
    reasoning: tuple[Key, ...] = ()

    def tokens(self, usage: Usage) -> Tokens:
        """Read the counts; a missing total is prompt plus completion, where both are known."""
        if not usage:
            return _NO_TOKENS
        prompt, completion = _sum(usage, self.prompt), _sum(usage, self.completion)
        total = _first(usage, self.total)
        if total is None and prompt is not None and completion is not None:
            total = integer(prompt + completion)
        return Tokens(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=total,
            cached_tokens=_first(usage, self.cached),
            cache_write_tokens=_first(usage, self.cache_write),
            reasoning_tokens=_first(usage, self.reasoning),
        )


@dataclass(frozen=True)
class FirstOf:
    """Several readers for an API whose models report in different ways: the first that finds most counts."""

    readers: tuple[UsageKeys, ...]

    def tokens(self, usage: Usage) -> Tokens:
        """Read the counts."""
        found = [reader.tokens(usage) for reader in self.readers]
        return max(
            found, key=lambda tokens: (tokens.prompt_tokens is not None) + (tokens.completion_tokens is not None)
        )


_DEEPEST = 4  # objects within objects; no provider goes beyond three
_MOST_KEYS = 100


def merge(known: Usage, reported: object, depth: int = _DEEPEST) -> Usage:
    """Return `known` with every non-null value of `reported` in it, nested objects alike, down to a depth."""
    if type(reported) is not dict:
        return known
    merged = known.copy()
    for key, value in reported.items():
        if type(value) is dict:
            inner = merged.get(key)
            if depth:
                merged[key] = merge(inner if type(inner) is dict else {}, value, depth - 1)
        elif value is not None or key not in merged:
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


def _first(usage: Usage, keys: tuple[Key, ...]) -> int | None:
    for key in keys:
        if (value := integer(_value_at(usage, key))) is not None:
            return value
    return None


def _sum(usage: Usage, keys: tuple[Key, ...]) -> int | None:
    if not keys or (total := integer(_value_at(usage, keys[0]))) is None:
        return None
    for key in keys[1:]:
        total += integer(_value_at(usage, key)) or 0
    return integer(total)


# Where a provider states what the call cost: OpenRouter, Perplexity, xAI (whose ticks are 1e-10 dollars). Azure sends
# xAI's ticks as 0 whatever the call cost, so none is taken for unknown.
_COSTS: tuple[tuple[Key, float], ...] = (
    (("cost",), 1.0),
    (("cost", "total_cost"), 1.0),
    (("cost_in_usd_ticks",), 1e-10),
)


_LARGEST_COST = 1e6  # dollars: a call of more is a mistake, which would be the sum of all others too


def cost_in(usage: Usage) -> float | None:
    """Return what the provider says that the call cost, in US dollars."""
    for key, dollars in _COSTS:
        stated = number(_value_at(usage, key)) if key[0] in usage else None
        if stated is None or (key == ("cost_in_usd_ticks",) and stated == 0):
            continue
        if 0 <= (cost := stated * dollars) <= _LARGEST_COST:
            return cost
    return None


def timing_in(usage: object) -> Usage | None:
    """Return what some providers (Groq, Ollama) say about their own time among the counts."""
    if not isinstance(usage, dict):
        return None
    return {key: value for key, value in usage.items() if key.endswith(("_time", "_duration"))} or None
