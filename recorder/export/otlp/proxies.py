"""Which proxy of the environment telemetry goes through: never one on this machine.

Where an exporter runs, HTTPS_PROXY is likely to be the proxy whose calls it exports: the telemetry would load it, and
wait for it when it is down. A proxy elsewhere is the way out of the network and is used, but for NO_PROXY, as all
programs do.
"""

import os
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_OF_GRPC: Final = ("grpc_proxy", "https_proxy", "http_proxy")  # the first of them is the one that grpc uses


def is_here(proxy: str) -> bool:
    """Whether the URL of a proxy leads to this machine."""
    try:
        host = urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def grpc_has_one_elsewhere() -> bool:
    """Whether grpc may use the proxy of the environment."""
    return not is_here(next(filter(None, map(os.environ.get, _OF_GRPC)), ""))
