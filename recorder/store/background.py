"""The connection of work that goes on in slices beside the recorder: deleting, pricing, adding up."""

import sqlite3
from pathlib import Path

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database, identity


def open_background(path: Path) -> sqlite3.Connection:
    """A writing connection as `recorder.store.slices.Slices` wants it, to an existing database of the present version.

    What the power takes back is done again, so that no commit waits for the disk under the lock.

    Raises:
        DatabaseRefused: there is none at `path`, or of another version.
        sqlite3.Error: it could not be opened; `recorder.store.identity.refusal` makes a sentence of it.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise DatabaseRefused(what=f"There is no database at {path}", cure="give the right path")
    connection = database.open_writer(path)
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        version = identity.version_of(connection, path)
    except BaseException:  # raised again: the caller never gets the connection, so it is closed here
        connection.close()
        raise
    if version != CURRENT_SCHEMA_VERSION:
        connection.close()
        what = f"{path} has schema version {version}, and this program works on version {CURRENT_SCHEMA_VERSION}"
        raise DatabaseRefused(what=what, cure="run llm-metrics migrate")
    return connection
