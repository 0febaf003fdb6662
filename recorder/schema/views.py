"""The views of migrations/views in a database: made anew at a start where a database has other ones.

A view is ours if its text bears our mark, or if the release that made none (0.1.0, schema versions 3 and 4, which
refused any other text under these names) has made it. Ours of another release are replaced, also by nothing. A view of
somebody else that has the name of one of ours is kept under the name with `_kept` at its end; all others stay as they
are. Where a table or an index has the name, it stays, and there is no such view.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.migrations import views
from llm_metrics_proxy.recorder.schema.table_backup import quoted
from llm_metrics_proxy.recorder.store import table_sql

_WITHOUT_MARK: Final = (3, 4)  # schema versions of the release that made views without a mark
_MADE_WITHOUT_MARK: Final = """
    cache_hits_last_24h cache_hits_last_7d calls_by_span cost_by_day errors_by_day errors_last_24h errors_last_7d
    errors_last_hour latency_by_day latency_by_hour lost_events model_summary_all model_summary_last_24h
    model_summary_last_7d model_summary_last_hour most_expensive_requests_last_24h most_expensive_requests_last_7d
    origin_summary_last_24h origin_summary_last_7d provider_time_last_24h provider_time_last_7d retries_last_24h
    retries_last_7d sessions_last_24h sessions_last_7d slower_this_week slowest_requests_last_24h
    slowest_requests_last_7d times_by_span unpriced_models
"""
_VIEWS = "SELECT lower(name), name, sql FROM sqlite_master WHERE type = 'view' ORDER BY rowid"
_TAKEN = "SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'index')"
_NAMES = "SELECT lower(name) FROM sqlite_master"
_TRIGGERS = "SELECT lower(tbl_name), sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid"


class View(NamedTuple):
    """A view as the database has it."""

    name: str
    sql: str


class Made(msgspec.Struct):
    """`replaced`: there were views of ours. `kept` are views of others: the name each had, and the one it has now."""

    replaced: bool = False
    kept: dict[str, str] = msgspec.field(default_factory=dict)


def differences(connection: sqlite3.Connection, version: int) -> list[str]:
    """List how the views differ from those of this release, one phrase each.

    `version` is the database's schema version.
    """
    present, wanted = _present(connection), _wanted(connection)
    found = [f"view {name} is missing" for name in wanted if name not in present]
    found += [
        f"view {name} is not as this release makes it"
        for name, sql in wanted.items()
        if name in present and present[name].sql != sql
    ]
    found += [f"view {name} is of another release" for name in _ours(present, version) if name not in wanted]
    return found


def without_place(connection: sqlite3.Connection) -> list[str]:
    """The names of views that cannot be made since tables or indexes have them."""
    return sorted(_all_names() - _wanted(connection).keys())


@contextmanager
def made_anew(connection: sqlite3.Connection, version: int) -> Iterator[Made]:
    """Drop all views; when the body has ended, make this release's and the users' again, in the caller's transaction.

    So the steps in the body find no text that depends on the release, and no user's view that reads ours keeps SQLite
    from renaming or dropping a column. `version` is the schema's before them.

    Raises:
        sqlite3.Error: the caller has to roll back.
    """
    present = _present(connection)
    ours = _ours(present, version)
    made = Made(replaced=bool(ours))
    triggers = connection.execute(_TRIGGERS).fetchall()  # of users: those of a view go with it
    for view in present.values():
        connection.execute(f"DROP VIEW {quoted(view.name)}")
    yield made
    wanted = _wanted(connection)
    reserved = _all_names() | {name for (name,) in connection.execute(_TAKEN)}  # the body may have made tables
    theirs = {name: view.sql for name, view in present.items() if name not in ours}
    for sql in (*wanted.values(), *(sql for name, sql in theirs.items() if name not in reserved)):
        connection.execute(sql)
    for name in theirs.keys() & reserved:
        made.kept[name] = _keep(connection, name, theirs[name])
    for view, trigger in triggers:
        if view in wanted or view in theirs:
            connection.execute(trigger)


def free_names(name: str) -> Iterator[str]:
    """The name, and others that begin with it, for what has to give way to an object of ours."""
    yield name
    for number in count(2):
        yield f"{name}_{number}"


def _present(connection: sqlite3.Connection) -> dict[str, View]:
    """The views by their names as SQLite compares them: without regard to the case of ASCII letters."""
    return {key: View(name, sql or "") for key, name, sql in connection.execute(_VIEWS).fetchall()}


def _all_names() -> set[str]:
    return {statement.split()[2] for statement in views.statements()}


def _wanted(connection: sqlite3.Connection) -> dict[str, str]:
    """The SQL of each view that this release makes, but for those whose names tables or indexes have."""
    taken = {name for (name,) in connection.execute(_TAKEN)}
    return {name: sql for sql in views.statements() if (name := sql.split()[2]) not in taken}


def _ours(present: Mapping[str, View], version: int) -> set[str]:
    marked = {name for name, view in present.items() if views.mark(name) in view.sql}
    if not marked and version in _WITHOUT_MARK:
        return present.keys() & set(_MADE_WITHOUT_MARK.split())
    return marked


def _keep(connection: sqlite3.Connection, name: str, sql: str) -> str:
    """Make a user's view again under a name that is free, which is returned."""
    taken = {taken for (taken,) in connection.execute(_NAMES)}
    kept = next(free for free in free_names(f"{name}_kept") if free not in taken)
    connection.execute(table_sql.renamed(sql, kept))
    return kept
