"""AWS Bedrock's InvokeModel: every model family keeps a shape of its own, which the bodies themselves show.

POST /model/MODEL/invoke and /invoke-with-response-stream, which is an AWS event stream of `chunk` events, each with an
event of the family in base64. Anthropic's are those of its Messages API, OpenAI's and many others' those of chat
completions, Cohere's those of its own API; Nova's have Converse's words; Llama, Titan, Mistral and TwelveLabs write a
text and, at the end, a reason. The last chunk of every family has Bedrock's own counts, and the headers of an answer
that is no stream have them too.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from llm_metrics_proxy.addon.framing.aws_framing import EXCEPTION
from llm_metrics_proxy.addon.providers import cohere, openai_chat
from llm_metrics_proxy.addon.providers.anthropic_messages import MESSAGES
from llm_metrics_proxy.addon.providers.bedrock_converse import CONVERSE, TIER, exception, output_of
from llm_metrics_proxy.addon.providers.decode import Unparsed, decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT
from llm_metrics_proxy.addon.providers.usage import Apart, FirstOf, UsageKeys, tier_of


class _Config(msgspec.Struct, gc=False):
    max_new_tokens: Any = None
    maxTokens: Any = None  # noqa: N815 - the wire's names here and below
    maxTokenCount: Any = None  # noqa: N815
    temperature: Any = None
    topP: Any = None  # noqa: N815
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    max_tokens: Any = None
    max_gen_len: Any = None
    temperature: Any = None
    top_p: Any = None
    messages: Items = None
    inferenceConfig: _Config | None = None  # noqa: N815 - Nova
    textGenerationConfig: _Config | None = None  # noqa: N815 - Titan


class _Chunk(msgspec.Struct, gc=False):
    bytes: Any = None


class _Choice(msgspec.Struct, gc=False):
    """A choice, as far as it tells chat completions from a mere text."""

    delta: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    text: Any = None
    stop_reason: Any = None
    finish_reason: Any = None


class _Said(msgspec.Struct, gc=False):
    """Fields of every family but Anthropic's, whole or in one event."""

    type: Any = None
    # Nova
    stopReason: Any = None  # noqa: N815
    usage: Any = None
    contentBlockDelta: Any = None  # noqa: N815
    contentBlockStart: Any = None  # noqa: N815
    messageStop: Any = None  # noqa: N815
    metadata: Any = None
    # Cohere
    event_type: Any = None
    is_finished: Any = None
    # Llama, Titan, Mistral, TwelveLabs and others
    message: Any = None
    finishReason: Any = None  # noqa: N815
    generation: Any = None
    stop_reason: Any = None
    finish_reason: Any = None
    outputText: Any = None  # noqa: N815
    completionReason: Any = None  # noqa: N815
    results: Any = None
    outputs: Any = None
    completions: Any = None
    choices: list[_Choice] | None = None
    prompt_token_count: Any = None
    generation_token_count: Any = None
    inputTextTokenCount: Any = None  # noqa: N815
    totalOutputTextTokenCount: Any = None  # noqa: N815
    metrics: Any = msgspec.field(name="amazon-bedrock-invocationMetrics", default=None)


_REQUEST = msgspec.json.Decoder(_Request)
_CHUNK = msgspec.json.Decoder(_Chunk)
_SAID = msgspec.json.Decoder(_Said)

_COUNTS = ("prompt_token_count", "generation_token_count", "inputTextTokenCount", "totalOutputTextTokenCount")
_METRIC_COUNTS = ("inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_HEADER_COUNTS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
_REASONS = ("completionReason", "stop_reason", "finish_reason", "finishReason")
_LONGEST_COUNT = 18  # digits


class BedrockInvoke(WireFormat):
    """invoke, or invoke-with-response-stream: the path says which."""

    has_end = True
    usage_keys = FirstOf(
        MESSAGES.usage_keys,
        CONVERSE.usage_keys,  # Nova's words
        openai_chat.CHAT.usage_keys,
        UsageKeys({"prompt_token_count": INPUT, "generation_token_count": OUTPUT}),  # Llama
        UsageKeys(  # Bedrock's own, of the last chunk or the headers
            {
                "inputTokenCount": INPUT,
                "cacheReadInputTokenCount": Apart(CACHE_READ, INPUT),
                "cacheWriteInputTokenCount": Apart(CACHE_WRITE, INPUT),
                "outputTokenCount": OUTPUT,
            }
        ),
        UsageKeys({"inputTextTokenCount": INPUT, "totalOutputTextTokenCount": OUTPUT}),  # Titan
    )

    def __init__(self, operation: str = "chat", *, stream: bool) -> None:
        self.operation = operation
        self._stream = stream

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read the tier and, as far as they are there, the counts."""
        answer.service_tier = tier_of(headers.get(TIER))
        said = {name: headers[header] for header, name in _HEADER_COUNTS.items() if header in headers}
        answer.learn(usage={name: int(n) for name, n in said.items() if _is_count(n)})

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        config = asked.inferenceConfig or asked.textGenerationConfig or _Config()
        return request_of(
            stream=self._stream,
            max_tokens=(
                asked.max_tokens,
                asked.max_gen_len,
                config.max_new_tokens,
                config.maxTokens,
                config.maxTokenCount,
            ),
            temperature=asked.temperature if asked.temperature is not None else config.temperature,
            top_p=next((p for p in (asked.top_p, config.topP, config.top_p) if p is not None), None),
            messages=asked.messages,
            recognised=True,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        said = decoded(_SAID, body)
        if family := _family(said):
            family.whole(body, answer)
        self._learn(said, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one chunk."""
        if name.startswith(EXCEPTION):
            answer.error = exception(name, data)
            return Output.NONE
        inner = _inner(data)
        said = decoded(_SAID, inner)
        self._metrics(said, answer)
        if family := _family(said):
            return family.event(b"", inner, answer)
        self._learn(said, answer)
        if said.contentBlockDelta is not None or said.contentBlockStart is not None:
            delta, start = said.contentBlockDelta, said.contentBlockStart
            return output_of(
                delta.get("delta") if isinstance(delta, dict) else None,
                start.get("start") if isinstance(start, dict) else None,
            )
        told = said.generation or said.outputText or (said.message and isinstance(said.message, str))
        return Output.ANSWER if told or _texts(said) else Output.NONE

    def _learn(self, said: _Said, answer: Answer) -> None:
        stop, metadata = said.messageStop, said.metadata
        reason = said.stopReason or said.stop_reason or said.completionReason or said.finishReason or said.finish_reason
        if isinstance(stop, dict):
            reason = reason or stop.get("stopReason")
        for part in _parts(said):
            reason = next((part[name] for name in _REASONS if part.get(name)), reason)
        counts = {name: value for name in _COUNTS if (value := getattr(said, name)) is not None}
        answer.learn(finish_reason=reason, usage=said.usage)
        answer.learn(usage=counts or None)
        if isinstance(metadata, dict):
            answer.learn(usage=metadata.get("usage"), timing=metadata.get("metrics"))
        answer.ended = answer.ended or bool(reason)

    @staticmethod
    def _metrics(said: _Said, answer: Answer) -> None:
        if isinstance(said.metrics, dict):
            counts = {name: said.metrics[name] for name in _METRIC_COUNTS if name in said.metrics}
            answer.learn(usage=counts, timing={k: v for k, v in said.metrics.items() if k not in counts})


def _inner(data: bytes) -> bytes:
    encoded = decoded(_CHUNK, data).bytes
    try:
        return b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Unparsed from error


def _family(said: _Said) -> WireFormat | None:
    """Return the format of an API that the model's family has outside of Bedrock, if the body is of its shape."""
    if isinstance(said.type, str):
        return MESSAGES
    if said.event_type is not None or said.is_finished is not None:
        return cohere.CHAT
    if any(bytes(choice.delta) or bytes(choice.message) for choice in said.choices or ()):
        return openai_chat.CHAT
    return None


def _parts(said: _Said) -> list[dict[str, Any]]:
    if said.choices:
        return [msgspec.structs.asdict(choice) for choice in said.choices]
    parts = said.results or said.outputs or said.completions
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _texts(said: _Said) -> bool:
    return any(part.get("text") or part.get("outputText") for part in _parts(said))


def _is_count(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_COUNT


INVOKE = BedrockInvoke(stream=False)
EMBED = BedrockInvoke("embeddings", stream=False)
RERANK = BedrockInvoke("rerank", stream=False)
IMAGES = BedrockInvoke("image_generation", stream=False)
INVOKE_STREAM = BedrockInvoke(stream=True)
