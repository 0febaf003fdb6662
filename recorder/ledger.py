"""What the recorder writes about itself, in the caller's transaction: counters, gaps, and traffic nobody understood.

The recorder's own tables stand in the same file, so that another process can ask how the recording goes.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from recorder import timestamps
from recorder.counters import Gap
from recorder.events import Unrecognised

MOST_UNRECOGNISED: Final = 1_000  # rows: a scanner behind the proxy must not fill the file

_COUNTER = """
    INSERT INTO recorder_counters (process, name, value, updated_at) VALUES (?, ?, ?, ?)
    ON CONFLICT(process, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
"""
_GAP = """
    INSERT INTO recorder_events (at, process, kind, count, from_at, to_at, detail) VALUES (?, ?, 'gap', ?, ?, ?, ?)
"""
_UNRECOGNISED = """
    INSERT INTO unrecognised (host, path, count, first_at, last_at)
    SELECT :host, :path, 1, :at, :at
    WHERE (SELECT count(*) FROM unrecognised) < :most
        OR EXISTS (SELECT 1 FROM unrecognised WHERE host = :host AND path = :path)
    ON CONFLICT(host, path) DO UPDATE
    SET count = count + 1, first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)
"""


class Ledger:
    """Writes the recorder's own tables for one process."""

    def __init__(self, connection: sqlite3.Connection, process: str) -> None:
        """`process` tells apart the recorders that share a file, also those that are long gone."""
        self._connection = connection
        self._process = process

    def write_counters(self, values: Mapping[str, int]) -> None:
        """Set this process's counters to `values`."""
        now = timestamps.now()
        self._connection.executemany(_COUNTER, [(self._process, name, value, now) for name, value in values.items()])

    def write_gaps(self, gaps: Iterable[Gap]) -> None:
        """Add one row for each gap."""
        now = timestamps.now()
        rows = [(now, self._process, gap.count, gap.from_at, gap.to_at, gap.cause) for gap in gaps]
        self._connection.executemany(_GAP, rows)

    def note_unrecognised(self, event: Unrecognised) -> None:
        """Count the event's host and path; a new pair is left out once there are `MOST_UNRECOGNISED`."""
        parameters = {"host": event.host, "path": event.path, "at": event.at, "most": MOST_UNRECOGNISED}
        self._connection.execute(_UNRECOGNISED, parameters)
