"""OpenAI's Responses API.

POST .../responses: `input` as a text or a list; an SSE stream of typed events, ended by `response.completed`,
`.incomplete` or `.failed`, which hold the whole response with its usage. `tool_usage` beside it has what the hosted
tools used; other calls of them stand among the items of `output` alone, and are counted under `output` in the usage.
https://platform.openai.com/docs/api-reference/responses-streaming
POST .../responses/compact, and .../decisions with `questions`: one JSON answer with the same usage.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

import msgspec

from llm_metrics_proxy.addon.callers.fields import CallerFields, said_in
from llm_metrics_proxy.addon.framing.alike import free_values
from llm_metrics_proxy.addon.providers.decode import Unparsed, decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.openai_media import IMAGE_TOOL
from llm_metrics_proxy.addon.providers.quantities import (
    AUDIO_SECONDS,
    CACHE_READ,
    CACHE_READ_AUDIO,
    CACHE_READ_IMAGE,
    CACHE_READ_TEXT,
    CACHE_WRITE,
    CACHE_WRITE_12H,
    CACHE_WRITE_30M,
    CODE_EXECUTIONS,
    CONTAINERS,
    FILE_SEARCHES,
    IMAGE_GENERATIONS,
    INPUT,
    INPUT_AUDIO,
    INPUT_IMAGE,
    INPUT_MESSAGES,
    INPUT_TEXT,
    OTHER_MODELS,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_TEXT,
    REASONING,
    SEARCH_SOURCES,
    SOCIAL_SEARCHES,
    TOTAL,
    WEB_SEARCHES,
    WEB_SEARCHES_PREVIEW,
)
from llm_metrics_proxy.addon.providers.usage import Instead, Keys, OtherModel, Quantities, Usage, UsageKeys, tier_of
from llm_metrics_proxy.addon.providers.values import text


class _Request(CallerFields, gc=False, kw_only=True):
    model: Any = None
    stream: Any = None
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    input: Items = None


class _Response(msgspec.Struct, gc=False):
    id: Any = None
    background: Any = None
    model: Any = None
    status: Any = None
    incomplete_details: Any = None
    status_details: Any = None  # Realtime's name for it, with the error in it as well
    usage: Any = None
    error: Any = None
    service_tier: Any = None
    tool_usage: Any = None
    choices: msgspec.Raw = msgspec.Raw()  # of a chat
    tools: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()


class _Item(msgspec.Struct, gc=False):
    """An item of the output, or a tool."""

    type: Any = None
    model: Any = None
    action: Any = None
    container_id: Any = None
    environment: Any = None


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    partial_image_b64: Any = None
    response: _Response | None = None
    choices: msgspec.Raw = msgspec.Raw()  # of a chat
    usage: Any = None  # xAI's realtime API, beside a response without it


_REQUEST = msgspec.json.Decoder(_Request)
_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_ITEMS = msgspec.json.Decoder(list[_Item])
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder(object)

_FINAL = ("completed", "incomplete", "failed", "cancelled")
_UNSUCCESSFUL = ("failed", "cancelled")
_CALLS = ("function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call")
_DELTAS_OF_CALLS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_PREVIEW = "web_search_preview"  # also with a date behind it
_BILLED_ITEMS = ("file_search_call", "image_generation_call")  # once each, whatever they did


SERVER_SIDE_TOOLS: Keys = {
    "web_search_calls": WEB_SEARCHES,
    "x_search_calls": SOCIAL_SEARCHES,
    "file_search_calls": FILE_SEARCHES,
    "document_search_calls": FILE_SEARCHES,
    "code_interpreter_calls": CODE_EXECUTIONS,
}
"""xAI's tools, each call of which has a price."""


def tokens_beside(counts: Quantities) -> int:
    """Return how many tokens the total has beside input and output."""
    beside: int = counts.get(TOTAL, 0) - counts.get(INPUT, 0) - counts.get(OUTPUT, 0)
    return beside


def add_reasoning_apart(counts: Quantities) -> None:
    """Add reasoning to the output where a server counts it apart, as xAI does with some models.

    Nothing says so, but the total is more than its parts, or reasoning more than the output that it would be a part of.
    """
    reasoning = counts.get(REASONING)
    if reasoning and OUTPUT in counts and (reasoning > counts[OUTPUT] or reasoning == tokens_beside(counts)):
        counts[OUTPUT] += reasoning


def _settle(counts: Quantities) -> None:
    """Count reasoning in the output, and images by their tokens where these are known."""
    add_reasoning_apart(counts)
    if OTHER_MODELS in counts:
        counts.pop(IMAGE_GENERATIONS, None)


class OpenAIResponses(WireFormat):
    """The Responses API over HTTP, or decisions."""

    def __init__(self, operation: str = "chat", *, usage_keys: UsageKeys | None = None) -> None:
        self.operation = operation
        if usage_keys is not None:
            self.usage_keys = usage_keys

    has_end = True
    free = free_values(("delta", "obfuscation"), numbers=("sequence_number",))
    chat: WireFormat | None = None
    """What some gateways answer with on the path of responses."""
    usage_keys = UsageKeys(
        {
            "input_tokens": INPUT,
            "input_tokens_details": {
                "cached_tokens": CACHE_READ,
                "cache_write_tokens": CACHE_WRITE,
                "cache_write_tokens_details": {"ttl_30m_tokens": CACHE_WRITE_30M, "ttl_12h_tokens": CACHE_WRITE_12H},
                "cache_read_input_tokens": Instead(CACHE_READ),  # Perplexity, here and below
                "cache_creation_input_tokens": Instead(CACHE_WRITE),
            },
            "output_tokens": OUTPUT,
            "output_tokens_details": {"reasoning_tokens": REASONING},
            "total_tokens": TOTAL,
            "tool_usage": {
                "web_search": {"num_requests": WEB_SEARCHES},
                "image_gen": OtherModel(IMAGE_TOOL),
            },
            "output": {
                "web_search_call": Instead(WEB_SEARCHES),
                "web_search_preview_call": WEB_SEARCHES_PREVIEW,
                "file_search_call": Instead(FILE_SEARCHES),
                "image_generation_call": IMAGE_GENERATIONS,
                "containers": CONTAINERS,
            },
            "tool_calls_details": {"search_web": {"invocation": WEB_SEARCHES}},  # Perplexity
            "server_side_tool_usage_details": SERVER_SIDE_TOOLS,  # xAI, here and below
            "num_sources_used": SEARCH_SOURCES,
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
            "seconds": AUDIO_SECONDS,  # of Realtime's transcripts
        },
        settle=_settle,
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
            said=said_in(asked),
            recognised=isinstance(asked.input, list | str),
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read a response that is not a stream."""
        response = decoded(_RESPONSE, body)
        if self.chat is not None and bytes(response.choices):
            self.chat.whole(body, answer)
            answer.usage_reader = self.chat.usage_keys
        else:
            self._learn(response, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event; its own `type` counts, and its SSE name where it has none."""
        event = decoded(_EVENT, data)
        kind = event.type if isinstance(event.type, str) else name.decode("ascii", "replace")
        if event.response is not None:
            self._learn(event.response, answer)
            answer.learn(usage=event.usage)
        elif not kind and self.chat is not None and bytes(event.choices):
            answer.usage_reader = self.chat.usage_keys
            return self.chat.event(name, data, answer)
        if kind == "error" or (not kind and event.response is None):
            answer.fail(decoded(_ANY, data))
        elif kind.startswith("response.") and (
            (kind.endswith(".delta") and event.delta) or (kind.endswith(".partial_image") and event.partial_image_b64)
        ):
            if kind in _DELTAS_OF_CALLS:
                answer.calls_tools = True
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
        answer.service_tier = tier_of(response.service_tier) or answer.service_tier
        if response.background is True:
            answer.response_id = text(response.id)
        if status is not None:
            items = _items(response.output)
            answer.learn(usage=_tools_used(response, items))
            answer.calls_tools = answer.calls_tools or any(item.type in _CALLS for item in items)
        answer.ended = answer.ended or status is not None
        if error := response.error or details.get("error"):
            answer.fail({"error": error})
        elif status in _UNSUCCESSFUL and answer.error is None:
            answer.error = ProviderError(type=status, code=text(reason))


def _tools_used(response: _Response, items: list[_Item]) -> Usage:
    """Return what stands beside the usage about hosted tools, if any did anything."""
    calls = Counter[str](item.type for item in items if item.type in _BILLED_ITEMS)
    calls["web_search_call"] = sum(item.type == "web_search_call" and _is_search(item.action) for item in items)
    calls["containers"] = len({named for item in items if (named := _container(item))})
    kinds = [tool.type for tool in _items(response.tools) if isinstance(tool.type, str)]
    if any(kind.startswith(_PREVIEW) for kind in kinds):
        calls[f"{_PREVIEW}_call"] = calls.pop("web_search_call")
    used: Usage = {"output": dict(+calls)} if +calls else {}
    tools = response.tool_usage if isinstance(response.tool_usage, dict) else {}
    said = {name: tool for name, tool in tools.items() if used or (isinstance(tool, dict) and any(tool.values()))}
    if f"{_PREVIEW}_call" in calls:
        said.pop("web_search", None)
    if isinstance(images := said.get("image_gen"), dict):
        model = next((tool.model for tool in _items(response.tools) if tool.type == "image_generation"), None)
        said["image_gen"] = {"model": model, **images} if model else images
    return used | {"tool_usage": said} if said else used


def _items(said: msgspec.Raw) -> list[_Item]:
    with suppress(Unparsed):
        return decoded(_ITEMS, bytes(said))
    return []


def _is_search(action: object) -> bool:
    """Tell a search from what is not billed: the opening of a page, and finding something in it."""
    return not isinstance(action, dict) or action.get("type") in ("search", None)


def _container(item: _Item) -> str | None:
    """Return the name of the container in which an item's code was run at the provider's."""
    named = item.container_id or (isinstance(item.environment, dict) and item.environment.get("container_id"))
    return named if isinstance(named, str) else None


RESPONSES = OpenAIResponses()
DECISIONS = OpenAIResponses(
    "decision",
    usage_keys=UsageKeys(
        {
            "input_tokens": INPUT,
            "input_tokens_details": {"cached_tokens": CACHE_READ, "cache_write_tokens": CACHE_WRITE},
        },
        seen=RESPONSES.usage_keys,
    ),
)
"""Whose input alone is billed."""
