"""The URL of a proxy, read as clients read it, and shown without its password."""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from llm_metrics_proxy.recorder.errors import BadProxyUrl

DEFAULT: Final = "http://127.0.0.1:8080"
_DEFAULT_PORT = 8080
_CURE = f"write it like {DEFAULT}"
_PASSWORD = re.compile(r"(://[^\s/@:]*):[^\s/@]*@")


@dataclass(frozen=True)
class ProxyUrl:
    """The address of a proxy, and the credentials for it."""

    host: str
    port: int
    credentials: str | None

    @property
    def authorization(self) -> dict[str, str]:
        """The header for the proxy that takes the credentials there, if there are any."""
        if self.credentials is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self.credentials.encode()).decode()}"}

    @property
    def address(self) -> str:
        """Host and port as one text."""
        return address_text(self.host, self.port)


def parse(url: str) -> ProxyUrl:
    """Read `url`; without a scheme it is taken for HTTP, as most clients do, and without a port for 8080.

    Raises:
        BadProxyUrl: it cannot be the URL of an HTTP proxy.
    """
    shown = without_password(url)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadProxyUrl(what=f"{shown!r} is no URL of a proxy", cure=_CURE) from error
    if parts.scheme != "http" or not host or any(not one.isprintable() or one.isspace() for one in host):
        raise BadProxyUrl(what=f"{shown!r} is no URL of an HTTP proxy", cure=_CURE)
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return ProxyUrl(host, port or _DEFAULT_PORT, credentials)


def address_text(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def without_password(text: str) -> str:
    """Return `text` with asterisks for the password of every URL in it."""
    return _PASSWORD.sub(r"\1:***@", text)
