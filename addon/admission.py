"""Admission: the names under which ports answer, and requests that a page in a browser makes.

A page can point its own name at this machine after it was loaded (DNS rebinding). The browser then takes a port here
for that page's server, and lets the page read its answers. The page cannot change the Host header: it holds the page's
name. A reverse port writes the provider's name there, so that a provider's own check sees nothing wrong. So names are
checked here, as they came.

Names that nobody can own on the internet are safe. On a connection that comes from this machine only its own names are
meant. On one that comes from elsewhere, containers' and local networks' names are too, and addresses: which address
others use cannot be known behind a published port, and whoever could forge such names there reaches the port anyway.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from llm_metrics_proxy.addon.headers import Headers

MISDIRECTED = 421
"""RFC 9110, 15.5.20: the request reached a server that does not answer for this name."""
_AUTHORITY = re.compile(
    r"""
      (?: \[ (?P<ipv6> [0-9a-f:.]+ (?:%[\w.~%-]+)? ) \]  |  (?P<name> [a-z0-9_] (?:[a-z0-9_.-]*[a-z0-9_])? ) \.? )
      (?: :\d* )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_A_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")  # as the last label, by which URLs tell addresses from names
_LOOPBACK, _BELOW_LOOPBACK = "localhost", ".localhost"  # RFC 6761
_LOCAL_NETWORKS = (".local", ".internal")  # RFC 6762; reserved by ICANN in 2024. Kubernetes' names end in .local
_LONGEST_SHOWN = 100  # characters of a name
_NO_SERVER = "This is a proxy and no server: let HTTPS_PROXY and HTTP_PROXY name it, and call the API by its own name."
_MORE = "to let it in, start the proxy with --set metrics_allowed_hosts="


class Asked(NamedTuple):
    """A request's address as it came, before anything was filled in or replaced."""

    of_proxy: bool
    """It came to a proxy's port, outside of tunnels."""
    authority: bytes
    """Of the target or `:authority`; empty if the target was a path."""
    fields: tuple[tuple[bytes, bytes], ...]

    def names(self) -> list[str]:
        """Return every name that the request gives the server, with its port."""
        named = [self.authority, *(value for name, value in self.fields if name.lower() == b"host")]
        return [name.decode("latin-1") for name in named if name]


class Refusal(NamedTuple):
    """A request that goes no further; `name` is the host that it asked for, empty if that was none."""

    name: str
    sentence: str


class Admission:
    """The names that are meant: those of every machine, and `names`; one that begins with a dot is all below it."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` may have ports."""
        given = [name.lower() for name in names]
        self._names = {_LOOPBACK} | {host for name in given if (host := host_in(name)) is not None}
        self._suffixes = (_BELOW_LOOPBACK, *(name for name in given if name.startswith(".")))

    def refused_by_reverse(self, asked: Asked, provider: str, arrived_at: str) -> Refusal | None:
        """Refuse a request to a reverse port whose names were not meant.

        `provider` is the host that the port stands for, `arrived_at` the address of ours that the client connected to.
        A request without a name is let in: no browser sends one.
        """
        for name in asked.names():
            if not self._is_meant(host_in(name), host_in(provider), host_in(arrived_at)):
                host = host_in(name)
                if host is None:  # it is not quoted: there may be a password in it
                    return Refusal("", "This port answers to host names, and the request's Host is none.")
                shown = str(host)[:_LONGEST_SHOWN]
                return Refusal(shown, f"This port does not answer to the name {shown}: {_MORE}{shown}.")
        return None

    def _is_meant(self, host: "Host | None", provider: "Host | None", arrived_at: "Host | None") -> bool:
        if host is None:
            return False
        if host in self._names or host in (provider, arrived_at):
            return True
        from_here = arrived_at is None or isinstance(arrived_at, str) or arrived_at.is_loopback
        if isinstance(host, str):
            is_local = "." not in host or host.endswith(_LOCAL_NETWORKS)
            return host.endswith(self._suffixes) or (is_local and not from_here)
        return host.is_loopback or host.is_unspecified or not from_here


type Host = str | IPv4Address | IPv6Address


@lru_cache(maxsize=1024)
def host_in(authority: str) -> Host | None:
    """Return the host of a Host header, a name in lower case without a dot at its end; None if it holds none.

    Addresses count only as browsers write them: `127.1` and `2130706433` are none.
    """
    try:
        return ip_address(authority)  # without brackets, as sockets have it
    except ValueError:
        pass
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    name = found["name"]
    try:
        if name is None:
            return IPv6Address(found["ipv6"])
        name = name.lower()
        return ip_address(name) if _A_NUMBER.fullmatch(name.rpartition(".")[2]) else name
    except ValueError:
        return None


def refused_by_proxy(asked: Asked) -> Refusal | None:
    """Refuse a request to a proxy's port that asks it as if it were the server itself."""
    if asked.authority or not asked.of_proxy:
        return None
    hosts = [str(host)[:_LONGEST_SHOWN] for name in asked.names() if (host := host_in(name)) is not None]
    return Refusal(", ".join(hosts[:1]), _NO_SERVER)


def is_from_a_page(headers: Headers) -> bool:
    """Tell whether a page in a browser makes this request, rather than a person who typed the address, or a program.

    Browsers say so themselves, but over plain HTTP, of a GET without CORS, they say nothing. Then only a person who
    goes to an address makes them send `Upgrade-Insecure-Requests`, which no page can add.
    """
    if "origin" in headers or "referer" in headers:
        return True
    if (site := headers.get("sec-fetch-site")) is not None:
        return site != "none"
    return headers.get("user-agent", "").startswith("Mozilla/") and "upgrade-insecure-requests" not in headers
