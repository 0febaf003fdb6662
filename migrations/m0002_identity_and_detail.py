"""Version 2: an identity for each call, what came with it, and the recorder's own tables.

Columns are added in place (ALTER TABLE ... ADD COLUMN); all may be NULL, and NULL means unknown. Rewriting the table
(sqlite-utils' transform) would turn BOOLEAN into REAL and drop users' triggers. Published: never edited.
"""

from sqlite_utils import Database

COLUMNS = (
    "event_id TEXT",
    "provider TEXT",
    "operation TEXT",
    "host TEXT",
    "endpoint TEXT",
    "response_model TEXT",
    "cached_tokens INTEGER",
    "cache_write_tokens INTEGER",
    "reasoning_tokens INTEGER",
    "usage_source TEXT",
    "usage TEXT",
    "cost_usd REAL",
    "cost_source TEXT",
    "time_to_first_byte_ms REAL",
    "time_to_first_answer_ms REAL",
    "output_events INTEGER",
    "chunk_gap_p50_ms REAL",
    "chunk_gap_p95_ms REAL",
    "chunk_gap_max_ms REAL",
    "upload_ms REAL",
    "connect_ms REAL",
    "request_bytes INTEGER",
    "response_bytes INTEGER",
    "http_version TEXT",
    "client TEXT",
    "user_agent TEXT",
    "session_id TEXT",
    "trace_id TEXT",
    "parent_span_id TEXT",
    "retry_count INTEGER",
    "provider_request_id TEXT",
    "retry_after_ms INTEGER",
    "rate_limit_remaining_requests INTEGER",
    "rate_limit_remaining_tokens INTEGER",
    "server_timing TEXT",
    "error_code TEXT",
)

INDEXES_AND_TABLES = (
    "CREATE UNIQUE INDEX completion_requests_event_id ON completion_requests(event_id)",
    "CREATE INDEX completion_requests_timestamp ON completion_requests(timestamp)",
    """
    CREATE TABLE recorder_counters (
        process TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        updated_at TEXT NOT NULL,
        PRIMARY KEY (process, name)
    )
    """,
    """
    CREATE TABLE recorder_events (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        process TEXT NOT NULL,
        kind TEXT NOT NULL,
        count INTEGER,
        from_at TEXT,
        to_at TEXT,
        detail TEXT
    )
    """,
    """
    CREATE TABLE unrecognised (
        host TEXT NOT NULL,
        path TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (host, path)
    )
    """,
)


def apply(db: Database) -> None:
    """Add the columns, then the indexes that need them, then the recorder's tables."""
    for column in COLUMNS:
        db.execute(f"ALTER TABLE completion_requests ADD COLUMN {column}")
    for statement in INDEXES_AND_TABLES:
        db.execute(statement)
