"""AWS Bedrock's InvokeModel: every model family keeps a shape of its own, which the bodies themselves show.

POST /model/MODEL/invoke and /invoke-with-response-stream, which is an AWS event stream of `chunk` events, each with an
event of the family in base64. Anthropic's are those of its Messages API, OpenAI's and many others' those of chat
completions, Cohere's those of its own API; Nova's have Converse's words; Llama, Titan, Mistral, AI21, TwelveLabs and
Claude before its messages write a text and, at the end, a reason. The last chunk of every family has Bedrock's own
counts, and the headers of an answer that is no stream have them too.
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
from llm_metrics_proxy.addon.providers.usage import Apart, FirstOf, Instead, UsageKeys, tier_of
from llm_metrics_proxy.addon.providers.values import count, integer


class _Config(msgspec.Struct, gc=False):
    max_new_tokens: Any = None
    maxTokens: Any = None  # noqa: N815 - the wire's names here and below
    maxTokenCount: Any = None  # noqa: N815
    temperature: Any = None
    topP: Any = None  # noqa: N815
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    max_tokens: Any = None
    max_completion_tokens: Any = None  # OpenAI
    max_gen_len: Any = None  # Llama
    max_tokens_to_sample: Any = None  # Claude before its messages
    maxTokens: Any = None  # noqa: N815 - AI21
    maxOutputTokens: Any = None  # noqa: N815 - TwelveLabs
    temperature: Any = None
    top_p: Any = None
    topP: Any = None  # noqa: N815 - AI21
    p: Any = None  # Cohere
    messages: Items = None
    message: Items = None  # Cohere, here and below
    chat_history: Items = None
    inferenceConfig: _Config | None = None  # noqa: N815 - Nova
    textGenerationConfig: _Config | None = None  # noqa: N815 - Titan


class _Chunk(msgspec.Struct, gc=False):
    bytes: Any = None


class _Message(msgspec.Struct, gc=False):
    """What Mistral Large streams in the place of a delta."""

    content: Any = None
    tool_calls: Any = None


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
    # Llama, Titan, Mistral, AI21, TwelveLabs and others
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
    generations: Any = None
    completion: Any = None
    choices: list[_Choice] | None = None
    prompt_token_count: Any = None
    generation_token_count: Any = None
    inputTextTokenCount: Any = None  # noqa: N815
    totalOutputTextTokenCount: Any = None  # noqa: N815
    # Stability
    finish_reasons: Any = None
    # Bedrock itself
    metrics: Any = msgspec.field(name="amazon-bedrock-invocationMetrics", default=None)
    guardrail: Any = msgspec.field(name="amazon-bedrock-guardrailAction", default=None)


_REQUEST = msgspec.json.Decoder(_Request)
_CHUNK = msgspec.json.Decoder(_Chunk)
_SAID = msgspec.json.Decoder(_Said)
_MESSAGE = msgspec.json.Decoder(_Message | None)

_COUNTS = ("prompt_token_count", "generation_token_count", "inputTextTokenCount", "totalOutputTextTokenCount")
_METRIC_COUNTS = ("inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_HEADER_COUNTS = {
    "x-amzn-bedrock-input-token-count": "inputTokenCount",
    "x-amzn-bedrock-output-token-count": "outputTokenCount",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokenCount",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokenCount",
}
_INTERVENED = "INTERVENED"
_GUARDRAIL = "guardrail_intervened"  # Converse's word for it
_REASONS = ("completionReason", "stop_reason", "finish_reason", "finishReason")


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
        UsageKeys(  # Titan
            {"inputTextTokenCount": INPUT, "totalOutputTextTokenCount": OUTPUT, "tokenCount": Instead(OUTPUT)}
        ),
    )

    def __init__(self, operation: str = "chat", *, stream: bool) -> None:
        self.operation = operation
        self._stream = stream

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read the tier and, as far as they are there, the counts."""
        answer.service_tier = tier_of(headers.get(TIER))
        said = {name: count(headers[header]) for header, name in _HEADER_COUNTS.items() if header in headers}
        answer.learn(usage={name: number for name, number in said.items() if number is not None})

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        config = asked.inferenceConfig or asked.textGenerationConfig or _Config()
        messages = asked.messages
        if isinstance(asked.message, str):
            messages = [*(asked.chat_history if isinstance(asked.chat_history, list) else ()), msgspec.Raw()]
        top_p = (asked.top_p, asked.topP, asked.p, config.topP, config.top_p)
        return request_of(
            stream=self._stream,
            max_tokens=(
                asked.max_completion_tokens,
                asked.max_tokens,
                asked.max_gen_len,
                asked.max_tokens_to_sample,
                asked.maxTokens,
                asked.maxOutputTokens,
                config.max_new_tokens,
                config.maxTokens,
                config.maxTokenCount,
            ),
            temperature=asked.temperature if asked.temperature is not None else config.temperature,
            top_p=next((p for p in top_p if p is not None), None),
            messages=messages,
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
            output = family.event(b"", inner, answer)
            if said.guardrail is not None or any(choice.stop_reason for choice in said.choices or ()):
                self._learn(said, answer)
            return output or max(map(_output, said.choices or ()), default=Output.NONE)
        self._learn(said, answer)
        if said.contentBlockDelta is not None or said.contentBlockStart is not None:
            delta, start = said.contentBlockDelta, said.contentBlockStart
            return output_of(
                delta.get("delta") if isinstance(delta, dict) else None,
                start.get("start") if isinstance(start, dict) else None,
            )
        told = said.generation or said.outputText or said.completion or (said.message and isinstance(said.message, str))
        return Output.ANSWER if told or _texts(said) else Output.NONE

    def _learn(self, said: _Said, answer: Answer) -> None:
        stop, metadata = said.messageStop, said.metadata
        reason = said.stopReason or said.stop_reason or said.completionReason or said.finishReason or said.finish_reason
        if isinstance(stop, dict):
            reason = reason or stop.get("stopReason")
        for part in _parts(said):
            reason = next((part[name] for name in _REASONS if part.get(name)), reason)
        if isinstance(said.finish_reasons, list):
            reason = next(filter(None, said.finish_reasons), reason)
        if isinstance(reason, dict):  # AI21
            reason = reason.get("reason")
        if said.guardrail == _INTERVENED:
            reason = reason or answer.finish_reason or _GUARDRAIL
        counts = {name: value for name in _COUNTS if (value := getattr(said, name)) is not None}
        if tokens := [integer(part.get("tokenCount")) for part in _parts(said) if "tokenCount" in part]:  # Titan
            counts["tokenCount"] = sum(filter(None, tokens))
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
    if isinstance(said.type, str) and said.completion is None:
        return MESSAGES
    if said.event_type is not None or said.is_finished is not None:
        return cohere.CHAT
    if any(bytes(choice.delta) or bytes(choice.message) for choice in said.choices or ()):
        return openai_chat.CHAT
    return None


def _parts(said: _Said) -> list[dict[str, Any]]:
    if said.choices:
        return [msgspec.structs.asdict(choice) for choice in said.choices]
    parts = said.results or said.outputs or said.completions or said.generations
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _texts(said: _Said) -> bool:
    return any(part.get("text") or part.get("outputText") for part in _parts(said))


def _output(choice: _Choice) -> Output:
    if not bytes(choice.message):
        return Output.NONE
    message = decoded(_MESSAGE, bytes(choice.message))
    return Output.ANSWER if message and (message.content or message.tool_calls) else Output.NONE


INVOKE = BedrockInvoke(stream=False)
EMBED = BedrockInvoke("embeddings", stream=False)
RERANK = BedrockInvoke("rerank", stream=False)
IMAGES = BedrockInvoke("image_generation", stream=False)
INVOKE_STREAM = BedrockInvoke(stream=True)
