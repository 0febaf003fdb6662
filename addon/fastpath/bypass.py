"""Bodies that are streamed go from one connection to the other past mitmproxy's layers.

The usual part of a body is decrypted, shown to the `stream` callable, encrypted and written here, as mitmproxy does it.
All else goes mitmproxy's way, decrypted already: heads, ends, half a chunk, errors, closing, bodies that wait for a
hook, and bodies that an addon may change.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from h11._receivebuffer import blank_line_regex
from mitmproxy.connection import Connection
from mitmproxy.proxy import events, server
from OpenSSL import SSL

from llm_metrics_proxy.addon.fastpath.bodies import take
from llm_metrics_proxy.addon.fastpath.lanes import End, Lane, Way, lane_from

_AT_MOST = 65535  # bytes that mitmproxy asks OpenSSL for
_SUCCESS = b"HTTP/1.1 200"
_WORTH_IT = 1024  # bytes of chunks that come with a head: fewer are passed on by mitmproxy as quickly

type _ServerEvent = Callable[..., Coroutine[Any, Any, None]]


def server_event_of(original: _ServerEvent) -> _ServerEvent:
    """Return a `server_event` that passes bodies on by itself."""

    @functools.wraps(original)
    async def server_event(self: server.ConnectionHandler, event: events.Event) -> None:
        if type(event) is events.DataReceived and _is_free(self._server_event_lock):
            lane = lane_from(self, event.connection)
            if lane is not None:
                way = lane.way()
                if way is not None:
                    await _pass_body(self, original, event, way)
                    return
                if len(event.data) > _WORTH_IT and lane.is_before_an_answer:
                    await _pass_answer(self, original, event, lane)
                    return
        await original(self, event)

    return server_event


def _is_free(lock: asyncio.Lock) -> bool:
    """Tell whether mitmproxy would work on an event now, and not after others that wait."""
    return not lock.locked() and not lock._waiters


async def _pass_body(
    handler: server.ConnectionHandler, original: _ServerEvent, event: events.DataReceived, way: Way
) -> None:
    """Pass on what is usual, and leave the rest to mitmproxy."""
    handler.timeout_watchdog.register_activity()
    with _crashing(handler):
        data, end = _read(way.source, event.data)
        rest = data if end is not None else _pass_on(handler, way, data)
        if rest or end is not None:
            with _left(way.source, event, rest, end) as left:
                await original(handler, left)


async def _pass_answer(
    handler: server.ConnectionHandler, original: _ServerEvent, event: events.DataReceived, lane: Lane
) -> None:
    """Leave the head of an answer to mitmproxy, then pass on what came with it.

    mitmproxy reads all of the body too, and keeps each chunk until its hook for the head has been answered.
    """
    with _crashing(handler):
        source = lane.source
        data, end = _read(source, event.data)
        head = 0 if end is not None or source.http1.buf else _length_of_head(data)
        with _left(source, event, data[:head] if head else data, end) as left:
            await original(handler, left)
        if not head:
            return
        cancelled = None
        try:
            async with handler._server_event_lock:  # the hook's end has waited for it before us
                pass
        except asyncio.CancelledError as error:
            cancelled = error
        try:
            way = lane.way()
            rest = data[head:] if way is None else _pass_on(handler, way, data[head:])
            if rest:
                with _left(source, event, rest, None) as left:
                    await original(handler, left)
        finally:
            if cancelled is not None and (task := asyncio.current_task()) is not None:
                task.cancel(*cancelled.args)  # where mitmproxy expects it


def _length_of_head(data: bytes) -> int:
    """Return where a body of many chunks begins; 0 if that is not so."""
    found = blank_line_regex.search(data) if data.startswith(_SUCCESS) else None
    end = found.end() if found is not None else len(data)
    return end if len(data) - end >= _WORTH_IT and b"chunked" in data[:end].lower() else 0


@contextlib.contextmanager
def _crashing(handler: server.ConnectionHandler) -> Iterator[None]:
    """Do with an exception what mitmproxy does with it there."""
    try:
        yield
    except Exception:  # noqa: BLE001 - as mitmproxy
        handler.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)


def _read(source: End, data: bytes) -> tuple[bytes, SSL.Error | None]:
    """Return what has been sent, and what OpenSSL says then if it is not that there is no more."""
    if source.tls is None:
        return data, None
    tls: SSL.Connection = source.tls.tls
    tls.bio_write(data)
    pieces: list[bytes] = []
    while True:
        try:
            pieces.append(tls.recv(_AT_MOST))
        except SSL.WantReadError:
            return b"".join(pieces), None
        except SSL.Error as end:
            return b"".join(pieces), end


def _pass_on(handler: server.ConnectionHandler, way: Way, data: bytes) -> bytes:
    """Pass on what is usual; return the rest."""
    source, target, message = way
    if source.tls is not None:
        _send_encrypted(handler, source)  # as mitmproxy: OpenSSL may answer what it has read
    http1 = source.http1
    if http1.buf:
        data = bytes(http1.buf.maybe_extract_at_most(len(http1.buf))) + data
    if not data:
        return data
    taken = take(http1.body_reader, data)
    if taken.body:
        if callable(message.stream):
            message.stream(taken.body)
        body = taken.wire if target.is_chunked(message) else taken.body
        if target.tls is None:
            _write(handler, target.connection, body)
        else:
            with contextlib.suppress(SSL.ZeroReturnError, SSL.SysCallError):  # as mitmproxy
                target.tls.tls.sendall(body)
            _send_encrypted(handler, target)
    return taken.rest


def _send_encrypted(handler: server.ConnectionHandler, end: End) -> None:
    """Write what OpenSSL has for a connection."""
    more = True
    while more:
        try:
            data = end.tls.tls.bio_read(_AT_MOST)
        except SSL.WantReadError:
            return
        _write(handler, end.connection, data)
        more = len(data) == _AT_MOST


def _write(handler: server.ConnectionHandler, connection: Connection, data: bytes) -> None:
    io = handler.transports.get(connection)
    if io is not None and io.writer is not None and not io.writer.is_closing():
        io.writer.write(data)


@contextlib.contextmanager
def _left(source: End, event: events.DataReceived, rest: bytes, end: SSL.Error | None) -> Iterator[events.DataReceived]:
    """Give the event that has only what is left: mitmproxy finds it where it decrypts, if it does."""
    if source.tls is None:
        yield events.DataReceived(event.connection, rest)
        return
    tls = source.tls.tls
    source.tls.tls = _Decrypted(tls, rest, end)
    try:
        yield event
    finally:
        source.tls.tls = tls


class _Decrypted:
    """An OpenSSL connection of which something has been read already: mitmproxy reads that first."""

    def __init__(self, tls: SSL.Connection, data: bytes, end: SSL.Error | None) -> None:
        """Take what was read, and what OpenSSL raised then."""
        self._tls, self._data, self._end = tls, data, end or SSL.WantReadError()

    def bio_write(self, _data: bytes) -> None:
        """Do nothing: OpenSSL has it."""

    def recv(self, size: int) -> bytes:
        """Return what was read; then raise what OpenSSL raised."""
        if not self._data:
            raise self._end
        data, self._data = self._data[:size], self._data[size:]
        return data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is OpenSSL's
        return getattr(self._tls, name)


def install() -> Callable[[], None]:
    """Put it in place; return what takes it away again."""
    original = server.ConnectionHandler.server_event
    new = server_event_of(original)
    server.ConnectionHandler.server_event = new  # type: ignore[method-assign]

    def remove() -> None:
        if server.ConnectionHandler.server_event is new:
            server.ConnectionHandler.server_event = original  # type: ignore[method-assign]

    return remove
