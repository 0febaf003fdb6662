"""Headers that columns name, as tables: column, header names in order of preference, how to read the value.

No other header is kept, and none is kept as a whole. The origin of a request is told from headers too.
"""

import base64
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from llm_metrics_proxy.addon.providers.values import count, integer, text

type Headers = Mapping[str, str]
"""Names in lower case."""
type Value = str | int | None
type Columns = dict[str, Any]
type _Reader = Callable[[str], Value]
type _Table = dict[str, list[tuple[int, str, str, _Reader]]]
"""By the name of a header: the place in the order of preference, the column, the name again, how to read the value."""


def _table(*columns: tuple[str, tuple[str, ...], _Reader]) -> _Table:
    """Turn columns and the headers that may fill them, best first, into what a request's headers are looked up in."""
    table: _Table = {}
    in_order = ((column, name, read) for column, names, read in columns for name in names)
    for place, (column, name, read) in enumerate(in_order):
        table.setdefault(name, []).append((place, column, name, read))
    return table


def _milliseconds(value: str) -> int | None:
    if value.isdecimal() and len(value) <= _MOST_DIGITS:  # as nearly always
        return int(value)
    try:
        return integer(float(round(float(value))))
    except (ValueError, OverflowError):
        return None


def _retry_after(value: str) -> int | None:
    """Seconds, or the time at which to come again (RFC 9110, 10.2.3), which is turned into ms from the Date header."""
    try:
        return integer(float(round(float(value) * 1000)))
    except (ValueError, OverflowError):
        return None


# W3C Trace Context. Later versions than 00 may have more fields; ff is none.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_TRACE, _SPAN = 2, 3

_REQUEST = _table(
    ("user_agent", ("user-agent",), text),
    ("retry_count", ("x-stainless-retry-count",), count),
    ("trace_id", ("traceparent",), lambda value: _traceparent(value, _TRACE)),
    ("parent_span_id", ("traceparent",), lambda value: _traceparent(value, _SPAN)),
)
REQUEST: Final = frozenset(_REQUEST)
"""The headers of requests that `request_columns` reads."""

_RESPONSE = _table(
    (
        "provider_request_id",
        (
            "x-request-id",
            "request-id",
            "apim-request-id",
            "x-ms-request-id",
            "x-amzn-requestid",
            "x-generation-id",
            "x-kong-request-id",
        ),
        text,
    ),
    ("retry_after_ms", ("retry-after-ms",), _milliseconds),
    ("retry_after_ms", ("retry-after",), _retry_after),
    (
        "rate_limit_remaining_requests",
        (
            "x-ratelimit-remaining-requests",
            "anthropic-ratelimit-requests-remaining",
            "x-ratelimit-remaining-req-minute",
        ),
        count,
    ),
    (
        "rate_limit_remaining_tokens",
        (
            "x-ratelimit-remaining-tokens",
            "anthropic-ratelimit-tokens-remaining",
            "x-ratelimit-remaining-tokens-minute",
        ),
        count,
    ),
)

_MOST_DIGITS = 12  # below the largest number that is kept
_SECRET_NAME = re.compile(r"key|token|secret|sig|auth|pass|pwd|code|cred|jwt|bearer", re.IGNORECASE)  # of a query's
_SUBPROTOCOLS, _KEY_AS_PROTOCOL = "sec-websocket-protocol", "openai-insecure-api-key."
_SCHEMES = ("bearer", "basic", "token", "apikey", "key", "aws4-hmac-sha256")  # their names are no secrets
_SECRET_HEADER = re.compile(
    r"key|token|secret|signature|auth(?!or(?!i[sz]))|pass(?:w|phrase|code|$)|pwd|cookie|credential|jwt|bearer|-protocol$"
)
_WITHIN = re.compile(r"""[^\s,;="'.]{16,}""")  # what is a secret by itself, of a value that has several parts
_NO_SECRETS = re.compile(r"openai-beta\b|openai-insecure-api-key$")  # long names of protocols

_SERVER_TIMING = ("openai-processing-ms", "x-amzn-bedrock-invocation-latency", "x-envoy-upstream-service-time")
_LONGEST_JOINED = 64 * 1024  # characters of one name's values: with ten thousand of them, joining all takes seconds
_LONGEST_USER = 1024  # characters: labels may stand in it
_LONGEST_NAME, _MOST_NAMES = 64, 1024  # what is remembered is bounded
_LONGEST_SECRET, _MOST_SECRETS = 8192, 256  # what is looked for; no message that is kept is longer


class _Names(dict[bytes, str]):
    """Names of fields in lower case, by how they were written: all programs together write the same few all day."""

    def __missing__(self, field: bytes) -> str:
        name = field.decode("latin-1").lower()
        if len(field) <= _LONGEST_NAME:
            if len(self) >= _MOST_NAMES:
                self.clear()
            self[field] = name
        return name


_NAMES = _Names()


def plain(fields: Collection[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return header fields as they stand on the wire as `Headers`; values of one name are joined as RFC 9110 has it.

    One pass here, since mitmproxy's own headers are searched from the beginning at each look-up.
    """
    try:
        headers = {_NAMES[field]: content.decode() for field, content in fields}
    except UnicodeDecodeError:
        return _joined(fields)
    return headers if len(headers) == len(fields) else _joined(fields)


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Do what `plain` does, for fields of which some have the same name, or are not UTF-8."""
    headers: dict[str, str] = {}
    for field, content in fields:
        name, value = _NAMES[field], content.decode("utf-8", "surrogateescape")
        if (known := headers.get(name)) is None:
            headers[name] = value
        elif len(known) < _LONGEST_JOINED:
            headers[name] = f"{known}, {value}"
    return headers


def request_columns(headers: Headers) -> Columns:
    """Read the columns that a request's headers fill."""
    return _read(_REQUEST, headers)


def response_columns(headers: Headers) -> Columns:
    """Read the columns that a response's headers fill."""
    columns = _read(_RESPONSE, headers)
    if columns.get("retry_after_ms") is None and "retry-after" in headers:
        columns["retry_after_ms"] = _until(headers["retry-after"], headers.get("date", ""))
    return columns


def server_timing(headers: Headers) -> dict[str, object] | None:
    """Return what a response's headers say about the provider's own time, header name to milliseconds."""
    if headers.keys().isdisjoint(_SERVER_TIMING):
        return None
    stated = {name: _milliseconds(headers[name]) for name in _SERVER_TIMING if name in headers}
    return {name: value for name, value in stated.items() if value is not None} or None


def error_type(headers: Headers) -> str | None:
    """Return the type of an error that stands in a header: AWS's `ValidationException:http://...`."""
    said = headers.get("x-amzn-errortype")
    return text(said.partition(":")[0]) if said else None


def credentials(headers: Headers, query: str) -> list[str]:
    """Return every secret that a request carries in its headers and query, to be masked in what is stored.

    The user of the proxy's URL is none: it is the origin.
    """
    secrets: list[str] = []
    for name, value in headers.items():
        if len(secrets) < _MOST_SECRETS and may_be_secret(name):
            secrets += _secrets_in(name, value[:_LONGEST_JOINED])
    for pair in query[:_LONGEST_JOINED].split("&") if query else ():
        name, _, value = pair.partition("=")
        if _SECRET_NAME.search(name):
            secrets += [value, unquote(value)]
    return [secret[:_LONGEST_SECRET] for secret in islice(filter(None, secrets), _MOST_SECRETS)]


@lru_cache(maxsize=1024)  # clients send the same few names all day
def may_be_secret(name: str) -> bool:
    """Tell whether a header is named like one that holds a secret."""
    return _SECRET_HEADER.search(name) is not None


@lru_cache(maxsize=64)  # a program sends the same key with each call
def _secrets_in(name: str, value: str) -> list[str]:
    """Return what is secret in a header: its whole value, and each part that is a secret by itself."""
    if name == "cookie":
        return [value, *(cookie.partition("=")[2].strip(' "') for cookie in value.split(";"))]
    secrets = [value] if "," in value and name != _SUBPROTOCOLS else []
    for part in re.split(r",[ \t]*", value):  # several headers of one name are one value by now
        scheme, _, rest = part.replace("\t", " ").strip().partition(" ")
        rest = rest.strip()
        if name == _SUBPROTOCOLS:  # where a browser puts the key of a WebSocket, since it can set no other header
            secrets += [part.removeprefix(_KEY_AS_PROTOCOL)] if part.startswith(_KEY_AS_PROTOCOL) else []
        elif scheme.lower() in _SCHEMES:
            secrets.append(rest)
        else:
            secrets += [part, rest]
        if scheme.lower() == "basic":
            secrets += _basic(rest)[1 if name.startswith("proxy-") else 0 :]
        else:
            secrets += [one for one in _WITHIN.findall(part) if not _NO_SECRETS.match(one)]
    return secrets


def basic_user(authorization: str | None) -> str | None:
    """Return the user name of a Basic `Proxy-Authorization` header."""
    if not authorization:
        return None
    scheme, _, rest = authorization.partition(" ")
    return text((_basic(rest) or [""])[0], _LONGEST_USER) if scheme.lower() == "basic" else None


def _basic(encoded: str) -> list[str]:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not base64, not ASCII, or not UTF-8 inside
        return []
    return [user, password]


def _read(table: _Table, headers: Headers) -> Columns:
    columns: Columns = {}
    found = [entry for name in table.keys() & headers.keys() for entry in table[name]]
    found.sort()
    for _, column, name, read in found:
        if columns.get(column) is None and (value := headers[name]):
            columns[column] = read(value)
    return columns


def _traceparent(value: str, group: int) -> str | None:
    found = _TRACEPARENT.fullmatch(value)
    if found is None or (found.group(1) == "00" and found.group(4)):
        return None
    return found.group(group)


def _until(value: str, date: str) -> int | None:
    try:
        then, now = parsedate_to_datetime(value), parsedate_to_datetime(date)
        return integer(max(0.0, round((then.astimezone(UTC) - now.astimezone(UTC)).total_seconds() * 1000.0)))
    except (ValueError, TypeError, OverflowError):
        return None


LABEL_HEADER = "x-llm-origin"
"""Set by a client to name itself; it never leaves the proxy."""


def origin_of(proxy_user: str | None, label: str | None, headers: Headers, client: str | None) -> str | None:
    """Return the origin of a request.

    In this order: the user of the proxy's URL, the header `x-llm-origin`, the header `Origin`, the first product of
    `User-Agent`, the client's address.
    """
    product = (headers.get("user-agent") or "").split(maxsplit=1)
    return (
        text(proxy_user)
        or text((label or "").strip())
        or text(headers.get("origin"))
        or text(product[0] if product else None)
        or client
    )


def host_asked_for(address: str, server_name: str | None) -> str:
    """Return the host name of a request: the address that was asked for, unless it is a number and TLS has a name."""
    return server_name or address if _is_number(address) else address


@lru_cache(maxsize=1024)
def _is_number(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
