"""Tables that are put back by themselves when a step that cannot be one transaction fails, or is killed.

The copies are committed before the step. While it runs, its process holds a lock (flock) on the database's folder,
which ends with the process: a copy without that lock is a left-over, and the next start puts it back.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from llm_metrics_proxy.recorder.errors import BackupFailed
from llm_metrics_proxy.recorder.schema import table_backup


@contextmanager
def protecting(connection: sqlite3.Connection, tables: Sequence[str], version: int) -> Iterator[list[str]]:
    """Copy `tables`, and put them back if the body raises; gives the copies' names. Drops them when it succeeds.

    The body commits what it does. What others write into the tables meanwhile goes when they are put back, so nobody
    else may: hold `recorder.store.presence.exclusively`.

    Raises:
        BackupFailed: in a transaction, or another process is at such a step in this folder.
        RestoreFailed, sqlite3.Error: a table could not be put back; the next `recover` does it.
    """
    if connection.in_transaction:
        what = "Tables cannot be protected inside of a transaction"
        raise BackupFailed(what=what, cure="commit first, or let the transaction itself roll back")
    with _alone(connection) as alone:
        if not alone:
            what = "Another process works on tables of this database"
            raise BackupFailed(what=what, cure="try again when it is done")
        names: list[str] = []
        with table_backup.transaction(connection):
            names += [table_backup.save(connection, table, version=version, is_protecting=True) for table in tables]
        try:
            yield names
            if connection.in_transaction:
                what = "A step on protected tables did not commit"
                raise BackupFailed(what=what, cure="commit inside of it")  # noqa: TRY301 - a failure of the body
        except BaseException:  # raised again: a keyboard interrupt must not leave half a step either
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _put_back(connection, names)
            raise
        with table_backup.transaction(connection):
            for name in names:
                table_backup.drop(connection, name)


def recover(connection: sqlite3.Connection) -> list[str]:
    """Put back what killed steps left, and return the names of these tables; outside of a transaction.

    Does nothing while another process is at such a step.

    Raises:
        RestoreFailed, sqlite3.Error: it could not be done; nothing was changed.
    """
    if not _left_over(connection):  # as nearly always: no lock is needed to see that
        return []
    with _alone(connection) as alone:
        copies = _left_over(connection) if alone else []
        # Of several copies of one table the oldest is what it was before the first of the steps: it goes back last.
        _put_back(connection, sorted((copy.name for copy in copies), key=_moment, reverse=True))
        return sorted({copy.table for copy in copies})


def _left_over(connection: sqlite3.Connection) -> list[table_backup.TableBackup]:
    return [copy for copy in table_backup.found(connection) if copy.is_protecting]


def _moment(name: str) -> str:
    return name[-len("YYYYMMDD_HHMMSS_mmm") :]


def _put_back(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    if not names:
        return
    (enforced,) = connection.execute("PRAGMA foreign_keys").fetchone()
    connection.execute("PRAGMA foreign_keys=OFF")  # or rows that refer to the tables would go with them
    try:
        with table_backup.transaction(connection):
            for name in names:
                table_backup.put_back(connection, name)
                table_backup.drop(connection, name)
    finally:
        connection.execute(f"PRAGMA foreign_keys={enforced}")


@contextmanager
def _alone(connection: sqlite3.Connection) -> Iterator[bool]:
    """Whether this process now holds the lock; a database in memory is alone anyway."""
    (file,) = connection.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
    if not file:
        yield True
        return
    descriptor = os.open(Path(file).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
