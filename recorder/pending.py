"""Which calls wait for their cost: those with ids above a watermark.

Ids grow in the order of the commits, since one transaction at a time inserts: no row appears below the watermark later.
"""

import sqlite3
from typing import NamedTuple

from recorder import rollup

_WATERMARK = "pricing"
_NEWEST = "SELECT ifnull(max(id), 0) FROM completion_requests"


class Pending(NamedTuple):
    """Ids: those above `above` wait, and `newest` is the last of them; it may be lower, when none does."""

    above: int
    newest: int


def pending(connection: sqlite3.Connection) -> Pending:
    """What waits now."""
    (newest,) = connection.execute(_NEWEST).fetchone()
    return Pending(rollup.watermark(connection, _WATERMARK), newest)


def looked_at(connection: sqlite3.Connection, row_id: int) -> None:
    """All calls up to `row_id` have been looked at; in the transaction of what came of that."""
    rollup.move_watermark(connection, _WATERMARK, row_id)
