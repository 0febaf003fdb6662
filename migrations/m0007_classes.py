"""Version 7: causes of failures and ends of answers in words that all providers share, agents, and hosts passed unread.

`rollup_errors` adds failed calls up by their class and the provider's own word. It begins with the failures that the
roll-up has, whose rows may be pruned: of them nobody has said a class. `tunnelled_hosts` counts the connections whose
TLS was not opened, by day. `completed_later` has the rows that a later answer completed, and as JSON what they were
before, until the roll-up (`added`) and their costs have followed. Published: never edited.
"""

from sqlite_utils import Database

COLUMNS = (
    "error_class TEXT",
    "finish_class TEXT",
    "agent TEXT",
    "agent_version TEXT",
    "agent_id TEXT",
    "parent_agent_id TEXT",
    "request_kind TEXT",
    "project TEXT",
    "response_id TEXT",
)
STATEMENTS = (
    *(f"ALTER TABLE completion_requests ADD COLUMN {column}" for column in COLUMNS),
    """
    CREATE TABLE rollup_errors (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        error_class TEXT NOT NULL,
        error_type TEXT NOT NULL,
        calls INTEGER NOT NULL,
        PRIMARY KEY (span, period, model, origin, provider, error_class, error_type)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO rollup_errors
    SELECT span, period, model, origin, provider, '', error_type, sum(calls)
    FROM rollup_calls WHERE NOT success GROUP BY span, period, model, origin, provider, error_type
    """,
    # Of all rows, though few have one: where an index is partial, sqlite-utils renames and drops no columns.
    "CREATE INDEX completion_requests_response_id ON completion_requests(response_id)",
    """
    CREATE TABLE completed_later (
        row_id INTEGER PRIMARY KEY,
        before TEXT NOT NULL,
        added INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE tunnelled_hosts (
        day TEXT NOT NULL,
        host TEXT NOT NULL,
        connections INTEGER NOT NULL,
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL,
        PRIMARY KEY (day, host)
    ) WITHOUT ROWID
    """,
)


def apply(db: Database) -> None:
    """Add the columns and the tables."""
    for statement in STATEMENTS:
        db.execute(statement)
