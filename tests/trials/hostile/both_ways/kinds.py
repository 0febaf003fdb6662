"""Conversations drawn at random: one connection of a client, its requests as raw bytes, and the provider's replies."""

import enum
import json
import random
import re
import zlib
from dataclasses import dataclass, field
from typing import Final

from tests.support.fixture import FIXTURES, Message
from tests.support.traffic.http1 import chunk, head
from tests.trials.hostile import codings
from tests.trials.hostile.values import anything, cut, fields, mutated

HOST: Final = "api.openai.com"
_PATHS = ("/v1/chat/completions", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")
OPTION: Final = b'"include_usage":true'
_USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
_USAGE_ALONE = re.compile(rb'"choices": ?\[\], ?.*"usage": ?\{')
_REFUSAL = b'{"error":{"message":"Unknown parameter: stream_options","type":"invalid_request_error"}}'
_LARGE = 20_000_000


class After(enum.Enum):
    """What the provider does with its connection after a reply."""

    KEEP = 1
    CLOSE = 2
    RESET = 3
    HANG = 4


@dataclass
class Reply:
    """The provider's reply to one request; `asked` and `plain` are what it says with and without the option."""

    plain: list[bytes]
    asked: list[bytes] | None = None  # None: the same
    after: After = After.KEEP
    early: bool = False  # it does not wait for the request's body

    def made(self, request: bytes) -> list[bytes]:
        """Return the reply as bytes on the wire, in pieces."""
        return self.plain if self.asked is None or OPTION not in request else self.asked


@dataclass
class Conversation:
    """One connection of a client."""

    kind: str
    host: str = HOST
    pieces: list[tuple[float, bytes]] = field(default_factory=list)  # each with a pause before it
    replies: list[Reply] = field(default_factory=list)
    leaves_upload: bool = False
    leaves_after: int | None = None  # bytes of the last answer's body
    rude: bool = False


def drawn(numbers: random.Random, name: str) -> Conversation:
    """Draw a conversation of one to four exchanges."""
    made = Conversation("keep-alive" if (count := numbers.choice((1, 1, 2, 4))) > 1 else "single")
    for number in range(count):
        request, what = _request(numbers, f"{name} {number}")
        made.pieces += request
        reply = _reply(numbers, what)
        made.replies.append(reply)
        if reply.after is not After.KEEP:
            break
    if numbers.random() < 0.1:  # the next request does not wait for the answer
        made.kind, made.pieces = "pipelined", [(0, b"".join(piece for _, piece in made.pieces))]
    last = made.replies[-1]
    if last.after is After.HANG:
        made.kind, made.leaves_after, made.rude = "client leaves", 1, numbers.random() < 0.5
    elif numbers.random() < 0.05:
        made.kind, made.leaves_upload, made.rude = "client leaves its upload", True, numbers.random() < 0.5
        whole = b"".join(piece for _, piece in made.pieces)
        made.pieces = [(0, whole[: numbers.randrange(len(whole))])]
    return made


def recorded(name: str, folder: str) -> Conversation:
    """Return a case of tests/fixtures that has an answer as a conversation."""
    place = FIXTURES / folder
    asked = Message.read(place / "request.http")
    answered = Message.read(place / "response.http")
    host = asked.headers.get("host", HOST).partition(":")[0]
    headers = {name: value for name, value in asked.headers.items() if name not in _FRAMING} | {"host": host}
    sent = _head(asked.first_line, headers, f"{name} 0", len(asked.body)) + asked.body
    back = {name: value for name, value in answered.headers.items() if name not in _FRAMING}
    whole, reply = answered.body, Reply([])
    if "event-stream" in back.get("content-type", ""):
        if OPTION not in asked.body:
            whole = b"".join(event for event in re.split(rb"(?<=\n\n)", whole) if not _USAGE_ALONE.search(event))
        reply.asked = [_answer(answered.first_line, back, _with_usage(whole))]
    reply.plain = [_answer(answered.first_line, back, whole)]
    return Conversation(f"recorded {folder}", host, [(0, sent)], [reply])


_FRAMING = ("content-length", "transfer-encoding", "connection")


def _head(first: str, headers: dict[str, str], mark: str, length: int | None) -> bytes:
    framing = {"transfer-encoding": "chunked"} if length is None else {"content-length": str(length)}
    named = headers | {"x-conversation": mark, "session_id": mark} | framing
    return head(first, [(name, value.encode("latin-1")) for name, value in named.items()])


def _answer(first: str, headers: dict[str, str], body: bytes, *, chunked: bool = False) -> bytes:
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}
    made = head(first, [(name, value.encode("latin-1")) for name, value in (headers | framing).items()])
    return made + (chunk(body) * bool(body) + b"0\r\n\r\n" if chunked else body)


def _request(numbers: random.Random, mark: str) -> tuple[list[tuple[float, bytes]], str]:
    """Return a request in pieces, and "stream" if it asks for one."""
    path = f"{numbers.choice(_PATHS)}?talk={mark.replace(' ', '-')}"  # where the option is refused it is not put again
    what = numbers.choice(("stream", "stream", "stream", "plain", "odd"))
    body = _body(numbers, what)
    headers = {"Host": HOST, "Content-Type": "application/json", "x-Odd-Case": "1"}
    if numbers.random() < 0.05:
        coding, body = codings.encoded(numbers, body)
        headers["Content-Encoding"] = coding.decode()
    if numbers.random() < 0.1:
        headers["Expect"] = "100-continue"
    if numbers.random() < 0.05:
        headers["Connection"] = "close"
    chunked = numbers.random() < 0.2
    version = "1.0" if numbers.random() < 0.03 and not chunked else "1.1"
    sent = _head(f"POST {path} HTTP/{version}", headers, mark, None if chunked else len(body))
    parts = cut(numbers, body)
    written = [chunk(part) for part in parts] + [b"0\r\n\r\n"] if chunked else parts
    slow = 0.01 if numbers.random() < 0.1 else 0.0
    return [(0, sent), *((slow, part) for part in written)], what


def _body(numbers: random.Random, what: str) -> bytes:
    if what == "odd":
        names = ("model", "messages", "stream", "stream_options", "n", "prompt")
        made = numbers.choice((fields(numbers, names), anything(numbers), b"", mutated(numbers, _question(numbers))))
        return made[:200_000]
    if what == "plain":
        return _question(numbers).replace(b'"stream"', b'"streams"')
    if numbers.random() < 0.01:
        return b'{"model":"m","stream":true,"x":"%b"}' % (b"x" * _LARGE)
    return _question(numbers)


def _question(numbers: random.Random) -> bytes:
    """Return a request for a stream, in any spelling."""
    options = numbers.choice(
        ("", "", "", "{}", "null", '{"x": [1 ]}', '{"include_usage": false}', '{"include_usage":true}')
    )
    said = [
        '"model": "gpt-5.5"',
        '"stream" :true',
        f'"temperature": {numbers.choice(("1.0", "1e0", "0.70000000000000001", "10000000000000000000000"))}',
        '"messages":[ {"role":"user","content":"\\u00e4\\/ 🏞 \\"stream_options\\": null"} ]',
        *([f'"stream_options" : {options}'] if options else []),
        *(['"n":1', '"n": 1'] if numbers.random() < 0.3 else []),
    ]
    numbers.shuffle(said)
    gap = numbers.choice(("", " ", "\n\t"))
    return f"{gap}{{{gap}{(gap + ',' + gap).join(said)}{gap}}}{gap}".encode()


def _with_usage(stream: bytes) -> bytes:
    done = stream.rfind(b"data: [DONE]")
    return stream + _USAGE if done < 0 else stream[:done] + _USAGE + stream[done:]


def _reply(numbers: random.Random, what: str) -> Reply:
    kind = numbers.randrange(20)
    json_headers = {"Content-Type": "application/json", "X-Odd": "1"}
    if kind == 0:
        status = numbers.choice((400, 401, 404, 413, 422, 429, 500, 503))
        error = json.dumps({"error": {"message": "no", "type": "bad"}}).encode()
        return Reply([_answer(f"HTTP/1.1 {status} Sorry", json_headers, error, chunked=numbers.random() < 0.5)])
    if kind == 1:
        return Reply([_answer("HTTP/1.1 413 Too Large", json_headers, b"{}")], early=True, after=After.CLOSE)
    if kind == 2:
        return Reply([b""], after=numbers.choice((After.CLOSE, After.RESET)))
    if kind == 3 or what != "stream":
        answer = _answer("HTTP/1.1 200 Fine", json_headers, b'{"choices": [ ] }', chunked=numbers.random() < 0.5)
        more = b"more than was promised" if numbers.random() < 0.1 else b""
        return Reply([answer + more])
    return _stream(numbers, refusing=kind == 4)


def _stream(numbers: random.Random, *, refusing: bool) -> Reply:
    end = numbers.choice(("\n", "\n", "\r\n"))
    texts = ["".join(numbers.choices("ab ä\\n🏞", k=numbers.randrange(30))) for _ in range(numbers.randrange(1, 12))]
    events = "".join(
        f'data: {{"id":"c","choices":[{{"index":0,"delta":{{"content":{json.dumps(one)}}}}}]}}\n\n' for one in texts
    )
    tail = numbers.choice(("data: [DONE]\n\n", "data: [DONE]\n\n", "", ": more\n\ndata: [DONE]\n\nafter the end"))
    plain, asked = events.encode() + tail.encode(), events.encode() + _USAGE + tail.encode()
    headers = {"content-type": "text/event-stream", "X-Request-Id": "r"}
    bodies = [body.replace(b"\n", end.encode()) for body in (plain, asked)]
    if numbers.random() < 0.2:
        headers["content-encoding"] = "gzip"
        bodies = [_zipped(body) for body in bodies]
    framing = numbers.choice(("chunked", "chunked", "chunked", "length", "close"))
    written = [_framed(numbers, headers, body, framing) for body in bodies]
    after = After.CLOSE if framing == "close" else numbers.choice((After.KEEP, After.KEEP, After.CLOSE))
    if framing == "chunked" and not refusing and numbers.random() < 0.15:
        after = numbers.choice((After.CLOSE, After.RESET, After.HANG))
        written = [pieces[:-1] for pieces in written]
    if refusing:
        refused = _answer(f"HTTP/1.1 {numbers.choice((400, 422))} No", {"content-type": "application/json"}, _REFUSAL)
        written[1] = [refused]
    return Reply(written[0], written[1], after)


def _framed(numbers: random.Random, headers: dict[str, str], body: bytes, framing: str) -> list[bytes]:
    given = {"chunked": {"Transfer-Encoding": "chunked"}, "length": {"Content-Length": str(len(body))}}.get(framing, {})
    first = head("HTTP/1.1 200 OK", [(name, value.encode()) for name, value in (headers | given).items()])
    parts = cut(numbers, body)
    return [first, *map(chunk, parts), b"0\r\n\r\n"] if framing == "chunked" else [first, *parts]


def _zipped(body: bytes) -> bytes:
    made = zlib.compressobj(wbits=31)
    return made.compress(body) + made.flush()
