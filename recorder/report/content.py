"""The content of a report, read from the database in one pass.

The calls of the period and of the one before it are copied into a temporary table of this connection, which holds no
lock and keeps no recorder's WAL from being cut; all queries go to that table. Unknown is None, never 0.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder.figures import SUMS, Figures, Sums, most_requests_first
from llm_metrics_proxy.recorder.percentile import Number
from llm_metrics_proxy.recorder.store import timestamps

CHARTED_MODELS: Final = 6  # have a panel and a colour, the others are one together
_SHOWN_CALLS = 10
_SHOWN_MESSAGES = 15
_MOST_SLOTS, _FEWEST_SLOTS = 96, 40  # of a chart over time
_NICE_MINUTES = (5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2 * 1440, 5 * 1440, 7 * 1440)

# Slots are counted from the period's start, in whole seconds.
_COPY = f"""
    CREATE TEMP TABLE calls AS
    SELECT timestamp >= :start AS is_current,
        (CAST(strftime('%s', timestamp) AS INTEGER) - :start_seconds) / :slot_seconds AS slot,
        timestamp, success, status_code, response_time_ms, model, origin, labels, prompt_tokens, completion_tokens,
        cached_tokens, cost_usd, cost_note, billing, time_to_first_token_ms, tokens_per_second, error_type,
        iif(success, NULL, coalesce(error_class, {classes.SQL_OF_ERROR})) AS error_class,
        iif(success, NULL, error_message) AS error_message
    FROM completion_requests WHERE timestamp >= :before AND timestamp < :end
"""  # noqa: S608 - the words of a table of ours
_ENDS = "SELECT (SELECT min(timestamp) FROM completion_requests), (SELECT max(timestamp) FROM completion_requests)"
# The noqa below: nothing is put into SQL but texts of ours.
_CURRENT = f"SELECT model, slot, {SUMS} FROM calls WHERE is_current GROUP BY model, slot"  # noqa: S608
_BEFORE = f"SELECT model, {SUMS} FROM calls WHERE NOT is_current GROUP BY model"  # noqa: S608
_ORIGINS = f"SELECT origin, {SUMS} FROM calls WHERE is_current GROUP BY origin"  # noqa: S608
_LABELS = f"""
    SELECT label.key || '=' || label.value, {SUMS}
    FROM calls CROSS JOIN json_each(iif(json_valid(labels), labels, NULL)) AS label
    WHERE is_current AND labels IS NOT NULL GROUP BY 1
"""  # noqa: S608
_COSTS = """
    SELECT substr(timestamp, 1, 10), model, iif(count(cost_usd), total(cost_usd), NULL)
    FROM calls WHERE is_current AND billing IS NOT 'subscription' GROUP BY 1, 2
"""
_ERRORS = """
    SELECT error_class, error_type, count(*), max(timestamp), count(DISTINCT model) FROM calls
    WHERE is_current AND NOT success GROUP BY error_class, error_type
    ORDER BY sum(count(*)) OVER (PARTITION BY error_class) DESC, error_class, 3 DESC, 2
"""
# Of the columns beside a max() SQLite takes the values of its row.
_MESSAGES = """
    SELECT max(timestamp), count(*), status_code, error_class, error_type, model, error_message FROM calls
    WHERE is_current AND NOT success GROUP BY error_type, error_message ORDER BY 1 DESC LIMIT ?
"""
_CALLS = """
    SELECT timestamp, model, origin, success, error_type, response_time_ms, time_to_first_token_ms,
        prompt_tokens, completion_tokens, cost_usd
    FROM calls WHERE is_current AND {column} IS NOT NULL ORDER BY {column} DESC, timestamp DESC LIMIT ?
"""


class ErrorType(msgspec.Struct, frozen=True):
    """The number of calls that failed with it; `name` is None for errors without a type. A class stands together."""

    error_class: str
    name: str | None
    count: int
    last_at: str
    models: int  # of how many models


class Message(msgspec.Struct, frozen=True):
    """A message of failed calls, and the last call that had it."""

    last_at: str
    count: int
    status_code: int
    error_class: str
    error_type: str | None
    model: str | None
    text: str | None


class Call(msgspec.Struct, frozen=True):
    """One call, for the lists of the slowest and the most expensive."""

    at: str
    model: str | None
    origin: str | None
    success: int
    error_type: str | None
    response_time_ms: Number
    time_to_first_token_ms: Number | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None


class Period(msgspec.Struct, frozen=True):
    """From `start` to `end`, in slots of the same length."""

    start: datetime
    end: datetime
    slot: timedelta

    @property
    def slots(self) -> int:
        """The number of slots."""
        return round((self.end - self.start) / self.slot)

    @property
    def days(self) -> list[str]:
        """The days (UTC) that it touches, as the first ten letters of timestamps."""
        last = (self.end - timedelta(microseconds=1)).date()
        first = self.start.date()
        return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Lists by slot have one entry a slot, None where there were no calls."""

    period: Period
    last_at: str | None  # of all calls, also those before the period
    total: Figures | None  # None: no calls
    before: Figures | None  # of the period before; None unless the database goes back so far
    models: tuple[Figures, ...]
    models_before: dict[str | None, Figures]
    origins: tuple[Figures, ...]
    labels: tuple[Figures, ...]  # by name and value; a call with several is in each of them
    slots: list[Figures | None]
    panels: dict[str | None, list[Figures | None]]  # by model, of those with most requests that stream
    costs: dict[tuple[str, str | None], float | None]  # by day and model
    errors: list[ErrorType]
    messages: list[Message]
    slowest: list[Call]
    dearest: list[Call]


def period(days: int, now: datetime) -> Period:
    """The last `days` times 24 hours; `now` is rounded up to the minute."""
    end = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    minutes = days * 24 * 60
    fitting = [n for n in _NICE_MINUTES if minutes % n == 0 and _FEWEST_SLOTS <= minutes // n <= _MOST_SLOTS]
    # A length that no nice one divides gets slots that are whole, if odd, instead of a last one that looks like a drop.
    slot = timedelta(minutes=fitting[0]) if fitting else timedelta(days=days) / _MOST_SLOTS
    return Period(end - timedelta(days=days), end, slot)


def collect(connection: sqlite3.Connection, period: Period) -> Content:
    """Everything that the report tells of the period.

    Raises:
        sqlite3.Error: it could not be read.
    """
    first_at, last_at = connection.execute(_ENDS).fetchone()
    before = timestamps.bound(period.start - (period.end - period.start))
    connection.execute(
        _COPY,
        {
            "before": before,
            "start": timestamps.bound(period.start),
            "end": timestamps.bound(period.end),
            "start_seconds": round(period.start.timestamp()),
            "slot_seconds": round(period.slot.total_seconds()),
        },
    )
    current = {(model, slot): Sums.of(columns) for model, slot, *columns in connection.execute(_CURRENT)}
    by_model = _added((model, sums) for (model, _), sums in current.items())
    by_slot = _added((slot, sums) for (_, slot), sums in current.items())
    models = most_requests_first(sums.figures(model) for model, sums in by_model.items())
    earlier = {model: Sums.of(columns) for model, *columns in connection.execute(_BEFORE)}
    if first_at is None or first_at > before:  # it would be compared with a part of that time
        earlier = {}
    charted = [one.name for one in models if one.time_to_first_token_count][:CHARTED_MODELS]
    slots = range(period.slots)
    return Content(
        period=period,
        last_at=last_at,
        total=_total(by_model),
        before=_total(earlier),
        models=models,
        models_before={model: sums.figures(model) for model, sums in earlier.items()},
        origins=most_requests_first(Sums.of(columns).figures(name) for name, *columns in connection.execute(_ORIGINS)),
        labels=most_requests_first(Sums.of(columns).figures(name) for name, *columns in connection.execute(_LABELS)),
        slots=[_figures(by_slot.get(slot)) for slot in slots],
        panels={model: [_figures(current.get((model, slot))) for slot in slots] for model in charted},
        costs={(day, model): cost for day, model, cost in connection.execute(_COSTS)},
        errors=[ErrorType(*row) for row in connection.execute(_ERRORS)],
        messages=[Message(*row) for row in connection.execute(_MESSAGES, (_SHOWN_MESSAGES,))],
        slowest=_calls(connection, "response_time_ms"),
        dearest=_calls(connection, "cost_usd"),
    )


def _added[K](groups: Iterable[tuple[K, Sums]]) -> dict[K, Sums]:
    """The sums of each key together."""
    by_key: dict[K, list[Sums]] = {}
    for key, sums in groups:
        by_key.setdefault(key, []).append(sums)
    return {key: Sums.added(same) for key, same in by_key.items()}


def _total(groups: Mapping[str | None, Sums]) -> Figures | None:
    return Sums.added(list(groups.values())).figures("total") if groups else None


def _figures(sums: Sums | None) -> Figures | None:
    return sums and sums.figures(None)


def _calls(connection: sqlite3.Connection, column: str) -> list[Call]:
    statement = _CALLS.format(column=column)
    return [Call(*row) for row in connection.execute(statement, (_SHOWN_CALLS,))]
