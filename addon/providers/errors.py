"""Error bodies and error events of all providers: type, code and message, wherever they stand.

One reader for all, since proxies and gateways mix the shapes:
  {"error": {"type", "code", "message"}}      OpenAI, Anthropic, Azure, Groq, ... (code may be a number)
  {"error": {"code", "message", "status"}}    Google, also as a list of one
  {"error": "text", "code": ...}              Ollama, HuggingFace, xAI
  {"type": ..., "message": ...}               AWS, Cohere, Mistral
  {"detail": "text" | [{"msg": ...}]}         FastAPI: vLLM, Mistral's validation. Its "input" quotes the request
  {"errors": [{"code", "message"}]}           Cloudflare, with "success": false
  {"base_resp": {"status_code", "status_msg"}}  MiniMax, with status 200
  {"code", "msg", "success": false}           Z.ai
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from llm_metrics_proxy.addon.providers.decode import Unparsed, decoded
from llm_metrics_proxy.addon.providers.values import text

LONGEST_MESSAGE = 500
_LONGEST_FAILURE = 8192  # bytes: an answer that is longer holds what was asked for
_SIGN_IN_ANY = b"base_resp"
_SIGNS = (_SIGN_IN_ANY, b"success", b"error", b'"detail"', b'"code"')
_CONTENT = ("choices", "data", "output", "result", "results", "embeddings", "candidates", "content", "text", "images")
_NO_FAILURE = (0, 200, "0", "200")
_MESSAGES = ("message", "detail", "Message", "msg", "status_msg")
_MOST_DETAILS = 10
_GENERIC_TYPES = ("error", "Error", "object")
_JSON: msgspec.json.Decoder[object] = msgspec.json.Decoder(object)


@dataclass(frozen=True)
class ProviderError:
    """A failure in the provider's own words."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    reasons: tuple[str, ...] = ()
    """Words among the details, for the class alone: they are stored nowhere."""


def read_error(body: bytes) -> ProviderError | None:
    """Read an error body; None where there is no error in it."""
    return error_from(value_of(body))


def failure_in(body: bytes, *, finished: bool = False) -> dict[str, object] | None:
    """Return an answer that says by itself that it is a failure, though its status is 200 and it has no `error`.

    One that is `finished`, with a reason, may still have a `base_resp` that says so.
    """
    if len(body) > _LONGEST_FAILURE or (finished and _SIGN_IN_ANY not in body):
        return None
    if not finished and not any(sign in body for sign in _SIGNS):
        return None
    said = value_of(body)
    if not isinstance(said, dict):
        return None
    base = said.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return said
    return said if not finished and _fails(said) else None


def _fails(said: dict[str, object]) -> bool:
    if said.get("success") is False or said.get("object") == "error":
        return True
    if any(said.get(name) for name in _CONTENT):
        return False
    if said.keys() == {"detail"}:
        return isinstance(said["detail"], str | list)
    code = said.get("code")
    coded = isinstance(code, int | str) and code not in ("", *_NO_FAILURE)
    return (coded and isinstance(said.get("msg") or said.get("message"), str)) or bool(_dicts(said.get("errors")))


def value_of(body: bytes) -> object:
    """Decode JSON; None for anything else."""
    try:
        return decoded(_JSON, body)
    except Unparsed:
        return None


def error_from(value: object) -> ProviderError | None:
    """Read a decoded error body or event; None where there is no error in it."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error") or value.get("base_resp") or _first(value.get("errors"))
    if isinstance(inner, str | list):
        value = {**value, "message": inner}
    elif isinstance(inner, dict):
        value = inner
    kind, code = _word(value.get("type")), _word(value.get("code")) or _word(value.get("status_code"))
    message = next((said for name in _MESSAGES if (said := _message(value.get(name)))), None)
    if kind in _GENERIC_TYPES:
        kind = None
    if status := _word(value.get("status")):  # Google's canonical name; its `code` is the HTTP status
        kind = kind or (status if not status.isdigit() else None)
    if kind is None and isinstance(value.get("code"), str):  # Azure has no type; a number would repeat the HTTP status
        kind = code
    if kind is None and code is None and message is None:
        return None
    return ProviderError(type=kind, code=code, message=message, reasons=_reasons(value))


def _reasons(value: dict[str, Any]) -> tuple[str, ...]:
    """Return what the details say beyond type and code.

    Google has a list of details with a reason, or with the quotas that were exceeded; Azure an inner error; OpenRouter
    metadata with a type of its own, and the reasons of a moderation.
    """
    metadata, inner = value.get("metadata"), value.get("innererror")
    found = [inner.get("code")] if isinstance(inner, dict) else []
    if isinstance(metadata, dict):
        found += [metadata.get("error_type"), "content_filter" if metadata.get("flagged_input") else None]
    for detail in _dicts(value.get("details")) + _dicts(value.get("errors")):
        found.append(detail.get("reason"))
        found += [violation.get("quotaId") for violation in _dicts(detail.get("violations"))]
    return tuple(word for said in found if (word := text(said)))


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value[:_MOST_DETAILS] if isinstance(one, dict)] if isinstance(value, list) else []


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _word(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def _message(value: object) -> str | None:
    if isinstance(value, list):
        parts = [part.get("msg") if isinstance(part, dict) else part for part in value[:5]]
        value = "; ".join(part for part in parts if isinstance(part, str))
    return text(value, LONGEST_MESSAGE * 4) if isinstance(value, str) else None
