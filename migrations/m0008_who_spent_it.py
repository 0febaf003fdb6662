"""Version 8: labels, keys, what caches saved, an index of sessions, limits that answers state, and models that answer.

`quota` has what was last said in each minute about each window of a limit; '' stands for NULL in its key, since NULLs
are never the same key. `model_answers` has by day which model answered to which name: whether that is another model
(`substituted`), if somebody was told, and of `compared` calls the cost and that of the model asked for. Published:
never edited.
"""

from sqlite_utils import Database

COLUMNS = (
    "labels TEXT",
    "key_id TEXT",
    "cache_saved_usd REAL",
    "cache_spent_usd REAL",
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
    """
    CREATE TABLE model_answers (
        day TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        response_model TEXT NOT NULL,
        substituted INTEGER NOT NULL,
        told INTEGER NOT NULL,
        calls INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        compared INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        asked_usd REAL NOT NULL,
        PRIMARY KEY (day, provider, model, response_model)
    ) WITHOUT ROWID
    """,
)


def apply(db: Database) -> None:
    """Add the columns and the table."""
    for statement in STATEMENTS:
        db.execute(statement)
