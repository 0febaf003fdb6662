"""AWS Bedrock's Converse API, one shape for all its models.

POST /model/MODEL/converse and /converse-stream, which is an AWS event stream from `messageStart` to `messageStop` and
`metadata`, which has the usage. Cache reads and writes count apart from the input tokens.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_metrics_proxy.addon.framing.aws_framing import EXCEPTION
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError, read_error
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    TOTAL,
)
from llm_metrics_proxy.addon.providers.usage import Apart, Instead, Listed, UsageKeys, tier_of
from llm_metrics_proxy.addon.providers.values import text


class _Config(msgspec.Struct, rename="camel", gc=False):
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, rename="camel", gc=False):
    messages: Items = None
    inference_config: _Config | None = None


class _Trace(msgspec.Struct, rename="camel", gc=False):
    prompt_router: Any = None


class _Event(msgspec.Struct, rename="camel", gc=False):
    """Any event, and the whole answer, whose fields have the same names."""

    delta: Any = None
    start: Any = None
    stop_reason: Any = None
    usage: Any = None
    metrics: Any = None
    service_tier: Any = None
    performance_config: Any = None
    trace: _Trace | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_EVENT = msgspec.json.Decoder(_Event)

TIER = "x-amzn-bedrock-service-tier"
"""A header of answers."""
_LONGEST_ARN = 2048


class BedrockConverse(WireFormat):
    """converse, or converse-stream: the path says which."""

    has_end = True
    usage_keys = UsageKeys(
        {
            "inputTokens": INPUT,
            "cacheReadInputTokens": Apart(CACHE_READ, INPUT),
            "cacheWriteInputTokens": Apart(CACHE_WRITE, INPUT),
            "cacheReadInputTokenCount": Instead(Apart(CACHE_READ, INPUT)),  # Nova by InvokeModel
            "cacheWriteInputTokenCount": Instead(Apart(CACHE_WRITE, INPUT)),
            "cacheDetails": Listed("ttl", "inputTokens", {"5m": CACHE_WRITE_5M, "1h": CACHE_WRITE_1H}),
            "outputTokens": OUTPUT,
            "totalTokens": TOTAL,
        }
    )

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read the tier."""
        answer.service_tier = tier_of(headers.get(TIER))

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        config = asked.inference_config or _Config()
        return request_of(
            stream=self._stream,
            max_tokens=(config.max_tokens,),
            temperature=config.temperature,
            top_p=config.top_p,
            messages=asked.messages,
            recognised=isinstance(asked.messages, list),
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer that is not a stream."""
        self._learn(decoded(_EVENT, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event; its name says which."""
        if name.startswith(EXCEPTION):
            answer.error = exception(name, data)
            return Output.NONE
        event = decoded(_EVENT, data)
        if name in (b"messageStop", b"metadata"):
            self._learn(event, answer)
            answer.ended = True
        return output_of(event.delta, event.start)

    @staticmethod
    def _learn(said: _Event, answer: Answer) -> None:
        answer.learn(finish_reason=said.stop_reason, usage=said.usage, timing=said.metrics)
        tier, latency = _in(said.service_tier, "type"), _in(said.performance_config, "latency")
        answer.service_tier = tier_of(tier, latency) or answer.service_tier
        # The ARN of what a prompt router chose holds the account's number: its last part is the model's name.
        routed_to = text(_in(said.trace and said.trace.prompt_router, "invokedModelId"), _LONGEST_ARN)
        answer.learn(model=routed_to and routed_to.rpartition("/")[2])


def _in(said: object, name: str) -> object:
    return said.get(name) if isinstance(said, dict) else None


def exception(name: bytes, data: bytes) -> ProviderError:
    """Make the error of an exception message: its type stands in the name."""
    said = read_error(data) or ProviderError()
    return ProviderError(
        type=name.removeprefix(EXCEPTION).decode("ascii", "replace") or said.type, message=said.message
    )


def output_of(delta: object, start: object) -> Output:
    """Look into a `contentBlockDelta`'s delta and a `contentBlockStart`'s start."""
    if isinstance(delta, dict):
        tool = delta.get("toolUse")
        if delta.get("text") or delta.get("image") or (isinstance(tool, dict) and tool.get("input")):
            return Output.ANSWER
        reasoning = delta.get("reasoningContent")
        if isinstance(reasoning, dict) and (reasoning.get("text") or reasoning.get("redactedContent")):
            return Output.REASONING
    if isinstance(start, dict) and isinstance(start.get("toolUse"), dict) and start["toolUse"].get("name"):
        return Output.ANSWER
    return Output.NONE


CONVERSE = BedrockConverse(stream=False)
CONVERSE_STREAM = BedrockConverse(stream=True)
