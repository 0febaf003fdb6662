"""An LLM provider on the loopback interface that answers exactly when and how it is told, over TLS for any host name.

HTTP/1.1 is read and written by hand: a library would decide by itself when bytes leave, would refuse odd heads, and
could not leave an answer half finished.
"""

import socket
import ssl
import time
from collections.abc import Callable
from http.client import responses
from typing import BinaryIO, override

from tests.support.certificates import Authority
from tests.support.provider.listener import Listener, cut
from tests.support.provider.scenario import End, Framing, Request, Scenario, Served

_PIECE = 1 << 16

type Takeover = Callable[[Request, socket.socket], None]
"""Has the connection for itself after the request's head, and closes it in the end."""

type Choose = Callable[[Request], Scenario | Takeover]
"""The answer to a request, chosen in the thread of its connection."""


class Provider(Listener):
    """A server in threads of this process, as a context manager; `served` tells what really happened, in order."""

    def __init__(self, answer: Choose, authority: Authority | None = None, *, remembers: bool = True) -> None:
        """Listen on a free port; `answer` chooses. With `remembers` False nothing is kept in `served`."""
        super().__init__(authority or Authority())
        self.answer = answer
        self.hasty = False  # answer before the request's body has come
        self.remembers = remembers
        self.served: list[Served] = []

    @override
    def serve(self, connection: socket.socket) -> None:
        given_away = False
        try:
            with connection.makefile("rb") as reading:
                given_away = _Connection(self, connection, reading).talk()
        finally:
            if not given_away:
                connection.close()


class _Connection:
    """The requests of one connection, one after the other."""

    def __init__(self, provider: Provider, connection: socket.socket, reading: BinaryIO) -> None:
        self._provider = provider
        self._connection = connection
        self._reading = reading

    def talk(self) -> bool:
        """Answer until the connection ends; True if it now belongs to somebody else."""
        while lines := _head_lines(self._reading):
            arrived_ns = time.monotonic_ns()
            request = self._request(lines)
            served = Served(request, arrived_ns)
            if self._provider.remembers:
                self._provider.served.append(served)
            answer = self._provider.answer(request)
            if not isinstance(answer, Scenario):
                answer(request, self._connection)
                return True
            try:
                goes_on = self._play(answer, served)
            except OSError:
                served.client_left = not self._provider.closing.is_set()
                return False
            if not goes_on or (request.header("connection") or "").lower() == "close":
                return False
        return False

    def _request(self, lines: list[str]) -> Request:
        method, target, _ = lines[0].split(" ", 2)
        fields = (line.partition(":") for line in lines[1:])
        headers = tuple((name, value.strip()) for name, _, value in fields)
        request = Request(method, target, isinstance(self._connection, ssl.SSLSocket), headers, b"")
        return request if self._provider.hasty else request.with_body(self._body(request))

    def _body(self, request: Request) -> bytes:
        if "chunked" not in (request.header("transfer-encoding") or "").lower():
            return self._reading.read(int(request.header("content-length") or 0))
        body = bytearray()
        while size := int(self._reading.readline().split(b";")[0] or b"0", 16):
            body += self._reading.read(size)
            self._reading.readline()
        self._reading.readline()
        return bytes(body)

    def _play(self, scenario: Scenario, served: Served) -> bool:
        """Answer; False if the connection ends with it."""
        send = self._connection.sendall
        if scenario.head_at_ms is not None:
            self._wait(served, scenario.head_at_ms)
            served.head_ns = time.monotonic_ns()
            send(_head(scenario))
        for step in scenario.steps:
            self._wait(served, step.at_ms)
            chunked = scenario.framing is Framing.CHUNKED
            data = b"%x\r\n%b\r\n" % (len(step.data), step.data) if chunked else step.data
            served.step_ns.append(time.monotonic_ns())
            send(data)
        self._wait(served, scenario.end_at_ms)
        if scenario.end is End.HANG:
            served.client_left = self._connection.recv(1) == b"" and not self._provider.closing.is_set()
        served.end_ns = time.monotonic_ns()
        if scenario.end is End.CLEAN and scenario.framing is Framing.CHUNKED:
            send(b"0\r\n\r\n")
        if scenario.end is End.CUT:
            cut(self._connection)
        if self._provider.hasty:
            while self._reading.read(_PIECE):  # until the other side closes: closing first would reset it
                pass
            return False
        return scenario.end is End.CLEAN and scenario.framing is not Framing.CLOSE

    def _wait(self, served: Served, at_ms: float) -> None:
        """Sleep until `at_ms` after the request had arrived; ends early, with an error, when the server closes."""
        seconds = at_ms / 1000 - (time.monotonic_ns() - served.arrived_ns) / 1e9
        if seconds > 0 and self._provider.closing.wait(seconds):
            raise ConnectionAbortedError


def _head_lines(reading: BinaryIO) -> list[str]:
    """Return the lines of the next request's head; none if the other side has gone."""
    lines: list[str] = []
    while line := reading.readline().decode("latin-1"):
        if not (line := line.rstrip("\r\n")):
            return lines
        lines.append(line)
    return []


def _head(scenario: Scenario) -> bytes:
    headers = list(scenario.headers)
    length = sum(len(step.data) for step in scenario.steps) + scenario.never_sent
    headers += {
        Framing.CHUNKED: [("transfer-encoding", "chunked")],
        Framing.LENGTH: [("content-length", str(length))],
        Framing.CLOSE: [("connection", "close")],
        Framing.NONE: [],
    }[scenario.framing]
    lines = [f"HTTP/1.1 {scenario.status} {responses.get(scenario.status, 'Unknown')}".encode()]
    for name, value in headers:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    return b"\r\n".join([*lines, b"", b""])
