"""Mistral's conversations, which keep their history at the provider.

POST /v1/conversations, /v1/conversations/ID to go on, /v1/conversations/ID/restart: `inputs` as a text or a list; an
SSE stream of typed events, ended by `conversation.response.done`, which has the usage. What connectors read counts
apart.
https://docs.mistral.ai/api/#tag/beta.conversations
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.openai_chat import CHAT, output_of


class _Options(msgspec.Struct, gc=False):
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    agent_id: Any = None
    stream: Any = None
    inputs: Items = None
    completion_args: _Options | None = None


class _Entry(msgspec.Struct, gc=False):
    model: Any = None


class _Said(msgspec.Struct, gc=False):
    """A whole answer, or one event, which has a type."""

    type: Any = None
    model: Any = None
    content: Any = None
    arguments: Any = None
    outputs: list[_Entry] | None = None
    usage: Any = None
    code: Any = None
    message: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_SAID = msgspec.json.Decoder(_Said)


class MistralConversations(WireFormat):
    """Conversations."""

    has_end = True
    usage_keys = CHAT.usage_keys

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        options = asked.completion_args or _Options()
        return request_of(
            model=asked.model or asked.agent_id,
            stream=asked.stream,
            max_tokens=(options.max_tokens,),
            temperature=options.temperature,
            top_p=options.top_p,
            messages=asked.inputs,
            recognised=asked.inputs is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        said = decoded(_SAID, body)
        models = [entry.model for entry in said.outputs or () if entry.model]
        answer.learn(model=models[0] if models else None, usage=said.usage)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        said = decoded(_SAID, data)
        kind = said.type if isinstance(said.type, str) else name.decode("ascii", "replace")
        answer.learn(model=said.model, usage=said.usage)
        if kind == "conversation.response.done":
            answer.ended = True
        elif kind == "conversation.response.error":
            answer.fail({"code": said.code, "message": said.message})
        if not kind.endswith(".delta"):
            return Output.NONE
        content = [said.content] if isinstance(said.content, dict) else said.content
        return Output.ANSWER if said.arguments else output_of(content)


CONVERSATIONS = MistralConversations()
