"""Cohere's chat, versions 2 and 1, its legacy generate, and embed.

POST /v2/chat: `messages`; an SSE stream of typed events, ended by `message-end`, whose delta has the usage.
POST /v1/chat: `message` and `chat_history`; one JSON object a line (or SSE), ended by `stream-end`, whose response has
`meta`. POST /v1/generate: `prompt`. POST /v1|v2/embed: `texts` or `inputs`.
What the model saw is `tokens`; `billed_units` counts only what is paid for, and stands where the API has nothing else.
https://docs.cohere.com/reference/chat
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.framing.json_framing import Lines
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import CACHE_READ, INPUT, INPUT_IMAGE, OUTPUT
from llm_metrics_proxy.addon.providers.usage import UsageKeys


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    max_tokens: Any = None
    temperature: Any = None
    p: Any = None
    messages: Items = None
    message: Items = None
    chat_history: Items = None
    prompt: Items = None
    texts: Items = None
    inputs: Items = None
    images: Items = None


class _Answer(msgspec.Struct, gc=False):
    model: Any = None
    finish_reason: Any = None
    usage: Any = None  # version 2
    meta: Any = None  # version 1
    generations: Any = None
    error: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    # version 1
    event_type: Any = None
    text: Any = None
    tool_call_delta: Any = None
    tool_calls: Any = None
    finish_reason: Any = None
    response: _Answer | None = None
    is_finished: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)
_EVENT = msgspec.json.Decoder(_Event)

_FAILED = ("ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "TIMEOUT")


class Cohere(WireFormat):
    """Chat, generate (`text_completion`), or embed (`embeddings`)."""

    has_end = True
    json_stream = Lines
    usage_keys = UsageKeys(
        {"billed_units": {"input_tokens": INPUT, "image_tokens": INPUT_IMAGE, "output_tokens": OUTPUT}},
        seen=UsageKeys({"tokens": {"input_tokens": INPUT, "output_tokens": OUTPUT}, "cached_tokens": CACHE_READ}),
    )

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        messages: list[object] | None = None
        if isinstance(asked.messages, list):
            messages = list(asked.messages)
        elif isinstance(asked.message, str):
            messages = [*(asked.chat_history if isinstance(asked.chat_history, list) else ()), asked.message]
        subject = messages or asked.prompt or asked.texts or asked.inputs or asked.images
        return request_of(
            model=asked.model,
            stream=asked.stream,
            max_tokens=(asked.max_tokens,),
            temperature=asked.temperature,
            top_p=asked.p,
            messages=messages,
            recognised=subject is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        self._learn(decoded(_ANSWER, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event, of either version."""
        del name
        event = decoded(_EVENT, data)
        if event.response is not None:
            self._learn(event.response, answer)
        delta = event.delta if isinstance(event.delta, dict) else {}
        if event.type == "message-end":
            self._end(delta.get("finish_reason"), delta.get("usage"), answer)
            if delta.get("error"):
                answer.fail({"error": delta["error"]})
        elif event.event_type == "stream-end" or event.is_finished is True:
            self._end(event.finish_reason, None, answer)
        elif message := delta.get("message"):
            return _output(message)
        elif event.event_type != "citation-generation" and (event.text or event.tool_call_delta or event.tool_calls):
            return Output.ANSWER
        return Output.NONE

    def _learn(self, said: _Answer, answer: Answer) -> None:
        usage = said.usage if said.usage is not None else said.meta
        if isinstance(usage, dict):
            usage = {key: value for key, value in usage.items() if key not in ("api_version", "warnings")}
        reason = said.finish_reason
        if reason is None and isinstance(said.generations, list) and said.generations:
            first = said.generations[0]
            reason = first.get("finish_reason") if isinstance(first, dict) else None
        answer.learn(model=said.model)
        self._end(reason, usage, answer)
        if said.error:
            answer.fail({"error": said.error})

    @staticmethod
    def _end(reason: object, usage: object, answer: Answer) -> None:
        answer.learn(finish_reason=reason, usage=usage)
        answer.ended = True
        if reason in _FAILED:
            answer.fail({"type": reason})


def _output(message: object) -> Output:
    """Look into `delta.message`: text, thinking, a tool plan or a tool call; `content-start` has an empty text."""
    if not isinstance(message, dict):
        return Output.NONE
    content, call = message.get("content"), message.get("tool_calls")
    if isinstance(content, dict):
        if content.get("text"):
            return Output.ANSWER
        return Output.REASONING if content.get("thinking") else Output.NONE
    if message.get("tool_plan"):
        return Output.REASONING
    function = call.get("function") if isinstance(call, dict) else None
    return Output.ANSWER if isinstance(function, dict) and any(function.values()) else Output.NONE


CHAT = Cohere("chat")
GENERATE = Cohere("text_completion")
EMBED = Cohere("embeddings")
