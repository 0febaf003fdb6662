"""The rows of mixed calls: each call has its own, once, and each says how the call ended."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.support.traffic.calls import Outcome
from tests.support.verdict import Promise, not_once

_COLUMNS = "origin, success, status_code, error_type, total_tokens"

type Expected = Mapping[str, Sequence[Outcome]]
"""What the rows of each call must say, by the call's number, which is their origin."""


def promises(database: Path, expected: Expected) -> list[Promise]:
    """Judge the rows of a database."""
    found = _rows_of(database)
    count = sum(map(len, expected.values()))
    rows = not_once(
        {number: len(outcomes) for number, outcomes in found.items()},
        {number: len(outcomes) for number, outcomes in expected.items()},
    )
    return [
        Promise.unless(rows, "every call has its rows, once", f"{count} rows of {len(expected)} calls"),
        Promise.unless(_other_outcomes(found, expected), "every row says how the call ended", "all"),
    ]


def _rows_of(database: Path) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        for origin, *outcome in connection.execute(f"SELECT {_COLUMNS} FROM completion_requests ORDER BY id"):  # noqa: S608
            found.setdefault(str(origin), []).append((outcome[0], outcome[1], outcome[2], outcome[3]))
    return found


def _other_outcomes(found: Mapping[str, list[Outcome]], expected: Expected) -> list[str]:
    return [
        f"{number}: {outcome} instead of {wanted}"
        for number, outcomes in expected.items()
        for wanted, outcome in zip(outcomes, found.get(number, []), strict=False)
        if outcome[:3] != wanted[:3] or wanted[3] not in (None, outcome[3])
    ]
