"""The kinds of call that pass: what the client asks, what the provider answers and does, and which rows must be left.

A call is drawn with a generator of random numbers, so that both proxies get the same ones in the same order.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import brotli
import zstandard

from tests.support.provider import anthropic_answers, openai_answers
from tests.support.provider.scenario import End, Framing, Request, Scenario, Step
from tests.support.provider.server import Choose, Takeover
from tests.support.traffic import websocket

OPENAI: Final = "api.openai.com"
ANTHROPIC: Final = "api.anthropic.com"
GEMINI: Final = "generativelanguage.googleapis.com"
NOBODY: Final = "files.example.org"
NUMBER: Final = "x-traffic-number"
"""The header that names a call to the provider."""

type Outcome = tuple[int, int, str | None, int | None]
"""What a row must say: success, status_code, error_type, total_tokens."""

_MODEL = "gpt-5.5"
_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True)
class Call:
    """One request, or one session of a WebSocket. `leaves_after` is after how many bytes the client leaves."""

    kind: str
    host: str
    path: str
    body: bytes = b""
    answer: Scenario = Scenario()  # noqa: RUF009 - frozen
    method: str = "POST"
    leaves_after: int | None = None
    rows: tuple[Outcome, ...] = ()
    turns: int = 0  # of a WebSocket


def _asked(model: str = _MODEL, *, padding: int = 0, **fields: object) -> bytes:
    messages = [{"role": "user", "content": "Why?" + "x" * padding}]
    return json.dumps({"model": model, "messages": messages} | fields).encode()


def _chat(kind: str, answer: Scenario, outcome: Outcome, *, stream: bool = False, padding: int = 0) -> Call:
    body = _asked(stream=stream, padding=padding)
    return Call(kind, OPENAI, "/v1/chat/completions", body, answer, rows=(outcome,))


def _paced(numbers: random.Random) -> Scenario:
    return openai_answers.stream(_MODEL, role_ms=2, content_ms=10, gap_ms=5, pieces=numbers.randint(3, 40))


def _tokens(stream: Scenario) -> int:
    return 12 + len(stream.steps) - 4  # the role, the finish reason, the usage and the mark are none


def small(_numbers: random.Random) -> Call:
    """Return a small question, answered at once."""
    return _chat("small JSON", openai_answers.plain(_MODEL, at_ms=0), (1, 200, None, 19))


def openai_stream(numbers: random.Random) -> Call:
    """Return a stream of OpenAI's."""
    answer = _paced(numbers)
    return _chat("OpenAI stream", answer, (1, 200, None, _tokens(answer)), stream=True)


def anthropic_stream(numbers: random.Random) -> Call:
    """Return a stream of Anthropic's."""
    answer = anthropic_answers.reasoning(
        "claude-sonnet-5", start_ms=0, thinking_ms=5, text_ms=20, gap_ms=numbers.randint(1, 8)
    )
    body = _asked("claude-sonnet-5", stream=True)
    return Call("Anthropic stream", ANTHROPIC, "/v1/messages", body, answer, rows=((1, 200, None, 54),))


def gemini_stream(numbers: random.Random) -> Call:
    """Return a stream of Gemini's."""
    pieces = numbers.randint(2, 20)
    usage = {"promptTokenCount": 7, "candidatesTokenCount": pieces, "totalTokenCount": 7 + pieces}
    steps = []
    for number in range(pieces):
        candidate = {"content": {"parts": [{"text": "word "}], "role": "model"}, "index": 0}
        event = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3"}
        if number == pieces - 1:
            candidate["finishReason"] = "STOP"
        steps.append(Step(number * 5, b"data: " + json.dumps(event).encode() + b"\r\n\r\n"))
    path = "/v1beta/models/gemini-3:streamGenerateContent?alt=sse"
    body = json.dumps({"contents": [{"parts": [{"text": "Why?"}]}]}).encode()
    return Call("Gemini stream", GEMINI, path, body, Scenario(tuple(steps)), rows=((1, 200, None, 7 + pieces),))


_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def compressed(numbers: random.Random) -> Call:
    """Return a stream that is compressed as a whole, and cut anywhere."""
    plain, coding = _paced(numbers), numbers.choice(list(_COMPRESS))
    data = _COMPRESS[coding](b"".join(step.data for step in plain.steps))
    steps = tuple(Step(at, data[at : at + 97]) for at in range(0, len(data), 97))
    headers = (("content-type", "text/event-stream"), ("content-encoding", coding))
    return _chat("compressed stream", Scenario(steps, headers=headers), (1, 200, None, _tokens(plain)), stream=True)


def refused(numbers: random.Random) -> Call:
    """Return a call that the provider refuses."""
    if numbers.choice((True, False)):
        return _chat("error", openai_answers.rate_limited(at_ms=0), (0, 429, "requests", None))
    answer = Scenario((Step(0, b"<html>"),), status=503, headers=(("content-type", "text/html"),))
    return _chat("error", answer, (0, 503, "http_503", None))


def client_leaves(numbers: random.Random) -> Call:
    """Return a stream that the client leaves in the middle; the provider waits until it has."""
    whole = _paced(numbers)
    heard = whole.steps[: numbers.randint(1, len(whole.steps) - 3)]
    answer = replace(whole, steps=heard, end=End.HANG)
    call = _chat("client leaves", answer, (0, 200, "client_disconnect", None), stream=True)
    return replace(call, leaves_after=sum(len(step.data) for step in heard))


def provider_breaks_off(numbers: random.Random) -> Call:
    """Return a stream that the provider cuts."""
    whole = _paced(numbers)
    answer = replace(whole, steps=whole.steps[: numbers.randint(1, 3)], end=End.CUT)
    return _chat("provider breaks off", answer, (0, 200, "upstream_disconnect", None), stream=True)


def provider_hangs_up(_numbers: random.Random) -> Call:
    """Return a call that the provider closes the connection on, without a word."""
    answer = Scenario((), head_at_ms=None, end=End.CUT)
    return _chat("provider hangs up", answer, (0, 502, "upstream_disconnect", None))


def large(numbers: random.Random) -> Call:
    """Return a large question with a large answer."""
    noise = numbers.randbytes(1 << 10).hex() * numbers.randint(500, 1500)
    answer = openai_answers.plain(_MODEL, at_ms=0)
    body = json.loads(answer.steps[0].data)
    body["choices"][0]["message"]["content"] = noise
    answer = replace(answer, steps=(Step(0, json.dumps(body).encode()),), framing=Framing.CHUNKED)
    return _chat("large bodies", answer, (1, 200, None, 19), padding=len(noise))


def not_counted(_numbers: random.Random) -> Call:
    """Return a call of a provider's that is no completion."""
    answer = Scenario((Step(0, b'{"data":[]}'),), headers=_JSON, framing=Framing.LENGTH)
    return Call("model list", OPENAI, "/v1/models", answer=answer, method="GET")


def tunnelled(numbers: random.Random) -> Call:
    """Return a call of a host that is no LLM's."""
    answer = Scenario((Step(0, numbers.randbytes(2000) * 20),), headers=_JSON, framing=Framing.LENGTH)
    return Call("other host", NOBODY, "/v1/chat/completions", _asked(), answer)


def session(numbers: random.Random) -> Call:
    """Return a WebSocket with some responses, one after the other."""
    turns = numbers.randint(1, 4)
    return Call("WebSocket", OPENAI, "/v1/responses", turns=turns, rows=((1, 200, None, 9),) * turns)


KINDS: Final[dict[Callable[[random.Random], Call], int]] = {
    small: 30,
    openai_stream: 16,
    anthropic_stream: 10,
    gemini_stream: 8,
    compressed: 8,
    refused: 6,
    client_leaves: 6,
    provider_breaks_off: 4,
    provider_hangs_up: 2,
    session: 4,
    not_counted: 3,
    tunnelled: 2,
    large: 1,
}
"""Each kind, and of how many in a hundred calls it is."""


def drawn(numbers: random.Random) -> Call:
    """Draw a call."""
    (make,) = numbers.choices(list(KINDS), list(KINDS.values()))
    return make(numbers)


def answering(running: Mapping[str, Call]) -> Choose:
    """Return what a provider answers to the calls that are under way, by their number."""

    def answer(request: Request) -> Scenario | Takeover:
        call = running[request.header(NUMBER) or ""]
        return websocket.serve if call.turns else call.answer

    return answer
