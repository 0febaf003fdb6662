"""The address of a receiver: checked before anything is sent, and shown without its secrets.

Telemetry goes through the environment's proxy only if that is on another machine. On the exporter's machine HTTPS_PROXY
is likely to be the proxy whose calls it exports: the telemetry would load it, and wait for it when it is down. A proxy
elsewhere is the way out of the network and is used, except for NO_PROXY, as all programs do.
"""

import os
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from llm_metrics_proxy.recorder.errors import ExportFailed

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
PROTOCOLS: Final = (HTTP, GRPC)

_PORTS: Final = {"http": 80, "https": 443}
_USUAL_PORTS: Final = {HTTP: 4318, GRPC: 4317}
_FORM: Final = "give the base URL of the receiver, like http://collector:{}"


class Endpoint(NamedTuple):
    """A receiver."""

    parts: SplitResult
    port: int

    @property
    def shown(self) -> str:
        """The URL without user, password and query."""
        return f"{self.parts.scheme}://{self.address}{self.parts.path.rstrip('/')}"

    @property
    def address(self) -> str:
        """Host and port."""
        host = self.parts.hostname or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def secure(self) -> bool:
        """True if it is reached by TLS."""
        return self.parts.scheme == "https"

    def url(self, signal: str) -> str:
        """The URL of one of the signals by HTTP: `traces` or `metrics`."""
        return self.parts._replace(path=f"{self.parts.path.rstrip('/')}/v1/{signal}").geturl()


def read(text: str, protocol: str) -> Endpoint:
    """The receiver that a text means.

    Raises:
        ExportFailed: it means none; nothing of the text is repeated, since it may hold a password.
    """
    if protocol not in PROTOCOLS:
        what = "OTLP is sent by http/protobuf and grpc, and by nothing else"
        raise ExportFailed(what=what, cure="give one of them by --protocol or in OTEL_EXPORTER_OTLP_PROTOCOL")
    cure = _FORM.format(_USUAL_PORTS[protocol])
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ExportFailed(what="The endpoint is no URL", cure=cure) from error
    if not (text.isascii() and text.isprintable()) or " " in text or not parts.hostname or not port or parts.fragment:
        raise ExportFailed(what="The endpoint is no URL of http or https with a host", cure=cure)
    if parts.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics")):
        raise ExportFailed(what="The endpoint is the URL of one signal", cure=f"{cure}: /v1/traces is added to it")
    if protocol == GRPC and (parts.path.strip("/") or parts.query or parts.username is not None):
        what = "The endpoint of grpc is a host and a port alone"
        raise ExportFailed(what=what, cure=f"{cure}, and credentials in OTEL_EXPORTER_OTLP_HEADERS")
    return Endpoint(parts, port)


_OF_GRPC: Final = ("grpc_proxy", "https_proxy", "http_proxy")  # the first of them is the one that grpc uses


def is_here(proxy: str) -> bool:
    """True if the URL of a proxy leads to this machine."""
    try:
        host = urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def grpc_has_one_elsewhere() -> bool:
    """True if grpc may use the proxy of the environment."""
    return not is_here(next(filter(None, map(os.environ.get, _OF_GRPC)), ""))
