"""Cloudflare's Workers AI in its own words, also behind its gateway.

POST .../ai/run/MODEL and .../workers-ai/MODEL: `messages`, `prompt` or, for embeddings, `text`. The `result` of an
answer has the `response` and the usage, or is a chat completion. Events of an SSE stream have a `response`, and the
last of them the usage.
https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/, .../workers-ai/models/
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.openai_chat import CHAT


class _Request(msgspec.Struct, gc=False):
    stream: Any = None
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    messages: Items = None
    prompt: Items = None
    text: Items = None


class _Said(msgspec.Struct, gc=False):
    """The result of an answer, or one event."""

    response: Any = None
    tool_calls: Any = None
    usage: Any = None
    choices: msgspec.Raw = msgspec.Raw()


class _Answer(msgspec.Struct, gc=False):
    result: msgspec.Raw = msgspec.Raw()


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)
_SAID = msgspec.json.Decoder(_Said)


class WorkersAI(WireFormat):
    """Generation (`chat`), or embeddings; the path has the model."""

    usage_keys = CHAT.usage_keys

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(
            stream=asked.stream,
            max_tokens=(asked.max_tokens,),
            temperature=asked.temperature,
            top_p=asked.top_p,
            messages=asked.messages,
            recognised=(asked.messages or asked.prompt or asked.text) is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        result = bytes(decoded(_ANSWER, body).result)
        if result.startswith(b"{"):
            said = decoded(_SAID, result)
            if bytes(said.choices):
                CHAT.whole(result, answer)
            else:
                answer.learn(usage=said.usage)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        said = decoded(_SAID, data)
        if bytes(said.choices):
            return CHAT.event(name, data, answer)
        answer.learn(usage=said.usage)
        return Output.ANSWER if said.response or said.tool_calls else Output.NONE


GENERATION = WorkersAI("chat")
EMBEDDINGS = WorkersAI("embeddings")
