"""The terms of a call's price besides its model: the service tier that served it, and the region.

Rows of before version 6 of the schema have neither column: of them the usage, the host and the path still say a part.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.prices.call import Call

# Words for the ordinary price.
_STANDARD: Final = frozenset(
    ("", "auto", "default", "none", "on_demand", "on-demand", "standard", "standard_only", "unspecified")
)
_PREFIXES: Final = ("service_tier_", "traffic_type_", "on_demand_")
_NO_REGION: Final = frozenset(("", "global", "not_available"))
# Where a provider's address has the region, by genai-prices' name of the provider: in host and path.
_REGIONS: Final = {
    "openai": re.compile(r"(?P<region>[a-z]{2})\.api\.openai\.com"),
    "mistral": re.compile(r"api\.(?P<region>[a-z]{2})\.mistral\.ai"),
    "together": re.compile(r"(?P<region>[a-z]{2})-api\.together\."),
    "google": re.compile(r".*/locations/(?P<region>[a-z0-9-]+)/|(?P<host>[a-z0-9-]+)-aiplatform\."),
}
_REMEMBERED: Final = 4096


class Terms(NamedTuple):
    """Of a call; "" is the ordinary one."""

    tier: str = ""
    region: str = ""

    @property
    def context(self) -> dict[str, str]:
        """The tier in the words by which genai-prices tells variants of a price apart."""
        return _contexts(self.tier) if self.tier else {}


def terms_of(call: Call, said: dict[str, object], provider: str) -> Terms:
    """Return the terms of a call; `said` is its usage, and `provider` genai-prices' name."""
    return Terms(_tier(call, said), _region(call, said, provider))


@lru_cache(maxsize=_REMEMBERED)
def tier_word(word: str) -> str:
    """Return a provider's word for a service tier as ours: lower, without prefixes, "" for the ordinary one."""
    word = word.strip().lower()
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return "" if word in _STANDARD else word


@lru_cache(maxsize=64)
def _contexts(tier: str) -> dict[str, str]:
    if tier == "batch":
        return {"processing": tier}
    return {"speed": tier, "service_tier": tier} if tier == "fast" else {"service_tier": tier}


def _tier(call: Call, said: dict[str, object]) -> str:
    told = call.service_tier
    if told is None and said:
        words = (said.get(key) for key in ("service_tier", "serviceTier", "trafficType"))
        told = next((word for word in words if isinstance(word, str)), "")
    tier = tier_word(told or "")
    speed = said.get("speed")
    return tier_word(speed) if not tier and isinstance(speed, str) else tier


def _region(call: Call, said: dict[str, object], provider: str) -> str:
    region = call.region
    if region is None and isinstance(geo := said.get("inference_geo"), str):
        region = geo
    if region is None:
        region = _in_address(provider, call.host or "", call.endpoint or "")
    region = region.lower()
    return "" if region in _NO_REGION else region


@lru_cache(maxsize=_REMEMBERED)
def _in_address(provider: str, host: str, endpoint: str) -> str:
    pattern = _REGIONS.get(provider)
    found = pattern.match(f"{host}{endpoint}") if pattern else None
    return next((one for one in found.groups() if one), "") if found else ""
