"""Google's Interactions API.

POST .../interactions: `input` as a text or a list; an SSE stream of typed events, ended by `interaction.completed`.
https://ai.google.dev/api/interactions-api
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.errors import ProviderError
from llm_metrics_proxy.addon.providers.format import Answer, Items, Output, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.gemini import (
    CACHED_MODALITIES,
    INPUT_MODALITIES,
    OUTPUT_MODALITIES,
    TOOL_MODALITIES,
    count_grounded_prompts,
    with_documents,
)
from llm_metrics_proxy.addon.providers.quantities import (
    CACHE_READ,
    GROUNDED_MAP_PROMPTS,
    INPUT,
    INPUT_TOOL,
    OUTPUT,
    REASONING,
    TOTAL,
    WEB_SEARCHES,
)
from llm_metrics_proxy.addon.providers.usage import Apart, Entry, Listed, UsageKeys, tier_of
from llm_metrics_proxy.addon.providers.values import text


class _Config(msgspec.Struct, gc=False):
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    agent: Any = None
    stream: Any = None
    input: Items = None
    generation_config: _Config | None = None


class _Interaction(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None
    status: Any = None
    usage: Any = None
    service_tier: Any = None
    error: Any = None


class _Delta(msgspec.Struct, gc=False):
    type: Any = None
    text: Any = None
    content: Any = None
    arguments: Any = None
    data: Any = None
    name: Any = None


class _Event(msgspec.Struct, gc=False):
    event_type: Any = None
    status: Any = None  # of `interaction.status_update`
    interaction: _Interaction | None = None
    delta: _Delta | None = None
    step: _Delta | None = None  # begins, with the name of a function if it is a call of one
    content: _Delta | None = None  # what a step was called before
    error: Any = None


def _by_modality(counts: Mapping[str, Entry]) -> Listed:
    named = with_documents(counts)
    return Listed("modality", "tokens", {modality.lower(): entry for modality, entry in named.items()})


_REQUEST = msgspec.json.Decoder(_Request)
_INTERACTION = msgspec.json.Decoder(_Interaction)
_EVENT = msgspec.json.Decoder(_Event)

_FINAL = (
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "requires_action",
    "requires_continuation",
    "budget_exceeded",
)
_UNSUCCESSFUL = ("failed", "cancelled")


class GeminiInteractions(WireFormat):
    """The Interactions API."""

    has_end = True
    usage_keys = UsageKeys(
        {
            "total_input_tokens": INPUT,
            "input_tokens_by_modality": _by_modality(INPUT_MODALITIES),
            "total_tool_use_tokens": Apart(INPUT_TOOL, INPUT),
            "tool_use_tokens_by_modality": _by_modality(TOOL_MODALITIES),
            "total_cached_tokens": CACHE_READ,
            "cached_tokens_by_modality": _by_modality(CACHED_MODALITIES),
            "total_output_tokens": OUTPUT,
            "output_tokens_by_modality": _by_modality(OUTPUT_MODALITIES),
            "total_thought_tokens": (REASONING, OUTPUT),
            "total_tokens": TOTAL,
            "grounding_tool_count": Listed(
                "type", "count", {"google_search": WEB_SEARCHES, "google_maps": GROUNDED_MAP_PROMPTS}
            ),
        },
        settle=count_grounded_prompts,
    )

    def head(self, headers: Mapping[str, str], answer: Answer) -> None:
        """Read the tier."""
        answer.service_tier = tier_of(headers.get("x-gemini-service-tier"))

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        config = asked.generation_config or _Config()
        return request_of(
            model=asked.model or asked.agent,
            stream=asked.stream,
            max_tokens=(config.max_output_tokens,),
            temperature=config.temperature,
            top_p=config.top_p,
            messages=asked.input,
            recognised=asked.input is not None,
        )

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an interaction that is not a stream."""
        self._learn(decoded(_INTERACTION, body), answer)

    def event(self, name: bytes, data: bytes, answer: Answer) -> Output:
        """Read one event."""
        del name
        event = decoded(_EVENT, data)
        if event.interaction is not None:
            self._learn(event.interaction, answer)
        elif event.status is not None:
            self._end(event.status, answer)
        if event.error:
            answer.fail({"error": event.error})
        delta = event.delta
        if delta is None and (begun := event.step or event.content) is not None:
            return Output.ANSWER if begun.name and begun.type == "function_call" else Output.NONE
        if delta is None or not (delta.text or delta.content or delta.arguments or delta.data or delta.name):
            return Output.NONE
        return Output.REASONING if isinstance(delta.type, str) and "thought" in delta.type else Output.ANSWER

    @staticmethod
    def _learn(interaction: _Interaction, answer: Answer) -> None:
        answer.service_tier = tier_of(interaction.service_tier) or answer.service_tier
        answer.learn(model=interaction.model, usage=interaction.usage)
        answer.response_id = text(interaction.id) or answer.response_id
        if interaction.error:
            answer.fail({"error": interaction.error})
        GeminiInteractions._end(interaction.status, answer)

    @staticmethod
    def _end(status: object, answer: Answer) -> None:
        if not isinstance(status, str) or status not in _FINAL:
            return
        answer.learn(finish_reason=status)
        answer.ended = True
        if status in _UNSUCCESSFUL and answer.error is None:
            answer.error = ProviderError(type=status)


INTERACTIONS = GeminiInteractions()
