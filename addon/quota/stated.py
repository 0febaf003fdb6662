"""Limits as answers state them: which headers speak of any, and what they say, in one form for all providers."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from llm_metrics_proxy.addon.headers import Headers
from llm_metrics_proxy.addon.providers.errors import value_of
from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.recorder.events import Limit, timestamp_of

_HEADERS = ("limit", "remaining", "used", "reset", "minutes")
_LONGEST = 256  # characters of a header's value
_LONGEST_BODY = 16 * 1024
_PAIR = re.compile(r"([\w-]+)=([^,;&\s]+)")
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s|d))", re.ASCII)
_DURATIONS = re.compile(rf"(?:{_DURATION.pattern})+", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SINCE_1970_S, _SINCE_1970_MS = 1e9, 1e12  # no time from now is as long
_LONGEST_WAIT = 400 * 86400.0  # seconds: a reset that is further away is none
_HUNDRED = 100.0
_WINDOWS = {300: "5h", 10_080: "7d", 1440: "1d", 60: "1h", 43_200: "30d"}  # by minutes
_PER = (("perday", "1d"), ("perminute", "1m"), ("perhour", "1h"), ("permonth", "1mo"))  # in Google's names of quotas
_VIOLATED = b"QuotaFailure"
_MOST_VIOLATIONS = 8


class Stated(NamedTuple):
    """The headers of an answer that speak of limits, or what a refusal says of them, before anybody reads them."""

    wall: int  # nanoseconds since 1970
    headers: Headers
    body: bytes = b""


class _Shape(NamedTuple):
    kind: str
    window: str | None
    model: str | None
    by_model: bool
    of: float | None
    packed: str | None
    names: Mapping[str, str]  # of headers, or of pairs
    providers: frozenset[str] | None


def _shape(written: Mapping[str, Any]) -> _Shape:
    return _Shape(
        written["kind"],
        written.get("window"),
        written.get("model"),
        written.get("by_model", False),
        written.get("of"),
        written.get("packed"),
        {field: written[field] for field in (*_HEADERS, "remaining_percent") if field in written},
        frozenset(written["providers"]) if "providers" in written else None,
    )


_SHAPES: Final = tuple(
    map(_shape, tomllib.loads(Path(__file__).with_name("limits.toml").read_text(encoding="utf-8"))["limit"])
)


def _names_of(shape: _Shape) -> Iterable[str]:
    return (shape.packed,) if shape.packed else shape.names.values()


HEADERS: Final = frozenset(name for shape in _SHAPES for name in _names_of(shape))
"""All headers that speak of limits."""
# The fields by which each shape is recognised: one with a reset alone says nothing.
_BY_HEADER: Final = tuple(
    (shape.packed or shape.names.get("remaining") or shape.names["used"], shape) for shape in _SHAPES
)


def headers_of_limits(headers: Headers) -> Headers | None:
    """Return those of an answer's headers that speak of limits; None if there are none."""
    if HEADERS.isdisjoint(headers):
        return None
    return {name: headers[name][:_LONGEST] for name in HEADERS.intersection(headers)}


def body_of_limits(body: bytes) -> bytes:
    """Return a refusal's body if it speaks of limits, as Google's do; else nothing."""
    return bytes(body) if len(body) <= _LONGEST_BODY and _VIOLATED in body else b""


def limits_in(stated: Stated, provider: str | None, model: str | None) -> tuple[Limit, ...]:
    """Return the limits that an answer states."""
    found: dict[tuple[str, str | None, str | None], Limit] = {}
    seen: set[str] = set()
    for name, shape in _BY_HEADER:
        if name not in stated.headers or (shape.providers is not None and provider not in shape.providers):
            continue
        if (shape.providers is None and name in seen) or (limit := _limit(shape, stated, model)) is None:
            continue
        if shape.providers is not None:
            seen.add(name)
        known = found.setdefault((limit.kind, limit.window, limit.model), limit)
        if known.resets_at is None and limit.resets_at is not None:
            found[limit.kind, limit.window, limit.model] = limit
    return (*found.values(), *_violated(stated, model))


def _limit(shape: _Shape, stated: Stated, model: str | None) -> Limit | None:
    if shape.packed:
        pairs = dict(_PAIR.findall(stated.headers[shape.packed]))
        said = {field: unquote(pairs[name]) for field, name in shape.names.items() if name in pairs}
    else:
        said = {field: stated.headers[name] for field, name in shape.names.items() if name in stated.headers}
    limit = _number(said.get("limit", "")) if "limit" in shape.names else shape.of
    remaining, used = _number(said.get("remaining", "")), _number(said.get("used", ""))
    if used is not None and shape.of is not None:
        limit, remaining = _HUNDRED, max(0.0, _rounded(_HUNDRED - used * _HUNDRED / shape.of))
    elif (percent := _number(said.get("remaining_percent", ""))) is not None and limit is not None:
        remaining = _rounded(limit * min(percent, _HUNDRED) / _HUNDRED)
    if remaining is None or (limit is not None and limit <= 0):  # Azure's -1 and 0 say that nobody knows
        return None
    minutes = _number(said.get("minutes", ""))
    return Limit(
        kind=shape.kind,
        window=_window(minutes) if minutes else shape.window,
        model=shape.model or (model if shape.by_model else None),
        limit=limit,
        remaining=remaining,
        resets_at=resets_at(said.get("reset", ""), stated.wall),
    )


def _violated(stated: Stated, model: str | None) -> Iterable[Limit]:
    """Read the quotas that Google's refusal names: nothing is left of them."""
    said = value_of(stated.body) if stated.body else None
    error = _first(said).get("error")
    details = error.get("details") if isinstance(error, dict) else None
    details = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    wait = next((one["retryDelay"] for one in details if isinstance(one.get("retryDelay"), str)), "")
    found = []
    for violation in (one for detail in details for one in _list(detail.get("violations"))):
        if not isinstance(violation, dict) or not isinstance(name := violation.get("quotaId"), str):
            continue
        plain, dimensions = name.lower(), violation.get("quotaDimensions")
        named = dimensions.get("model") if isinstance(dimensions, dict) else None
        found.append(
            Limit(
                kind="input_tokens" if "inputtoken" in plain else "tokens" if "token" in plain else "requests",
                window=next((window for word, window in _PER if word in plain), None),
                model=text(named) or (model if "permodel" in plain else None),
                limit=_number(str(violation.get("quotaValue", ""))),
                remaining=0.0,
                resets_at=resets_at(wait, stated.wall) if "perminute" in plain else None,
            )
        )
    return found[:_MOST_VIOLATIONS]


def _first(said: object) -> Mapping[str, Any]:
    if isinstance(said, list) and said:
        said = said[0]
    return said if isinstance(said, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(written: str) -> float | None:
    written = written.partition(",")[0].strip()
    return float(written) if _NUMBER.fullmatch(written) else None


def _rounded(value: float) -> float:
    return round(value, 6)


def _window(minutes: float) -> str:
    return _WINDOWS.get(int(minutes)) or f"{int(minutes)}m"


def resets_at(written: str, wall: int) -> str | None:
    """Return the moment of a reset that is written as a moment, or as a time from `wall` on; None if it is neither."""
    written = written.partition(",")[0].strip()
    if _NUMBER.fullmatch(written):
        seconds = float(written)
        if seconds >= _SINCE_1970_MS:
            seconds = seconds / 1e3 - wall / 1e9
        elif seconds >= _SINCE_1970_S:
            seconds -= wall / 1e9
    elif _DURATIONS.fullmatch(written):
        seconds = sum(float(count) * _SECONDS[unit] for count, unit in _DURATION.findall(written))
    else:
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - wall / 1e9
    if abs(seconds) > _LONGEST_WAIT:
        return None
    return timestamp_of(wall + round(seconds * 1e9))
