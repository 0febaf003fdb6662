"""The one place that changes what calls cost: in their rows, and in the roll-up as far as it has them."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from llm_metrics_proxy.recorder.figures.rollup import SPANS, oldest_hour
from llm_metrics_proxy.recorder.figures.sums import COST_KEYS, COST_SUMS, KEYS, PLAN
from llm_metrics_proxy.recorder.prices.pricing import COLUMNS, Cost
from llm_metrics_proxy.recorder.store import watermarks

# The columns of a row that say where its costs are added up.
KEYS_OF_A_ROW: Final = (*KEYS.values(), COST_KEYS["billing"])

_SET_COST = f"""
    UPDATE completion_requests SET {", ".join(f"{name} = ?" for name in COLUMNS)}
    WHERE id = ? AND {" AND ".join(f"{name} IS ?" for name in COLUMNS)}
        AND id NOT IN (SELECT row_id FROM completed_later WHERE NOT added)
"""  # noqa: S608 - names of our own, here and below
_ADD_TO_CALLS = f"""
    UPDATE rollup_calls SET cost_usd = cost_usd + ?, cost_usd_known = cost_usd_known + ?
    WHERE span = ? AND period = ? AND {" AND ".join(f"{name} = ?" for name in KEYS)}
"""  # noqa: S608
_ADD_TO_COSTS = f"""
    INSERT INTO rollup_costs (calls, cost_usd, cost_usd_known, span, period, {", ".join(COST_KEYS)})
    VALUES ({", ".join("?" * (5 + len(COST_KEYS)))})
    ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COST_SUMS)}
"""  # noqa: S608


type _Key = tuple[str | int, ...]


class CostChange(NamedTuple):
    """A row whose cost is another one now."""

    id: int
    timestamp: str
    key: _Key  # the values of KEYS_OF_A_ROW
    before: Cost
    now: Cost


def change_costs(connection: sqlite3.Connection, changes: Iterable[CostChange]) -> int:
    """Set the columns of rows' costs, in the caller's transaction; return how many rows were changed.

    A row whose cost is no longer what it was `before` stays: somebody else has priced it meanwhile. So does one that a
    later answer has just completed: its sums have to follow first.
    """
    mark = watermarks.get(connection, watermarks.ROLLUP)
    changed, above = 0, False
    calls: defaultdict[_Key, list[float]] = defaultdict(lambda: [0.0, 0])
    costs: defaultdict[_Key, list[float]] = defaultdict(lambda: [0, 0.0, 0])
    for change in changes:
        row_id, _, _, before, now = change
        if not connection.execute(_SET_COST, (*now, row_id, *before)).rowcount:
            continue
        changed += 1
        if row_id > mark:
            above = True
        else:
            _add(change, calls, costs)
    if above:
        # Somebody may be adding up these very rows, and has to see that they are no longer what they were.
        watermarks.move(connection, watermarks.CHANGES, watermarks.get(connection, watermarks.CHANGES) + 1)
    first = oldest_hour()
    for span, length in SPANS.items():
        since = first if span == "hour" else ""
        for statement, sums in ((_ADD_TO_CALLS, calls), (_ADD_TO_COSTS, costs)):
            of_span = _by(sums, length)
            connection.executemany(
                statement, ((*added, span, *key) for key, added in of_span.items() if str(key[0]) >= since)
            )
    return changed


def _add(
    change: CostChange,
    calls: defaultdict[_Key, list[float]],
    costs: defaultdict[_Key, list[float]],
) -> None:
    """Add what a change adds to the sums, which are by hour."""
    _, timestamp, (*key, billing), before, now = change
    hour = timestamp[: SPANS["hour"]]
    if billing != PLAN:
        sums = calls[hour, *key]
        sums[0] += (now.usd or 0.0) - (before.usd or 0.0)
        sums[1] += (now.usd is not None) - (before.usd is not None)
    dimensions = key[: len(COST_KEYS) - 2]
    for cost, sign in ((before, -1), (now, 1)):
        of_costs = costs[hour, *dimensions, billing, cost.note or ""]
        of_costs[0] += sign
        of_costs[1] += sign * (cost.usd or 0.0)
        of_costs[2] += sign * (cost.usd is not None)


def _by(sums: dict[_Key, list[float]], length: int) -> dict[_Key, list[float]]:
    """The same by longer periods, named by the first `length` characters of an hour, without what adds nothing."""
    longer: dict[_Key, list[float]] = {}
    for (hour, *rest), added in sums.items():
        key = (str(hour)[:length], *rest)
        longer[key] = [had + value for had, value in zip(longer[key], added, strict=True)] if key in longer else added
    return {key: added for key, added in longer.items() if any(added)}
