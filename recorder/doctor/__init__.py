"""Doctor: checks of everything between a program and the database, each result with its cure.

Nothing is claimed that was not tried: installed clients are really run, and a check that could not run says so. This
module has the circumstances that checks look at (environment, proxy, host, files) and the `Check` that they return;
examination.py runs all of them.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from llm_metrics_proxy.recorder.client_setup import proxy_url
from llm_metrics_proxy.recorder.client_setup.bundle import bundle_of
from llm_metrics_proxy.recorder.client_setup.proxy_url import ProxyUrl, without_password
from llm_metrics_proxy.recorder.errors import BadProxyUrl
from llm_metrics_proxy.recorder.reporting import printable

HTTPS_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY")  # curl, Python and Node all take the first that is set
_MIB = 1 << 20


@dataclass(frozen=True)
class Circumstances:
    """`url` is the proxy's as it was given, `host` the LLM host in question, if there is one."""

    environment: Mapping[str, str]
    url: str
    authority: Path
    database: Path
    database_is_given: bool = False
    host: str | None = None
    port: int = 443
    python: str | None = None
    patience: float = 5.0  # seconds that one answer may take
    least_free: int = 64 * _MIB  # bytes of disk below which something is wrong
    little_free: int = 1024 * _MIB  # bytes of disk below which somebody should know

    @property
    def proxy(self) -> ProxyUrl:
        """The proxy's address."""
        return proxy_url.parse(self.url)

    @property
    def trusted(self) -> Path:
        """The file that clients should trust: the bundle, or the CA alone while there is none."""
        try:
            return bundle_of(self.authority) or self.authority
        except OSError:
            return self.authority

    def first_set(self, names: tuple[str, ...]) -> str | None:
        """Return the first of the variables that has a value."""
        return next((name for name in names if self.environment.get(name)), None)

    def names_the_proxy(self, url: str) -> bool:
        """Tell whether a variable's value leads to the proxy."""
        try:
            other, this = proxy_url.parse(url), self.proxy
        except BadProxyUrl:
            return False
        return (_same_machine(other.host), other.port) == (_same_machine(this.host), this.port)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _same_machine(host: str) -> str:
    return "127.0.0.1" if host.lower() == "localhost" else host.lower()


type Level = Literal["ok", "warn", "fail", "untried"]


class Check(msgspec.Struct, frozen=True):
    """The names are keys of the JSON document of `llm-metrics doctor`. `untried`: nothing is known, good or bad."""

    name: str
    level: Level
    what: str
    fix: str | None = None


def ok(name: str, what: str) -> Check:
    """It is as it should be."""
    return Check(name, "ok", _safe(what))


def warn(name: str, what: str, fix: str) -> Check:
    """It may be meant so, or cost something later."""
    return Check(name, "warn", _safe(what), _safe(fix))


def fail(name: str, what: str, fix: str) -> Check:
    """Rows are missed because of it."""
    return Check(name, "fail", _safe(what), _safe(fix))


def untried(name: str, what: str) -> Check:
    """It could not be tried."""
    return Check(name, "untried", _safe(what))


def _safe(text: str) -> str:
    """Other programs' words may steer a terminal, and URLs of proxies hold passwords."""
    return printable(without_password(text))
