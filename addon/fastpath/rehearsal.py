"""A client, a provider, and mitmproxy's own layers between them, all in memory, without sockets, tasks or time.

The bytes are the same as on a wire, TLS included. So the by-pass can be compared with mitmproxy's own code in the
process that is about to rely on it, and tests can do so thousands of times.
"""

import contextlib
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mitmproxy import connection
from mitmproxy.proxy import commands, context, events, layer, mode_specs
from mitmproxy.proxy.layers import http, modes, tls
from mitmproxy.proxy.layers.http import _hooks
from OpenSSL import SSL

from llm_metrics_proxy.addon.fastpath.known import UnknownMitmproxyError

type Log = list[tuple[object, ...]]
type Handle = Callable[[Any, events.Event], Any]
"""A handler's `server_event`."""

type Stream = bool | Callable[[bytes], bytes | Iterable[bytes]]
"""A message's `stream`, as mitmproxy takes it."""

CLIENT: Final = "client"
PROVIDER: Final = "provider"
_CONNECT: Final = b"CONNECT provider.invalid:443 HTTP/1.1\r\n\r\n"
_OPTIONS: Final[Any] = SimpleNamespace(  # that mitmproxy's layers ask for
    body_size_limit=None,
    connection_strategy="lazy",
    keep_host_header=False,
    rawtcp=True,
    store_streamed_bodies=False,
    stream_large_bodies=None,
    validate_inbound_headers=True,
    websocket=True,
)


class Says(NamedTuple):
    """One side sends bytes, in pieces of these sizes, the last one for ever; without bytes it closes."""

    who: str
    data: bytes = b""
    sizes: tuple[int, ...] = (1 << 16,)


class Rehearsal:
    """One connection of a client, with a tunnel in it. It stands for mitmproxy's `ConnectionHandler`."""

    def __init__(self, wrap: Callable[[Handle], Handle], stream: Stream, *, encrypted: bool) -> None:
        """Let `wrap` replace how an event is worked on; answers are streamed by `stream`."""
        self.client = connection.Client(
            peername=("client.invalid", 1),
            sockname=("proxy.invalid", 2),
            proxy_mode=mode_specs.ProxyMode.parse("regular"),
            state=connection.ConnectionState.OPEN,
        )
        self.seen: Log = []
        self.events = 0
        """How many mitmproxy worked on."""
        self.transports: dict[connection.Connection, Any] = {}
        self.timeout_watchdog = SimpleNamespace(register_activity=lambda: None)
        self.layer: layer.Layer = layer.NextLayer(context.Context(self.client, _OPTIONS), ask_on_start=True)
        self._server_event_lock = _Lock(self.settle)
        self._handle = wrap(Rehearsal.server_event)
        self._stream = stream
        self._pending: list[events.Event] = [events.Start()]
        self._peers = {CLIENT: _Peer(None)}
        self._encrypted = encrypted
        self._add(self.client, CLIENT)
        self.settle()
        self._receive(self.client, _CONNECT)
        if encrypted:
            peer = self._peers[CLIENT] = _Peer(_connecting())
            self._receive(self.client, peer.take(b"")[1])

    def perform(self, script: Iterable[Says]) -> Log:
        """Let both sides say what they have to; return what reached whom, and mitmproxy's hooks, in order."""
        for who, data, sizes in script:
            at = next((one for one, io in self.transports.items() if io.writer.who == who), None)
            if at is None:
                self.seen.append(("nobody", who))
            elif data:
                wire = self._peers[who].encrypt(data)
                for piece in _cut(wire, sizes):
                    if at in self.transports:
                        self._receive(at, piece)
            else:
                self._close(at)
                self.settle()
        return _joined(self.seen)

    def settle(self) -> None:
        """Work on what waits: answers to hooks and handshakes, connections that have been opened or closed."""
        while self._pending:
            at_once(self._handle(self, self._pending.pop(0)))

    async def server_event(self, event: events.Event) -> None:
        """Work on an event as mitmproxy does."""
        self.events += 1
        try:
            for command in self.layer.handle_event(event):
                self._obey(command)
        except Exception as error:  # noqa: BLE001 - as mitmproxy
            self.log(f"{type(error).__name__}: {error}")

    def log(self, message: str, *_more: object, **_details: object) -> None:
        """Note what mitmproxy would log."""
        self.seen.append(("log", message))

    def reached(self, at: connection.Connection, who: str, wire: bytes) -> None:
        """Note what a side gets; an answer of its TLS comes back."""
        data, answer = self._peers[who].take(wire)
        if answer:
            self._pending.append(events.DataReceived(at, answer))
        if data:
            self.seen.append((who, data))

    def _receive(self, at: connection.Connection, data: bytes) -> None:
        at_once(self._handle(self, events.DataReceived(at, data)))
        self.settle()

    def _obey(self, command: commands.Command) -> None:
        if isinstance(command, commands.OpenConnection):
            opened = command.connection
            opened.state, opened.timestamp_start = connection.ConnectionState.OPEN, 0.0
            self._peers[PROVIDER] = _Peer(_accepting() if self._encrypted else None)
            self._add(opened, PROVIDER)
            self._pending.append(events.OpenConnectionCompleted(command, None))
        elif isinstance(command, commands.StartHook):
            self.seen.append(("hook", command.name))
            self._answer(command)
            if command.blocking:
                self._pending.append(events.HookCompleted(command))
        elif isinstance(command, commands.SendData) and command.connection in self.transports:
            self.transports[command.connection].writer.write(command.data)
        elif isinstance(command, commands.CloseConnection) and command.connection in self.transports:
            self.seen.append(("closed", self.transports[command.connection].writer.who))
            self._close(command.connection)

    def _answer(self, hook: Any) -> None:  # noqa: ANN401 - any of mitmproxy's
        match hook:
            case layer.NextLayerHook(asked):
                asked.layer = self._next(asked)
            case tls.TlsStartClientHook(data):
                data.ssl_conn = _accepting()
            case tls.TlsStartServerHook(data):
                data.ssl_conn = _connecting()
            case _hooks.HttpRequestHeadersHook(flow):
                flow.request.stream = True
            case _hooks.HttpResponseHeadersHook(flow) if flow.response is not None:
                flow.response.stream = self._stream

    def _next(self, asked: layer.NextLayer) -> layer.Layer:
        above = {type(one) for one in asked.context.layers}
        if modes.HttpProxy not in above:
            return modes.HttpProxy(asked.context)
        if http.HttpLayer not in above:
            return http.HttpLayer(asked.context, http.HTTPMode.regular)
        if self._encrypted and tls.ServerTLSLayer not in above:
            made = tls.ServerTLSLayer(asked.context)
            made.child_layer = tls.ClientTLSLayer(asked.context)
            return made
        return http.HttpLayer(asked.context, http.HTTPMode.transparent)

    def _add(self, one: connection.Connection, who: str) -> None:
        self.transports[one] = SimpleNamespace(writer=_Writer(self, one, who))

    def _close(self, one: connection.Connection) -> None:
        one.state = connection.ConnectionState.CLOSED
        del self.transports[one]
        self._pending.append(events.ConnectionClosed(one))


class _Lock:
    """mitmproxy's, where who waits has waited: what is pending comes first."""

    _waiters = ()

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle

    def locked(self) -> bool:
        """Nobody works on two events at a time."""
        return False

    async def __aenter__(self) -> None:
        self._settle()

    async def __aexit__(self, *_error: object) -> None:
        """Nothing is held."""


class _Writer:
    def __init__(self, rehearsal: Rehearsal, at: connection.Connection, who: str) -> None:
        self.who = who
        self.write = lambda data: rehearsal.reached(at, who, bytes(data))

    def is_closing(self) -> bool:
        return False


class _Peer:
    """One side's TLS, if it has any."""

    def __init__(self, ssl: SSL.Connection | None) -> None:
        self._ssl = ssl

    def encrypt(self, data: bytes) -> bytes:
        """Return what it sends."""
        if self._ssl is None:
            return data
        self._ssl.sendall(data)
        return _drained(self._ssl.bio_read)

    def take(self, wire: bytes) -> tuple[bytes, bytes]:
        """Return what it reads, and what its TLS answers."""
        if self._ssl is None:
            return wire, b""
        if wire:
            self._ssl.bio_write(wire)
        with contextlib.suppress(SSL.WantReadError):
            self._ssl.do_handshake()
        return _drained(self._ssl.recv), _drained(self._ssl.bio_read)


def _drained(read: Callable[[int], bytes]) -> bytes:
    found = []
    with contextlib.suppress(SSL.Error):
        while True:
            found.append(read(1 << 16))
    return b"".join(found)


def _cut(data: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    """Yield data in pieces of these sizes, the last one for ever."""
    at = number = 0
    while at < len(data):
        size = sizes[min(number, len(sizes) - 1)]
        yield data[at : at + size]
        at, number = at + size, number + 1


def _joined(seen: Log) -> Log:
    """Join what reached one side by several writes."""
    joined: Log = []
    for what, value in seen:
        if joined and joined[-1][0] == what and isinstance(value, bytes):
            joined[-1] = (what, cast("bytes", joined[-1][1]) + value)
        else:
            joined.append((what, value))
    return joined


@functools.cache
def _identity() -> SSL.Context:
    """Return a context that has a certificate; nobody looks who signed it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider.invalid")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    made = SSL.Context(SSL.TLS_METHOD)
    made.use_certificate(certificate)
    made.use_privatekey(key)
    return made


def _accepting() -> SSL.Connection:
    made = SSL.Connection(_identity())
    made.set_accept_state()
    return made


def _connecting() -> SSL.Connection:
    made = SSL.Connection(SSL.Context(SSL.TLS_METHOD))
    made.set_connect_state()
    return made


def at_once(coroutine: Any) -> None:  # noqa: ANN401 - what `async def` makes
    """Run to its end what waits for nothing.

    Raises:
        UnknownMitmproxyError: it waited.
    """
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    message = "the proof waited"
    raise UnknownMitmproxyError(message)
