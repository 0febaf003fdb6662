"""Connections that requests share: the tunnels of clients, and the providers' connections that were waited for.

Both are forgotten when the connection ends. No mitmproxy here: connections are known by their ids.
"""

from typing import NamedTuple


class Tunnel(NamedTuple):
    """The data of a CONNECT, which the requests that come through it do not repeat."""

    user: str | None
    host: str
    port: int
    at: int
    wall: int


class Connections:
    """Of clients their tunnels, of providers whether somebody has waited for them."""

    def __init__(self) -> None:
        """None is open."""
        self._tunnels: dict[str, Tunnel] = {}
        self._waited_for: set[str] = set()

    def tunnelled(self, client: str, tunnel: Tunnel) -> None:
        """The client's connection is a tunnel from now on."""
        self._tunnels[client] = tunnel

    def tunnel_of(self, client: str) -> Tunnel | None:
        """Return the tunnel that the client's connection is; None if it is none."""
        return self._tunnels.get(client)

    def connect_ms(self, server: str, start: float | None, ready: float | None) -> float | None:
        """Return the ms from `start` to `ready` (seconds) for the first request that uses `server`, else None."""
        if server in self._waited_for:
            return None
        self._waited_for.add(server)
        return None if start is None or ready is None else (ready - start) * 1000

    def client_left(self, client: str) -> None:
        """Forget a client's connection."""
        self._tunnels.pop(client, None)

    def server_left(self, server: str) -> None:
        """Forget a provider's connection."""
        self._waited_for.discard(server)
