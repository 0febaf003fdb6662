"""Bytes as servers put them on the wire, made for tests: codings, cuts, events; and exchanges that are fed them."""

import json
import random
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import brotli
import zstandard

from llm_metrics_proxy.addon.callers.labels import for_the_proxy
from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.providers import match
from llm_metrics_proxy.addon.providers.format import Route, WireFormat
from llm_metrics_proxy.addon.providers.later import match_later
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.addon.taps import observing

MS = 1_000_000


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Compressor()

    def compress(self, data: bytes, /) -> bytes:
        return bytes(self._inner.process(data))

    def flush(self, mode: int, /) -> bytes:
        return bytes(self._inner.finish() if mode == zlib.Z_FINISH else self._inner.flush())


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdCompressor().compressobj()

    def compress(self, data: bytes, /) -> bytes:
        return self._inner.compress(data)

    def flush(self, mode: int, /) -> bytes:
        finish, block = zstandard.COMPRESSOBJ_FLUSH_FINISH, zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return self._inner.flush(finish if mode == zlib.Z_FINISH else block)


CODINGS: dict[str, tuple[str, Callable[[], _Compressor]]] = {
    "gzip": ("gzip", lambda: zlib.compressobj(wbits=31)),
    "deflate": ("deflate", zlib.compressobj),
    "deflate without zlib's header": ("deflate", lambda: zlib.compressobj(wbits=-15)),
    "br": ("br", _Brotli),
    "zstd": ("zstd", _Zstd),
}
"""Content codings as servers write them: the header's value, and a compressor."""


def encoded(coding: str, parts: Iterable[bytes], *, ended: bool = True) -> list[bytes]:
    """Encode each part so that it can be read before the next one comes, and the end, if there is one, after them."""
    if coding == "identity":
        return list(parts)
    compressor = CODINGS[coding][1]()
    pieces = [compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    return [*pieces, compressor.flush(zlib.Z_FINISH)] if ended else pieces


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut `data` at `places`; empty pieces are left out."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def cut_anyhow(data: bytes, seed: int) -> list[bytes]:
    """Cut `data` into pieces of 1 to 40 bytes, always the same for a seed."""
    lengths = random.Random(seed)
    places = [0]
    while places[-1] < len(data):
        places.append(places[-1] + lengths.randint(1, 40))
    return cut_at(data, places[:-1])


def events_of(body: bytes, content_type: str) -> list[bytes]:
    """Split a body after each event of its stream; a body that is none is one event."""
    if ("event-stream" in content_type and "amazon" not in content_type) or body.startswith(b"data:"):
        return [event for event in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)", body) if event]
    if "ndjson" in content_type or "stream+json" in content_type:
        return body.splitlines(keepends=True)
    if "amazon.eventstream" in content_type:
        return list(_frames(body))
    return list(_elements(body)) if body.lstrip().startswith(b"[") else [body] if body else []


def _frames(body: bytes) -> Iterator[bytes]:
    while body:
        length = int.from_bytes(body[:4])
        yield body[:length]
        body = body[length:]


def _elements(body: bytes) -> Iterator[bytes]:
    text, start = body.decode("latin-1"), 0
    while found := re.compile(r"[\s\[,]*(?=\{)").match(text, start):
        _, end = json.JSONDecoder().raw_decode(text, found.end())
        yield body[start:end]
        start = end
    yield body[start:]


def route_of(path: str, host: str, method: str = "POST") -> Route[WireFormat]:
    """Return where a request goes; `host` may have a port, `path` a query."""
    name, _, port = host.partition(":")
    address, bare = (name, int(port or 443)), path.partition("?")[0]
    route = (match(*address, bare) if method == "POST" else None) or match_later(method, *address, bare)
    assert route is not None, f"no format answers to {host}{path}"
    return route


def begun(path: str, *, host: str, headers: Mapping[str, str] | None = None, method: str = "POST") -> Exchange:
    """Begin an exchange at the moment 0."""
    bare, _, query = path.partition("?")
    others = dict(headers or {})
    ours = {name: others.pop(name) for name in for_the_proxy(others)}
    return Exchange(
        Opening(
            route=route_of(path, host, method),
            at=0,
            wall=1_767_323_045_678_000_000,
            host=host,
            path=bare,
            query=query,
            headers=others,
            origin="tests",
            client="127.0.0.1",
            http_version="1.1",
            ours=ours,
        )
    )


class Answering:
    """The answer's body on its way to an exchange: each piece goes through the tap that mitmproxy calls.

    The tap keeps a parser's fault from the traffic; here it is raised.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._calls = _Calls(Complaints(), lambda _seconds, _do: None, time.monotonic_ns)
        self._at = 0
        self._tap = observing(self._calls, exchange, exchange.answered, lambda: self._at)

    def __call__(self, data: bytes, at: int) -> None:
        """Pass a piece, as on the wire."""
        self._at = at
        self._tap(data)
        if self._calls.fault is not None:
            raise self._calls.fault


class _Calls(InFlight):
    """Keeps a fault, which in the proxy is counted and logged."""

    fault: Exception | None = None

    def broken(self, where: str, error: Exception) -> None:  # noqa: ARG002 - as the proxy's own
        self.fault = error


def exchange(  # noqa: PLR0913 - one argument a fact
    chunks: Sequence[bytes] = (),
    *,
    asked: bytes = b'{"model":"m","messages":[{}],"stream":true}',
    path: str = "/v1/chat/completions",
    host: str = "api.openai.com",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    request_headers: Mapping[str, str] | None = None,
) -> Exchange:
    """Make an exchange to which all of `chunks` have come, the first at 100 ms and one each 100 ms."""
    made = begun(path, host=host, headers=request_headers)
    made.request_chunk(asked, 1 * MS)
    made.request_end(2 * MS)
    made.answer_head(status, {"content-type": "text/event-stream"} if headers is None else headers, 3 * MS)
    answering = Answering(made)
    for count, chunk in enumerate(chunks, 1):
        answering(chunk, count * 100 * MS)
    return made


def sse(*payloads: object) -> bytes:
    """Write an event stream of `data` fields: texts as they are, all else as JSON."""
    texts = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()
