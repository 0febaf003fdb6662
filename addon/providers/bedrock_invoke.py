"""AWS Bedrock's InvokeModel: every model family keeps a shape of its own, which the bodies themselves show.

POST /model/MODEL/invoke and /invoke-with-response-stream, which is an AWS event stream of `chunk` events, each with an
event of the family in base64. Anthropic's are those of its Messages API; Nova's have Converse's words; Llama, Titan,
Mistral and Cohere write a text and, at the end, a reason. The last chunk of every family has Bedrock's own counts.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

import binascii
from base64 import b64decode
from typing import Any

import msgspec

from llm_metrics_proxy.addon.framing.aws_framing import EXCEPTION
from llm_metrics_proxy.addon.providers.anthropic_messages import MESSAGES
from llm_metrics_proxy.addon.providers.bedrock_converse import CONVERSE, exception, output_of
from llm_metrics_proxy.addon.providers.decode import Unparsed, decoded
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, TOTAL
from llm_metrics_proxy.addon.providers.usage import Apart, FirstOf, UsageKeys


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
    # Llama, Titan, Mistral and others
    generation: Any = None
    stop_reason: Any = None
    outputText: Any = None  # noqa: N815
    completionReason: Any = None  # noqa: N815
    results: Any = None
    outputs: Any = None
    choices: Any = None
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


class BedrockInvoke(WireFormat):
    """invoke, or invoke-with-response-stream: the path says which."""

    has_end = True
    usage_keys = FirstOf(
        MESSAGES.usage_keys,
        CONVERSE.usage_keys,  # Nova's words
        UsageKeys({"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": TOTAL}),
        UsageKeys({"prompt_token_count": INPUT, "generation_token_count": OUTPUT}),  # Llama
        UsageKeys(  # Bedrock's own, of the last chunk
            {
                "inputTokenCount": INPUT,
                "cacheReadInputTokenCount": Apart(CACHE_READ, INPUT),
                "cacheWriteInputTokenCount": Apart(CACHE_WRITE, INPUT),
                "outputTokenCount": OUTPUT,
            }
        ),
        UsageKeys({"inputTextTokenCount": INPUT, "totalOutputTextTokenCount": OUTPUT}),  # Titan
    )

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream

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
        if isinstance(said.type, str):
            MESSAGES.whole(body, answer)
        else:
            self._learn(said, answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one chunk."""
        if name.startswith(EXCEPTION):
            answer.error = exception(name, data)
            return Output.NONE
        inner = _inner(data)
        said = decoded(_SAID, inner)
        self._metrics(said, answer)
        if isinstance(said.type, str):
            return MESSAGES.event(b"", inner, answer)
        self._learn(said, answer)
        if said.contentBlockDelta is not None or said.contentBlockStart is not None:
            delta, start = said.contentBlockDelta, said.contentBlockStart
            return output_of(
                delta.get("delta") if isinstance(delta, dict) else None,
                start.get("start") if isinstance(start, dict) else None,
            )
        return Output.ANSWER if said.generation or said.outputText or _texts(said) else Output.NONE

    def _learn(self, said: _Said, answer: Answer) -> None:
        stop, metadata = said.messageStop, said.metadata
        reason = said.stopReason or said.stop_reason or said.completionReason
        if isinstance(stop, dict):
            reason = reason or stop.get("stopReason")
        for part in _parts(said):
            reason = part.get("completionReason") or part.get("stop_reason") or part.get("finish_reason") or reason
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


def _parts(said: _Said) -> list[dict[str, Any]]:
    parts = said.results or said.outputs or said.choices
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _texts(said: _Said) -> bool:
    return any(part.get("text") or part.get("outputText") or part.get("message") for part in _parts(said))


INVOKE = BedrockInvoke(stream=False)
INVOKE_STREAM = BedrockInvoke(stream=True)
