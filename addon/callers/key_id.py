"""Which key paid for a call, without the key: a keyed hash of it, under a secret of the database.

Nobody who has rows alone can find out a key, or tell whether it is one that he knows: the secret is in a file of its
own. The key is looked at here, in the proxy's process, and nowhere handed on.
"""

import re
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote

from llm_metrics_proxy.addon.headers import Headers

BYTES: Final = 8
"""Of the hash; written as twice as many hex digits."""

_PERSON: Final = b"llm key id"
_HEADERS: Final = (
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "authorization",
    "ocp-apim-subscription-key",
    "x-subscription-token",
    "xi-api-key",
)
"""Best first: where a gateway's own credential stands as well, that is in Authorization."""
_PARAMETERS: Final = ("key", "api-key", "api_key", "subscription-key", "X-Amz-Credential", "access_token", "token")
_SUBPROTOCOLS, _KEY_AS_PROTOCOL = "sec-websocket-protocol", "openai-insecure-api-key."
_SCHEMES: Final = frozenset(("bearer", "basic", "token", "apikey", "key", "api-key"))
_SIGNED: Final = "aws4-hmac-sha256"
_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)")
_LONGEST: Final = 8192  # characters


class KeyIds:
    """Makes ids of keys under one secret."""

    __slots__ = ("_begun",)

    def __init__(self, secret: bytes) -> None:
        """`secret` is never shown."""
        self._begun = blake2b(digest_size=BYTES, key=secret[:64], person=_PERSON)

    def of(self, headers: Headers, query: str) -> str | None:
        """Return the id of the key that a request has; None if it has none."""
        key = _in_headers(headers) or (_in_query(query) if query else None)
        if not key:
            return None
        made = self._begun.copy()
        made.update(key[:_LONGEST].encode("utf-8", "surrogatepass"))
        return made.hexdigest()


def _in_headers(headers: Headers) -> str | None:
    for name in _HEADERS:
        if (value := headers.get(name)) and (key := _key_in(value)):
            return key
    if (protocols := headers.get(_SUBPROTOCOLS)) and _KEY_AS_PROTOCOL in protocols:
        return protocols.partition(_KEY_AS_PROTOCOL)[2].partition(",")[0].strip()
    return None


def _key_in(value: str) -> str | None:
    """Return what is the key in a header: after the name of a scheme, or the part of a signature that stays."""
    scheme, _, rest = value.strip().partition(" ")
    name = scheme.lower()
    if name == _SIGNED:
        found = _ACCESS_KEY.search(rest[:_LONGEST])
        return found[1] if found else None
    return rest.strip() if name in _SCHEMES else value.strip()


def _in_query(query: str) -> str | None:
    given = dict(pair.partition("=")[::2] for pair in query[:_LONGEST].split("&"))
    for name in _PARAMETERS:
        if value := given.get(name):
            key = unquote(value)
            return key.partition("/")[0] if name == "X-Amz-Credential" else key
    return None
