"""Each layer is tried once in memory, beside mitmproxy's own code: it must do the same, to the letter.

The layers are not in place yet, and nothing here touches what serves. No step waits for anything, so the coroutines run
to their end at once.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast

from mitmproxy import addonmanager, connection, exceptions, hooks, http
from mitmproxy.proxy import commands, events, mode_servers, server

from llm_metrics_proxy.addon.fastpath import bypass, dispatch, messages, writes
from llm_metrics_proxy.addon.fastpath.bodies import chunk
from llm_metrics_proxy.addon.fastpath.known import UnknownMitmproxyError
from llm_metrics_proxy.addon.fastpath.rehearsal import CLIENT, PROVIDER, Handle, Log, Rehearsal, Says, at_once


def prove_dispatch() -> None:
    """Trigger hooks of addons of every shape.

    Raises:
        UnknownMitmproxyError: ours does not call what mitmproxy calls.
    """
    for halts in (False, True):
        found: list[Log] = []
        for make in (_own_trigger, dispatch.trigger_of):
            log: Log = []
            manager = addonmanager.AddonManager.__new__(addonmanager.AddonManager)
            manager.chain = _addons(manager, log, halts=halts)
            trigger = make(manager)
            for event in (hooks.UpdateHook([]), hooks.RunningHook(), hooks.DoneHook()):
                try:
                    at_once(trigger(event))
                except exceptions.OptionsError as error:
                    log.append(("options", str(error)))
            found.append(log)
        _same("dispatch", *found)


def _own_trigger(manager: addonmanager.AddonManager) -> dispatch.Trigger:
    return manager.trigger_event


class _Addon:
    """One with the functions that it is given, and perhaps others within it."""

    def __init__(self, *within: object, **functions: Callable[..., object]) -> None:
        vars(self).update(functions)
        if within:
            self.addons = list(within)


def _addons(manager: addonmanager.AddonManager, log: Log, *, halts: bool) -> list[Any]:
    def noting(name: str) -> Callable[..., None]:
        return lambda *given: log.append((name, given))

    async def later(*given: object) -> None:
        log.append(("async", given))

    def adding() -> None:
        log.append(("adds",))
        manager.chain.append(_Addon(running=noting("added")))

    def halting() -> None:
        log.append(("halts",))
        if halts:
            raise exceptions.AddonHalt

    def refusing() -> None:
        message = "refused"
        raise exceptions.OptionsError(message)

    return [
        _Addon(),
        _Addon(running=noting("first"), update=noting("updated"), done=noting("done")),
        _Addon(_Addon(), _Addon(running=noting("inner")), _Addon(_Addon(running=later))),
        _Addon(_Addon(_Addon())),
        _Addon(running=adding),
        _Addon(running=halting),
        _Addon(running=noting("last"), done=refusing),
        _Addon(done=noting("never")),
    ]


def prove_writes() -> None:
    """Work on events that write to two connections.

    Raises:
        UnknownMitmproxyError: ours does not send what mitmproxy sends, or not in its order.
    """
    turns: list[list[Step]] = [
        [(0, b"head"), (0, b"one"), (1, b"asked"), (0, b"two"), (0, b"")],
        [(0, b"three"), None, (0, b"four"), (1, b"x" * 200_000), (1, b"y")],
        [(1, b"z" * 9)] * 9,
    ]
    _same("writes", *(run_turns(turns, holding=holding) for holding in (False, True)))


def prove_bypass() -> None:
    """Let bodies of every shape pass through TLS.

    Raises:
        UnknownMitmproxyError: ours does not pass on what mitmproxy passes on, or does not by-pass it.
    """
    asked = b"POST / HTTP/1.1\r\nHost: provider.invalid\r\nContent-Length: %d\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    counted = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    chunks = b"".join(chunk(b"x" * size) for size in range(1, 40))
    script = [
        Says(CLIENT, asked % 3000),
        Says(CLIENT, b"y" * 3000, (1000,)),
        Says(PROVIDER, chunked + chunks),
        Says(PROVIDER, chunks, (300, 1, 200)),
        Says(PROVIDER, chunk(b"")),
        Says(CLIENT, asked % 0),
        Says(PROVIDER, counted),
        Says(PROVIDER, b"z" * 5000, (1000,)),
        Says(CLIENT, asked % 0),
        Says(PROVIDER, chunked + b"5;last\r\nhello\r\n", (60,)),
        Says(PROVIDER),
    ]
    found: list[Log] = []
    events = []
    for wrap in (_as_it_is, bypass.server_event_of):
        tapped: list[bytes] = []
        rehearsal = Rehearsal(wrap, _Tap(tapped), encrypted=True)
        found.append([*rehearsal.perform(script), ("tapped", b"".join(tapped))])
        events.append(rehearsal.events)
    _same("bypass", *found)
    if events[0] == events[1]:
        message = "bypass finds no way past mitmproxy's layers"
        raise UnknownMitmproxyError(message)


def prove_messages() -> None:
    """Judge messages that are right, and such as are wrong in one field.

    Raises:
        UnknownMitmproxyError: ours does not judge as mitmproxy does.
    """
    original: Any = vars(http.MessageData).get("__post_init__", lambda _: None)
    found: list[Log] = []
    for judge in (original, messages.post_init_of(original)):
        log: Log = []
        for right in (http.Request.make("POST", "https://proof.invalid/"), http.Response.make()):
            for name in vars(right.data):
                for value in (getattr(right.data, name), None, b"", "", 1, 1.5, True, ()):
                    one: Any = type(right.data).__new__(type(right.data))
                    vars(one).update(vars(right.data) | {name: value})
                    try:
                        judge(one)
                        log.append((name, "right"))
                    except TypeError as error:
                        log.append((name, str(error)))
        found.append(log)
    _same("messages", *found)


def _as_it_is(handle: Handle) -> Handle:
    return handle


class _Tap:
    passes_on = True

    def __init__(self, seen: list[bytes]) -> None:
        self._seen = seen

    def __call__(self, data: bytes) -> bytes:
        self._seen.append(data)
        return data


type Step = tuple[int, bytes] | None
"""Bytes for one of two connections, or a hook."""


def run_turns(turns: Iterable[Iterable[Step]], *, holding: bool) -> Log:
    """Have mitmproxy's handler work on turns; return what was sent, with consecutive bytes of one connection joined."""
    sent: Log = []

    async def hook(_handler: object, _hook: object) -> None:
        sent.append(("hook",))

    event: Any = server.ConnectionHandler.server_event
    if holding:
        event, hook = writes.server_event_of(event), writes.handle_hook_of(hook)
    handler = _handler(sent)
    for turn in turns:
        handler.layer = _Turn(handler, list(turn), hook)
        at_once(event(handler, events.Start()))
    for io in handler.transports.values():
        io.writer.transport.close()
    joined: Log = []
    for where, *data in sent:
        if data and joined and joined[-1][0] == where:
            joined[-1] = (where, cast("bytes", joined[-1][1]) + cast("bytes", data[0]))
        elif data != [b""]:
            joined.append((where, *data))
    return joined


class _Turn:
    """A layer that says what it was told to say."""

    def __init__(self, handler: Any, steps: list[Step], hook: Callable[..., Any]) -> None:  # noqa: ANN401
        self._handler, self._steps, self._hook = handler, steps, hook

    def handle_event(self, _event: events.Event) -> Generator[commands.Command]:
        connections = list(self._handler.transports)
        for step in self._steps:
            if step is None:
                at_once(self._hook(self._handler, None))  # at once, as mitmproxy's eager tasks
            else:
                yield commands.SendData(connections[step[0]], step[1])


class _Transport(asyncio.Transport):
    def __init__(self, name: int, sent: Log) -> None:
        super().__init__()
        self._name, self._sent, self._closed = name, sent, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sent.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True


class _Watchdog:
    def register_activity(self) -> None:
        """Nothing waits."""


def _handler(sent: Log) -> Any:  # noqa: ANN401 - mitmproxy's, without what needs a socket
    made: Any = mode_servers.ProxyConnectionHandler.__new__(mode_servers.ProxyConnectionHandler)
    connections = [connection.Server(address=("proof.invalid", port)) for port in (1, 2)]
    loop = asyncio.get_running_loop()
    made.transports = {
        one: server.ConnectionIO(
            writer=asyncio.StreamWriter(
                _Transport(name, sent), asyncio.StreamReaderProtocol(asyncio.StreamReader(), loop=loop), None, loop
            )
        )
        for name, one in enumerate(connections)
    }
    made.timeout_watchdog = _Watchdog()
    made._server_event_lock = asyncio.Lock()  # noqa: SLF001 - mitmproxy's
    return made


def _same(layer: str, plain: Log, fast: Log) -> None:
    if plain != fast or not plain:
        message = f"{layer} did not do what mitmproxy does"
        raise UnknownMitmproxyError(message)
