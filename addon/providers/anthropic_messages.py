"""Anthropic's Messages API.

POST .../messages: `messages`, `max_tokens`; an SSE stream of typed events from `message_start` to `message_stop`.
Usage is cumulative: `message_start` has the input, `message_delta` the output, and may repeat the input.
`usage.iterations` has what the counts beside it repeat (`message`), what they lack (`compaction`), and what another
model used (`advisor_message`). A block `fallback` names the model that serves what follows.
https://docs.anthropic.com/en/api/messages-streaming
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.callers.fields import CallerFields, said_in
from llm_metrics_proxy.addon.framing.alike import free_values
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CODE_EXECUTIONS,
    INPUT,
    OUTPUT,
    REASONING,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Apart, Keys, Listed, OtherModel, Usage, UsageKeys
from llm_metrics_proxy.addon.providers.values import text


class _Request(CallerFields, gc=False, kw_only=True):
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
    container: Any = None


class _Delta(msgspec.Struct, gc=False):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    content: Any = None  # of a compaction
    stop_reason: Any = None
    container: Any = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    name: Any = None
    text: Any = None
    thinking: Any = None
    data: Any = None  # of thoughts that are redacted
    to: Any = None  # of a fallback


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

_TOKENS: Keys = {
    "input_tokens": INPUT,
    "cache_read_input_tokens": Apart(CACHE_READ, INPUT),
    "cache_creation_input_tokens": Apart(CACHE_WRITE, INPUT),
    "cache_creation": {
        "ephemeral_5m_input_tokens": CACHE_WRITE_5M,
        "ephemeral_1h_input_tokens": CACHE_WRITE_1H,
    },
    "output_tokens": OUTPUT,
    "output_tokens_details": {"thinking_tokens": REASONING},
}
_INPUTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class AnthropicMessages(WireFormat):
    """The Messages API."""

    has_end = True
    free = free_values(("text", "thinking", "partial_json"))
    usage_keys = UsageKeys(
        {
            **_TOKENS,
            "server_tool_use": {"web_search_requests": WEB_SEARCHES},
            "container": CODE_EXECUTIONS,
            "iterations": Listed(
                "type", None, {"compaction": _TOKENS, "advisor_message": OtherModel(UsageKeys(_TOKENS))}
            ),
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
            said=said_in(asked),
            recognised=isinstance(asked.messages, list),
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read a message that is not a stream."""
        message = decoded(_MESSAGE, body)
        answer.learn(model=message.model, finish_reason=message.stop_reason, usage=message.usage)
        _note_container(message, answer)
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
            block = event.content_block
            if block is not None and block.type == "fallback" and isinstance(block.to, dict):
                answer.response_model = text(block.to.get("model")) or answer.response_model
            return _output(block)
        if kind == "message_delta":
            _forget_input(answer.usage, event.usage)
            answer.learn(finish_reason=event.delta and event.delta.stop_reason, usage=event.usage)
            _note_container(event.delta, answer)
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


def _note_container(said: _Message | _Delta | None, answer: Answer) -> None:
    """Count the container in which code was run; how long it was, which costs something, is not said."""
    if said is not None and said.container:
        answer.learn(usage={"container": 1})


def _forget_input(known: Usage, reported: object) -> None:
    """Let a report of the input count as a whole: one of its parts is 0 where another has all of the tokens."""
    if isinstance(reported, dict) and any(reported.get(key) for key in _INPUTS):
        for key in _INPUTS:
            if key in reported:
                known.pop(key, None)


def _output(part: _Delta | _Block | None) -> Output:
    if part is None:
        return Output.NONE
    if part.text or ((part.partial_json or part.content) if isinstance(part, _Delta) else part.name):
        return Output.ANSWER
    return Output.REASONING if part.thinking or (isinstance(part, _Block) and part.data) else Output.NONE


MESSAGES = AnthropicMessages()
