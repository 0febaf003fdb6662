"""Changes of rows' costs as recost makes them, for tests of what they are carried into."""

import sqlite3
from collections.abc import Iterable

from llm_metrics_proxy.recorder.prices.pricing import COLUMNS, Cost
from llm_metrics_proxy.recorder.prices.rollup_costs import KEYS_OF_A_ROW, CostChange

_ROW = f"""
    SELECT id, timestamp, {", ".join(KEYS_OF_A_ROW)}, {", ".join(COLUMNS)}
    FROM completion_requests WHERE id = ?
"""  # noqa: S608 - names of our own
_OF_COSTS = len(Cost._fields)


def changes(connection: sqlite3.Connection, rows: Iterable[int], now: Cost) -> list[CostChange]:
    """Return what gives these rows another cost."""
    found = (connection.execute(_ROW, (row,)).fetchone() for row in rows)
    return [CostChange(row[0], row[1], row[2:-_OF_COSTS], Cost(*row[-_OF_COSTS:]), now) for row in found]
