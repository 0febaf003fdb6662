"""Terms of a call that its address and its key tell: the region whose prices hold, and who pays.

Regions that cost what every other costs are none, and neither is "global". A Bedrock model's name has the region in it.
"""

import enum
import re
from collections.abc import Mapping
from functools import lru_cache

from llm_metrics_proxy.addon.providers.hosts import UNKNOWN
from llm_metrics_proxy.addon.providers.values import is_word

API_KEY, SUBSCRIPTION, FREE = "api_key", "subscription", "free"

_REGIONS = (
    r"(?:mtls-)?([a-z]{2})\.api\.openai\.com",
    r"([a-z]{2})-api\.together\.(?:xyz|ai)",
    r"api\.([a-z]{2})\.mistral\.ai",
    r"([a-z0-9-]+)-aiplatform\.googleapis\.com",
    r"aiplatform\.([a-z0-9-]+)\.rep\.googleapis\.com",
)
_LOCATION = re.compile(r"/locations/([a-z0-9-]+)/")  # where the host is Google's and names none
_LONGEST_REMEMBERED = 256  # characters of a path: what is remembered is bounded
_GLOBAL = ("global", "not_available")

# Addresses (host and path) at which a plan pays, whatever the key.
_PLANS = (
    r"(?:gov\.)?chatgpt\.com/backend-api/",
    r"[a-z-]*cloudcode-pa(?:\.sandbox)?\.googleapis\.com/",  # a login with Gemini's command line
    r"(?:[a-z0-9-]+\.)*githubcopilot\.com/",
    r"copilot-proxy\.githubusercontent\.com/",
    r"copilot-api\.[a-z0-9-]+\.ghe\.com/",
    r"[a-z0-9.-]+/api/coding/",  # Z.ai, Volcengine
    r"api\.kimi\.(?:com|ai)/coding/",
    r"coding(?:-[a-z]+)?\.dashscope\.aliyuncs\.com/",
    r"token-plan\.[a-z0-9-]+\.maas\.aliyuncs\.com/",
    r"token-plan-[a-z]+\.xiaomimimo\.com/",
    r"api\.lkeap\.cloud\.tencent\.com/(?:coding|plan)/",
    r"api\.stepfun\.(?:ai|com)/step_plan/",
    r"coding-plan-endpoint\.kuaecloud\.net/",
    r"portal\.qwen\.ai/",
    r"cli-chat-proxy\.grok\.com/",
    r"opencode\.ai/zen/go/",
    r"ollama\.com/",
)
_REGION, _PLAN = re.compile("|".join(_REGIONS)), re.compile("|".join(_PLANS))
# Beginnings of keys of plans: Anthropic's logins, MiniMax's and Alibaba's plans for coding.
_PLAN_KEYS = ("sk-ant-oat", "sk-cp-", "sk-sp-")
_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_PROTOCOLS = "sec-websocket-protocol"
HEADERS = frozenset((*_KEY_HEADERS, _PROTOCOLS))
"""Those of requests that `key_in` reads."""
_KEY_IN_QUERY = re.compile(r"(?:^|&)key=")
_KEY_AS_PROTOCOL = "openai-insecure-api-key."
_FREE_MODELS = {"openrouter": (":free", "openrouter/free"), "opencode": ("-free",)}
_OWN_SERVER = "ollama"  # another that has no provider's name may be a gateway, and pay somebody
_CLOUD_MODELS = ("-cloud", ":cloud")  # which it takes from its maker, on a plan


def region_of(host: str, path: str) -> str | None:
    """Return the region that an address names, if the provider's prices depend on it; `host` is without port."""
    return _terms(host, path[:_LONGEST_REMEMBERED])[0]


def region_named(region: object) -> str | None:
    """Return a region in the provider's word; None for one that has no price of its own."""
    if not isinstance(region, str) or region in _GLOBAL:
        return None
    return region if is_word(region) else None


class Key(enum.Enum):
    """The kind of the key that a request's headers hold."""

    NONE = enum.auto()
    OF_AN_ACCOUNT = enum.auto()
    OF_A_PLAN = enum.auto()


def key_in(headers: Mapping[str, str]) -> Key:
    """Return the kind of key in a request's headers, names in lower case. It is only looked at."""
    kind = Key.NONE
    for name in _KEY_HEADERS:
        if name in headers:
            if headers[name].rpartition(" ")[2].startswith(_PLAN_KEYS):
                return Key.OF_A_PLAN
            kind = Key.OF_AN_ACCOUNT
    return Key.OF_AN_ACCOUNT if _KEY_AS_PROTOCOL in headers.get(_PROTOCOLS, "") else kind


def billing_of(  # noqa: PLR0913 - what tells it
    *, provider: str, host: str, path: str, query: str, key: Key, models: tuple[str | None, ...]
) -> str | None:
    """Tell who pays; None if that is not known.

    Args:
        provider: the name of hosts.csv.
        host: without port.
        path: without query.
        query: may have a key in it.
        key: the one in the headers.
        models: that were asked for, and that answered.
    """
    if _terms(host, path[:_LONGEST_REMEMBERED])[1]:
        return SUBSCRIPTION
    endings = _FREE_MODELS.get(provider)
    if endings is not None and any(model is not None and model.endswith(endings) for model in models):
        return FREE
    if key is Key.OF_A_PLAN:
        return SUBSCRIPTION
    if provider == _OWN_SERVER:
        return SUBSCRIPTION if (models[0] or "").endswith(_CLOUD_MODELS) else FREE
    if provider == UNKNOWN:
        return None
    return API_KEY if key is Key.OF_AN_ACCOUNT or _KEY_IN_QUERY.search(query) else None


@lru_cache(maxsize=1024)  # clients ask the same few addresses all day
def _terms(host: str, path: str) -> tuple[str | None, bool]:
    """Return an address's region, and whether a plan pays there."""
    host = host.lower()
    region = _REGION.fullmatch(host)
    if region is None and host.endswith(".googleapis.com"):
        region = _LOCATION.search(path)
    named = next(filter(None, region.groups())) if region else None
    return region_named(named), _PLAN.match(host + path) is not None
