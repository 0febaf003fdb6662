"""Input of the micro-benchmarks: events as providers send them, requests, and exchanges that take them."""

import json
import time
from collections.abc import Callable
from typing import NamedTuple

from llm_metrics_proxy.addon.exchange import Exchange
from llm_metrics_proxy.addon.inflight import InFlight
from llm_metrics_proxy.addon.providers import match
from llm_metrics_proxy.addon.row import Opening
from llm_metrics_proxy.addon.starting.log_lines import Complaints
from llm_metrics_proxy.addon.taps import observing
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id, timestamp_of
from tests.trials.bench.traffic import BODIES, STAMP, Answer, request

_WALL = 1_772_366_400_000_000_000
MS = 1_000_000
_CALLS = InFlight(Complaints(), lambda _seconds, _do: None, time.monotonic_ns)


class Stream(NamedTuple):
    """A format's stream: where it is asked for, what with, and its events as they come, each a piece of its own."""

    host: str
    path: str
    asked: bytes
    first: bytes
    event: bytes


def _sse(value: object, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


_MESSAGES = [{"role": "user", "content": "Where does the Rhine rise?"}]
_OPENAI_EVENT = BODIES[Answer.BURST].partition(b"\n\n")[0] + b"\n\n"
STREAMS = {
    "openai": Stream(
        "api.openai.com",
        "/v1/chat/completions",
        json.dumps({"model": "gpt-5.5", "stream": True, "messages": _MESSAGES}).encode(),
        b"",
        STAMP.sub(b"fp_44709d6fcb", _OPENAI_EVENT),
    ),
    "anthropic": Stream(
        "api.anthropic.com",
        "/v1/messages",
        json.dumps({"model": "claude-opus-5", "stream": True, "max_tokens": 1024, "messages": _MESSAGES}).encode(),
        _sse(
            {
                "type": "message_start",
                "message": {
                    "id": "msg_01",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-opus-5",
                    "content": [],
                    "usage": {"input_tokens": 17, "output_tokens": 1},
                },
            },
            "message_start",
        ),
        _sse(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " river"}},
            "content_block_delta",
        ),
    ),
    "gemini": Stream(
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-3-pro:streamGenerateContent",
        json.dumps({"contents": [{"role": "user", "parts": [{"text": "Where does the Rhine rise?"}]}]}).encode(),
        b"",
        _sse(
            {
                "candidates": [{"content": {"parts": [{"text": " river"}], "role": "model"}, "index": 0}],
                "usageMetadata": {
                    "promptTokenCount": 17,
                    "candidatesTokenCount": 21,
                    "totalTokenCount": 38,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 17}],
                },
                "modelVersion": "gemini-3-pro",
                "responseId": "q2VnaXZlbiBhbnl0aGluZw",
            }
        ),
    ),
}
_HEADERS = {
    "host": "api.openai.com",
    "user-agent": "OpenAI/Python 3.54.0",
    "authorization": "Bearer sk-bench",
    "accept": "application/json",
    "content-type": "application/json",
}


def begun(host: str, path: str) -> Exchange:
    """Return an exchange whose request's headers have come."""
    route = match(host, 443, path)
    assert route is not None
    opening = Opening(
        route=route,
        at=0,
        wall=_WALL,
        host=f"{host}:443",
        path=path,
        query="",
        headers=dict(_HEADERS),
        origin="bench",
        client="127.0.0.1",
        http_version="1.1",
    )
    return Exchange(opening)


def streaming(stream: Stream) -> Exchange:
    """Return an exchange whose stream has begun."""
    exchange = begun(stream.host, stream.path)
    exchange.request_chunk(stream.asked, 1)
    exchange.request_end(2)
    exchange.answer_head(200, {"content-type": "text/event-stream; charset=utf-8"}, 3)
    tap_of(exchange, lambda: 4)(stream.first)
    return exchange


def tap_of(exchange: Exchange, now: Callable[[], int]) -> Callable[[bytes], bytes]:
    """Return the tap of the answer's body, as mitmproxy calls it."""
    return observing(_CALLS, exchange, exchange.answered, now)


def asked(size: int) -> bytes:
    """Return the body of a chat request of about `size` bytes."""
    return request(Answer.SMALL, size).partition(b"\r\n\r\n")[2]


def rows(count: int) -> list[CompletionRequest]:
    """Return the events of `count` streamed calls, with every column that such a call fills."""
    return [
        CompletionRequest(
            timestamp=timestamp_of(_WALL + number * MS),
            success=True,
            status_code=200,
            response_time_ms=1033,
            model="gpt-5.5",
            origin="billing",
            is_streaming=True,
            max_tokens=1024,
            temperature=0.7,
            top_p=0.9,
            message_count=3,
            prompt_tokens=1700,
            completion_tokens=210 + number % 50,
            total_tokens=1910 + number % 50,
            finish_reason="stop",
            time_to_first_token_ms=231,
            time_to_last_token_ms=1030,
            tokens_per_second=262.8,
            event_id=new_event_id(_WALL // MS + number),
            provider="openai",
            operation="chat",
            host="api.openai.com:443",
            endpoint="/v1/chat/completions",
            response_model="gpt-5.5-2026-01-01",
            cached_tokens=1024,
            reasoning_tokens=0,
            usage_source="provider",
            usage='{"prompt_tokens":1700,"completion_tokens":210,"total_tokens":1910,"prompt_tokens_details":'
            '{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":0}}',
            time_to_first_byte_ms=210.3,
            time_to_first_answer_ms=231.2,
            output_events=210,
            chunk_gap_p50_ms=3.8,
            chunk_gap_p95_ms=6.1,
            chunk_gap_max_ms=21.5,
            upload_ms=0.4,
            connect_ms=12.1,
            request_bytes=7012,
            response_bytes=71234,
            http_version="2",
            client="127.0.0.1",
            user_agent="OpenAI/Python 3.54.0",
            provider_request_id=f"req_{number:032x}",
            rate_limit_remaining_requests=9999,
            rate_limit_remaining_tokens=1_999_000,
        )
        for number in range(count)
    ]
