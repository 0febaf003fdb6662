"""A script for the mitmdump under test: what came without a CONNECT goes to the provider's port without TLS."""

import os

from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

_tunnels: set[str] = set()


def http_connect(flow: HTTPFlow) -> None:
    """Remember who asked for a tunnel."""
    _tunnels.add(flow.client_conn.id)


def server_connect(data: ServerConnectionHookData) -> None:
    """Choose the port."""
    if data.client.id not in _tunnels:
        data.server.address = ("127.0.0.1", int(os.environ["HOSTILE_PLAIN_PORT"]))
