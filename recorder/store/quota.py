"""The table `quota`: what answers said last in each minute about each window of a limit, and how it stays small.

A window is one of a provider, key, model and kind; '' stands for what is not known or of all models. Minutes of the
last day stay, of the days before the last of each hour, for as long as the longest window that providers have.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from llm_metrics_proxy.recorder.events import Limits
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.slices import Slices

MOST_ROWS: Final = 100_000
MINUTES_KEPT: Final = timedelta(days=1)
HOURS_KEPT: Final = timedelta(days=35)

_MINUTE: Final = 16  # characters of a timestamp
_AT_ONCE: Final = 50  # rows, between two looks at the clock
_NOTE = """
    INSERT INTO quota (
        provider, key_id, model, kind, quota_window, minute, seen_at, quota_limit, remaining, resets_at
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        quota_limit = iif(excluded.seen_at < seen_at, quota_limit, excluded.quota_limit),
        remaining = iif(excluded.seen_at < seen_at, remaining, excluded.remaining),
        resets_at = iif(excluded.seen_at < seen_at, resets_at, excluded.resets_at),
        seen_at = max(seen_at, excluded.seen_at)
"""
_KEY: Final = "provider, key_id, model, kind, quota_window, minute"
_SURPLUS = f"""
    SELECT {_KEY} FROM quota WHERE minute < :oldest OR minute < :day AND EXISTS (
        SELECT 1 FROM quota AS later
        WHERE later.provider = quota.provider AND later.key_id = quota.key_id AND later.model = quota.model
            AND later.kind = quota.kind AND later.quota_window = quota.quota_window
            AND later.minute > quota.minute AND later.minute < substr(quota.minute, 1, 13) || '~'
    )
"""  # noqa: S608 - names of our own columns
_DELETE = f"DELETE FROM quota WHERE ({_KEY}) = (?, ?, ?, ?, ?, ?)"  # noqa: S608
_FIRST_OF_MOST = "SELECT minute FROM quota ORDER BY minute DESC LIMIT 1 OFFSET ?"

type Key = tuple[str, ...]


def note(connection: sqlite3.Connection, said: Limits) -> bool:
    """Note what an answer said, in the caller's transaction; False if a trigger keeps any of it out."""
    return all(
        connection.execute(
            _NOTE,
            (
                said.provider,
                said.key_id or "",
                limit.model or "",
                limit.kind,
                limit.window or "",
                said.at[:_MINUTE],
                said.at,
                limit.limit,
                limit.remaining,
                limit.resets_at,
            ),
        ).rowcount
        == 1
        for limit in said.limits
    )


def surplus(connection: sqlite3.Connection, now: datetime, most: int = MOST_ROWS) -> list[Key]:
    """The keys of what is too old or too much, and of what is older than a day all but the last of each hour."""
    oldest, day = (timestamps.bound(now - kept)[:_MINUTE] for kept in (HOURS_KEPT, MINUTES_KEPT))
    if (found := connection.execute(_FIRST_OF_MOST, (most,)).fetchone()) is not None:
        oldest = max(oldest, f"{found[0]}~")
    return connection.execute(_SURPLUS, {"oldest": oldest, "day": day}).fetchall()


def delete(connection: sqlite3.Connection, slices: Slices, keys: Sequence[Key]) -> None:
    """Delete the rows with these keys.

    Raises:
        DatabaseRefused: SQLite refused; what was deleted stays deleted.
    """
    deleted = 0
    while deleted < len(keys) and not slices.stopped:
        with slices.hold() as has_time:
            while deleted < len(keys) and has_time():
                connection.executemany(_DELETE, keys[deleted : deleted + _AT_ONCE])
                deleted += _AT_ONCE
