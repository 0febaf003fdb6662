"""An LLM provider on the loopback interface that answers exactly when and how it is told, over TLS for any host name.

It speaks HTTP/1.1 in plain text as well, on the same port. Chunks are written by hand: a library would decide by itself
when bytes leave, and could not leave an answer half finished.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, cast, override

from tests.support.certificates import Authority
from tests.support.provider.scenario import End, Framing, Request, Scenario, Served

TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS connection


class Upstream:
    """A server in threads of this process, as a context manager; `served` tells what really happened, in order."""

    def __init__(self, answer: Callable[[Request], Scenario], authority: Authority | None = None) -> None:
        """Listen on a free port; `answer` chooses the scenario of each request."""
        self.answer = answer
        self.authority = authority or Authority()
        self.hasty = False  # answer before the request's body has come
        self.served: list[Served] = []
        self.closing = threading.Event()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="upstream")

    def __enter__(self) -> Self:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Cut what is still open and wait for every thread."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.cut_connections()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """One thread a connection; looks at the first byte to tell TLS from plain HTTP."""

    daemon_threads = False  # server_close() waits for them
    request_queue_size = 128

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Connection)

    @override
    def finish_request(self, request: object, client_address: object) -> None:
        connection = cast("socket.socket", request)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small chunks wait for each other
        with self._tracked(connection), contextlib.suppress(OSError):  # the other side may leave at any moment
            if connection.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
                context = self.upstream.authority.server_context()
                with context.wrap_socket(connection, server_side=True) as tls, self._tracked(tls):
                    super().finish_request(tls, client_address)
            else:
                super().finish_request(connection, client_address)

    @contextlib.contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def cut_connections(self) -> None:
        """Wake the threads that wait for a client."""
        with self._lock:
            for connection in self._open:
                _cut(connection)


class _Connection(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Answer as the scenario says."""
        arrived_ns = time.monotonic_ns()
        tls = isinstance(self.connection, ssl.SSLSocket)
        upstream = self.server.upstream
        body = b"" if upstream.hasty else self._read_body()
        request = Request(self.command, self.path, tls, tuple(self.headers.items()), body)
        served = Served(request, arrived_ns)
        upstream.served.append(served)
        try:
            self._answer(upstream.answer(request), served)
            if upstream.hasty:
                self.close_connection = True
                while self.rfile.read(1 << 16):  # until the other side closes: closing first would reset it
                    pass
        except OSError:
            served.client_left = not upstream.closing.is_set()
            self.close_connection = True

    do_POST = do_GET  # noqa: N815 - http.server's name for it

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _answer(self, scenario: Scenario, served: Served) -> None:
        if scenario.head_at_ms is not None:
            self._wait(served, scenario.head_at_ms)
            served.head_ns = time.monotonic_ns()
            self.connection.sendall(_head(scenario))
        for step in scenario.steps:
            self._wait(served, step.at_ms)
            chunked = scenario.framing is Framing.CHUNKED
            data = b"%x\r\n%b\r\n" % (len(step.data), step.data) if chunked else step.data
            served.step_ns.append(time.monotonic_ns())
            self.connection.sendall(data)
        self._wait(served, scenario.end_at_ms)
        if scenario.end is End.HANG:
            served.client_left = self.connection.recv(1) == b"" and not self.server.upstream.closing.is_set()
        served.end_ns = time.monotonic_ns()
        if scenario.end is End.CLEAN and scenario.framing is Framing.CHUNKED:
            self.connection.sendall(b"0\r\n\r\n")
        if scenario.end is not End.CLEAN or scenario.framing is Framing.CLOSE:
            self.close_connection = True
        if scenario.end is End.CUT:
            _cut(self.connection)

    def _wait(self, served: Served, at_ms: float) -> None:
        """Sleep until `at_ms` after the request had arrived; ends early, with an error, when the server closes."""
        seconds = at_ms / 1000 - (time.monotonic_ns() - served.arrived_ns) / 1e9
        if seconds > 0 and self.server.upstream.closing.wait(seconds):
            raise ConnectionAbortedError

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `served` tells it all."""


def _head(scenario: Scenario) -> bytes:
    headers = list(scenario.headers)
    if scenario.framing is Framing.CHUNKED:
        headers.append(("transfer-encoding", "chunked"))
    elif scenario.framing is Framing.LENGTH:
        headers.append(("content-length", str(sum(len(step.data) for step in scenario.steps))))
    else:
        headers.append(("connection", "close"))
    lines = [
        f"HTTP/1.1 {scenario.status} {responses.get(scenario.status, 'Unknown')}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _cut(connection: socket.socket) -> None:
    """End a connection without a word of goodbye, neither TLS's nor HTTP's."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
