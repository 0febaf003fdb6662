"""Anthropic's Messages API.

POST .../messages: `messages`, `max_tokens`; an SSE stream of typed events from `message_start` to `message_stop`.
Usage is cumulative: `message_start` has the input, `message_delta` the output, and may repeat the input.
https://docs.anthropic.com/en/api/messages-streaming
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    REASONING,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Apart, UsageKeys


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    messages: Items = None


class _Message(msgspec.Struct, gc=False):
    model: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class _Block(msgspec.Struct, gc=False):
    name: Any = None
    text: Any = None
    thinking: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    message: Any = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    usage: Any = None
    error: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_MESSAGE = msgspec.json.Decoder(_Message)
_EVENT = msgspec.json.Decoder(_Event)


class AnthropicMessages(WireFormat):
    """The Messages API."""

    has_end = True
    usage_keys = UsageKeys(
        {
            "input_tokens": INPUT,
            "cache_read_input_tokens": Apart(CACHE_READ, INPUT),
            "cache_creation_input_tokens": Apart(CACHE_WRITE, INPUT),
            "cache_creation": {
                "ephemeral_5m_input_tokens": CACHE_WRITE_5M,
                "ephemeral_1h_input_tokens": CACHE_WRITE_1H,
            },
            "output_tokens": OUTPUT,
            "output_tokens_details": {"thinking_tokens": REASONING},
            "server_tool_use": {"web_search_requests": WEB_SEARCHES},
        }
    )

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(
            model=asked.model,
            stream=asked.stream,
            max_tokens=(asked.max_tokens,),
            temperature=asked.temperature,
            top_p=asked.top_p,
            messages=asked.messages,
            recognised=isinstance(asked.messages, list),
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read a message that is not a stream."""
        message = decoded(_MESSAGE, body)
        answer.learn(model=message.model, finish_reason=message.stop_reason, usage=message.usage)
        if message.error:
            answer.fail({"error": message.error})

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        del name
        event = decoded(_EVENT, data)
        kind = event.type
        if kind == "content_block_delta":
            return _output(event.delta)
        if kind == "content_block_start":
            return _output(event.content_block)
        if kind == "message_delta":
            answer.learn(finish_reason=event.delta and event.delta.stop_reason, usage=event.usage)
        elif kind == "message_start" and isinstance(event.message, dict):
            usage = event.message.get("usage")
            if isinstance(usage, dict):
                # Its output_tokens is a placeholder: were the stream cut here, it would pass for the whole answer.
                usage = {key: value for key, value in usage.items() if key != "output_tokens"}
            answer.learn(model=event.message.get("model"), usage=usage)
        elif kind == "message_stop":
            answer.ended = True
        elif event.error or kind == "error":
            answer.fail({"error": event.error})
        return Output.NONE


def _output(part: _Delta | _Block | None) -> Output:
    if part is None:
        return Output.NONE
    if part.text or (part.partial_json if isinstance(part, _Delta) else part.name):
        return Output.ANSWER
    return Output.REASONING if part.thinking else Output.NONE


MESSAGES = AnthropicMessages()
