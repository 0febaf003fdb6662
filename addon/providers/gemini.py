"""Google's Gemini, on its own API and on Vertex AI.

POST .../models/MODEL:generateContent, and :streamGenerateContent, which is an SSE stream with `?alt=sse` and one JSON
array otherwise. Usage is in every item and cumulative. Thoughts count apart from the candidates' tokens. Searches are
counted nowhere: their queries stand in a candidate's `groundingMetadata`, and in the usage here as their number.
https://ai.google.dev/api/generate-content
With `?$alt=json;enum-encoding=int`, as Google's older clients ask, words such as reasons and modalities are numbers.
Gemini's command line calls /v1internal:generateContent and wraps both sides: {"model", "request"}, {"response"}.
POST .../models/MODEL:embedContent and :batchEmbedContents. https://ai.google.dev/api/embeddings
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from llm_metrics_proxy.addon.callers.fields import CallerFields, said_in
from llm_metrics_proxy.addon.framing.json_framing import ArrayItems
from llm_metrics_proxy.addon.providers.decode import Unparsed, decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_READ_AUDIO,
    CACHE_READ_IMAGE,
    CACHE_READ_TEXT,
    CACHE_READ_VIDEO,
    GROUNDED_MAP_PROMPTS,
    GROUNDED_PROMPTS,
    INPUT,
    INPUT_AUDIO,
    INPUT_AUDIO_TOOL,
    INPUT_IMAGE,
    INPUT_IMAGE_TOOL,
    INPUT_TEXT,
    INPUT_TEXT_TOOL,
    INPUT_TOOL,
    INPUT_VIDEO,
    INPUT_VIDEO_TOOL,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_IMAGE,
    OUTPUT_TEXT,
    OUTPUT_VIDEO,
    REASONING,
    TOTAL,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Apart, Entry, Listed, Quantities, Usage, UsageKeys, tier_of


class GenerationConfig(msgspec.Struct, gc=False):
    """Options of a request; protobuf's JSON allows both ways of writing."""

    temperature: Any = None
    maxOutputTokens: Any = None  # noqa: N815 - the wire's names, here and below
    max_output_tokens: Any = None
    topP: Any = None  # noqa: N815
    top_p: Any = None


class _Request(CallerFields, gc=False, kw_only=True):
    model: Any = None
    request: "_Request | None" = None
    contents: Items = None
    generationConfig: GenerationConfig | None = None  # noqa: N815
    generation_config: GenerationConfig | None = None


class _Part(msgspec.Struct, rename="camel", gc=False):
    text: Any = None
    thought: Any = None
    function_call: Any = None
    tool_call: Any = None
    inline_data: Any = None
    file_data: Any = None
    executable_code: Any = None
    code_execution_result: Any = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class Grounding(msgspec.Struct, rename="camel", gc=False):
    """The sources of a candidate."""

    web_search_queries: Any = None
    image_search_queries: Any = None
    grounding_chunks: list[dict[str, msgspec.Raw]] | None = None


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    content: _Content | None = None
    finish_reason: Any = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()


class _Item(msgspec.Struct, rename="camel", gc=False):
    candidates: list[_Candidate] | None = None
    usage_metadata: Any = None
    model_version: Any = None
    prompt_feedback: Any = None
    error: Any = None
    response: "_Item | None" = None


INPUT_MODALITIES = {"TEXT": INPUT_TEXT, "AUDIO": INPUT_AUDIO, "IMAGE": INPUT_IMAGE, "VIDEO": INPUT_VIDEO}
TOOL_MODALITIES = {
    "TEXT": (INPUT_TEXT, INPUT_TEXT_TOOL),
    "AUDIO": (INPUT_AUDIO, INPUT_AUDIO_TOOL),
    "IMAGE": (INPUT_IMAGE, INPUT_IMAGE_TOOL),
    "VIDEO": (INPUT_VIDEO, INPUT_VIDEO_TOOL),
}
CACHED_MODALITIES = {
    "TEXT": CACHE_READ_TEXT,
    "AUDIO": CACHE_READ_AUDIO,
    "IMAGE": CACHE_READ_IMAGE,
    "VIDEO": CACHE_READ_VIDEO,
}
OUTPUT_MODALITIES = {"TEXT": OUTPUT_TEXT, "AUDIO": OUTPUT_AUDIO, "IMAGE": OUTPUT_IMAGE, "VIDEO": OUTPUT_VIDEO}


# Words that may come as their numbers; on the two hosts a number of a reason means different ones.
_MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
_TRAFFIC = {1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}


def with_documents(counts: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return what is counted by modality; pages of documents are images."""
    return {**counts, "DOCUMENT": counts["IMAGE"]}


def _by_modality(counts: Mapping[str, Entry]) -> Listed:
    counts = with_documents(counts)
    return Listed("modality", "tokenCount", counts | {str(n): counts[word] for n, word in _MODALITIES.items()})


class Reasons(NamedTuple):
    """Why a model stopped, and why a prompt was blocked, in the order of their numbers, which begin with 1."""

    finish: tuple[str, ...]
    block: tuple[str, ...]

    def finished(self, said: object) -> object:
        """Return the word for a reason why a model stopped."""
        return _word(said, self.finish)

    def blocked(self, said: object) -> object:
        """Return the word for a reason why a prompt was blocked."""
        return _word(said, self.block)


_STOPPED = ("STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
_BLOCKED = ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT")
_CONTENTS = ("BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL")
_GEMINI = Reasons(
    (*_STOPPED, "LANGUAGE", *_CONTENTS, "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
    (*_BLOCKED, "IMAGE_SAFETY"),
)
_VERTEX = Reasons(
    (
        *_STOPPED,
        *_CONTENTS,
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "UNEXPECTED_TOOL_CALL",
        "NO_IMAGE",
    ),
    (*_BLOCKED, "MODEL_ARMOR", "IMAGE_SAFETY", "JAILBREAK"),
)


_REQUEST = msgspec.json.Decoder(_Request)
_ITEM = msgspec.json.Decoder(_Item)
_GROUNDING = msgspec.json.Decoder(Grounding | None)
_EMBEDDING = msgspec.json.Decoder(_Item)


def count_grounded_prompts(counts: Quantities) -> None:
    """Count a prompt once, however many searches were made for it."""
    if counts.get(WEB_SEARCHES):
        counts[GROUNDED_PROMPTS] = 1
    if counts.get(GROUNDED_MAP_PROMPTS):
        counts[GROUNDED_MAP_PROMPTS] = 1


def searches_of(grounding: msgspec.Raw, known: Usage) -> Usage | None:
    """Return how many searches a candidate's sources took, or those of an earlier item if they were more."""
    if not bytes(grounding):
        return None
    with suppress(Unparsed):
        if said := decoded(_GROUNDING, bytes(grounding)):
            lists = (said.web_search_queries, said.image_search_queries)
            queries = sum(len(queries) for queries in lists if isinstance(queries, list))
            maps = int(any("maps" in chunk for chunk in said.grounding_chunks or ()))
            before = known.get("groundingMetadata")
            if isinstance(before, dict):
                queries = max(queries, before.get("webSearchQueries") or 0)
            if queries or maps:
                return {"groundingMetadata": {"webSearchQueries": queries, "maps": maps}}
    return None


class Gemini(WireFormat):
    """generateContent, or streamGenerateContent: the path says which."""

    operation = "generate_content"
    usage_keys = UsageKeys(
        {
            "promptTokenCount": INPUT,
            "promptTokensDetails": _by_modality(INPUT_MODALITIES),
            "toolUsePromptTokenCount": Apart(INPUT_TOOL, INPUT),
            "toolUsePromptTokensDetails": _by_modality(TOOL_MODALITIES),
            "cachedContentTokenCount": CACHE_READ,
            "cacheTokensDetails": _by_modality(CACHED_MODALITIES),
            "candidatesTokenCount": OUTPUT,
            "candidatesTokensDetails": _by_modality(OUTPUT_MODALITIES),
            "responseTokenCount": OUTPUT,  # the Live API's words, here and below
            "responseTokensDetails": Listed("modality", "tokenCount", with_documents(OUTPUT_MODALITIES)),
            "thoughtsTokenCount": (REASONING, OUTPUT),
            "totalTokenCount": TOTAL,
            "groundingMetadata": {"webSearchQueries": WEB_SEARCHES, "maps": GROUNDED_MAP_PROMPTS},
        },
        settle=count_grounded_prompts,
        zeros=(OUTPUT,),
    )
    json_stream = ArrayItems

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read the tier."""
        answer.service_tier = tier_of(headers.get("x-gemini-service-tier"))

    def __init__(self, *, stream: bool, reasons: Reasons = _GEMINI) -> None:
        self._stream = stream
        self._reasons = reasons

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        wrapper = decoded(_REQUEST, body)
        asked = wrapper.request or wrapper
        config = asked.generationConfig or asked.generation_config or GenerationConfig()
        return request_of(
            model=wrapper.model,
            stream=self._stream,
            max_tokens=(config.maxOutputTokens, config.max_output_tokens),
            temperature=config.temperature,
            top_p=config.top_p if config.topP is None else config.topP,
            messages=asked.contents,
            said=said_in(wrapper) | said_in(asked) if asked is not wrapper else said_in(asked),
            recognised=asked.contents is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        item = decoded(_ITEM, body)
        self._learn(item.response or item, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one item of a stream."""
        del name
        item = decoded(_ITEM, data)
        return self._learn(item.response or item, answer)

    def _learn(self, item: _Item, answer: Answer) -> Output:
        usage = item.usage_metadata
        answer.learn(model=item.model_version, usage=usage)
        if isinstance(usage, dict) and type(traffic := usage.get("trafficType")) is int and traffic:
            answer.service_tier = tier_of(_TRAFFIC.get(traffic, f"traffic type {traffic}"))
        output = Output.NONE
        for candidate in item.candidates or ():
            answer.learn(
                finish_reason=self._reasons.finished(candidate.finish_reason),
                usage=searches_of(candidate.grounding_metadata, answer.usage),
            )
            answer.ended = answer.ended or bool(candidate.finish_reason)
            for part in (candidate.content and candidate.content.parts) or ():
                output = max(output, _output(part))
                answer.calls_tools = answer.calls_tools or bool(part.function_call)
        if isinstance(item.prompt_feedback, dict) and (reason := item.prompt_feedback.get("blockReason")):
            answer.learn(finish_reason=self._reasons.blocked(reason))
            answer.ended = True
        if item.error:
            answer.fail({"error": item.error})
        return output


class GeminiEmbeddings(WireFormat):
    """embedContent and batchEmbedContents."""

    operation = "embeddings"
    usage_keys = UsageKeys({"promptTokenCount": INPUT, "totalTokenCount": TOTAL})

    def request(self, body: bytes) -> Request:
        """Read a request body, of which no column needs anything."""
        decoded(_EMBEDDING, body)
        return Request(recognised=True)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        answer.learn(usage=decoded(_EMBEDDING, body).usage_metadata)


def _word(said: object, words: tuple[str, ...]) -> object:
    if type(said) is not int:
        return said
    return words[said - 1] if 0 < said <= len(words) else str(said) if said else None


def _output(part: _Part) -> Output:
    if part.text:
        return Output.REASONING if part.thought else Output.ANSWER
    calls, data = part.function_call or part.tool_call, part.inline_data or part.file_data
    return Output.ANSWER if calls or data or part.executable_code or part.code_execution_result else Output.NONE


GENERATE = Gemini(stream=False)
STREAM_GENERATE = Gemini(stream=True)
VERTEX_GENERATE = Gemini(stream=False, reasons=_VERTEX)
VERTEX_STREAM_GENERATE = Gemini(stream=True, reasons=_VERTEX)
EMBED = GeminiEmbeddings()
