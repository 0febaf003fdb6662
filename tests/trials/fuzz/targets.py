"""Targets of the fuzzer: each takes any bytes and checks its promises; errors that a contract allows are caught."""

import json
from contextlib import suppress

from atheris import FuzzedDataProvider

from llm_metrics_proxy.addon import providers
from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.framing import ServerSentEvents
from llm_metrics_proxy.addon.framing.abridging import Abridged
from llm_metrics_proxy.addon.framing.aws_framing import EventStream
from llm_metrics_proxy.addon.framing.decoding import LIMIT, TooLarge, Undecodable, decoder_for
from llm_metrics_proxy.addon.framing.json_framing import ArrayItems, Ignored, Lines, Whole
from llm_metrics_proxy.addon.include_usage.request import splice_for
from llm_metrics_proxy.addon.include_usage.stream import UsageFilter
from llm_metrics_proxy.addon.outcomes import Cause
from llm_metrics_proxy.addon.privacy.quotation import quotable, without_quotations
from llm_metrics_proxy.addon.providers.decode import Unparsed
from llm_metrics_proxy.addon.providers.format import Answer, Route, WireFormat
from llm_metrics_proxy.addon.providers.hosts import name_of
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.websocket_protocols import match_session, session_of
from llm_metrics_proxy.addon.websocket_protocols.message import Message
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support.exchanges import Answering

_CODINGS = ("", "gzip", "deflate", "br", "zstd", "gzip, br", "identity")
_FRAMINGS = (ServerSentEvents, Lines, ArrayItems, EventStream, Whole, Abridged, Ignored)
_CONTENT_TYPES = (
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "audio/mpeg",
)
_CAUSES = tuple(Cause)
_FORMATS: tuple[WireFormat, ...] = tuple({id(entry[1]): entry[1] for entry in providers._FORMATS}.values())  # noqa: SLF001
_SOCKETS = (
    ("api.openai.com", "/v1/responses"),
    ("api.openai.com", "/v1/realtime"),
    ("generativelanguage.googleapis.com", "/ws/a.BidiGenerateContent"),
)


class Broken(Exception):  # noqa: N818 - what a fuzzer is looking for
    """Something that must hold for any bytes did not."""


def _holds(what: str, condition: bool) -> None:  # noqa: FBT001 - an assertion that -O leaves
    if not condition:
        raise Broken(what)


def _pieces(provider: FuzzedDataProvider) -> list[bytes]:
    data = provider.ConsumeBytes(provider.remaining_bytes())
    size = len(data) // 7 + 1 if data[:1] < b"\x80" else len(data) or 1
    return [data[start : start + size] for start in range(0, len(data), size)]


def _storable(row: CompletionRequest) -> None:
    for name in CompletionRequest.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, int):
            _holds(f"{name} = {value} fits the database", -(2**63) <= value < 2**63)
        elif isinstance(value, float):
            _holds(f"{name} is a number", value == value and abs(value) != float("inf"))  # noqa: PLR0124 - NaN
        elif isinstance(value, str):
            _holds(f"{name} is bounded", len(value) <= 8192)
            value.encode()


def _opening(route: Route[object], path: str, encoding: str = "") -> Opening:
    return Opening(
        route=route,
        at=0,
        wall=1_767_323_045_678_000_000,
        host="h:443",
        path=path,
        query="",
        headers={"content-encoding": encoding},
        origin=None,
        client=None,
        http_version=None,
    )


def decoding(data: bytes) -> None:
    """Decoders raise what they document, and give no more than their bound."""
    provider = FuzzedDataProvider(data)
    decoder, given = decoder_for(provider.PickValueInList(list(_CODINGS))), 0
    if decoder is None:
        return
    with suppress(TooLarge, Undecodable):
        for piece in _pieces(provider):
            for out in decoder.feed(piece):
                given += len(out)
                _holds("a piece of output is bounded", len(out) <= 40 * 1024 * 1024)
    _holds("all output is bounded", given <= LIMIT + 100 * len(data))


def framings(data: bytes) -> None:
    """Framings raise what they document, and the payloads are no more than what came."""
    provider = FuzzedDataProvider(data)
    framing, size = provider.PickValueInList(list(_FRAMINGS))(), 0
    with suppress(TooLarge, Undecodable):
        for piece in _pieces(provider):
            size += sum(len(payload) for _, payload in framing.feed(piece))
        size += sum(len(payload) for _, payload in framing.finish())
    _holds("payloads are not more than the body", size <= len(data))


def formats(data: bytes) -> None:
    """A format reads any payload or says `Unparsed`."""
    provider = FuzzedDataProvider(data)
    wire_format, name = (
        provider.PickValueInList(list(_FORMATS)),
        provider.ConsumeBytes(provider.ConsumeIntInRange(0, 9)),
    )
    body = provider.ConsumeBytes(provider.remaining_bytes())
    with suppress(Unparsed):
        wire_format.request(body)
    for answer in (Answer(), Answer()):
        with suppress(Unparsed):
            wire_format.event(name, body, answer)
        with suppress(Unparsed):
            wire_format.whole(body, answer)


def exchanges(data: bytes) -> None:
    """An exchange takes anything in any order and makes a row that can be stored."""
    provider = FuzzedDataProvider(data)
    wire_format = provider.PickValueInList(list(_FORMATS))
    route = Route(
        provider=name_of("h", 443),
        operation=wire_format.operation,
        usage_reader=wire_format.usage_keys,
        model=None,
        known_host=True,
        speaks=wire_format,
    )
    codings = list(_CODINGS)
    exchange = Exchange(_opening(route, "/", provider.PickValueInList(codings)))
    head = {
        "content-type": provider.PickValueInList(list(_CONTENT_TYPES)),
        "content-encoding": provider.PickValueInList(codings),
    }
    status = provider.PickValueInList([200, 200, 200, 201, 400, 429, 500])
    cause = provider.PickValueInList(list(_CAUSES))
    asked = provider.ConsumeBytes(provider.ConsumeIntInRange(0, provider.remaining_bytes() // 2))
    exchange.request_chunk(asked, 1)
    exchange.request_end(2)
    exchange.answer_head(status, head, 3)
    answering = Answering(exchange)
    for at, piece in enumerate(_pieces(provider), 4):
        answering(piece, at * 1_000_000)
    row = exchange.finish(cause, 10**12)
    if row is not None:
        _storable(row)


def sessions(data: bytes) -> None:
    """A session takes any messages and makes rows that can be stored, no more of them than messages."""
    provider = FuzzedDataProvider(data)
    host, path = provider.PickValueInList(list(_SOCKETS))
    route = match_session(host, 443, path, "")
    if route is None:
        raise Broken(path)
    session, count, rows = session_of(_opening(route, path)), 0, []
    for at, message in enumerate(provider.ConsumeBytes(provider.remaining_bytes()).split(b"\n"), 1):
        rows += session.message(Message(message[1:], at, from_client=message[:1] < b"@"))
        count += 1
    rows += session.finish(Cause.CLIENT_DISCONNECT, 10**12)
    for row in rows:
        _storable(row)
    _holds("a message makes at most one row", len(rows) <= count)


def usage_filter(data: bytes) -> None:
    """All that came goes through the filter, but for events with usage, at once and in its order."""
    pieces = _pieces(FuzzedDataProvider(data))
    passes, given = UsageFilter(""), b""
    for piece in pieces:
        given += b"".join(passes.feed(piece))
    given += b"".join(passes.feed(b""))
    came = b"".join(pieces)
    if b'"usage"' not in came:
        _holds("nothing is taken out", given == came)
    else:
        rest = iter(came)
        _holds("nothing is added", all(byte in rest for byte in given))
    if (splice := splice_for(data)) is not None:
        _holds("the request asks for usage", json.loads(splice.into(data))["stream_options"]["include_usage"] is True)


def quotations(data: bytes) -> None:
    """Any message is masked against any body."""
    provider = FuzzedDataProvider(data)
    message = provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 200))
    without_quotations(message, quotable(provider.ConsumeBytes(provider.remaining_bytes())), None)


TARGETS = (decoding, framings, formats, exchanges, sessions, usage_filter, quotations)
