"""The request's part: a few bytes are put in, all others stay what they were and where they were."""

import re
from typing import Any, NamedTuple

import msgspec

from llm_metrics_proxy.addon.framing.decoding import LIMIT
from llm_metrics_proxy.addon.providers import openai_chat
from llm_metrics_proxy.addon.providers.format import Route

_ASKED = (openai_chat.CHAT, openai_chat.COMPLETIONS)
# These report it unasked: asking would change nothing, and taking the chunk out again would. Mistral refuses the field.
_ALWAYS_REPORT = ("deepseek", "huggingface", "mistral_ai", "openrouter", "perplexity", "x_ai")

_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ASKING = b'"include_usage":true'
# In JSON a quote without a backslash before it begins a string or ends one: so this is all of a string.
_OPTIONS = re.compile(rb'(?<!\\)"stream_options"\s*:\s*')
_SPACE = b" \t\r\n"


class Splice(NamedTuple):
    """A change of bytes: `put` comes where `taken` stood, which is nothing or `null`."""

    at: int
    taken: bytes
    put: bytes

    def into(self, body: bytes, start: int = 0) -> bytes:
        """Return what becomes of `body`, of which all before `start` is left out."""
        return body[start : self.at] + self.put + body[self.at + len(self.taken) :]


def is_asked(route: Route[Any]) -> bool:
    """Tell whether this kind of request can be asked for usage."""
    return route.speaks in _ASKED and route.provider not in _ALWAYS_REPORT


def splice_for(body: bytes) -> Splice | None:
    """Return the change that asks for usage; None if it is no stream, or says itself whether it wants usage."""
    if len(body) > LIMIT:
        return None
    try:
        fields = _BODY.decode(body)
        options = bytes(fields.get("stream_options", b""))
        wanted = _BODY.decode(options) if options not in {b"", b"null"} else {}
    except (ValueError, RecursionError):
        return None
    if bytes(fields.get("stream", b"")) != b"true" or "include_usage" in wanted or not _is_text(body):
        return None
    if not options:
        return Splice(len(body.rstrip(_SPACE)) - 1, b"", b',"stream_options":{%b}' % _ASKING)
    for found in _OPTIONS.finditer(body):
        at, is_null = found.end(), options == b"null"
        if body.startswith(options, at):
            put = b"{%b}" % _ASKING if is_null else b"," * bool(wanted) + _ASKING
            made = Splice(at, options, put) if is_null else Splice(at + len(options) - 1, b"", put)
            if _asks(made.into(body), fields):
                return made
    return None


def _is_text(body: bytes) -> bool:
    """Tell whether it is UTF-8: the decoder passes over what it does not read, and what is no JSON stays as it is."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _asks(body: bytes, fields: dict[str, msgspec.Raw]) -> bool:
    """Tell whether these are the options of the request, and not others of the same name further in."""
    changed = _BODY.decode(body)
    options = bytes(changed.pop("stream_options"))
    return options != bytes(fields["stream_options"]) and len(changed) == len(fields) - 1


class Upload:
    """A body without a length in its head passes as it comes, but for the brace that may be its last."""

    def __init__(self) -> None:
        self._body: bytearray | None = bytearray()  # None: it is too long
        self._passed = 0
        self.asked: bytes | None = None
        """The whole body as the client sent it, if the provider was asked for usage."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return what goes on to the provider; an empty `data` is the end of the body."""
        body, start = self._body, self._passed
        if body is None:
            return [data] if data else []
        body += data
        if not data:
            self._body, whole = None, bytes(body)
            splice = splice_for(whole)
            if splice is None or splice.at < start:  # what was to be changed has passed
                rest = whole[start:]
            else:
                rest, self.asked = splice.into(whole, start), whole
        elif len(body) > LIMIT:
            self._body, rest = None, bytes(body[start:])
        else:
            brace = body.rfind(b"}", start)
            self._passed = brace if brace >= 0 and not body[brace + 1 :].strip(_SPACE) else len(body)
            rest = bytes(body[start : self._passed])
        return [rest] if rest else []
