"""A second script for the mitmdump under test: what it sends to the internet goes to the loopback provider instead.

A redirected connection keeps its host name for the addon, for TLS and in the Host header; only its packets go there.
It also writes down where mitmdump listens, so that nobody has to guess a free port: mitmdump gets port 0.
"""

import json
import os
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

PROVIDER_PORT = "TEST_PROVIDER_PORT"
LISTENING_FILE = "TEST_LISTENING_FILE"


def server_connect(data: ServerConnectionHookData) -> None:
    """Move every connection to the loopback provider."""
    data.server.address = ("127.0.0.1", int(os.environ[PROVIDER_PORT]))


def running() -> None:
    """Write the port, in one step, as somebody is waiting for the file."""
    servers = [
        server for addon in ctx.master.addons.chain if isinstance(addon, Proxyserver) for server in addon.servers
    ]
    path = Path(os.environ[LISTENING_FILE])
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"port": servers[0].listen_addrs[0][1]}))
    unfinished.replace(path)
