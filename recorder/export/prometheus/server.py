"""The HTTP server, its ADDRESS, and the application that answers `/metrics` and `/healthz`.

A thread for each client, so that a slow one blocks nobody. There are never more than `MOST_CLIENTS` at once: the one
that has been there longest has to leave for a new one, and none may be silent for long. Nothing is logged. ADDRESS is
written as `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`, or `:9464` for all addresses.
"""

import io
import ipaddress
import re
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, override
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric

from llm_metrics_proxy.recorder.errors import CannotServe
from llm_metrics_proxy.recorder.export.prometheus.keeper import Figures
from llm_metrics_proxy.recorder.reporting import own_fault

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]/@]*)):(?P<port>\d{1,5})", re.ASCII)
_CURE = "write it as 127.0.0.1:9464 or [::1]:9464, or :9464 for all addresses of this machine"
_MOST = 0xFFFF


class Address(NamedTuple):
    """An empty host stands for all addresses; port 0 for one that is free."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL by which a program on this machine finds it."""
        host = self.host or "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def is_for_this_machine(self) -> bool:
        """True if only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """The address that somebody wrote.

    Raises:
        CannotServe: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _MOST:
        raise CannotServe(what=f"{text!r} is no address with a port", cure=_CURE)
    return Address(found["six"] or found["host"], int(found["port"]))


def listen(address: Address) -> tuple[socket.socket, Address]:
    """A socket that takes connections there, and where that is: as a number, with the port that it got.

    Raises:
        CannotServe: the port is in use, or the address is not one of this machine.
    """
    try:
        listening = _everywhere(address.port) if not address.host else _at(address)
    except OSError as error:
        why, _, _ = str(error.strerror).partition(" (while")
        what = f"{address.host}:{address.port} cannot be listened on ({why})"
        raise CannotServe(what=what, cure="give another address, or end the program that has it") from error
    host, port = listening.getsockname()[:2]
    return listening, Address("" if not address.host else host, port)


def _at(address: Address) -> socket.socket:
    family, _, _, _, sockaddr = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(sockaddr[:2], family=family, backlog=128)


def _everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    return socket.create_server(("", port), backlog=128)


MOST_CLIENTS: Final = 64
SILENCE_SECONDS: Final = 10.0
_LOOK_SECONDS = 0.1  # between two looks whether it is to end


class _Handler(WSGIRequestHandler):
    timeout = SILENCE_SECONDS
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "This is no request that can be answered (%(code)d).\n"

    @override
    def log_message(self, format: str, *args: Any) -> None:  # the base's own names
        """Log nothing."""

    @override
    def get_stderr(self) -> Any:
        """Nowhere: what the application does not catch is that the client has left."""
        return io.StringIO()


class Server(ThreadingWSGIServer):
    """Serves `app` on a socket that listens already, from `start` to `stop`."""

    def __init__(self, listening: socket.socket, address: Address, app: WSGIApplication) -> None:
        """Answer nobody yet."""
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = address  # the base would ask the DNS, which may take long
        self.setup_environ()
        self.set_app(app)
        self._clients: dict[socket.socket, None] = {}  # oldest first
        self._lock = Lock()
        self._thread = Thread(target=self.serve_forever, args=(_LOOK_SECONDS,), name="server", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more; whoever is being answered is left alone."""
        self.shutdown()
        self.server_close()

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to serve a client."""
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS:
                oldest = next(iter(self._clients))
                del self._clients[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread does the rest
            self._clients[request] = None
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        """End with a client."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: it is a client that left, was silent, or spoke no HTTP."""


_OK, _NOT_FOUND, _NOT_ALLOWED = "200 OK", "404 Not Found", "405 Method Not Allowed"
_MISDIRECTED = "421 Misdirected Request"
_OTHER_NAME = "On this machine's own address there are answers to its own names only, such as localhost."
_BROKEN, _UNAVAILABLE = "500 Internal Server Error", "503 Service Unavailable"
_DOWN = "The database cannot be read: see llm-metrics status."


class App:
    """The application: `ask` says what the figures are.

    A wrong method, an unknown path and a database that cannot be read get one line of text, and so does a name of
    others where `is_for_this_machine`: it is a page's in a browser, whose name was pointed here (DNS rebinding).
    """

    def __init__(self, ask: Callable[[], Figures], *, is_for_this_machine: bool) -> None:
        """It answers each request with figures of its own."""
        self._ask = ask
        self._is_for_this_machine = is_for_this_machine

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._is_for_this_machine and not _is_of_this_machine(environ.get("HTTP_HOST", "")):
            return _line(environ, start_response, _MISDIRECTED, _OTHER_NAME)
        path = environ["PATH_INFO"].rstrip("/")
        if path not in ("/metrics", "/healthz"):
            return _line(environ, start_response, _NOT_FOUND, "There are /metrics and /healthz.")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _line(environ, start_response, _NOT_ALLOWED, "Only GET and HEAD.", ("Allow", "GET, HEAD"))
        try:
            return self._answer(environ, start_response, path)
        except Exception as error:  # noqa: BLE001 - its text may quote what a client wrote
            with suppress(OSError, ValueError):
                sys.stderr.write(f"{own_fault(error)}\n")
            return _line(environ, start_response, _BROKEN, own_fault(error))

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse, path: str) -> Iterable[bytes]:
        figures = self._ask()
        if path == "/metrics":
            return _metrics(environ, start_response, figures.metrics)
        if figures.database_up:
            return _line(environ, start_response, _OK, "ok")
        return _line(environ, start_response, _UNAVAILABLE, _DOWN)


def _is_of_this_machine(named: str) -> bool:
    """Tell whether a Host header holds a name or an address of the machine itself; a client may leave it out."""
    try:
        host = urlsplit(f"//{named}").hostname
        return not host or host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Collected:
    """Figures in the shape of prometheus_client's collectors."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics

    describe = collect  # so that `?name[]=` chooses among them


def _metrics(environ: WSGIEnvironment, start_response: StartResponse, metrics: Sequence[Metric]) -> Iterable[bytes]:
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    answer: list[tuple[str, list[tuple[str, str]]]] = []
    body = b"".join(
        make_wsgi_app(registry)(
            {**environ, "REQUEST_METHOD": "GET"}, lambda status, headers: answer.append((status, headers))
        )
    )
    [(status, headers)] = answer
    start_response(status, [*headers, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _line(
    environ: WSGIEnvironment, start_response: StartResponse, status: str, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    more = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*more, ("Cache-Control", "no-store"), *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
