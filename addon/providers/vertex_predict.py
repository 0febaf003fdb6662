"""Vertex AI's `predict`, by which Google's models for embeddings and images are called.

POST .../publishers/google/models/MODEL:predict: `instances`; one JSON answer with `predictions`. Each embedding says
its tokens in `embeddings.statistics`; images are billed by the image.
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api, .../imagen-api
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Request, WireFormat
from llm_metrics_proxy.addon.providers.quantities import IMAGE_GENERATIONS, INPUT
from llm_metrics_proxy.addon.providers.usage import UsageKeys
from llm_metrics_proxy.addon.providers.values import integer


class _Request(msgspec.Struct, gc=False):
    instances: Any = None


class _Statistics(msgspec.Struct, gc=False):
    token_count: Any = None


class _Embeddings(msgspec.Struct, gc=False):
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct, gc=False):
    embeddings: _Embeddings | None = None
    image: msgspec.Raw = msgspec.field(name="bytesBase64Encoded", default=msgspec.Raw())
    stored_image: Any = msgspec.field(name="gcsUri", default=None)


class _Answer(msgspec.Struct, gc=False):
    predictions: list[_Prediction] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)


class VertexPredict(WireFormat):
    """Embeddings (`embeddings`), or images (`image_generation`): no messages, no output tokens."""

    usage_keys = UsageKeys({"token_count": INPUT, "images": IMAGE_GENERATIONS})

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def request(self, body: bytes) -> Request:
        """Read a request body, of which no column needs anything."""
        return Request(recognised=decoded(_REQUEST, body).instances is not None)

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        predictions = decoded(_ANSWER, body).predictions or []
        said = [one.embeddings.statistics for one in predictions if one.embeddings is not None]
        counts = [integer(statistics.token_count) for statistics in said if statistics is not None]
        images = sum(bool(bytes(one.image) or one.stored_image) for one in predictions)
        if counts and None not in counts:
            answer.learn(usage={"token_count": sum(filter(None, counts))})
        if images:
            answer.learn(usage={"images": images})


EMBEDDINGS = VertexPredict("embeddings")
IMAGES = VertexPredict("image_generation")
