"""Promises of the fleet: every row of every sidecar is at the server, once, with the same columns."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from tests.support.traffic import rows as traffic_rows
from tests.support.verdict import Promise
from tests.trials.fleet.sidecar import Sidecar

type Rows = dict[str, tuple[object, ...]]
"""By event_id: the other columns, in the order of their names."""


def promises(sidecars: Sequence[Sidecar], dsn: str, codes: Sequence[int]) -> list[Promise]:
    """Judge a run whose exporters have ended with these exit codes."""
    here = {one.name: _rows_here(one.database) for one in sidecars}
    with psycopg.connect(dsn) as connection:
        there = {one.name: _rows_there(connection, one.name, columns_of(one.database)) for one in sidecars}
        (total,) = connection.execute("SELECT count(*) FROM completion_requests").fetchone() or (0,)
    wrong = [f"{one.name}: {answer}" for one in sidecars for answer in one.traffic.wrong]
    recorded = [promise for one in sidecars for promise in traffic_rows.promises(one.database, one.traffic.expected)]
    lost = [promise.found for promise in recorded if not promise.kept]
    rows = sum(map(len, here.values()))
    return [
        Promise.unless(wrong, "every client got its answer", f"{len(sidecars)} sidecars"),
        Promise.unless(lost, "every call is recorded", f"{rows} rows"),
        Promise("every row arrived, once", total == rows, f"{total} at the server"),
        compared("every column is equal", here, there),
        Promise("every exporter ended well", not any(codes), f"exit codes {sorted(set(codes))}"),
    ]


def columns_of(database: Path) -> list[str]:
    """The names of the columns of the calls."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM pragma_table_info('completion_requests')").fetchall()
    return [name for (name,) in found]


def _rows_here(database: Path) -> Rows:
    columns = columns_of(database)
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(f"SELECT event_id, {', '.join(columns)} FROM completion_requests").fetchall()  # noqa: S608 - names of our own
    return {event_id: tuple(values) for event_id, *values in found}


def _rows_there(connection: psycopg.Connection, host: str, columns: Sequence[str]) -> Rows:
    """As SQLite has them: texts of moments, and numbers for what is true or not."""
    as_here = {
        "timestamp": """to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')""",
        "success": "success::int",
        "is_streaming": "is_streaming::int",
    }
    chosen = ", ".join(as_here.get(name, name) for name in columns)
    statement = f"SELECT event_id, {chosen} FROM completion_requests WHERE host_id = %s"  # noqa: S608 - names of our own
    found = connection.execute(statement.encode(), (host,)).fetchall()
    return {event_id: tuple(values) for event_id, *values in found}


def compared(what: str, here: dict[str, Rows], there: dict[str, Rows]) -> Promise:
    """Judge whether each sidecar has the same rows on both sides."""
    off = [
        f"{name}: {event_id}"
        for name, rows in here.items()
        for event_id in rows.keys() | there[name].keys()
        if rows.get(event_id) != there[name].get(event_id)
    ]
    columns = max((len(row) for rows in here.values() for row in rows.values()), default=0)
    return Promise.unless(off, what, f"{columns} columns")
