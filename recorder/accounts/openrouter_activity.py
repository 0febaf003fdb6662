"""OpenRouter's activity: the CSV of its page, with a line for each call, and GET /api/v1/activity, by day and model.

https://openrouter.ai/docs/api-reference/analytics. Moments without a time zone are UTC. With an own key at another
provider, `byok_usage_inference` is what that provider bills, and the cost OpenRouter's fee.
"""

import csv
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from llm_metrics_proxy.recorder.accounts.exported import USAGE, Export, Exported, dollars, seconds
from llm_metrics_proxy.recorder.accounts.logged import count, text

PROVIDER: Final = "openrouter"
COLUMNS: Final = frozenset({"generation_id", "created_at", "cost_total", "model_permaslug"})
_DAY_SECONDS: Final = 86_400.0


class _Item(msgspec.Struct):
    date: str
    usage: Any
    requests: Any
    model: Any = None
    model_permaslug: Any = None
    endpoint_id: Any = None
    byok_usage_inference: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None


class _Page(msgspec.Struct):
    """The answer of the API."""

    data: list[_Item]


_decode = msgspec.json.Decoder(_Page).decode


def read(raw: bytes, export: Export) -> None:
    """Add the lines of an answer.

    Raises:
        msgspec.ValidationError: it is none.
    """
    lines = []
    for item in _decode(raw).data:
        since = seconds(item.date[:10])
        if since is None:
            continue
        model = text(item.model) or text(item.model_permaslug)
        lines.append(
            Exported(
                provider=PROVIDER,
                kind=USAGE,
                since=since,
                until=since + _DAY_SECONDS,
                identity=tuple(map(str, (since, model, item.model_permaslug, item.endpoint_id))),
                model=model,
                calls=count(item.requests),
                input_tokens=count(item.prompt_tokens),
                output_tokens=count(item.completion_tokens),
                usd=_added_usd(item.usage, item.byok_usage_inference),
            )
        )
    export.take(PROVIDER, lines, {(line.since, line.until) for line in lines})


def is_activity(names: Iterable[str]) -> bool:
    """The names of a CSV's columns are those of the activity."""
    return set(names) >= COLUMNS


def read_csv(rows: Iterable[str], export: Export) -> int:
    """Add the lines of a CSV; the number of those that could not be read."""
    lines, unreadable = [], 0
    for row in csv.DictReader(rows):
        line = _line(row)
        if line is None:
            unreadable += 1
        else:
            lines.append(line)
    first, last = min((line.since for line in lines), default=0.0), max((line.until for line in lines), default=0.0)
    export.take(PROVIDER, lines, {(first, last)} if lines else set())  # who exported it chose from when to when
    return unreadable


def _line(row: Mapping[str, str | None]) -> Exported | None:
    at, name = seconds(row.get("created_at")), text(row.get("generation_id"))
    if at is None or name is None:
        return None
    return Exported(
        provider=PROVIDER,
        kind=USAGE,
        since=at,
        until=at + 1.0,
        identity=(name,),
        model=text(row.get("model_permaslug")),
        key=text(row.get("api_key_name")),
        calls=1,
        input_tokens=_whole(row.get("tokens_prompt")),
        output_tokens=_whole(row.get("tokens_completion")),
        usd=_added_usd(row.get("cost_total"), row.get("byok_usage_inference")),
    )


def _whole(value: str | None) -> int | None:
    return count(int(value)) if value and value.isascii() and value.isdigit() else None


def _added_usd(fee: object, elsewhere: object) -> float | None:
    usd = dollars(fee, None)
    return None if usd is None else usd + (dollars(elsewhere, None) or 0.0)
