"""OpenAI's embeddings.

POST .../embeddings: `input` as a text, a list of texts or of tokens; one JSON answer, never a stream.
https://platform.openai.com/docs/api-reference/embeddings
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import INPUT, TOTAL
from llm_metrics_proxy.addon.providers.usage import Instead, UsageKeys
from llm_metrics_proxy.addon.providers.values import has_value


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    input: msgspec.Raw = msgspec.Raw()


class _Answer(msgspec.Struct, gc=False):
    model: Any = None
    usage: Any = None
    error: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)


class OpenAIEmbeddings(WireFormat):
    """Embeddings: no messages, no output tokens."""

    operation = "embeddings"
    usage_keys = UsageKeys(
        {"prompt_tokens": INPUT, "total_tokens": (TOTAL, Instead(INPUT))}
    )  # Voyage has a total alone

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(model=asked.model, recognised=has_value(asked.input))

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        said = decoded(_ANSWER, body)
        answer.learn(model=said.model, usage=said.usage)
        if said.error:
            answer.fail({"error": said.error})


EMBEDDINGS = OpenAIEmbeddings()
