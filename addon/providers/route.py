"""Where a request goes, and in which tongue: the answer of the registries."""

import re
from dataclasses import dataclass

from llm_metrics_proxy.addon.providers.usage import UsageReader


@dataclass(frozen=True)
class Route[T]:
    """An address that is an LLM's API; `speaks` is its wire format or its protocol."""

    provider: str
    operation: str
    usage_reader: UsageReader
    model: str | None
    """The model that the path or the query asks for."""
    known_host: bool
    """The host is an LLM's for certain; otherwise what is sent has to prove it."""
    speaks: T


LONGEST_PATH = 8192
"""Characters of a path, and of a query, that are looked at: no API has longer ones, and a client may send megabytes."""


def normalised(path: str) -> str:
    """Return `path` as servers take it: without doubled slashes and without one at the end."""
    return (re.sub(r"/{2,}", "/", path) if "//" in path else path).rstrip("/") or "/"
