"""The one place that changes what calls cost: in their rows, and in the roll-up as far as it has them."""

import sqlite3
from collections.abc import Sequence

from llm_metrics_proxy.recorder.figures.rollup import SPANS
from llm_metrics_proxy.recorder.figures.sums import KEYS
from llm_metrics_proxy.recorder.store import watermarks

type CostChange = tuple[int, float | None, str | None]
_CHANGES = "CREATE TEMP TABLE IF NOT EXISTS cost_changes (id INTEGER PRIMARY KEY, cost_usd REAL, cost_source TEXT)"
_CHANGE = "INSERT INTO cost_changes (id, cost_usd, cost_source) VALUES (?, ?, ?)"
# What a provider says of its own calls stays, and what is as it was need not be written.
_DROP_UNCHANGED = """
    DELETE FROM cost_changes WHERE NOT EXISTS (
        SELECT 1 FROM completion_requests AS old
        WHERE old.id = cost_changes.id AND old.cost_source IS NOT 'provider'
            AND (old.cost_usd IS NOT cost_changes.cost_usd OR old.cost_source IS NOT cost_changes.cost_source))
"""
# CROSS JOIN: the few changes come first, and each finds its row; SQLite would read through all rows to find the few.
_CARRY = f"""
    UPDATE rollup_calls SET cost_usd = rollup_calls.cost_usd + usd, cost_usd_known = rollup_calls.cost_usd_known + known
    FROM (
        SELECT substr(timestamp, 1, :length) AS of_period,
            {", ".join(f"{key} AS of_{name}" for name, key in KEYS.items())},
            total(new.cost_usd) - total(old.cost_usd) AS usd, count(new.cost_usd) - count(old.cost_usd) AS known
        FROM cost_changes AS new CROSS JOIN completion_requests AS old ON old.id = new.id
        WHERE old.id <= :mark GROUP BY 1, 2, 3, 4, 5, 6, 7)
    WHERE span = :span AND period = of_period AND {" AND ".join(f"{name} = of_{name}" for name in KEYS)}
"""  # noqa: S608 - names of our own
_SET_COSTS = """
    UPDATE completion_requests SET (cost_usd, cost_source) = (
        SELECT new.cost_usd, new.cost_source FROM cost_changes AS new WHERE new.id = completion_requests.id)
    WHERE id IN (SELECT id FROM cost_changes)
"""


def change_costs(connection: sqlite3.Connection, changes: Sequence[CostChange]) -> int:
    """Set cost and source of rows, each given as (id, cost_usd, cost_source); in the caller's transaction.

    Rows with the provider's own figure stay as they are. Returns how many were changed.
    """
    connection.execute(_CHANGES)
    connection.execute("DELETE FROM cost_changes")
    connection.executemany(_CHANGE, changes)
    connection.execute(_DROP_UNCHANGED)
    mark = watermarks.get(connection, watermarks.ROLLUP)
    if connection.execute("SELECT max(id) > ? FROM cost_changes", (mark,)).fetchone()[0]:
        # Somebody may be adding up these very rows, and has to see that they are no longer what they were.
        watermarks.move(connection, watermarks.CHANGES, watermarks.get(connection, watermarks.CHANGES) + 1)
    for span, length in SPANS.items():
        connection.execute(_CARRY, {"span": span, "length": length, "mark": mark})
    return connection.execute(_SET_COSTS).rowcount
