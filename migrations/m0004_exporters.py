"""Version 4: how far each exporter has come, and which of the rows it has sent have changed since.

An exporter (recorder/export/) brings the rows elsewhere, in the order of their ids. A row is written once, but its cost
may come or change later: the trigger notes that for those exporters that want to know, which have a `change_id`.
Published: never edited.
"""

from sqlite_utils import Database

STATEMENTS = (
    # name: destination without secrets. source_id: this file, as the destination knows it. row_id: all rows up to this
    # are there; claimed_id: rows up to this may be there; change_id: all changes up to this are there. reached_at: when
    # it last took something, or had all. error: why not since then. state: the exporter's own.
    """
    CREATE TABLE exporters (
        name TEXT PRIMARY KEY,
        source_id TEXT NOT NULL,
        row_id INTEGER NOT NULL,
        claimed_id INTEGER NOT NULL,
        change_id INTEGER,
        sent INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        reached_at TEXT NOT NULL,
        error TEXT,
        state TEXT
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE export_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        row_id INTEGER NOT NULL
    )
    """,
    """
    CREATE TRIGGER completion_requests_export_changes AFTER UPDATE ON completion_requests
    WHEN EXISTS (SELECT 1 FROM exporters WHERE change_id IS NOT NULL AND claimed_id >= new.id)
    BEGIN
        INSERT INTO export_changes (row_id) VALUES (new.id);
    END
    """,
)


def apply(db: Database) -> None:
    """Create them; nobody exports yet."""
    for statement in STATEMENTS:
        db.execute(statement)
