"""The row of one call: what was known at its beginning, and all that was learnt, under the names of the columns."""

import string
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llm_metrics_proxy.addon.callers.agents import IDENTIFIERS
from llm_metrics_proxy.addon.callers.labels import LEFT_OUT
from llm_metrics_proxy.addon.callers.sender import sender_of
from llm_metrics_proxy.addon.callers.who import NOBODY, Who
from llm_metrics_proxy.addon.classes import error_class, finish_class
from llm_metrics_proxy.addon.headers import Columns, Headers
from llm_metrics_proxy.addon.privacy import mask_columns, masked
from llm_metrics_proxy.addon.privacy.quotation import without_quotations
from llm_metrics_proxy.addon.providers.errors import LONGEST_MESSAGE, ProviderError
from llm_metrics_proxy.addon.providers.format import Answer, Request, Route
from llm_metrics_proxy.addon.providers.terms import billing_of, region_named, region_of
from llm_metrics_proxy.addon.providers.usage import Usage, cost_in, tier_in
from llm_metrics_proxy.addon.providers.values import is_word, text
from llm_metrics_proxy.addon.timing import Timing
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id, timestamp_of

_IDENTIFIERS = (*IDENTIFIERS, "response_id")  # what is left of a masked id would be that of other responses, too
_ENCODER = msgspec.json.Encoder()
_LONGEST_JSON = 8192
_LONGEST_REMEMBERED = 256  # characters of a path: what is remembered is bounded
_LONGEST_LOOKED_AT = 2048  # characters of a path: the search for keys may take the square of that
# JSON of words, and of numbers that others can read, in the shape of what it is made of: digits as 0, all else as a.
# Nobody waits for the row, but a regular expression would take as long as a quarter of it.
_SIGNS = (string.ascii_letters + "_.:/ -+{}[],").encode()
_DIGITS = string.digits.encode()
_SHAPE = bytes.maketrans(_SIGNS + _DIGITS, b"a" * len(_SIGNS) + b"0" * len(_DIGITS))
_TOO_LONG_TEXT, _TOO_LONG_NUMBER = b"a" * 65, b"0" * 19
_LARGEST_NUMBER = 2**63 - 1
_NO_TIMES_OF_TOKENS = dict.fromkeys(("time_to_first_token_ms", "time_to_first_answer_ms", "time_to_last_token_ms"))


class Opening(msgspec.Struct, frozen=True):
    """Facts known when a request's headers have arrived."""

    route: Route[Any]
    at: int  # nanoseconds of the exchange's clock
    wall: int  # the same moment, nanoseconds since 1970
    host: str  # with port
    path: str  # without query
    query: str
    headers: Headers
    origin: str | None
    client: str | None
    http_version: str | None
    user: str | None = None
    """Of the proxy's URL."""
    ours: Headers = {}
    """Headers for the proxy alone, which are not among the others."""
    who: Who = NOBODY


class Ending:
    """The rest of what a row needs, filled while the call is followed."""

    __slots__ = ("answer", "columns", "cut", "error", "quotable", "request", "status", "streamed", "timing")

    def __init__(self, at: int) -> None:
        self.request = Request()
        self.quotable = b""
        """Text of the request, as far as it is kept to recognise quotations of it."""
        self.answer = Answer()
        self.timing = Timing(at)
        self.columns: Columns = {}
        self.status = 0
        self.error: ProviderError | None = None
        self.cut = False
        """Neither HTTP nor the format itself said that the answer was complete."""
        self.streamed = False
        """The answer was a stream."""


class Row:
    """Makes rows of one opening; a copy of what the request's headers say is taken when it is made."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._sender = sender_of(opening.headers, opening.query)
        labels = opening.who.labels(opening.ours, opening.user, opening.headers, self._sender.secrets)
        self._labels = labels.json
        self._key_id = opening.who.key_id(opening.headers, opening.query)
        self.faults = {LEFT_OUT} if labels.some_left_out else set()
        """Names of the counters that each call adds 1 to."""

    def make(self, call: Ending, at: int) -> CompletionRequest:
        """Make the row of a call that ended `at`."""
        opening, sender, asked, answer = self._opening, self._sender, call.request, call.answer
        route = opening.route
        consumed = (answer.usage_reader or asked.usage_reader or route.usage_reader).read(answer.usage)
        tokens, billed = consumed.tokens, consumed.billed
        source = _source(call)
        cost = cost_in(answer.usage)
        if cost == 0 and source == "partial":  # what some write until they know it
            cost = None
        model, place = asked.model or route.model, _place(opening.host, opening.path[:_LONGEST_REMEMBERED])
        wall = opening.wall + call.timing.start - opening.at
        columns: Columns = {
            **sender.columns,
            **sender.caller.columns(opening.path, asked.said),
            "labels": self._labels,
            "key_id": self._key_id,
            "is_streaming": asked.is_streaming,  # one by one, here and below: a dict of them would take longer
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "message_count": asked.message_count,
            "prompt_tokens": tokens.prompt_tokens,
            "completion_tokens": tokens.completion_tokens,
            "total_tokens": tokens.total_tokens,
            "cached_tokens": tokens.cached_tokens,
            "cache_write_tokens": tokens.cache_write_tokens,
            "reasoning_tokens": tokens.reasoning_tokens,
            **call.timing.columns(at, tokens if call.streamed and call.error is None else None),
            "success": call.error is None,
            "status_code": call.status,
            "model": model,
            "origin": opening.origin,
            "client": opening.client,
            "http_version": opening.http_version,
            "provider": route.provider,
            "operation": route.operation,
            "host": place.shown,
            "endpoint": _endpoint(opening.path if route.later is None else route.later.endpoint, sender.secrets),
            "response_model": answer.response_model,
            "response_id": answer.response_id,
            "finish_reason": answer.finish_reason,
            "finish_class": finish_class(answer.finish_reason, calls_tools=answer.calls_tools),
            "usage": _json(answer.usage),
            "billed": None if billed is None else _bounded(_ENCODER.encode(billed)),
            "usage_source": source,
            "service_tier": tier_in(answer.usage, answer.service_tier),
            "region": place.region or region_named(answer.usage.get("inference_geo")),
            "billing": billing_of(
                provider=route.provider,
                host=place.host,
                path=opening.path,
                query=opening.query,
                key=sender.key,
                models=(model, answer.response_model),
            ),
            "cost_usd": cost,
            "cost_source": None if cost is None else "provider",
            "cost_complete": None if cost is None else 1,
            "server_timing": _json(answer.server_timing),
            "output_events": call.timing.outputs.events if call.streamed else None,
            **call.columns,
        }
        if not columns["is_streaming"]:  # a provider that streams unasked: nobody waits for its first token
            columns |= _NO_TIMES_OF_TOKENS
        if (error := call.error) is not None:
            columns |= {
                "error_type": self._clean(error.type, call),
                "error_code": self._clean(error.code, call),
                "error_message": self._clean(error.message, call),
                "error_class": error_class(error, call.status, route.provider),
            }
        mask_columns(columns, sender.secrets, whole=_IDENTIFIERS)
        return CompletionRequest(timestamp=timestamp_of(wall), event_id=new_event_id(wall // 1_000_000), **columns)

    def _clean(self, said: str | None, call: Ending) -> str | None:
        """Return what a provider said about a failure, without secrets and without words of the request."""
        unquoted = without_quotations(said or "", call.quotable, call.request.model or self._opening.route.model)
        return masked(unquoted, self._sender.secrets)[:LONGEST_MESSAGE] or None


class _Place(NamedTuple):
    """An address, as rows have it."""

    shown: str | None
    host: str  # without port
    region: str | None


@lru_cache(maxsize=1024)  # clients ask the same few all day
def _place(address: str, path: str) -> _Place:
    host = address.rpartition(":")[0] or address
    return _Place(text(address), host, region_of(host, path))


def _endpoint(path: str, secrets: tuple[str, ...]) -> str | None:
    if len(path) > _LONGEST_REMEMBERED:
        return text(masked(path[:_LONGEST_LOOKED_AT], secrets))
    return _without_secrets(path, secrets)


@lru_cache(maxsize=1024)  # clients ask the same few paths all day
def _without_secrets(path: str, secrets: tuple[str, ...]) -> str | None:
    has_one = "%" in path or any(secret in path for secret in secrets)
    return text(masked(path, secrets if has_one else ()))


def _source(call: Ending) -> str | None:
    if not call.answer.usage:
        return None
    broken_off = call.cut or (call.streamed and call.error is not None and not call.answer.ended)
    return "partial" if broken_off else "provider"


def _json(said: Usage) -> str | None:
    """Return numbers under their names as JSON: a provider may call a text anything, so only words are kept."""
    if not said:
        return None
    try:
        encoded = _ENCODER.encode(said)
        if not _is_plain(encoded):
            encoded = _ENCODER.encode(_without_texts(said))
    except RecursionError:
        return None
    return _bounded(encoded)


def _bounded(encoded: bytes) -> str | None:
    return encoded.decode() if len(encoded) <= _LONGEST_JSON else None


def _is_plain(encoded: bytes) -> bool:
    shape = encoded.translate(_SHAPE)
    return (
        not shape.translate(None, b'0a"')
        and _TOO_LONG_NUMBER not in shape
        and _TOO_LONG_TEXT not in shape.replace(b"0", b"a")
    )


def _without_texts(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_texts(inner) for name, inner in value.items() if is_word(str(name))}
    if isinstance(value, list):
        return [_without_texts(inner) for inner in value]
    if isinstance(value, str):
        return value if is_word(value) else None
    return None if isinstance(value, int) and abs(value) > _LARGEST_NUMBER else value
