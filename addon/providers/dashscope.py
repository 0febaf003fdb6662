"""Alibaba's DashScope in its own words.

POST /api/v1/services/aigc/text-generation/generation and .../multimodal-generation/generation: `model`, `input` with
`messages` or `prompt`, and `parameters`; a header asks for an SSE stream, whose events are whole answers with
cumulative usage. POST .../services/embeddings/text-embedding/text-embedding: `input.texts`.
https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    INPUT,
    INPUT_IMAGE,
    INPUT_TEXT,
    OUTPUT,
    OUTPUT_TEXT,
    REASONING,
    TOTAL,
)
from llm_metrics_proxy.addon.providers.usage import Instead, UsageKeys


class _Input(msgspec.Struct, gc=False):
    messages: Items = None
    prompt: Items = None
    texts: Items = None


class _Parameters(msgspec.Struct, gc=False):
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    input: _Input | None = None
    parameters: _Parameters | None = None


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message | None = None
    finish_reason: Any = None


class _Output(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    text: Any = None
    finish_reason: Any = None


class _Said(msgspec.Struct, gc=False):
    output: _Output | None = None
    usage: Any = None
    code: Any = None
    message: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_SAID = msgspec.json.Decoder(_Said)
_GOES_ON = ("null", "")


class DashScope(WireFormat):
    """Generation (`chat`), or embeddings."""

    has_end = True
    stream_header = "x-dashscope-sse"
    usage_keys = UsageKeys(
        {
            "input_tokens": INPUT,
            "input_tokens_details": {"text_tokens": INPUT_TEXT, "image_tokens": INPUT_IMAGE},
            "prompt_tokens_details": {
                "cached_tokens": CACHE_READ,
                "cache_creation_input_tokens": CACHE_WRITE,
            },
            "output_tokens": OUTPUT,
            "output_tokens_details": {"text_tokens": OUTPUT_TEXT, "reasoning_tokens": REASONING},
            "total_tokens": (TOTAL, Instead(INPUT)),  # embeddings have nothing else
        }
    )

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        subject, options = asked.input or _Input(), asked.parameters or _Parameters()
        return request_of(
            model=asked.model,
            max_tokens=(options.max_tokens,),
            temperature=options.temperature,
            top_p=options.top_p,
            messages=subject.messages,
            recognised=(subject.messages or subject.prompt or subject.texts) is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        self.event(b"", body, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        del name
        said = decoded(_SAID, data)
        answer.learn(usage=said.usage)
        if said.code:
            answer.fail({"code": said.code, "message": said.message})
        if said.output is None:
            return Output.NONE
        output = Output.ANSWER if said.output.text else Output.NONE
        for part in (said.output, *(said.output.choices or ())):
            if part.finish_reason not in _GOES_ON and part.finish_reason:
                answer.learn(finish_reason=part.finish_reason)
                answer.ended = True
        for choice in said.output.choices or ():
            message = choice.message or _Message()
            if _says(message.content) or message.tool_calls:
                output = Output.ANSWER
            elif message.reasoning_content:
                output = max(output, Output.REASONING)
        return output


def _says(content: object) -> bool:
    """Tell whether a content has any text; that of models with images is a list."""
    if isinstance(content, list):
        return any(isinstance(part, dict) and any(part.values()) for part in content)
    return bool(content)


GENERATION = DashScope("chat")
EMBEDDINGS = DashScope("embeddings")
