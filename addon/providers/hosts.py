"""Which hosts are LLM providers: a host is data, not code.

The name is OpenTelemetry's `gen_ai.provider.name` where it has one. A pattern is matched against the whole host name,
without port.
"""

import re

UNKNOWN = "custom"

_HOSTS = (
    ("openai", r"(?:[a-z0-9-]+\.)?api\.openai\.com"),
    ("anthropic", r"api\.anthropic\.com"),
    ("azure.ai.openai", r"[a-z0-9-]+\.(?:openai\.azure\.com|cognitiveservices\.azure\.com)"),
    ("azure.ai.inference", r"[a-z0-9.-]+\.(?:services\.ai\.azure\.com|inference\.ai\.azure\.com)"),
)

_PATTERN = re.compile("|".join(f"({pattern})" for _, pattern in _HOSTS), re.IGNORECASE)


def provider_of(host: str) -> str | None:
    """Return the provider's name for a host name without port; None for a host that is no provider's."""
    found = _PATTERN.fullmatch(host.rstrip("."))
    return _HOSTS[found.lastindex - 1][0] if found and found.lastindex else None
