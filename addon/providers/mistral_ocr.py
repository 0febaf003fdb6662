"""Mistral's reading of documents, also on Azure.

POST /v1/ocr: `document`; one JSON answer whose `usage_info` counts pages, which are what is billed. Those that were
annotated cost more, and some servers count them there alone.
https://docs.mistral.ai/api/#tag/ocr
"""

from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import Answer, Request, WireFormat, request_of
from llm_metrics_proxy.addon.providers.quantities import INPUT_ANNOTATED_PAGES, INPUT_PAGES
from llm_metrics_proxy.addon.providers.usage import Quantities, UsageKeys


class _Request(msgspec.Struct, gc=False):
    model: Any = None
    document: msgspec.Raw = msgspec.Raw()


class _Answer(msgspec.Struct, gc=False):
    model: Any = None
    usage_info: Any = None


_REQUEST = msgspec.json.Decoder(_Request)
_ANSWER = msgspec.json.Decoder(_Answer)


def _include_annotated(counts: Quantities) -> None:
    """Let all pages include those that were annotated."""
    if INPUT_ANNOTATED_PAGES in counts:
        counts[INPUT_PAGES] = max(counts.get(INPUT_PAGES, 0), counts[INPUT_ANNOTATED_PAGES])


class MistralOCR(WireFormat):
    """Reading of documents: pages, and no tokens."""

    operation = "ocr"
    usage_keys = UsageKeys(
        {"pages_processed": INPUT_PAGES, "pages_processed_annotation": INPUT_ANNOTATED_PAGES},
        settle=_include_annotated,
    )

    def request(self, body: bytes) -> Request:
        """Read a request body."""
        asked = decoded(_REQUEST, body)
        return request_of(model=asked.model, recognised=bytes(asked.document).startswith(b"{"))

    def whole(self, body: bytes, answer: Answer) -> None:
        """Read an answer."""
        said = decoded(_ANSWER, body)
        answer.learn(model=said.model, usage=said.usage_info)


OCR = MistralOCR()
