"""HTTP/2 on both sides: `metrics_include_usage` changes nothing else there, and what ends too early is no success."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from h2 import events

from tests.support.ends.connection import HTTP1, HTTP2
from tests.support.ends.http2 import Http2End
from tests.support.ends.two_proxies import Side, Sides, started
from tests.support.rig import CHAT, OPENAI
from tests.support.waiting import eventually

ASKED = b'{ "model": "gpt-5.5", "messages": [{}], "stream": true }'
SPLICE = b',"stream_options":{"include_usage":true}'
SSE = [(":status", "200"), ("content-type", "text/event-stream")]
JSON = [(":status", "200"), ("content-type", "application/json")]
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Be"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}\n\n'
DONE = b"data: [DONE]\n\n"


@dataclass
class Pair:
    without: Side
    with_it: Side


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("include-usage-http2")
    asks = ["metrics_include_usage=true"]
    with started(folder, "without") as without, started(folder, "with", options=asks) as with_it:
        yield Pair(without, with_it)


def asking(side: Side, *more: tuple[str, str], path: str = CHAT) -> tuple[Http2End, Http2End, bytes]:
    """Ask on stream 1 of a new connection; return both ends, and the body that has come to the provider."""
    side.begin()
    client, provider = side.connected(OPENAI, [HTTP2, HTTP1])
    ends = Http2End(client, client=True), Http2End(provider, client=False)
    head = [(":method", "POST"), (":scheme", "https"), (":authority", OPENAI), (":path", path), *more]
    ends[0].headers(1, [*head, ("content-type", "application/json")])
    ends[0].data(1, ASKED[:20])
    ends[0].data(1, ASKED[20:], ends=True)
    asked = ends[1].until(events.RequestReceived, 1)
    body = ends[1].body(1)
    lengths = [value for name, value in asked.headers or () if name == b"content-length"]
    assert lengths == [str(len(body)).encode()] * bool(more)
    return *ends, body


@pytest.mark.parametrize("length", [(), (("content-length", str(len(ASKED))),)], ids=["no length", "a length"])
def test_only_the_chunk_is_missing_and_trailers_come(pair: Pair, length: tuple[tuple[str, str], ...]) -> None:
    got = []
    for side in (pair.without, pair.with_it):
        client, provider, body = asking(side, *length)
        assert body.replace(SPLICE, b"") == ASKED
        assert (SPLICE in body) == (side is pair.with_it)
        provider.headers(1, SSE)
        for piece in (EVENT[:20], EVENT[20:], *([USAGE] if SPLICE in body else []), DONE):
            provider.data(1, piece)
        provider.trailers(1, [("x-trailer", "1")])
        client.until(events.TrailersReceived, 1)
        client.until(events.StreamEnded, 1)
        got.append(client.got)
        side.end(bytewise=False)
    assert got[0] == got[1]


@pytest.mark.parametrize(
    ("status", "kind", "refusal"),
    [
        ("400", "application/json", b'{"error":{"message":"stream_options"}}'),
        (
            "422",
            "application/json",
            b'{"detail":[{"loc":["body","stream_options"],"msg":"extra fields not permitted"}]}',
        ),
        ("400", "text/plain", b"unknown field `stream_options`"),
        ("422", "", b""),
    ],
)
def test_a_refused_option_is_not_noticed_and_the_connection_goes_on(
    pair: Pair, status: str, kind: str, refusal: bytes
) -> None:
    side, path = pair.with_it, f"/v1/{status}/{len(refusal)}/chat/completions"
    client, provider, body = asking(side, path=path)
    assert SPLICE in body
    provider.headers(1, [(":status", status), *([("content-type", kind)] if kind else [])], ends=not refusal)
    if refusal:
        provider.data(1, refusal, ends=True)
    again = Http2End(side.accepted(), client=False)
    again.until(events.RequestReceived, 1)
    assert again.body(1) == ASKED
    again.headers(1, SSE)
    again.data(1, EVENT + DONE, ends=True)
    assert client.body(1) == EVENT + DONE
    asked = [(":method", "POST"), (":scheme", "https"), (":authority", OPENAI), (":path", path), *JSON[1:]]
    client.headers(3, asked)
    client.data(3, ASKED, ends=True)
    provider.until(events.RequestReceived, 3)
    assert provider.body(3) == ASKED, "it has refused"
    provider.headers(3, SSE)
    provider.data(3, EVENT + DONE, ends=True)
    assert client.body(3) == EVENT + DONE
    side.end(bytewise=False)


@pytest.mark.parametrize("how", ["reset", "too short"])
def test_a_complete_json_that_http_2_does_not_end_is_no_success(pair: Pair, how: str) -> None:
    side = pair.without
    query = "SELECT success, error_type FROM completion_requests WHERE prompt_tokens = 77"
    rows = Sides(side, side)
    before = len(rows.query(query))
    client, provider, _ = asking(side)
    answer = json.dumps({"choices": [], "usage": {"prompt_tokens": 77}}).encode()
    promised = [("content-length", str(len(answer) + 200))] if how == "too short" else []
    provider.headers(1, JSON + promised)
    provider.data(1, answer)
    client.until_data(1, answer)
    if promised:
        provider.data(1, b"", ends=True)
    else:
        provider.reset(1, 2)
    eventually(lambda: len(rows.query(query)) > before)
    assert rows.query(query)[before:] == [(0, "upstream_disconnect")]
    side.end(bytewise=False)
