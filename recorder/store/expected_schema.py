"""Whether a database has exactly the schema that the registry makes.

The registry is run into memory and both sides are described by what SQLite says of them, so that nothing is written
down twice. Everything the registry makes must be there, unchanged. What users add beside it (own tables, views,
triggers, plain indexes) is theirs and stays; a unique index on our tables is not: it would reject calls. Views are not
looked at, ours neither: they hold nothing and are made anew at a start (schema/views.py).
"""

import sqlite3
from functools import cache

from sqlite_utils import Database

from llm_metrics_proxy.migrations import NAMES, REGISTRY

type Fact = tuple[object, ...]

# Without the tables of SQLite and sqlite-utils themselves.
_OBJECTS = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE type <> 'view' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl_name <> '_sqlite_migrations'
"""
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)'
_LAYOUT = "SELECT type, wr, strict FROM pragma_table_list(?) WHERE schema = 'main'"
_CONSTRAINTS = "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?) WHERE origin <> 'c' ORDER BY name"
_REFERENCES = "SELECT * FROM pragma_foreign_key_list(?)"
_TABLE_FACTS = (_COLUMNS, _LAYOUT, _CONSTRAINTS, _REFERENCES)
# What no pragma shows of a table: only its SQL does.
_UNSEEN = ("AUTOINCREMENT", "CHECK", "COLLATE", "CONFLICT", "DEFERRABLE")
_INDEX = 'SELECT "unique", partial FROM pragma_index_list(?) WHERE name = ?'
_INDEX_COLUMNS = 'SELECT seqno, name, "desc", coll, key FROM pragma_index_xinfo(?)'


def differences(connection: sqlite3.Connection, version: int) -> list[str]:
    """What keeps the database from being `version` of the schema, one phrase each; empty if nothing does."""
    expected = _expected(version)
    actual = _facts(connection)
    found = []
    for (kind, name), fact in expected.items():
        if (kind, name) not in actual:
            found.append(f"{kind} {name} is missing")
        elif actual[kind, name] != fact:
            found.append(f"{kind} {name} is not as it was made")
    for (kind, name), fact in actual.items():
        if (kind, name) not in expected and kind == "index":
            table, unique, *_ = fact
            if unique and ("table", table) in expected:
                found.append(f"unique index {name} was added to table {table}")
    return found


@cache
def columns_of(version: int) -> tuple[str, ...]:
    """The names of the columns of `completion_requests` in `version` of the schema, in order."""
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return tuple(db.table("completion_requests").columns_dict)
    finally:
        db.close()


@cache
def _expected(version: int) -> dict[tuple[str, str], Fact]:
    db = Database(memory=True, execute_plugins=False)
    try:
        REGISTRY.apply(db, stop_before=NAMES[version:])
        return _facts(db.conn)
    finally:
        db.close()


def _facts(connection: sqlite3.Connection) -> dict[tuple[str, str], Fact]:
    facts: dict[tuple[str, str], Fact] = {}
    for kind, name, table, sql in connection.execute(_OBJECTS).fetchall():
        if kind == "table":
            facts[kind, name] = (
                *(sql.upper().count(word) for word in _UNSEEN),
                *(tuple(connection.execute(query, (name,))) for query in _TABLE_FACTS),
            )
        elif kind == "index":
            (unique, partial) = connection.execute(_INDEX, (table, name)).fetchone()
            facts[kind, name] = (table, unique, partial, tuple(connection.execute(_INDEX_COLUMNS, (name,))))
        else:
            facts[kind, name] = (table, sql)
    return facts
