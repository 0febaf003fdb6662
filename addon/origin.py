"""Who sent a request, and to whom: for each the first of several sources that says so."""

import ipaddress
from functools import lru_cache

from llm_metrics_proxy.addon.headers import Headers
from llm_metrics_proxy.addon.providers.values import text

LABEL_HEADER = "x-llm-origin"
"""Set by a client to name itself; it never leaves the proxy."""


def origin_of(proxy_user: str | None, label: str | None, headers: Headers, client: str | None) -> str | None:
    """Return the origin of a request.

    In this order: the user of the proxy's URL, the header `x-llm-origin`, the header `Origin`, the first product of
    `User-Agent`, the client's address.
    """
    product = (headers.get("user-agent") or "").split(maxsplit=1)
    return (
        text(proxy_user)
        or text((label or "").strip())
        or text(headers.get("origin"))
        or text(product[0] if product else None)
        or client
    )


def host_asked_for(address: str, server_name: str | None) -> str:
    """Return the host name of a request: the address that was asked for, unless it is a number and TLS has a name."""
    return server_name or address if _is_number(address) else address


@lru_cache(maxsize=1024)
def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
