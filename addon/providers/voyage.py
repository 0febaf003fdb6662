"""Voyage's embeddings of texts and images together, and of chunks in their context, which have a request of their own.

POST /v1/multimodalembeddings: `inputs`, each with `content`; one JSON answer, whose usage also counts pixels.
POST /v1/contextualizedembeddings: `inputs`, each a list of texts.
https://docs.voyageai.com/reference/multimodal-embeddings-api, .../contextualized-embeddings-api
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import INPUT, INPUT_PIXELS, TOTAL
from llm_metrics_proxy.addon.providers.usage import UsageKeys


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    inputs: Any = None


class _Answer(msgspec.Struct, gc=False):
    model: Any = None
    usage: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)


class MultimodalEmbeddings(WireFormat):
    """Embeddings: no output tokens."""

    operation = "embeddings"
    usage_keys = UsageKeys({"total_tokens": (TOTAL, INPUT), "image_pixels": INPUT_PIXELS})

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(model=asked.model, recognised=asked.inputs is not None)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        said = decoded(_ANSWER, body)
        answer.learn(model=said.model, usage=said.usage)


MULTIMODAL = MultimodalEmbeddings()
