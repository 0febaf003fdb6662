"""A worker: mitmdump whose clients' connections come from the process that has started it.

`main` is what runs in the worker's process. Its `asyncio.start_server`, which mitmproxy calls, asks the parent for the
connections of the address instead of listening there; worker_hooks.py tells which of them have calls in flight. So that
no call is cut when a worker is exchanged for a newer one, it drains: HTTP/1.1 answers say `connection: close`, a
connection on which nothing goes on is closed, and the worker ends with the last one, or when its time is over.
"""

import asyncio
import importlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, cast

from llm_metrics_proxy.recorder.running.line import (
    Drain,
    FromParent,
    Left,
    Line,
    Listen,
    Listening,
    NotListening,
    Ready,
    Refused,
    Take,
    Taken,
)

LINE: Final = "LLM_METRICS_LINE"
"""The variable with the number of the descriptor of the worker's end of the line."""

_IDLE_SECONDS = 0.5  # after the end of a call, before a draining worker takes it that no other one comes
_LOOK_SECONDS = 0.1

type Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connection:
    """A client's connection, and the flows on it that have not ended."""

    def __init__(self) -> None:
        self.writer: asyncio.StreamWriter | None = None
        self._flows: set[str] = set()
        self._idle_since: float | None = None  # None until a first call has ended: it may be a tunnel

    def begin(self, flow: str) -> None:
        """A call begins."""
        self._flows.add(flow)
        self._idle_since = None

    def end(self, flow: str) -> None:
        """A call has ended."""
        if flow in self._flows:
            self._flows.discard(flow)
            if not self._flows:
                self._idle_since = time.monotonic()

    def is_idle(self, now: float) -> bool:
        """Tell whether there were calls, and none goes on, or has ended just now."""
        return self._idle_since is not None and now - self._idle_since >= _IDLE_SECONDS


CONNECTION: ContextVar[Connection | None] = ContextVar("connection", default=None)
"""That in whose task this is."""


class _Address:
    """The part of a listening socket that mitmproxy uses."""

    def __init__(self, name: tuple[str | int, ...]) -> None:
        self._name = name

    def getsockname(self) -> tuple[str | int, ...]:
        return self._name


class _Server:
    """The part of `asyncio.start_server`'s result that mitmproxy uses; the parent is the one that listens."""

    def __init__(self, addresses: list[tuple[str | int, ...]], closed: Callable[[], object]) -> None:
        self.sockets = tuple(_Address(tuple(address)) for address in addresses)
        self._closed = closed

    def close(self) -> None:
        self.sockets = ()
        self._closed()

    def is_serving(self) -> bool:
        return bool(self.sockets)


class Worker:
    """The talk with the parent of this process."""

    def __init__(self, end: int) -> None:
        """`end` is the descriptor of the line, which is of no use before there is an event loop."""
        os.set_inheritable(end, False)  # noqa: FBT003 - the system's own signature
        self.is_draining = False
        self._end = socket.socket(fileno=end)
        self._line: Line[FromParent] | None = None
        self._start_server = asyncio.start_server
        self._asked: deque[asyncio.Future[Listening]] = deque()
        self._connected: dict[int, Connected] = {}
        self._open: dict[int, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends = 0.0

    def ready(self, database: str | None, *, writes_json: bool) -> None:
        """Tell that connections may come."""
        self._send(Ready(database, writes_json))

    async def start_server(
        self, client_connected_cb: Connected, host: str | None = None, port: int | None = None, **more: object
    ) -> object:
        """Do as `asyncio.start_server`."""
        if more or port is None:
            plain = cast("Callable[..., Awaitable[object]]", self._start_server)
            return await plain(client_connected_cb, host, port, **more)
        if self._line is None:
            self._line = Line(self._end, FromParent.__value__, self._got)
            self._tasks.add(asyncio.create_task(self._end_with_parent(self._line)))
        answer = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._line.send(Listen(host, port))
        given: Listening = await answer
        self._connected[given.number] = client_connected_cb
        return _Server(given.addresses, partial(self._connected.pop, given.number, None))

    def _got(self, message: FromParent, descriptor: int | None) -> None:
        match message:
            case Listening():
                self._asked.popleft().set_result(message)
            case NotListening():
                self._asked.popleft().set_exception(OSError(message.errno, message.reason))
            case Take() if descriptor is None:
                self._send(Refused(message.connection))
            case Take():
                self._send(Taken(message.connection))
                self._open[message.connection] = Connection()
                task = asyncio.create_task(self._take(message, socket.socket(fileno=descriptor)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Drain():
                self._drain(message.seconds)

    def _send(self, message: Ready | Refused | Taken | Left) -> None:
        if self._line is not None:
            self._line.send(message)

    async def _take(self, message: Take, client: socket.socket) -> None:
        """Let a connection begin, as asyncio does with one that it has accepted."""
        loop = asyncio.get_running_loop()
        connected = self._connected.get(message.listener)
        try:
            client.setblocking(False)  # noqa: FBT003 - the system's own signature
            client.getpeername()  # or it has left already, and mitmproxy could not tell who it was
            if connected is None:
                raise ConnectionAbortedError
            reader = asyncio.StreamReader(loop=loop)
            serve = partial(self._serve, message.connection, connected)
            protocol = asyncio.StreamReaderProtocol(reader, cast("Any", serve), loop=loop)
            await loop.connect_accepted_socket(lambda: protocol, client)
        except OSError:
            client.close()
            self._left(message.connection)

    async def _serve(
        self, number: int, connected: Connected, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = self._open[number]
        connection.writer = writer
        CONNECTION.set(connection)
        try:
            await connected(reader, writer)
        finally:
            self._left(number)

    def _left(self, number: int) -> None:
        self._open.pop(number, None)
        self._send(Left(number))

    async def _end_with_parent(self, line: Line[FromParent]) -> None:
        await line.lost.wait()
        _end()

    def _drain(self, seconds: float) -> None:
        if not self.is_draining:
            self.is_draining = True
            self._ends = time.monotonic() + seconds
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        if not self._open or now >= self._ends:
            _end()
            return
        for connection in self._open.values():
            if connection.writer is not None and connection.is_idle(now):
                connection.writer.close()
        asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)


def _end() -> None:
    """End as by Ctrl-C: with the rows of all that goes on."""
    os.kill(os.getpid(), signal.SIGTERM)


async def _no_udp(*_address: object) -> _Server:
    return _Server([], lambda: None)


_here: list[Worker] = []


def here() -> Worker:
    """Return the worker that this process is."""
    return _here[0]


def main() -> None:
    """Be mitmdump, with the arguments of this process."""
    _here.append(Worker(int(os.environ.pop(LINE))))
    asyncio.start_server = cast("Any", here().start_server)
    sys.argv[0] = "mitmdump"
    # UDP cannot be dealt out, and belongs to nobody: reverse:https serves HTTP/1.1 and HTTP/2.
    importlib.import_module("mitmproxy_rs").udp.start_udp_server = _no_udp
    # By its name: this package knows nothing of mitmproxy but the program that it starts.
    importlib.import_module("mitmproxy.tools.main").mitmdump()
