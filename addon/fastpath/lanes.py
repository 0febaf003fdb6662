"""The way of a body's bytes through mitmproxy's layers, from one connection to the other.

Each layer hands an event to the next and takes commands from it: some eight layers on the way in, and on the way out
again, for each chunk. While a body passes, all of them do always the same. A lane knows which they are, and tells
whether each still does just that.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from mitmproxy.connection import Connection
from mitmproxy.proxy import layer, tunnel
from mitmproxy.proxy.layers import modes, tls
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server

from llm_metrics_proxy.addon.fastpath.names import PASSES_ON

_LANES: Final = "_lanes"
"""The attribute of a handler that has its lanes, by the id of the connection that the bytes come from."""
_HANDING_OVER: Final = (modes.HttpProxy, modes.ReverseProxy, modes.TransparentProxy, HttpClient)
"""Layers that hand all events to the next one as soon as there is one."""
_TLS: Final = (tls.ServerTLSLayer, tls.ClientTLSLayer)
_SWITCHING_PROTOCOLS: Final = 101
_SHORT: Final = 32  # bytes that wait for the rest of a chunk's first line; more is no usual body


class End:
    """One of the two connections, what speaks HTTP/1 there, and the layer of its TLS, if there is one."""

    def __init__(self, connection: Connection, http1: Any, tls_layer: Any) -> None:  # noqa: ANN401 - mitmproxy's layers
        """Take mitmproxy's `Http1Server` or `Http1Client`, and its `ClientTLSLayer` or `ServerTLSLayer`."""
        self.connection, self.http1, self.tls = connection, http1, tls_layer
        self._framing: tuple[object, bool] = ((), False)

    @property
    def is_open(self) -> bool:
        """False while TLS begins, or after it has ended."""
        return self.tls is None or self.tls.tunnel_state is tunnel.TunnelState.OPEN

    def is_chunked(self, message: Any) -> bool:  # noqa: ANN401 - mitmproxy's
        """Tell whether mitmproxy writes a message's body in chunks."""
        fields = message.headers.fields
        if self._framing[0] is not fields:
            self._framing = fields, "chunked" in message.headers.get("transfer-encoding", "").lower()
        return self._framing[1]


class Way(NamedTuple):
    """The two ends of a body that passes, and its message."""

    source: End
    target: End
    message: Any


class Lane:
    """The way of all bodies that come from one connection."""

    def __init__(self, source: End, inner: HttpLayer, passed: list[Any], tunnels: Iterable[Http1Server]) -> None:
        """Take the layer that has the exchanges, and all that are passed on the way to it and to the source."""
        self.source = source
        self._inner = inner
        self._passed = passed
        self._tunnelled = [(one.response, one.response.headers.fields) for one in tunnels if one.response is not None]
        self._is_answer = type(source.http1) is Http1Client
        self._target: End | None = None
        self._layers: list[Any] = []

    def way(self) -> Way | None:
        """Return where a body passes now, or None if mitmproxy would do anything else with the next bytes."""
        http1 = self.source.http1
        stream: Any = self._inner.streams.get(http1.stream_id)
        if stream is None or http1.state != http1.read_body or len(http1.buf) > _SHORT:
            return None
        if self._is_answer:
            passing = stream.server_state == stream.state_stream_response_body
            message, connection = stream.flow.response, stream.context.client
        else:
            passing = stream.client_state == stream.state_stream_request_body
            message, connection = stream.flow.request, stream.context.server
        if not passing or (callable(message.stream) and not getattr(message.stream, PASSES_ON, False)):
            return None
        target = self._target_at(connection)
        if (
            target is None
            or target.http1.stream_id != http1.stream_id
            or message is not (target.http1.response if self._is_answer else target.http1.request)
            or not (self.source.is_open and target.is_open and self._is_quiet(stream))
            or stream.context.options.store_streamed_bodies
        ):
            return None
        return Way(self.source, target, message)

    @property
    def is_before_an_answer(self) -> bool:
        """Tell whether the head of an answer comes next that may have a body."""
        http1 = self.source.http1
        return (
            self._is_answer
            and http1.request is not None
            and http1.request.method != "HEAD"
            and http1.state == http1.read_headers
        )

    def _target_at(self, connection: Connection) -> End | None:
        if self._target is None or self._target.connection is not connection:
            within: list[Any] = []
            self._target = _end_at(connection, self._inner, within, _tls_of(connection, self._passed))
            self._layers = self._passed + within
        return self._target

    def _is_quiet(self, stream: HttpStream) -> bool:
        """Tell whether no layer waits for anything, and what is tunnelled passes as it is."""
        if stream._paused is not None:
            return False
        for one in self._layers:
            if one._paused is not None:
                return False
        return all(response.headers.fields is fields for response, fields in self._tunnelled)


def lane_from(handler: Any, connection: Connection) -> Lane | None:  # noqa: ANN401 - mitmproxy's `ConnectionHandler`
    """Return the lane of what comes from a connection; None while there is none, or only mitmproxy knows it."""
    lanes: dict[int, Lane] | None = vars(handler).get(_LANES)
    if lanes is None:
        lanes = vars(handler)[_LANES] = {}
    lane = lanes.get(id(connection))
    if lane is None:
        lane = _find(handler, connection)
        if lane is not None:
            lanes[id(connection)] = lane  # which keeps the connection, so that nothing else gets its id
    return lane


def _find(handler: Any, connection: Connection) -> Lane | None:  # noqa: ANN401
    passed: list[Any] = []
    tunnels: list[Http1Server] = []
    at: Any = handler.layer
    while True:
        kind = type(at)
        passed.append(at)
        if kind is layer.NextLayer and at._handle is not None:
            at = at.layer
        elif kind in _HANDING_OVER and "_handle_event" in vars(at):
            at = at._handle_event.__self__
        elif kind in _TLS and at.tunnel_state is not tunnel.TunnelState.ESTABLISHING:
            at = at.child_layer
        elif kind is HttpLayer and type(server := at.connections.get(handler.client)) is Http1Server:
            if server.state != server.passthrough:
                break
            stream = at.streams.get(server.stream_id)
            if stream is None or not _tunnels(stream, server, connection, at):
                return None
            passed += stream, server
            tunnels.append(server)
            at = stream.child_layer
        else:
            return None
    source = _end_at(connection, at, passed, _tls_of(connection, passed))
    return None if source is None else Lane(source, at, passed, tunnels)


def _tunnels(stream: HttpStream, server: Http1Server, connection: Connection, within: HttpLayer) -> bool:
    """Tell whether a stream, of CONNECT, passes all bytes of both its connections as they are."""
    response = server.response
    return (
        stream._handle_event == stream.passthrough
        and response is not None
        and response.status_code != _SWITCHING_PROTOCOLS
        and "chunked" not in response.headers.get("transfer-encoding", "").lower()
        and (connection is server.conn or within.connections.get(connection) is stream)
    )


def _end_at(connection: Connection, inner: HttpLayer, passed: list[Any], tls_layer: Any) -> End | None:  # noqa: ANN401
    """Return what the layer of the exchanges has for a connection; add to `passed` what is on the way to it."""
    at: Any = inner.connections.get(connection)
    while True:
        kind = type(at)
        passed.append(at)
        if kind in {Http1Server, Http1Client}:
            return End(connection, at, tls_layer)
        if kind is tls.ServerTLSLayer and at.conn is connection and tls_layer is None:
            tls_layer, at = at, at.child_layer
        elif kind is HttpClient and "_handle_event" in vars(at):
            at = at._handle_event.__self__
        else:
            return None


def _tls_of(connection: Connection, passed: Iterable[Any]) -> Any:  # noqa: ANN401
    return next((one for one in passed if type(one) in _TLS and one.conn is connection), None)
