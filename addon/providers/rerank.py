"""Rerank, which Cohere began and others (Voyage, Jina, Together, vLLM, ...) took over with its fields.

POST .../rerank: `query` and `documents`; one JSON answer. Cohere bills searches, not tokens.
https://docs.cohere.com/reference/rerank
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import INPUT, RERANK_SEARCHES, TOTAL
from llm_metrics_proxy.addon.providers.usage import Instead, UsageKeys


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    query: Any = None
    documents: Any = None


class _Answer(msgspec.Struct, gc=False):
    model: Any = None
    usage: Any = None
    meta: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)


class Rerank(WireFormat):
    """Rerank: no messages, no output tokens."""

    operation = "rerank"
    usage_keys = UsageKeys(
        {
            "prompt_tokens": INPUT,
            "total_tokens": (TOTAL, Instead(INPUT)),
            "tokens": {"input_tokens": Instead(INPUT)},
            "billed_units": {"search_units": RERANK_SEARCHES},
        }
    )

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(model=asked.model, recognised=asked.query is not None and asked.documents is not None)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        said = decoded(_ANSWER, body)
        usage = said.usage if said.usage is not None else said.meta
        if isinstance(usage, dict):
            usage = {key: value for key, value in usage.items() if key not in ("api_version", "warnings")}
        answer.learn(model=said.model, usage=usage)


RERANK = Rerank()
