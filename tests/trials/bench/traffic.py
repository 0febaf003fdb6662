"""The bytes that client and provider exchange, made once: nothing is built while something is measured.

A stream's events carry the moment at which the provider wrote them, in `system_fingerprint`, so that the client, on the
same host and so with the same monotonic clock, knows how long each was under way.
"""

import enum
import json
import re

HOST = "api.openai.com"
STAMP = re.compile(rb"fp_(\d{20})")
INTERVAL_SECONDS = 0.02  # between the events of a paced stream, and before the first
END = b"0\r\n\r\n"

_PATH = "/v1/chat/completions"
_MODEL = re.compile(rb'"bench-(\w+)"')
_HEAD_END = b"\r\n\r\n"
_MESSAGE_BYTES = 2400

_EVENT = (
    b'data: {"id":"chatcmpl-CZx0aR5tS1bQJ7mVwE3uKpLnH8dYf","object":"chat.completion.chunk","created":1772366400,'
    b'"model":"gpt-5.5-2026-01-01","service_tier":"default","system_fingerprint":"fp_%020d",'
    b'"choices":[{"index":0,"delta":{"content":" river"},"logprobs":null,"finish_reason":null}],"usage":null,'
    b'"obfuscation":"Xq3Vb7"}\n\n'
)
_TAIL = (
    b'data: {"id":"chatcmpl-CZx0aR5tS1bQJ7mVwE3uKpLnH8dYf","object":"chat.completion.chunk","created":1772366400,'
    b'"model":"gpt-5.5-2026-01-01","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"chatcmpl-CZx0aR5tS1bQJ7mVwE3uKpLnH8dYf","object":"chat.completion.chunk","created":1772366400,'
    b'"model":"gpt-5.5-2026-01-01","choices":[],"usage":{"prompt_tokens":17,"completion_tokens":200,'
    b'"total_tokens":217,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":'
    b'{"reasoning_tokens":0}}}\n\ndata: [DONE]\n\n'
)
_SMALL = (
    b'{"id":"chatcmpl-CZx0aR5tS1bQJ7mVwE3uKpLnH8dYf","object":"chat.completion","created":1772366400,'
    b'"model":"gpt-5.5-2026-01-01","choices":[{"index":0,"message":{"role":"assistant","content":"The Rhine rises in '
    b'the Swiss Alps and reaches the North Sea after 1,230 kilometres.","refusal":null},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":17,"completion_tokens":21,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0}},"service_tier":"default"}'
)


class Answer(enum.StrEnum):
    """The provider's answer, which the request's model names."""

    SMALL = "small"
    """A whole JSON of about 600 bytes."""
    BURST = "burst"
    """A stream of 200 events, all at once."""
    PACED = "paced"
    """A stream of 50 events, one each 20 ms."""

    @property
    def events(self) -> int:
        """The number of stamped events; two more, without output, and the mark follow."""
        return {Answer.BURST: 200, Answer.PACED: 50}.get(self, 0)


def chunk(data: bytes) -> bytes:
    """Frame a chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(stamp: int) -> bytes:
    """Return one event in a chunk of its own, written at `stamp`."""
    return chunk(_EVENT % stamp)


TAIL = chunk(_TAIL) + END
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\n"
    b"openai-processing-ms: 12\r\ntransfer-encoding: chunked\r\n\r\n"
)
SMALL_RESPONSE = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\nopenai-processing-ms: 12\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_SMALL), _SMALL)
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
BODIES = {answer: (_EVENT % 0) * answer.events + _TAIL if answer.events else _SMALL for answer in Answer}
"""The body of each answer, with stamps of 0."""


def request(answer: Answer, size: int = 0) -> bytes:
    """Return a chat request for `answer`, whose body has about `size` bytes, in messages of the usual length."""
    text = ("Where does the river Rhine rise, and where does it end? " * 50)[:_MESSAGE_BYTES]
    asked: dict[str, object] = {
        "model": f"bench-{answer}",
        "messages": [{"role": "user", "content": text} for _ in range(size // (_MESSAGE_BYTES + 30))]
        or [{"role": "user", "content": "Where does the Rhine rise?"}],
        "temperature": 0.7,
        "max_completion_tokens": 1024,
    }
    if answer.events:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked).encode()
    head = (
        f"POST {_PATH} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: bench/1.0\r\nAuthorization: Bearer sk-bench\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_for(message: bytes | bytearray, body: int) -> Answer | None:
    """Return what a request, whose body begins at `body`, asks for; None if it is not the client's."""
    found = _MODEL.search(message, body)
    return Answer(found[1].decode()) if found else None


def head_and_length(message: bytes | bytearray) -> tuple[int, int | None] | None:
    """Return where a message's body begins and its Content-Length, None if chunked; None before the head is whole."""
    end = message.find(_HEAD_END)
    if end < 0:
        return None
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", message[: end + 2])
    return end + len(_HEAD_END), int(found[1]) if found else None


def chunks(data: bytes | bytearray) -> list[bytes]:
    """Return what is in each chunk of a complete body in the chunked coding."""
    parts: list[bytes] = []
    place = 0
    while True:
        line_end = data.index(b"\r\n", place)
        size = int(data[place:line_end], 16)
        if size == 0:
            return parts
        parts.append(bytes(data[line_end + 2 : line_end + 2 + size]))
        place = line_end + 2 + size + 2
