"""mitmproxy's HTTP layer, changed where a refusal needs it. mitmproxy's modules are handed in.

- mitmproxy replaces a request's Host before the first hook. The request keeps a note of what was asked.
- It answers for an addon only when all of the request's body has come, and gathers that: what many clients without a
  password send at once takes as much memory. A refusal goes out before the body, of which nothing is kept.
- It gathers what does not end: a head, a line of a chunked body. All clients together may have 16 MiB of those, beside
  the first 64 KiB of each. TLS's first message may have 64 KiB: each piece of a longer one costs as much time as all
  that came before it.

For other requests all is as it was.
"""

import functools
import weakref
from collections.abc import Callable, Generator
from typing import Any

from llm_metrics_proxy.addon.admission import Asked
from llm_metrics_proxy.addon.framing.decoding import LIMIT

NOTE = "_llm_metrics_asked"
"""The request's attribute that holds an `Asked`."""
_SHORT = 64 * 1024
_LONGEST_BODY = LIMIT
_MOST_DIGITS = 9  # of a length that is worth a look
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

type Commands = Generator[Any, Any, Any]
"""Of a layer."""


def change(http: Any, tls: Any) -> None:  # noqa: ANN401 - mitmproxy's
    """Change `mitmproxy.proxy.layers.http` and `.tls`; safe to call again.

    Raises:
        AttributeError: this version of mitmproxy has other names, and nothing was changed.
    """
    stream, server, client_tls = http.HttpStream, http.Http1Server, tls.ClientTLSLayer
    validate, start, hello = http.validate_request, stream.start_request_stream, client_tls.receive_handshake_data
    head, body = server.read_headers, server.read_body
    if hasattr(validate, NOTE):
        return
    held = Held()
    http.validate_request = _noting(validate, http.HTTPMode.transparent)
    stream.start_request_stream = _answering_first(start, http)
    server.read_headers, server.read_body = (_bounded(read, held, http.commands) for read in (head, body))
    client_tls.receive_handshake_data = _bounded_hello(hello)


def asked(request: Any) -> Asked | None:  # noqa: ANN401 - mitmproxy's
    """Return what a request asked for, or None if mitmproxy did not let us note it."""
    return getattr(request, NOTE, None)


def _noting(validate: Callable[..., str | None], transparent: object) -> Callable[..., str | None]:
    @functools.wraps(validate)
    def noting(mode: object, request: Any, *more: object) -> str | None:  # noqa: ANN401 - mitmproxy's
        setattr(request, NOTE, Asked(mode is not transparent, request.data.authority, request.headers.fields))
        return validate(mode, request, *more)

    setattr(noting, NOTE, True)
    return noting


def _answering_first(start: Callable[[Any], Commands], http: Any) -> Callable[[Any], Commands]:  # noqa: ANN401
    """Return what begins a request's stream, or answers, where mitmproxy would say that it cannot do both."""

    @functools.wraps(start)
    def answering_first(stream: Any) -> Commands:  # noqa: ANN401 - mitmproxy's
        if stream.flow.response is None:
            yield from start(stream)
            return
        stream.client_state = stream.state_done  # else the answer would not be the end of the exchange
        yield from stream.send_response()
        stream.client_state = stream.state_errored  # which takes what has come meanwhile, and does nothing with it
        if not _is_short(stream.flow.request):
            closing = http.ResponseProtocolError(stream.stream_id, "refused", http.ErrorCode.KILL)
            yield http.SendHttp(closing, stream.context.client)

    return answering_first


def _is_short(request: Any) -> bool:  # noqa: ANN401 - mitmproxy's
    """Tell whether a body may as well come: a client that is cut while it sends may not read the answer."""
    length = request.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS and int(length) <= _LONGEST_BODY


class Held:
    """Bytes of those who have sent more than `_SHORT` of something that has not ended."""

    def __init__(self) -> None:
        """Nobody has."""
        self._sizes: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()

    def is_too_much(self, holder: object, size: int) -> bool:
        """Note that `holder` has now `size` bytes; True if that is more than all may have, and it must go."""
        if size <= _SHORT:
            self._sizes.pop(holder, None)
            return False
        self._sizes[holder] = size
        if sum(self._sizes.values()) <= LIMIT:
            return False
        del self._sizes[holder]
        return True


def _bounded(read: Callable[[Any, Any], Commands], held: Held, commands: Any) -> Callable[[Any, Any], Commands]:  # noqa: ANN401
    @functools.wraps(read)
    def bounded(server: Any, event: Any) -> Commands:  # noqa: ANN401 - mitmproxy's
        yield from read(server, event)
        in_head = server.state == server.read_headers
        unfinished = server.conn.connected and (in_head or server.state == server.read_body)
        if held.is_too_much(server, len(server.buf) if unfinished else 0):
            server.buf = type(server.buf)()
            if in_head:  # else an answer may be under way
                server.state = server.done
                yield commands.SendData(server.conn, _TOO_LARGE)
            yield commands.CloseConnection(server.conn)

    return bounded


def _bounded_hello(receive: Callable[[Any, bytes], Commands]) -> Callable[[Any, bytes], Commands]:
    @functools.wraps(receive)
    def bounded(layer: Any, data: bytes) -> Commands:  # noqa: ANN401 - mitmproxy's
        if len(layer.recv_buffer) > _SHORT:
            layer.recv_buffer.clear()
            return False, "The ClientHello is too long."
        return (yield from receive(layer, data))

    return bounded
