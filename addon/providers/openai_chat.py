"""OpenAI's chat completions, and the legacy completions, whose answers differ only in where the text stands.

POST .../chat/completions: `messages`; an SSE stream of chunks. Spoken by most of the field, where a stream ends with
`data: [DONE]`, with a finish reason, or with HTTP's end alone.
POST .../completions: `prompt`; the same chunks with `text` instead of `delta`.
https://platform.openai.com/docs/api-reference/chat, .../completions
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from llm_metrics_proxy.addon.callers.fields import CallerFields, said_in
from llm_metrics_proxy.addon.framing.alike import free_values
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import failure_in
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.openai_responses import (
    RESPONSES,
    SERVER_SIDE_TOOLS,
    add_reasoning_apart,
    tokens_beside,
)
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CACHE_WRITE_12H,
    CACHE_WRITE_30M,
    CITATION,
    CODE_EXECUTIONS,
    FILE_SEARCHES,
    IMAGE_GENERATIONS,
    INPUT,
    INPUT_AUDIO,
    INPUT_AUDIO_SECONDS,
    INPUT_TOOL,
    OUTPUT,
    OUTPUT_AUDIO,
    REASONING,
    SEARCH_SOURCES,
    TOTAL,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Apart, Instead, Keys, Quantities, UsageKeys, tier_of, timing_in
from llm_metrics_proxy.addon.providers.values import count, text

_FAILED = ("error", "insufficient_system_resource", "network_error")
"""Finish reasons that are failures: OpenRouter's and Mistral's, DeepSeek's, Z.ai's."""


class _Request(CallerFields, gc=False, kw_only=True):
    model: Any = None
    stream: Any = None
    max_completion_tokens: Any = None
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    messages: Items = None
    prompt: Items = None


class _Delta(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None  # DeepSeek, vLLM, xAI
    reasoning: Any = None  # OpenRouter, Groq, newer vLLM
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None
    images: Any = None  # OpenRouter
    reasoning_text: Any = None  # Copilot
    reasoning_details: Any = None  # OpenRouter, MiniMax
    annotations: Any = None
    executed_tools: Any = None  # Groq


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None
    message: "_Message | None" = None
    usage: Any = None  # Moonshot
    error: Any = None  # OpenRouter


class _Message(msgspec.Struct, gc=False):
    """The tools of a whole message; a delta of a stream has the same fields."""

    annotations: Any = None
    executed_tools: Any = None


class _Chunk(msgspec.Struct, gc=False):
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    value: Any = None  # Writer's legacy completions
    code: Any = None  # xAI and others, beside an error that is no object
    message: Any = None
    x_groq: Any = None
    time_info: Any = None  # Cerebras
    timings: Any = None  # llama.cpp
    metrics: Any = None  # vLLM
    perf_metrics: Any = None  # Fireworks
    service_tier: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_CHUNK = msgspec.json.Decoder(_Chunk)
_NO_ANSWER = ("thinking", "reference", "tool_reference")
# Fireworks' headers, and the same in its streams.
_FIREWORKS = {"fireworks-prompt-tokens": "prompt-tokens", "fireworks-cached-prompt-tokens": "cached-prompt-tokens"}
_NONE, _ANSWER = Output.NONE, Output.ANSWER  # looking up a member of an enum takes longer than all else about it


_USAGE: Keys = {
    "prompt_tokens": INPUT,
    "prompt_tokens_details": {
        "cached_tokens": CACHE_READ,
        "cache_write_tokens": CACHE_WRITE,
        "cache_creation_tokens": Instead(CACHE_WRITE),  # LiteLLM, also below
        "cache_creation_input_tokens": Instead(CACHE_WRITE),  # Qwen, here and below
        "cache_creation": {"ephemeral_5m_input_tokens": CACHE_WRITE_5M},
        "cache_creation_token_details": {  # LiteLLM
            "ephemeral_5m_input_tokens": CACHE_WRITE_5M,
            "ephemeral_1h_input_tokens": CACHE_WRITE_1H,
        },
        "cache_write_tokens_details": {"ttl_30m_tokens": CACHE_WRITE_30M, "ttl_12h_tokens": CACHE_WRITE_12H},
        "audio_tokens": INPUT_AUDIO,
    },
    "completion_tokens": OUTPUT,
    "completion_tokens_details": {"reasoning_tokens": REASONING, "audio_tokens": OUTPUT_AUDIO},
    "total_tokens": TOTAL,
    # Other servers' words for the same.
    "prompt_token_details": {"cached_tokens": Instead(CACHE_READ)},  # Writer
    "prompt_cache_hit_tokens": Instead(CACHE_READ),  # DeepSeek
    "cached_tokens": Instead(CACHE_READ),  # Moonshot
    "num_cached_tokens": Instead(CACHE_READ),  # Mistral
    "prompt-tokens": Instead(INPUT),  # Fireworks, in its headers or metrics, here and below
    "cached-prompt-tokens": Instead(CACHE_READ),
    "cached_prompt_text_tokens": Instead(CACHE_READ),  # xAI
    "cache_read_input_tokens": Instead(CACHE_READ),  # LiteLLM, Databricks
    "cache_creation_input_tokens": Instead(CACHE_WRITE),  # LiteLLM
    "reasoning_tokens": Instead(REASONING),
    "citation_tokens": CITATION,  # Perplexity, here and below
    "num_search_queries": WEB_SEARCHES,
    "num_sources_used": SEARCH_SOURCES,  # xAI, here and below
    "server_side_tool_usage_details": SERVER_SIDE_TOOLS,
    "prompt_audio_seconds": INPUT_AUDIO_SECONDS,  # Mistral, here and below
    "connector_tokens": Apart(INPUT_TOOL, INPUT),
    "connectors": {
        "web_search": WEB_SEARCHES,
        "web_search_premium": WEB_SEARCHES,
        "code_interpreter": CODE_EXECUTIONS,
        "image_generation": IMAGE_GENERATIONS,
        "document_library": FILE_SEARCHES,
    },
    # Calls of tools that stand in the message.
    "tool_usage": {"web_search": {"num_requests": Instead(WEB_SEARCHES)}, "python": CODE_EXECUTIONS},
}


def _count_reasoning(counts: Quantities) -> None:
    """Add reasoning to the output where it counts apart. Perplexity, which bills citations, too, always does that."""
    citations = counts.get(CITATION)
    if citations is None:
        add_reasoning_apart(counts)
    elif OUTPUT in counts:
        counts[OUTPUT] += counts.get(REASONING, 0) + citations


def _count_hidden_reasoning(counts: Quantities) -> None:
    """Take for reasoning what only the total has: Google counts no thoughts when it speaks OpenAI's format."""
    _count_reasoning(counts)
    if INPUT in counts and TOTAL in counts and (hidden := tokens_beside(counts)) > 0:
        counts[OUTPUT] = counts.get(OUTPUT, 0) + hidden
        counts[REASONING] = counts.get(REASONING, 0) + hidden


class OpenAIChat(WireFormat):
    """Chat completions or, with `prompt`, legacy completions."""

    usage_keys = UsageKeys(_USAGE, settle=_count_reasoning)
    free = free_values(("content", "text", "reasoning_content", "reasoning", "refusal", "arguments", "obfuscation"))

    def __init__(self, operation: str, *, usage_keys: UsageKeys | None = None) -> None:
        self.operation = operation
        if usage_keys is not None:
            self.usage_keys = usage_keys

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read Fireworks' counts; its bodies do not always have those of the cache."""
        if headers.keys().isdisjoint(_FIREWORKS):
            return
        said = {name: count(headers[header]) for header, name in _FIREWORKS.items() if header in headers}
        answer.learn(usage={name: number for name, number in said.items() if number is not None})

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        return self._request(decoded(_REQUEST, body))

    def _request(self, asked: _Request) -> Request:
        chat = self.operation == "chat"
        return request_of(
            model=asked.model,
            stream=asked.stream,
            max_tokens=(asked.max_completion_tokens, asked.max_tokens),
            temperature=asked.temperature,
            top_p=asked.top_p,
            messages=asked.messages if chat else None,
            said=said_in(asked),
            recognised=isinstance(asked.messages, list) if chat else asked.prompt is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        chunk = decoded(_CHUNK, body)
        for choice in chunk.choices or ():
            _end(choice, answer)
            if choice.message is not None and (choice.message.annotations or choice.message.executed_tools):
                _use_tools(choice.message, answer)
        _learn(chunk, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one chunk."""
        del name
        try:  # here as well, because a call costs what all of this does otherwise
            chunk = _CHUNK.decode(data)
        except (ValueError, RecursionError):
            chunk = decoded(_CHUNK, data)
        output = _ANSWER if chunk.value else _NONE
        for choice in chunk.choices or ():
            if choice.finish_reason:
                answer.ended = True
                _end(choice, answer)
            delta = choice.delta
            if delta is not None and type(delta.content) is str and delta.content:  # nearly all that ever come
                output = _ANSWER
            else:
                output = max(output, _output(choice))
                if delta is not None and (delta.annotations or delta.executed_tools):
                    _use_tools(delta, answer)
        if (
            answer.response_model is None
            or (chunk.service_tier and answer.service_tier is None)
            or chunk.usage is not None
            or chunk.error
            or chunk.x_groq
            or chunk.time_info
            or chunk.timings
            or chunk.metrics
            or chunk.perf_metrics
        ):
            _learn(chunk, answer)
        if not chunk.choices and (failure := failure_in(data)):
            answer.fail(failure)
        return output


def _end(choice: _Choice, answer: Answer) -> None:
    if choice.finish_reason is not None:
        answer.finish_reason = text(choice.finish_reason) or answer.finish_reason
    if choice.usage is not None:
        answer.learn(usage=choice.usage)
    if choice.error or choice.finish_reason in _FAILED:
        answer.fail({"error": choice.error or {"type": choice.finish_reason}})


def _use_tools(message: _Message | _Delta, answer: Answer) -> None:
    """Count what is billed by the call: the one search of a model that searches, and what Groq's systems did."""
    done = message.executed_tools if isinstance(message.executed_tools, list) else []
    kinds = [str(tool.get("type")) for tool in done if isinstance(tool, dict)]
    searches, python = sum("search" in kind for kind in kinds), sum("python" in kind for kind in kinds)
    cited = message.annotations if isinstance(message.annotations, list) else []
    if not searches and any(isinstance(one, dict) and one.get("type") == "url_citation" for one in cited):
        searches = 1
    if searches or python:
        answer.learn(usage={"tool_usage": {"web_search": {"num_requests": searches}, "python": python}})


def _learn(chunk: _Chunk, answer: Answer) -> None:
    """Take all but what was generated and why it ended."""
    if answer.response_model is None:
        answer.response_model = text(chunk.model)
    usage, error, groq = chunk.usage, chunk.error, chunk.x_groq
    if groq is not None and isinstance(groq, dict):
        usage, error = usage or groq.get("usage"), error or groq.get("error")
    if usage is not None:
        answer.learn(usage=usage, timing=timing_in(usage))
    if chunk.service_tier:
        answer.service_tier = tier_of(chunk.service_tier) or answer.service_tier
    if timing := chunk.time_info or chunk.timings or chunk.metrics:
        answer.learn(timing=timing)
    if isinstance(metrics := chunk.perf_metrics, dict):
        counts = {name: metrics[name] for name in _FIREWORKS.values() if name in metrics}
        answer.learn(usage=counts, timing={name: value for name, value in metrics.items() if name not in counts})
    if error:
        answer.fail({"error": error, "code": chunk.code, "message": chunk.message})


def _output(choice: _Choice) -> Output:
    delta = choice.delta
    if choice.text:
        return Output.ANSWER
    if delta is None:
        return Output.NONE
    if delta.refusal:
        return Output.ANSWER
    if delta.content and (output := output_of(delta.content)):
        return output
    if any(map(_says, (delta.tool_calls, delta.function_call, delta.audio, delta.images))):
        return Output.ANSWER
    reasons = delta.reasoning_content or delta.reasoning or delta.reasoning_text or _details(delta.reasoning_details)
    return Output.REASONING if reasons else Output.NONE


def _details(said: object) -> bool:
    """Tell whether OpenRouter's details of the reasoning have any of it: not if they only have it encrypted."""
    return isinstance(said, list) and any(isinstance(d, dict) and (d.get("text") or d.get("summary")) for d in said)


def output_of(content: object) -> Output:
    """Look into a content, which Mistral writes as a list where it has thoughts or references to sources in it."""
    if not isinstance(content, list):
        return Output.ANSWER if content else Output.NONE
    parts = [part for part in content if isinstance(part, dict)]
    thoughts = [part.get("thinking") for part in parts if part.get("type") == "thinking"]
    if any(part.get("type") not in _NO_ANSWER and _says(part) for part in parts):
        return Output.ANSWER
    return Output.REASONING if _says(thoughts) else Output.NONE


def _says(part: object) -> bool:
    """Tell whether a tool call or audio has any text in it but what names the part itself."""
    if isinstance(part, dict):
        return any(_says(value) for name, value in part.items() if name not in ("id", "type"))
    return any(map(_says, part)) if isinstance(part, list) else isinstance(part, str) and part != ""


class GoogleChat(OpenAIChat):
    """Google's chat completions, where the total alone has the thoughts, and what tools put into the prompt.

    Of a request without tools it can only be thoughts. With tools it is billed as thoughts, and in no column.
    """

    usage_keys = UsageKeys(_USAGE, settle=_count_hidden_reasoning, seen=OpenAIChat.usage_keys)
    _without_tools = UsageKeys(_USAGE, settle=_count_hidden_reasoning)

    def _request(self, asked: _Request) -> Request:
        request = super()._request(asked)
        has_tools = request.said.get("tools") == b"true"
        return request if has_tools else replace(request, usage_reader=self._without_tools)


CHAT = OpenAIChat("chat")
RESPONSES.chat = CHAT
GOOGLE_CHAT = GoogleChat("chat")
COMPLETIONS = OpenAIChat("text_completion")
