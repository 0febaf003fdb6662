"""Whether a database and what stands beside it are as they should be: findings, each with what to do about it.

It only reads, also while the proxy runs. Everything is looked at, so it takes about half a minute for each GB.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.care import leftovers
from llm_metrics_proxy.recorder.care.leftovers import Finding
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.figures import rollup_check
from llm_metrics_proxy.recorder.schema import table_backup, views
from llm_metrics_proxy.recorder.store import database, identity

_PATIENCE_SECONDS = 5.0
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_RESTORE = "put a backup back with llm-metrics restore"
_RECOUNT = "if rows were changed or deleted by hand, run llm-metrics rollup --recount"
_REPAIR = "stop the proxy and run llm-metrics migrate --repair"
# What a recorder got, and what it says became of that. Lines of other processes' spill files that cannot be read are
# counted as dropped by the one that tried, which never got them.
_TOO_MANY = """
    SELECT process, came, became FROM (
        SELECT process,
            sum(CASE WHEN name IN ('received', 'replayed') THEN value ELSE 0 END) AS came,
            sum(CASE WHEN name IN ('written', 'duplicates', 'unrecognised', 'spilled', 'rejected')
                OR (name GLOB 'dropped_*' AND name <> 'dropped_spill_damaged') THEN value ELSE 0 END) AS became
        FROM recorder_counters GROUP BY process)
    WHERE became > came ORDER BY process
"""


def check(path: Path, *, progress: Callable[[str], None] | None = None) -> tuple[Finding, ...]:
    """Everything that was found about the database at `path`; `progress` is told what is looked at.

    Raises:
        DatabaseRefused: it could not be checked: there is none, it is foreign, newer or locked, or cannot be read.
    """
    say = progress or (lambda _what: None)
    try:
        path = path.resolve()
        say("the files beside it")
        found = list(leftovers.beside(path))
        if not path.is_file() or path.stat().st_size == 0:
            if found:
                return tuple(found)
            raise DatabaseRefused(what=f"There is no database at {path}", cure="give the right path")
        found += _in_database(path, say)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error
    return tuple(found)


def _in_database(path: Path, say: Callable[[str], None]) -> Iterator[Finding]:
    try:
        with closing(database.connect(path, timeout=_PATIENCE_SECONDS, mode="ro")) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("BEGIN")  # all of it is of one moment
            say("its schema")
            version = identity.claimed_version(connection, path)
            changes = [] if version == 0 else _changes(connection, version)
            yield from changes
            if version < CURRENT_SCHEMA_VERSION:
                what = f"it has schema version {version}, and this program writes {CURRENT_SCHEMA_VERSION}"
                yield Finding(what, "run llm-metrics migrate, or start the proxy")
            say("its pages and rows")
            if changes or version < CURRENT_SCHEMA_VERSION:
                answers = [answer for (answer,) in connection.execute("PRAGMA quick_check") if answer != "ok"]
                yield from (Finding(f"damaged: {answer}", _RESTORE) for answer in answers)
                return  # the questions about rows need the columns of this version
            for problem in CompletionRequestsDAO(connection).validate_data_integrity():
                yield Finding(problem, f"look at the rows with sqlite-utils; if pages are damaged, {_RESTORE}")
            yield from _views(connection)
            yield from _own_tables(connection)
            say("its roll-up")
            yield from (Finding(what, _RECOUNT) for what in rollup_check.differences(connection))
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in _BROKEN:
            raise
        yield Finding(f"it is damaged ({error})", _RESTORE)


def _changes(connection: sqlite3.Connection, version: int) -> list[Finding]:
    return [
        Finding(f"another program changed it: {change}", _REPAIR) for change in identity.changes(connection, version)
    ]


def _views(connection: sqlite3.Connection) -> Iterator[Finding]:
    if found := views.differences(connection, CURRENT_SCHEMA_VERSION):
        what = f"{len(found)} views are not those of this release, the first: {found[0]}"
        yield Finding(what, "run llm-metrics migrate, or start the proxy")
    for name in views.without_place(connection):
        yield Finding(f"there is no view {name}, since a table or an index has that name", "give that another name")


def _own_tables(connection: sqlite3.Connection) -> Iterator[Finding]:
    for copy in table_backup.found(connection):
        yield Finding(f"table {copy.name} is a copy of {copy.table} that was left", "look at it, then drop it")
    for process, came, became in connection.execute(_TOO_MANY):
        what = (
            f"the counters of {process} do not add up: {came} events came, and {became} were written, kept or dropped"
        )
        yield Finding(what, "do not trust the counters of that process; the rows themselves are not touched by this")
