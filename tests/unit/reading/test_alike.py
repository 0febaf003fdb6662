"""Events that are alike are only counted, and the row is what it is where each of them is read."""

import json
import random
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import asdict

from llm_metrics_proxy.addon.framing import ALIKE, ServerSentEvents
from llm_metrics_proxy.addon.framing.alike import alike_to, free_values
from llm_metrics_proxy.addon.outcomes import Cause
from tests.support.exchanges import MS, Answering, begun

_ODD = [
    *(b"", b" ", b"river", b" the", b"\\n", b'\\"', b"\\\\", b"\\u00e9", b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00x"),
    *(b"\\", b"\\x", b'"', b'","x":"', b"\n", b"\r", b"\n\n", b"\t", b"\x7f", b"\0", b"\1", b"\2", b"\3", b"\4", b"\5"),
    *(
        "Rhône".encode(),
        "水".encode(),
        "🏔".encode(),
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc3",
        b"\xe2\x80\xa8",
        b"}}\n\ndata: {",
    ),
]


def _chat(rng: random.Random, odd: Callable[[], bytes]) -> bytes:
    key = rng.choice((b"content",) * 6 + (b"reasoning_content", b"refusal", b"role"))
    usage = rng.choice((b"null",) * 12 + (b'{"prompt_tokens":%d}' % rng.randrange(3),))
    reason, tier = rng.choice((b"null",) * 12 + (b'"stop"',)), rng.choice((b"",) * 12 + (b'"service_tier":"flex",',))
    return (
        b'data: {"id":"c","model":"m",%b"choices":[{"index":%d,"delta":{"%b":"%b"},"finish_reason":%b}],"usage":%b,'
        b'"obfuscation":"%b"}\n\n'
        % (tier, rng.choice((0,) * 9 + (1,)), key, odd(), reason, usage, rng.choice((b"Xq3", b"Vb7aa", odd())))
    )


def _messages(rng: random.Random, odd: Callable[[], bytes]) -> bytes:
    kind, key = rng.choice(((b"text_delta", b"text"),) * 4 + ((b"thinking_delta", b"thinking"), (b"x", b"signature")))
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"%b","%b":"%b"}}\n\n' % (rng.choice((0,) * 9 + (1,)), kind, key, odd())
    )


def _responses(rng: random.Random, odd: Callable[[], bytes]) -> bytes:
    number = rng.choice((b"%d" % rng.randrange(2000),) * 9 + (b"007", b"1e3", b"-1", b""))
    return (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%b,'
        b'"item_id":"i","delta":"%b","obfuscation":"%b"}\n\n' % (number, odd(), rng.choice((b"Xq3", odd())))
    )


_STREAMS = {
    "openai": ("/v1/chat/completions", "api.openai.com", _chat),
    "anthropic": ("/v1/messages", "api.anthropic.com", _messages),
    "responses": ("/v1/responses", "api.openai.com", _responses),
}


def _streams(make: Callable[..., bytes]) -> Iterator[list[bytes]]:
    """Yield streams of which most events are alike, and each odd text stands among them."""
    for seed, odd in enumerate(_ODD * 2):
        rng = random.Random(seed)
        yield [make(rng, lambda: odd if rng.random() < 0.1 else b"and") for _ in range(40)]  # noqa: B023 - called here


def _row(path: str, host: str, pieces: list[bytes]) -> dict[str, object]:
    exchange = begun(path, host=host)
    exchange.request_chunk(json.dumps({"model": "m", "stream": True, "messages": [], "input": ""}).encode(), 1)
    exchange.request_end(2)
    exchange.answer_head(200, {"content-type": "text/event-stream"}, 3)
    answering = Answering(exchange)
    for piece in pieces:
        answering(piece, 4 * MS)
    row = exchange.finish(Cause.COMPLETE, 5 * MS)
    assert row is not None
    return asdict(row) | {"event_id": "", "faults": exchange.faults}


@pytest.mark.parametrize("name", _STREAMS)
def test_a_stream_has_the_same_row_where_no_event_can_be_compared(name: str) -> None:
    path, host, make = _STREAMS[name]
    for events in _streams(make):
        halves = [half for event in events for half in (event[:9], event[9:])]
        expected = _row(path, host, halves)
        assert _row(path, host, events) == expected
        assert _row(path, host, [b"".join(events[at : at + 7]) for at in range(0, len(events), 7)]) == expected


@pytest.mark.parametrize("name", _STREAMS)
def test_most_events_of_a_stream_are_alike(name: str) -> None:
    _, _, make = _STREAMS[name]
    rng = random.Random(1)
    free = free_values(("content", "text", "delta", "obfuscation"), ("sequence_number",))
    events = [make(random.Random(4), lambda: rng.choice((b" the", b"\\n", "Rhône".encode()))) for _ in range(30)]
    framing = ServerSentEvents()
    framing.feed(b": begins\n\n")
    framing.alike = alike_to(make(random.Random(4), lambda: b"x"), free)
    pieces = [*events[:20], b"".join(events[20:]), b"data: another\n\n", events[0]]
    found = list(framing.feed_all(pieces, list(range(23))))
    assert [(event[0] is ALIKE, event[2]) for event in found] == [(True, 0), (False, 21), (True, 22)]
    assert framing.alike_moments == [22]


def test_the_moments_of_events_in_one_piece_are_the_same() -> None:
    event = b'data: {"content":"x"}\n\n'
    framing = ServerSentEvents()
    framing.feed(event)
    framing.alike = alike_to(event, free_values(("content",)))
    found = framing.feed_all([event, event * 3, event[:5], event[5:]], [1, 2, 3, 4])
    assert next(found)[0] is ALIKE
    assert framing.alike_moments == [1, 2, 2, 2]
    assert list(found) == [(b"", b'{"content":"x"}', 4)]
