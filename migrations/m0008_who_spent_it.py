"""Version 8: labels, which key was used, an index of sessions, and the limits that answers state.

`quota` has what was last said in each minute about each window of a limit; '' stands for NULL in its key, since NULLs
are never the same key. Published: never edited.
"""

from sqlite_utils import Database

COLUMNS = (
    "labels TEXT",
    "key_id TEXT",
)
STATEMENTS = (
    *(f"ALTER TABLE completion_requests ADD COLUMN {column}" for column in COLUMNS),
    # Of all rows, as that on response_id: a session's calls are asked for with each line of a prompt.
    "CREATE INDEX completion_requests_session_id ON completion_requests(session_id, timestamp)",
    """
    CREATE TABLE quota (
        provider TEXT NOT NULL,
        key_id TEXT NOT NULL,
        model TEXT NOT NULL,
        kind TEXT NOT NULL,
        quota_window TEXT NOT NULL,
        minute TEXT NOT NULL,
        seen_at TEXT NOT NULL,
        quota_limit REAL,
        remaining REAL,
        resets_at TEXT,
        PRIMARY KEY (provider, key_id, model, kind, quota_window, minute)
    ) WITHOUT ROWID
    """,
)


def apply(db: Database) -> None:
    """Add the columns and the table."""
    for statement in STATEMENTS:
        db.execute(statement)
