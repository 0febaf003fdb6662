"""The two ends of a connection, a client's and a provider's, which a test drives byte by byte from one thread.

One thread is the point: what a test reads at one end before it sends more at the other cannot have been held back.
"""

import queue
import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import override

from tests.support.certificates import Authority
from tests.support.provider.listener import Listener
from tests.support.waiting import PATIENCE

HTTP1 = "http/1.1"
HTTP2 = "h2"
_PIECE = 1 << 18


class End:
    """One end of a connection. `got` is all that has come, for a comparison."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.got = bytearray()
        self._taken = 0

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def until(self, mark: bytes) -> bytes:
        """Read until `mark` has come, and return all up to its end that was not returned before."""
        while (found := self.got.find(mark, self._taken)) < 0:
            assert self._receive(), f"{bytes(self.got[self._taken :])!r} instead of {mark!r}, and the end"
        return self._take(found + len(mark))

    def exactly(self, size: int) -> bytes:
        while len(self.got) < self._taken + size:
            assert self._receive(), f"{len(self.got) - self._taken} bytes instead of {size}, and the end"
        return self._take(self._taken + size)

    def to_the_end(self) -> bytes:
        while self._receive():
            pass
        return self._take(len(self.got))

    def some(self) -> bytes:
        """Return what comes next, however much that is; nothing at the end."""
        if self._taken == len(self.got):
            self._receive()
        return self._take(len(self.got))

    def leave(self, *, rudely: bool = False) -> None:
        """Close the connection; `rudely` by a reset."""
        if rudely:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(_PIECE)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        self.got += data
        return bool(data)

    def _take(self, end: int) -> bytes:
        taken = bytes(self.got[self._taken : end])
        self._taken = end
        return taken


class DrivenProvider(Listener):
    """A server for `names` whose connections are handed to the test once they are made. It knows TLS and none."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(Authority(names, protocols=(HTTP2, HTTP1)))
        self.ca = self.authority.write(folder / "provider-ca.pem")
        self._accepted: queue.Queue[End] = queue.Queue()

    @override
    def serve(self, connection: socket.socket) -> None:
        self._accepted.put(End(connection))

    def accepted(self) -> End:
        """Return the next connection that the proxy has made."""
        return self._accepted.get(timeout=PATIENCE)

    def waiting(self) -> int:
        """Return how many connections were made that nobody asked for."""
        return self._accepted.qsize()


def connect(port: int, ca: Path, host: str, alpn: Sequence[str] = (HTTP1,)) -> End:
    """Connect through the proxy at `port`, with TLS to what answers for `host`."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(alpn)
    return End(context.wrap_socket(tunnel(port, host).socket, server_hostname=host))


def tunnel(port: int, host: str) -> End:
    """Connect through the proxy at `port` as far as CONNECT goes."""
    end = End(socket.create_connection(("127.0.0.1", port)))
    end.send(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    answer = end.until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return end
