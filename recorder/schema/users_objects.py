"""Objects that users added, while a migration runs: they give way to ours, and are back when it has ended.

A column, table, index or trigger that has the name of one that is to come gets `_kept` at the end of its own. Triggers
of users on our tables do not fire for what a migration does, nor can one that cannot run end it.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.schema.table_backup import quoted
from llm_metrics_proxy.recorder.schema.views import free_names
from llm_metrics_proxy.recorder.store import identity, table_sql

_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
_COLUMNS = "SELECT name FROM pragma_table_xinfo('completion_requests')"
_NAMES = "SELECT lower(name) FROM sqlite_master"
_TRIGGER = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?"


@contextmanager
def given_way(connection: sqlite3.Connection, version: int) -> Iterator[dict[str, str]]:
    """Let users' objects in a database of this schema version give way to the body, in the caller's transaction.

    The names that had to change are yielded: the old and the new ones, those of triggers only when the body has ended.

    Raises:
        sqlite3.Error: an object is so broken that SQLite cannot rename another one; the caller has to roll back.
    """
    if version == 0:
        yield {}
        return
    renamed = _names_made_free(connection, version)
    triggers = [
        (name, connection.execute(_TRIGGER, (name,)).fetchone()[0])
        for name in identity.triggers_of_users(connection, version)
    ]
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {quoted(name)}")
    yield renamed
    for name, sql in triggers:
        if ("trigger", name.lower()) in identity.objects_of(CURRENT_SCHEMA_VERSION):
            renamed[name] = _free_name(name, _taken(connection))
            connection.execute(table_sql.renamed(sql, renamed[name]))
        else:
            connection.execute(sql)


def _names_made_free(connection: sqlite3.Connection, version: int) -> dict[str, str]:
    renamed = {}
    coming = identity.objects_of(CURRENT_SCHEMA_VERSION) - identity.objects_of(version)
    names = {name for kind, name in coming if kind != "trigger"}  # which have names of their own
    for kind, name, sql in connection.execute(_OBJECTS).fetchall():
        if name.lower() not in names:
            continue
        renamed[name] = _free_name(name, _taken(connection))
        if kind == "table":
            connection.execute(f"ALTER TABLE {quoted(name)} RENAME TO {quoted(renamed[name])}")
        else:
            connection.execute(f"DROP INDEX {quoted(name)}")
            connection.execute(table_sql.renamed(sql, renamed[name]))
    columns = {name.lower(): name for (name,) in connection.execute(_COLUMNS).fetchall()}
    for column in identity.columns_of(CURRENT_SCHEMA_VERSION)[len(identity.columns_of(version)) :]:
        if old := columns.get(column):
            renamed[old] = new = _free_name(old, columns.keys())
            columns[new.lower()] = new
            connection.execute(f"ALTER TABLE completion_requests RENAME COLUMN {quoted(old)} TO {quoted(new)}")
    return renamed


def _taken(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute(_NAMES)}


def _free_name(name: str, taken: Collection[str]) -> str:
    return next(free for free in free_names(f"{name}_kept") if free.lower() not in taken)
