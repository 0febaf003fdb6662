"""What the recorders say of themselves, beside the calls: their counters, and what happened to them, above all losses.

A few rows, so that all are brought each time.
"""

import sqlite3
from typing import Final

from llm_metrics_proxy.recorder.export.destination import Account
from llm_metrics_proxy.recorder.export.rows import fetched

MOST_COUNTERS: Final = 10_000  # rows, the newest: each recorder that ever wrote into the file has some
MOST_EVENTS: Final = 1_000

_COUNTERS = "SELECT process, name, value, updated_at FROM recorder_counters ORDER BY updated_at DESC LIMIT ?"
_EVENTS = "SELECT id, at, process, kind, count, from_at, to_at, detail FROM recorder_events ORDER BY id DESC LIMIT ?"


def read_account(connection: sqlite3.Connection) -> Account:
    """The newest of both."""
    return Account(fetched(connection, _COUNTERS, (MOST_COUNTERS,)), fetched(connection, _EVENTS, (MOST_EVENTS,)))
