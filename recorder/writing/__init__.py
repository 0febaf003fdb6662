"""Events become rows of `completion_requests`: here by the insert, many rows in one statement.

SQLite gives the GIL back once a statement, and each time it takes a moment to have it again, for this thread and the
proxy's alike: a row a statement costs several times as much beside a busy proxy.

write_loop.py is the recorder's thread, writer.py its transactions, batch.py what happens in one, live_file.py the
connection. spill.py keeps what the
database refuses, held.py single calls that something in it keeps out; replay.py brings both back. rejected.py keeps
what no row can be made of. salvage.py saves a database that was moved or removed.
"""

import sqlite3
from collections.abc import Collection
from itertools import chain, islice
from typing import Final

import msgspec

from llm_metrics_proxy.recorder.events import CompletionRequest

COLUMNS: Final = CompletionRequest.__struct_fields__

_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERTS = {  # by how many rows they take
    rows: f"""
        INSERT INTO completion_requests ({", ".join(COLUMNS)}) VALUES {", ".join([_ROW] * rows)}
        ON CONFLICT(event_id) DO NOTHING
    """  # noqa: S608 - names of our own fields
    for rows in (64, 32, 16, 8, 4, 2, 1)
}


def insert(connection: sqlite3.Connection, events: Collection[CompletionRequest]) -> int:
    """Insert the events in the caller's transaction, and return how many were new: one per `event_id` is kept.

    Raises:
        sqlite3.IntegrityError, OverflowError, UnicodeEncodeError, ...: a value cannot be stored. Some of the rows are
            inserted; the caller has to roll back.
    """
    values = chain.from_iterable(map(msgspec.structs.astuple, events))
    inserted, left = 0, len(events)
    for rows, statement in _INSERTS.items():
        while left >= rows:
            left -= rows
            inserted += connection.execute(statement, list(islice(values, rows * len(COLUMNS)))).rowcount
    return inserted
