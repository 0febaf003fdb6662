"""OpenAI's Responses API.

POST .../responses: `input` as a text or a list; an SSE stream of typed events, ended by `response.completed`,
`.incomplete` or `.failed`, which hold the whole response with its usage.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    AUDIO_SECONDS,
    CACHE_READ,
    CACHE_READ_AUDIO,
    CACHE_READ_IMAGE,
    CACHE_READ_TEXT,
    CACHE_WRITE,
    INPUT,
    INPUT_AUDIO,
    INPUT_IMAGE,
    INPUT_MESSAGES,
    INPUT_TEXT,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_TEXT,
    REASONING,
    TOTAL,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Instead, UsageKeys
from llm_metrics_proxy.addon.providers.values import text


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    input: Items = None


class _Response(msgspec.Struct, gc=False):
    model: Any = None
    status: Any = None
    incomplete_details: Any = None
    status_details: Any = None  # Realtime's name for it, with the error in it as well
    usage: Any = None
    error: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    partial_image_b64: Any = None
    response: _Response | None = None
    usage: Any = None  # xAI's realtime API, beside a response without it


_REQUEST = msgspec.json.Decoder(_Request)
_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder(object)

_FINAL = ("completed", "incomplete", "failed", "cancelled")
_UNSUCCESSFUL = ("failed", "cancelled")


class OpenAIResponses(WireFormat):
    """The Responses API over HTTP."""

    has_end = True
    usage_keys = UsageKeys(
        {
            "input_tokens": INPUT,
            "input_tokens_details": {
                "cached_tokens": CACHE_READ,
                "cache_write_tokens": CACHE_WRITE,
                "cache_read_input_tokens": Instead(CACHE_READ),  # Perplexity, here and below
                "cache_creation_input_tokens": Instead(CACHE_WRITE),
            },
            "output_tokens": OUTPUT,
            "output_tokens_details": {"reasoning_tokens": REASONING},
            "total_tokens": TOTAL,
            "tool_calls_details": {"search_web": {"invocation": WEB_SEARCHES}},
            # Realtime's words
            "input_token_details": {
                "text_tokens": INPUT_TEXT,
                "audio_tokens": INPUT_AUDIO,
                "image_tokens": INPUT_IMAGE,
                "cached_tokens": CACHE_READ,
                "cached_tokens_details": {
                    "text_tokens": CACHE_READ_TEXT,
                    "audio_tokens": CACHE_READ_AUDIO,
                    "image_tokens": CACHE_READ_IMAGE,
                },
            },
            "output_token_details": {
                "text_tokens": OUTPUT_TEXT,
                "audio_tokens": OUTPUT_AUDIO,
                "reasoning_tokens": REASONING,
            },
            "billable_audio_seconds": AUDIO_SECONDS,  # xAI, here and below
            "input_text_messages": INPUT_MESSAGES,
        }
    )

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(
            model=asked.model,
            stream=asked.stream,
            max_tokens=(asked.max_output_tokens,),
            temperature=asked.temperature,
            top_p=asked.top_p,
            messages=asked.input,
            recognised=isinstance(asked.input, list | str),
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read a response that is not a stream."""
        self._learn(decoded(_RESPONSE, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event; its own `type` counts, and its SSE name where it has none."""
        event = decoded(_EVENT, data)
        kind = event.type if isinstance(event.type, str) else name.decode("ascii", "replace")
        if event.response is not None:
            self._learn(event.response, answer)
            answer.learn(usage=event.usage)
        if kind == "error" or (not kind and event.response is None):
            answer.fail(decoded(_ANY, data))
        elif kind.startswith("response.") and (
            (kind.endswith(".delta") and event.delta) or (kind.endswith(".partial_image") and event.partial_image_b64)
        ):
            return Output.REASONING if kind.startswith("response.reasoning") else Output.ANSWER
        return Output.NONE

    @staticmethod
    def _learn(response: _Response, answer: Answer) -> None:
        # A response in the background is "queued" or "in_progress": it has not finished, so it has no reason yet.
        status = response.status if response.status in _FINAL else None
        details = response.incomplete_details or response.status_details
        details = details if isinstance(details, dict) else {}
        reason = details.get("reason")
        answer.learn(
            model=response.model, finish_reason=(status == "incomplete" and reason) or status, usage=response.usage
        )
        answer.ended = answer.ended or status is not None
        if error := response.error or details.get("error"):
            answer.fail({"error": error})
        elif status in _UNSUCCESSFUL:
            answer.error = ProviderError(type=status, code=text(reason))


RESPONSES = OpenAIResponses()
