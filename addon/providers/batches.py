"""Results of batches: files with a line for each call, which pass when somebody fetches them.

Anthropic: `{"custom_id": ..., "result": {"type": "succeeded", "message": {...}}}`
https://docs.anthropic.com/en/api/retrieving-message-batch-results
OpenAI, Azure, Groq, Mistral: `{"id": "...", "custom_id": ..., "response": {"status_code": 200, "body": {...}}}`
https://platform.openai.com/docs/api-reference/batch/request-output
"""

from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.addon.providers import anthropic_messages, openai_chat, openai_embeddings, openai_responses
from llm_metrics_proxy.addon.providers.decode import decoded
from llm_metrics_proxy.addon.providers.format import WireFormat
from llm_metrics_proxy.addon.providers.values import text

TIER: Final = "batch"


class Result(NamedTuple):
    """The answer to one call of a batch that was successful: others cost nothing."""

    response_id: str
    speaks: WireFormat
    endpoint: str
    """The path at which the same call is made alone."""
    body: bytes


class _Response(msgspec.Struct, gc=False):
    status_code: Any = None
    body: msgspec.Raw = msgspec.Raw()


class _Outcome(msgspec.Struct, gc=False):
    type: Any = None
    message: msgspec.Raw = msgspec.Raw()


class _Line(msgspec.Struct, gc=False):
    custom_id: Any = None
    id: Any = None
    response: _Response | None = None
    result: _Outcome | None = None


class _Body(msgspec.Struct, gc=False):
    id: Any = None
    object: Any = None


_LINE = msgspec.json.Decoder(_Line)
_BODY = msgspec.json.Decoder(_Body)

# By `object` of the body.
_OPENAI: Final = {
    "chat.completion": (openai_chat.CHAT, "/v1/chat/completions"),
    "text_completion": (openai_chat.COMPLETIONS, "/v1/completions"),
    "response": (openai_responses.RESPONSES, "/v1/responses"),
    "list": (openai_embeddings.EMBEDDINGS, "/v1/embeddings"),
}


def is_result(line: bytes) -> bool:
    """Tell whether a line is one of a batch's results, whatever became of its call.

    Raises:
        Unparsed: it is no JSON of such a shape.
    """
    found = decoded(_LINE, line)
    return found.custom_id is not None and (found.response is not None or found.result is not None)


def result_in(line: bytes) -> Result | None:
    """Return the answer in a line of results; None if its call failed, or is of a kind that no format reads.

    Raises:
        Unparsed: it is no JSON of such a shape.
    """
    found = decoded(_LINE, line)
    if found.result is not None and found.result.type == "succeeded":
        body = bytes(found.result.message)
        named = text(decoded(_BODY, body).id)
        return Result(named, anthropic_messages.MESSAGES, "/v1/messages", body) if named else None
    if found.response is not None and found.response.status_code == 200:  # noqa: PLR2004 - OK
        body = bytes(found.response.body)
        kind, named = _OPENAI.get(str(decoded(_BODY, body).object)), text(found.id)
        return Result(named, *kind, body) if kind and named else None
    return None
