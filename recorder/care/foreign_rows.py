"""Rows of another database as events of ours: what is converted, what is dropped from a row, and what makes it bad.

The original llm-metrics-proxy wrote naive local times. An `event_id` that a row lacks is made from the row itself and
from where it stood, so that the same row is the same event however often it is read.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from llm_metrics_proxy.recorder.events import CompletionRequest

FLAGS = ("success", "is_streaming")
_TIMES_OF_TOKENS = ("time_to_first_token_ms", "time_to_last_token_ms")
_WHOLE = tuple(f.name for f in msgspec.structs.fields(CompletionRequest) if f.type in (int, int | None))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_STATUS_CODES = range(100, 1_000)


class BadRow(Exception):  # noqa: N818 - never shown, only its text
    """Why no event can be made of the row."""


def event_of(row: Mapping[str, object], *, source: str, zone: ZoneInfo | None) -> tuple[CompletionRequest, bool]:
    """The event, and whether times of tokens that cannot be true were left out of it.

    `source` identifies the database that the row, with its `id`, stands in; `zone` is that of naive times, None for
    the zone of this machine.

    Raises:
        BadRow: a value cannot be converted.
    """
    values = {name: value for name, value in row.items() if name != "id" and value is not None}
    event_id = values.pop("event_id", None) or _event_id(values, source, row["id"])
    known = {name: values[name] for name in CompletionRequest.__struct_fields__ if name in values}
    known |= {"event_id": event_id, "timestamp": _moment(values.get("timestamp"), zone)}
    for name in FLAGS:
        if known.get(name) in (0, 1):
            known[name] = bool(known[name])
    for name in _WHOLE:
        number = known.get(name)
        if isinstance(number, float) and abs(number) < 2**53:
            known[name] = round(number)
    untrue = _are_untrue(known)
    for name in _TIMES_OF_TOKENS if untrue else ():
        known.pop(name, None)
    try:
        event = msgspec.convert(known, CompletionRequest)
    except msgspec.ValidationError as error:
        raise BadRow(str(error)) from error
    if event.status_code not in _STATUS_CODES:
        message = f"status_code is {event.status_code}"
        raise BadRow(message)
    return event, untrue


def _event_id(values: Mapping[str, object], source: str, row_id: object) -> str:
    """As `new_event_id`, but of the content. Columns that are NULL, or unknown to an older version, change nothing."""
    content = json.dumps([source, row_id, values], sort_keys=True, default=repr)
    digest = hashlib.sha256(content.encode(errors="backslashreplace")).digest()
    bits = int.from_bytes(digest)
    # The time as it is written, so that a run with another time zone finds the rows of the one before.
    try:
        unix_ms = int(datetime.fromisoformat(str(values.get("timestamp"))).replace(tzinfo=UTC).timestamp() * 1_000)
    except ValueError:
        unix_ms = 0
    variant_and_bits = 0b10 << 62 | bits & (1 << 62) - 1
    return f"{unix_ms & (1 << 48) - 1:012x}7{bits >> 62 & 0xFFF:03x}{variant_and_bits:016x}"


def _moment(value: object, zone: ZoneInfo | None) -> str:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        message = f"timestamp is {str(value)[:40]!r}"
        raise BadRow(message)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        # The earlier of the two moments where the clock was set back.
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except (ValueError, OverflowError) as error:
        message = f"timestamp is {value[:40]!r}"
        raise BadRow(message) from error


def _are_untrue(values: Mapping[str, object]) -> bool:
    """Whether there are times of tokens though nothing was streamed, or times in an order that cannot be."""
    times = [values[name] for name in _TIMES_OF_TOKENS if name in values]
    if not values.get("is_streaming"):
        return bool(times)
    ordered = [one for one in (*times, values.get("response_time_ms")) if isinstance(one, int)]
    return ordered != sorted(ordered)
