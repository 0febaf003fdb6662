"""The registry of wire formats, and `match`: which one a request speaks.

A new provider is one file here, one line in `_FORMATS`, and one folder of fixtures; a new host of a known format is
one line in `hosts.py`.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from addon.providers.anthropic_messages import MESSAGES
from addon.providers.format import WireFormat
from addon.providers.hosts import UNKNOWN, provider_of
from addon.providers.openai_chat import CHAT, COMPLETIONS
from addon.providers.openai_embeddings import EMBEDDINGS
from addon.providers.openai_responses import RESPONSES
from addon.providers.values import text

# The first pattern that is found in the path decides. A group `model` names the model that the path asks for.
_FORMATS: tuple[tuple[str, WireFormat], ...] = (
    (r"(?:/deployments/(?P<model>[^/]+))?/chat/completions$", CHAT),
    (r"(?:/deployments/(?P<model>[^/]+))?/completions$", COMPLETIONS),
    (r"(?:/deployments/(?P<model>[^/]+))?/embeddings$", EMBEDDINGS),
    (r"/responses$", RESPONSES),
    (r"/messages$", MESSAGES),
)

_COMPILED = tuple((re.compile(pattern), wire_format) for pattern, wire_format in _FORMATS)


@dataclass(frozen=True)
class Route:
    """Where a request goes."""

    provider: str
    format: WireFormat
    model: str | None
    """The model that the path asks for."""
    known_host: bool
    """The host is an LLM's for certain; otherwise the body has to prove it."""


def match(host: str, path: str, *, named: bool = False) -> Route | None:
    """Return where a POST to `path` (without query) on `host` (without port) goes; None if it is no LLM's API.

    `named` says that somebody named the host as an LLM's.
    """
    path = normalised(path)
    for pattern, wire_format in _COMPILED:
        if found := pattern.search(path):
            provider = provider_of(host)
            model = found.groupdict().get("model")
            return Route(
                provider=provider or UNKNOWN,
                format=wire_format,
                model=text(unquote(model)) if model else None,
                known_host=named or provider is not None,
            )
    return None


def normalised(path: str) -> str:
    """Return `path` as servers take it: without doubled slashes and without one at the end."""
    return re.sub(r"/{2,}", "/", path).rstrip("/") or "/"
