"""The row of `recorder_events` about one piece of work, which grows in the transactions of the work itself.

So it is right at whatever moment the work ends, also by a kill.
"""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from llm_metrics_proxy.recorder.store import database
from llm_metrics_proxy.recorder.store.ledger import Account

_LAST = "SELECT detail FROM recorder_events WHERE kind = ? ORDER BY id DESC LIMIT 1"
_CONTINUE = "UPDATE recorder_events SET count = ?, from_at = ?, to_at = ? WHERE id = ?"


class GrowingEvent:
    """What one piece of work did to how many rows, and from when to when those were."""

    def __init__(self, connection: sqlite3.Connection, kind: str, detail: str | None = None) -> None:
        """No row is made before there is something to say."""
        self.count = 0
        self.from_at: str | None = None
        self.to_at: str | None = None
        self._connection = connection
        self._kind = kind
        self._detail = detail
        self._id: int | None = None

    def add(self, moments: list[str]) -> None:
        """Count one row for each of the timestamps `moments`; in the caller's transaction, which must not fail."""
        if not moments:
            return
        self.count += len(moments)
        self.from_at = min([*moments, self.from_at] if self.from_at else moments)
        self.to_at = max([*moments, self.to_at] if self.to_at else moments)
        if self._id is None:
            account = account_of_this_process(self._connection)
            self._id = account.note_event(self._kind, self._detail, self.count, self.from_at, self.to_at)
        else:
            self._connection.execute(_CONTINUE, (self.count, self.from_at, self.to_at, self._id))


def account_of_this_process(connection: sqlite3.Connection) -> Account:
    """What a command, or a thread beside the recorder's, writes about itself with."""
    return Account(connection, f"{socket.gethostname()}-{os.getpid()}")


def last(path: Path, kind: str) -> str | None:
    """The detail of the newest row of `kind`.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`.
    """
    with closing(database.open_reader(path)) as connection:
        found = connection.execute(_LAST, (kind,)).fetchone()
    return found[0] if found else None
