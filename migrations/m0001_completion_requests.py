"""Version 1: one table of calls, and the version's own table. Published: never edited, only followed by later steps."""

from sqlite_utils import Database

COMPLETION_REQUESTS = """
CREATE TABLE completion_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TEXT NOT NULL,
    success BOOLEAN NOT NULL,
    status_code INTEGER NOT NULL,
    response_time_ms INTEGER NOT NULL,
    model TEXT,
    origin TEXT,
    is_streaming BOOLEAN NOT NULL,
    max_tokens INTEGER,
    temperature REAL,
    top_p REAL,
    message_count INTEGER,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    total_tokens INTEGER,
    finish_reason TEXT,
    time_to_first_token_ms INTEGER,
    time_to_last_token_ms INTEGER,
    tokens_per_second REAL,
    error_type TEXT,
    error_message TEXT
)
"""

SCHEMA_VERSION = """
CREATE TABLE schema_version (
    version INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
)
"""


def apply(db: Database) -> None:
    """Create both tables as SQL: sqlite-utils' own create() knows neither AUTOINCREMENT nor BOOLEAN."""
    db.execute(COMPLETION_REQUESTS)
    db.execute(SCHEMA_VERSION)
