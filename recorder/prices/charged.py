"""What genai-prices is to charge for: made of the usage that a provider reported, in whatever format it did.

Its own extractors read it, so that all it has prices for is counted as it means it: cache writes by their age, audio,
images, searches. Where it has no extractor for what a provider sends, that of whoever invented the format reads it;
where none does, or one would miss what a column knows, the columns count. Tokens read from or written to a cache are
parts of the input to it, as they are in our columns.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import UsageExtractor

from llm_metrics_proxy.recorder.prices.call import WITHOUT_OUTPUT, Call

type Said = Mapping[str, Any]


class _Format(NamedTuple):
    """A way of reporting usage: known by any of its keys, read by extractors of these flavors, in this order.

    The provider's own come first, then those of the provider who invented it.
    """

    keys: tuple[str, ...]
    flavors: tuple[str, ...]
    inventor: str
    operations: tuple[str, ...] = ()  # it is only used for these; empty: for all
    billed: bool = False  # these are not the tokens that the model saw


_FORMATS: Final = (
    _Format(("promptTokenCount", "candidatesTokenCount"), ("default",), "google"),
    _Format(("inputTokens",), ("default",), "aws"),
    _Format(("billed_units",), ("default",), "cohere", billed=True),
    _Format(("billed_units",), ("embeddings",), "cohere", WITHOUT_OUTPUT, billed=True),
    _Format(("prompt_tokens",), ("chat", "default"), "openai"),
    _Format(("prompt_tokens",), ("embeddings",), "openai", WITHOUT_OUTPUT),
    _Format(("input_token_details",), ("realtime",), "openai"),
    _Format(("cache_creation_input_tokens", "cache_read_input_tokens"), ("anthropic", "default"), "anthropic"),
    _Format(("input_tokens",), ("images",), "openai", ("image_generation",)),
    _Format(("input_tokens",), ("responses", "anthropic", "default"), "openai"),
    _Format(("seconds",), ("live",), "openai"),
)
# Other words for what extractors know: of Gemini's Live API and its Interactions API, and of Nova on Bedrock.
_SYNONYMS: Final = {
    "responseTokenCount": "candidatesTokenCount",
    "responseTokensDetails": "candidatesTokensDetails",
    "total_input_tokens": "promptTokenCount",
    "total_output_tokens": "candidatesTokenCount",
    "total_thought_tokens": "thoughtsTokenCount",
    "total_tool_use_tokens": "toolUsePromptTokenCount",
    "total_cached_tokens": "cachedContentTokenCount",
    "cacheReadInputTokenCount": "cacheReadInputTokens",
    "cacheWriteInputTokenCount": "cacheWriteInputTokens",
}
_BY_MODALITY: Final = {  # of the Interactions API
    "input_tokens_by_modality": "promptTokensDetails",
    "output_tokens_by_modality": "candidatesTokensDetails",
    "cached_tokens_by_modality": "cacheTokensDetails",
    "tool_use_tokens_by_modality": "toolUsePromptTokensDetails",
}


def charged(provider_id: str, said: Said, call: Call) -> Usage | None:
    """What is charged for a call whose provider reported the usage `said`; None if that is not known.

    `provider_id` is genai-prices' own.

    Raises:
        ValueError: a count is negative, infinite or no number.
    """
    if not _SYNONYMS.keys().isdisjoint(said):
        said = _in_known_words(said)
    for wanted in _FORMATS:
        if any(key in said for key in wanted.keys) and call.operation in (wanted.operations or (call.operation,)):
            for usage in _extracted(provider_id, said, wanted):
                if wanted.billed or _covers(usage, call):
                    return usage
    if (counts := call.counts()) is None:
        return None
    prompt, completion, cached, written = counts
    return Usage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=cached, cache_write_tokens=written)


def _in_known_words(said: Said) -> Said:
    known = {_SYNONYMS[key]: value for key, value in said.items() if key in _SYNONYMS}
    for key, name in _BY_MODALITY.items():
        if isinstance(parts := said.get(key), list):
            pairs = ((str(part.get("modality")), part.get("tokens")) for part in parts if isinstance(part, dict))
            known[name] = [{"modality": modality.upper(), "tokenCount": count} for modality, count in pairs]
    return {**known, **said}


def _covers(usage: Usage, call: Call) -> bool:
    """Whether nothing is missing that a column knows."""
    return (
        usage.reported_value("input_tokens") >= (call.prompt_tokens or 0)
        and usage.reported_value("output_tokens") >= (call.completion_tokens or 0)
        and usage.reported_value("cache_read_tokens") >= (call.cached_tokens or 0)
    )


def _extracted(provider_id: str, said: Said, wanted: _Format) -> Iterator[Usage]:
    for extractor in _extractors(provider_id, wanted.inventor, wanted.flavors):
        with suppress(ValueError):  # it requires what is not there
            yield extractor.extract(_wrapped(extractor, said))[1]


@cache
def _extractors(provider_id: str, inventor: str, flavors: tuple[str, ...]) -> tuple[UsageExtractor, ...]:
    known = {provider.id: provider.extractors or () for provider in get_snapshot().providers}
    return tuple(
        extractor
        for one in dict.fromkeys((provider_id, inventor))
        for flavor in flavors
        for extractor in known[one]
        if extractor.api_flavor == flavor
    )


def _wrapped(extractor: UsageExtractor, said: Said) -> Said:
    """Put the usage where the extractor looks for it in an answer."""
    path = [extractor.root] if isinstance(extractor.root, str) else list(extractor.root)
    if len(path) > 1 and path[-1] in said:
        path.pop()  # of Cohere what is around the billed units is stored
    for step in reversed(path):
        said = {str(step): said}
    return said
