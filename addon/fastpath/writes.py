"""What one event makes mitmproxy write to one connection goes out in one `send()`.

mitmproxy writes each chunk by itself, and a system call is most of what a chunk costs. Here a writer holds what it is
given while mitmproxy works on one event, and lets go at the end of that, before a hook, before it writes to another
connection, and with the next write after a millisecond. So the order of all bytes on all connections is mitmproxy's,
whoever is called in between finds all written that mitmproxy had written, and nothing waits for anything but
mitmproxy's own work.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from mitmproxy.proxy import commands, events, mode_servers, server

_HELD_SECONDS = 0.001
_LARGE = 64 * 1024  # bytes that are not worth a copy
HELD: Final = "_held_writes"
"""The attribute of a handler that has its `Held`."""

type Writable = bytes | bytearray | memoryview


class Held:
    """What waits to be sent of one client's connections: all of it for the same writer."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.depth = 0  # of events that are worked on; without one nothing is held
        self._writer: HoldingWriter | None = None
        self._pieces: list[bytes] = []
        self._until = 0.0

    def take(self, writer: "HoldingWriter", data: Writable) -> None:
        """Hold data, or send it after what is held."""
        if not self.depth or writer.ended or type(data) is not bytes or len(data) >= _LARGE:
            self.flush()
            writer.send(data)
        elif self._writer is writer:
            self._pieces.append(data)
            if time.monotonic() >= self._until:
                self.flush()
        else:
            self.flush()
            self._writer, self._pieces, self._until = writer, [data], time.monotonic() + _HELD_SECONDS

    def flush(self) -> None:
        """Send what is held."""
        writer = self._writer
        if writer is not None:
            pieces, self._writer, self._pieces = self._pieces, None, []
            writer.send(pieces[0] if len(pieces) == 1 else b"".join(pieces))


class HoldingWriter(asyncio.StreamWriter):
    """asyncio's writer, which holds what it is given. One becomes it by its `__class__`, and gets its `held`."""

    held: Held
    ended = False  # whatever is written then fails, and has to fail where mitmproxy expects it

    def send(self, data: Writable) -> None:
        """Write now."""
        super().write(data)

    def write(self, data: Writable) -> None:
        """Write soon."""
        self.held.take(self, data)

    def writelines(self, data: Iterable[Writable]) -> None:
        """Write after what is held."""
        self.held.flush()
        super().writelines(data)

    def write_eof(self) -> None:
        """End after what is held."""
        self.held.flush()
        self.ended = True
        super().write_eof()

    def close(self) -> None:
        """Close after what is held."""
        self.held.flush()
        super().close()

    async def drain(self) -> None:
        """Wait, as asyncio does, until what is held and written has room."""
        self.held.flush()
        await super().drain()


def adopt(handler: server.ConnectionHandler) -> Held:
    """Have the handler's writers hold what they are given; return with what."""
    held: Held | None = vars(handler).get(HELD)
    if held is None:
        held = Held()
        vars(handler)[HELD] = held
    for io in handler.transports.values():
        writer = io.writer
        if type(writer) is asyncio.StreamWriter:
            writer.__class__ = HoldingWriter
            vars(writer)["held"] = held
    return held


def server_event_of(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `server_event` at whose end everything is sent."""

    @functools.wraps(original)
    async def server_event(self: server.ConnectionHandler, event: events.Event) -> None:
        if not isinstance(self, mode_servers.ProxyConnectionHandler):  # one that plays back
            await original(self, event)
            return
        held = adopt(self)
        held.depth += 1
        try:
            await original(self, event)
        finally:
            held.depth -= 1
            try:
                held.flush()
            except Exception:  # noqa: BLE001 - as where mitmproxy writes
                self.log("mitmproxy has crashed!", logging.ERROR, exc_info=True)

    return server_event


def handle_hook_of(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `handle_hook` before which everything is sent."""

    @functools.wraps(original)
    async def handle_hook(self: server.ConnectionHandler, hook: commands.StartHook) -> None:
        held: Held | None = vars(self).get(HELD)
        if held is not None:
            held.flush()
        await original(self, hook)

    return handle_hook


def install() -> Callable[[], None]:
    """Put it in place; return what takes it away again. Writers that hold go on, and hold nothing any more."""
    event = server.ConnectionHandler.server_event
    hook = mode_servers.ProxyConnectionHandler.handle_hook
    new_event, new_hook = server_event_of(event), handle_hook_of(hook)
    server.ConnectionHandler.server_event = new_event  # type: ignore[method-assign]
    mode_servers.ProxyConnectionHandler.handle_hook = new_hook  # type: ignore[method-assign]

    def remove() -> None:
        if server.ConnectionHandler.server_event is new_event:
            server.ConnectionHandler.server_event = event  # type: ignore[method-assign]
        if mode_servers.ProxyConnectionHandler.handle_hook is new_hook:
            mode_servers.ProxyConnectionHandler.handle_hook = hook  # type: ignore[method-assign]

    return remove
