"""A stored call, as far as its price depends on it, and what it consumed.

With pricing.py and charging.py this is all outside of the addon that imports any of it: the meaning of a provider's
usage is written down once, in the file of the wire format. Nothing there does I/O or knows mitmproxy.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from llm_metrics_proxy.addon.providers import read_usage
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CITATION,
    INPUT,
    MODEL,
    OTHER_MODELS,
    OUTPUT,
    REASONING,
)
from llm_metrics_proxy.addon.providers.usage import cost_in, own_key_fee
from llm_metrics_proxy.recorder.prices import notes

type Counts = dict[str, float]
"""Billable quantities: counts under genai-prices' names of units."""

_WITHOUT_OUTPUT: Final = ("embeddings", "rerank")  # operations whose answers are no tokens
# The answer was under way when something broke: it was billed as far as it had come. Failures that the provider itself
# says are mostly not.
_CUT: Final = ("client_disconnect", "stream_truncated", "upstream_disconnect", "timeout", "proxy_shutdown")
_COSTS: Final = ("cost", "cost_in_usd_ticks")
_TERMS: Final = ("service", "trafficType", "speed", "inference_geo", "cost")  # in the names of what says more


class Consumed(msgspec.Struct, frozen=True):
    """Quantities of a call, or the reason for which they are not known."""

    counts: Counts = {}
    others: tuple[tuple[str | None, Counts], ...] = ()
    """What other models consumed within the call, each with the model's name if that is known."""
    note: str | None = None
    """A word of notes.py: with counts, what they lack."""

    @property
    def tokens(self) -> tuple[float | None, float | None]:
        """Tokens of input and of output, None where they were not told."""
        return self.counts.get(INPUT), self.counts.get(OUTPUT)

    @property
    def used_cache(self) -> bool:
        """Tell whether anything was read from a cache or written to one."""
        return any([count for name, count in self.counts.items() if name.startswith("cache_")])  # noqa: C419 - faster

    def without_cache(self, *, but_writes: bool = False) -> "Consumed":
        """Leave the quantities of a cache out, so that they are input as any other, which includes them."""

        def plain(counts: Counts) -> Counts:
            return {
                name: count
                for name, count in counts.items()
                if not name.startswith("cache_") or (but_writes and name.startswith(CACHE_WRITE.removesuffix("tokens")))
            }

        others = tuple((model, plain(counts)) for model, counts in self.others)
        return Consumed(plain(self.counts), others, self.note)


class Call(msgspec.Struct, frozen=True, array_like=True):
    """Columns of `completion_requests`, under their names."""

    timestamp: str
    provider: str | None = None
    operation: str | None = None
    host: str | None = None
    endpoint: str | None = None
    model: str | None = None
    response_model: str | None = None
    usage: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    billed: str | None = None
    success: int = 1
    error_type: str | None = None
    usage_source: str | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str | None = None
    region: str | None = None

    @property
    def tells_more(self) -> bool:
        """The usage says more than `billed` and the columns: on which terms, or the bill of what broke off."""
        if self.billed is None or self.usage_source == "partial":
            return True
        usage = self.usage or ""
        return any([word in usage for word in _TERMS])  # noqa: C419 - a list takes half the time

    def reported(self) -> dict[str, object]:
        """Return the usage in the provider's own words; empty if there is none, or it cannot be read."""
        try:
            usage = msgspec.json.decode(self.usage or "{}")
        except (ValueError, RecursionError):
            return {}
        return usage if isinstance(usage, dict) else {}

    def stated(self, said: dict[str, object], before: float | None) -> float | None:
        """Return what the provider itself says that the call cost, where `before` stands for it in the row."""
        if before is None or said.keys().isdisjoint(_COSTS):
            return before
        return cost_in(said)

    def fee_beside(self, said: dict[str, object]) -> float | None:
        """Return what a gateway charges beside the provider, whose bill it does not tell."""
        return own_key_fee(said) if said else None

    @property
    def was_cut(self) -> bool:
        """The answer broke off, by nobody's decision that it should cost nothing."""
        return self.usage_source == "partial" and (self.success == 1 or self.error_type in _CUT)

    def consumed(self, said: dict[str, object]) -> Consumed:
        """Return what the call consumed; `said` is its usage.

        Of tokens, both input and output have to be known; what has no output consumed none of it.
        """
        counts, others, sane = self._counts(said)
        if not sane or _contradict(counts) or self._total_is_less():
            return Consumed(note=notes.CONTRADICTORY)
        if (not counts or (not self.success and not self.was_cut and not any(counts.values()))) and not others:
            return Consumed(note=self._nothing_said())
        if INPUT in counts and self.operation in _WITHOUT_OUTPUT:
            counts.setdefault(OUTPUT, 0)
        if OUTPUT in counts and INPUT not in counts:
            return Consumed(note=notes.NO_INPUT)
        if not self.was_cut and (INPUT in counts) == (OUTPUT in counts):
            return Consumed(counts, others)
        # What was counted until it broke off, of more. Of a bill that was still empty the fees are not known either,
        # and what a provider says has failed it does not bill.
        failed = not self.success and not self.was_cut
        if failed or not said.keys().isdisjoint(_COSTS):
            return Consumed(note=notes.NO_OUTPUT)
        return Consumed({OUTPUT: 0} | counts if INPUT in counts else counts, others, notes.NO_OUTPUT)

    def _nothing_said(self) -> str | None:
        """What the provider refused or said has failed it does not bill: nothing is lacking."""
        return notes.NO_USAGE if self.success or self.error_type in _CUT else None

    def _total_is_less(self) -> bool:
        if self.total_tokens is None or self.prompt_tokens is None or self.completion_tokens is None:
            return False
        return self.total_tokens < self.prompt_tokens + self.completion_tokens - (self.reasoning_tokens or 0)

    def _counts(self, said: dict[str, object]) -> tuple[Counts, tuple[tuple[str | None, Counts], ...], bool]:
        """Look into what was read when the call was recorded, what the provider said, and the columns of tokens.

        The last says that nothing of it is known to be untrue.
        """
        if self.billed is not None:
            try:  # nearly always
                return _numbers_in(self.billed), (), True
            except ValueError:
                with suppress(ValueError, RecursionError):
                    return *_apart(msgspec.json.decode(self.billed, type=dict[str, Any])), True
            said = self.reported()
        if said:
            read = read_usage(said, self.host or "", self.endpoint or "")
            if read.counted or not read.sane:
                return *_apart(dict(read.billed or {})), read.sane
        columns = {
            INPUT: self.prompt_tokens,
            OUTPUT: self.completion_tokens,
            CACHE_READ: self.cached_tokens,
            CACHE_WRITE: self.cache_write_tokens,
        }
        return {name: count for name, count in columns.items() if count is not None}, (), True


_numbers_in: Final = msgspec.json.Decoder(dict[str, int | float]).decode


def _apart(billed: Mapping[str, Any]) -> tuple[Counts, tuple[tuple[str | None, Counts], ...]]:
    """Tell the call's own quantities from those of other models.

    Raises:
        msgspec.ValidationError: something is no number.
    """
    own = msgspec.convert({name: count for name, count in billed.items() if name != OTHER_MODELS}, Counts)
    others = msgspec.convert(billed.get(OTHER_MODELS) or [], list[dict[str, str | float]])
    return own, tuple((_name(other), _numbers(other)) for other in others)


def _name(other: Mapping[str, str | float]) -> str | None:
    name = other.get(MODEL)
    return name if isinstance(name, str) else None


def _numbers(other: Mapping[str, str | float]) -> Counts:
    return {name: count for name, count in other.items() if not isinstance(count, str)}


def _contradict(counts: Counts) -> bool:
    """Tell whether a part is more than its whole, or anything less than nothing."""
    if not counts:
        return False
    caches = counts.get(CACHE_READ, 0) + counts.get(CACHE_WRITE, 0)
    parts = counts.get(REASONING, 0) + counts.get(CITATION, 0)
    return (
        min(counts.values()) < 0
        or (INPUT in counts and caches > counts[INPUT])
        or (OUTPUT in counts and parts > counts[OUTPUT])
    )
