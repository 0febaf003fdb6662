"""A stored call, as far as its price depends on it, and what it consumed.

This is the one module outside of the addon that imports any of it: what a provider's usage means is written down once,
in the file of the wire format. Nothing there does I/O or knows mitmproxy, and no process that proxies imports this.
"""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from llm_metrics_proxy.addon.providers import read_usage
from llm_metrics_proxy.addon.providers.quantities import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT

type Consumed = Mapping[str, float]
"""Billable quantities: counts under genai-prices' names of units."""

_WITHOUT_OUTPUT = ("embeddings", "rerank")  # operations whose answers are no tokens


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

    def reported(self) -> dict[str, object]:
        """Return the usage in the provider's own words; empty if there is none, or it cannot be read."""
        try:
            usage = msgspec.json.decode(self.usage or "{}")
        except (ValueError, RecursionError):
            return {}
        return usage if isinstance(usage, dict) else {}

    def consumed(self) -> Consumed | None:
        """Return what the call consumed; None if that is not known in full, or contradicts itself.

        Of tokens, both input and output have to be known; what has no output consumed none of it.
        """
        counts = self._counts()
        if INPUT in counts and self.operation in _WITHOUT_OUTPUT:
            counts.setdefault(OUTPUT, 0)
        if not counts or (INPUT in counts) != (OUTPUT in counts):
            return None
        of_caches = counts.get(CACHE_READ, 0) + counts.get(CACHE_WRITE, 0)
        return counts if min(counts.values()) >= 0 and of_caches <= counts.get(INPUT, 0) else None

    def _counts(self) -> dict[str, float]:
        """Look into what was read when the call was recorded, what the provider said, and the columns of tokens."""
        if self.billed is not None:
            with suppress(ValueError):
                return msgspec.json.decode(self.billed, type=dict[str, float])
        if usage := self.reported():
            read = read_usage(usage, self.host or "", self.endpoint or "")
            if read.counted:
                return dict(read.billed or {})
        columns = {
            INPUT: self.prompt_tokens,
            OUTPUT: self.completion_tokens,
            CACHE_READ: self.cached_tokens,
            CACHE_WRITE: self.cache_write_tokens,
        }
        return {name: count for name, count in columns.items() if count is not None}
