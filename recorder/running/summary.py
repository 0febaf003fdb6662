"""The summary of a run: its calls, added up from their rows."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from llm_metrics_proxy.recorder.figures import quantities
from llm_metrics_proxy.recorder.store.database import reader

_LAST = "SELECT ifnull(max(id), 0) FROM completion_requests"
_ADDED_UP = """
    SELECT count(*), sum(NOT success), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens),
        sum(iif(billing IS 'subscription', NULL, cost_usd)), sum(cost_usd IS NULL), max(time_to_first_token_ms),
        sum(iif(billing IS 'subscription', cost_usd, NULL)), sum(cost_complete IS 0)
    FROM completion_requests
    WHERE id > :after AND (:origin IS NULL OR origin = :origin) AND NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS asked
        WHERE asked.value IS NOT (SELECT had.value FROM json_each(labels) AS had WHERE had.key = asked.key)
    )
"""


class Summary(msgspec.Struct, frozen=True):
    """The names are the keys of the JSON document. None: no call says so; `uncosted` calls have no cost.

    `cost_usd` is billed; `plan_cost_usd` is what the calls of a plan would have cost; `lower_bounds` cost more.
    """

    calls: int
    failures: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cost_usd: float | None
    uncosted: int
    slowest_first_token_ms: float | None
    plan_cost_usd: float | None = None
    lower_bounds: int = 0


def last_id(path: Path) -> int:
    """Return the id of the newest row, 0 where there is none.

    Raises:
        DatabaseRefused: it cannot be read.
    """
    with reader(path) as connection:
        (last,) = connection.execute(_LAST).fetchone()
    return int(last)


def summary(path: Path, after: int, labels: Sequence[str] = ()) -> Summary:
    """Add up the rows with an id above `after` that have these labels: NAME is the origin, NAME=VALUE one of others.

    Raises:
        DatabaseRefused: the database cannot be read.
    """
    with reader(path) as connection:
        return _of(connection, after, labels)


def _of(connection: sqlite3.Connection, after: int, labels: Sequence[str]) -> Summary:
    named = dict(one.split("=", 1) for one in labels if "=" in one)
    origin = next((one for one in labels if "=" not in one), None)
    asked = {"after": after, "origin": origin, "labels": json.dumps(named)}
    row = connection.execute(_ADDED_UP, asked).fetchone()
    calls, failures, prompt, completion, cached, cost, uncosted, slowest, plan, lower = row
    return Summary(calls, failures or 0, prompt, completion, cached, cost, uncosted or 0, slowest, plan, lower or 0)


def as_text(found: Summary) -> str:
    """Return the summary as one line for a person."""
    if not found.calls:
        return "no calls"
    plus = "+" if (found.uncosted or found.lower_bounds) and found.cost_usd is not None else ""
    dollars = f"{quantities.dollars(found.cost_usd)}{plus}"
    if found.plan_cost_usd is not None:  # alone where nothing else is billed
        of_plan = f"{quantities.dollars(found.plan_cost_usd)} of a plan's calls at list prices"
        dollars = of_plan if found.cost_usd is None else f"{dollars}, {of_plan}"
    parts = [
        f"{quantities.count(found.calls)} call{'s' if found.calls != 1 else ''}",
        f"{quantities.count(found.failures)} failed",
        f"tokens {quantities.count(found.prompt_tokens)} in ({quantities.count(found.cached_tokens)} cached)",
        f"{quantities.count(found.completion_tokens)} out",
        dollars,
    ]
    if found.slowest_first_token_ms is not None:
        parts.append(f"slowest first token {quantities.milliseconds(found.slowest_first_token_ms)}")
    return ", ".join(parts)
