"""Version 3: the roll-up, and how far it and the prices have come.

`rollup_calls` adds calls up, `rollup_times` has how long they took: percentiles, and the counts behind them, as JSON
from the number of a bucket (recorder/figures) to that of calls. Both by hour, day and month in UTC. In keys ''
stands for NULL, since NULLs are never the same key. Published: never edited.
"""

from sqlite_utils import Database

SUMMED = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "response_time_ms",
    "time_to_first_token_ms",
    "time_to_last_token_ms",
    "tokens_per_second",
)
# Each as a sum, and of how many calls: a sum over no known value is unknown and not 0. REAL is exact up to 2^53.
_SUMS = ", ".join(f"{name} REAL NOT NULL, {name}_known INTEGER NOT NULL" for name in SUMMED)

TABLES = (
    f"""
    CREATE TABLE rollup_calls (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        is_streaming INTEGER NOT NULL,
        success INTEGER NOT NULL,
        error_type TEXT NOT NULL,
        calls INTEGER NOT NULL,
        {_SUMS},
        PRIMARY KEY (span, period, model, origin, provider, is_streaming, success, error_type)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE rollup_times (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        measure TEXT NOT NULL,
        dimension TEXT NOT NULL,
        value TEXT NOT NULL,
        calls INTEGER NOT NULL,
        p50 REAL NOT NULL,
        p95 REAL NOT NULL,
        p99 REAL NOT NULL,
        counts TEXT NOT NULL,
        PRIMARY KEY (span, period, measure, dimension, value)
    ) WITHOUT ROWID
    """,
    # Rows of completion_requests with an id up to row_id have been through this: 'rollup', 'pricing'.
    """
    CREATE TABLE watermarks (
        name TEXT PRIMARY KEY,
        row_id INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)


def apply(db: Database) -> None:
    """Create them empty: the calls that are there already are added later, without holding anybody up."""
    for statement in TABLES:
        db.execute(statement)
