"""Multipliers and fees that providers publish and genai-prices does not have: the lines of `published.csv`.

`provider` is genai-prices' name; `model` a pattern as in file names; `kind` is

    tier          a service tier costs `value` times the standard price of tokens
    region        a region costs so many times the price of tokens; 1 says that it costs nothing more
    fee           each unit of a quantity that is no tokens costs so many US dollars
    fee_at_least  it costs that or more

from the day `from` on, in UTC. The last line that fits counts. What has no line is not known, and not free.
"""

import csv
from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

TIER: Final = "tier"
REGION: Final = "region"
FEE: Final = "fee"
FEE_AT_LEAST: Final = "fee_at_least"

_REMEMBERED: Final = 4096


class Published(NamedTuple):
    """A line of the table."""

    provider: str
    model: str
    kind: str
    name: str
    value: Decimal
    since: str  # a day; "" for ever
    source: str


def find(kind: str, provider: str, models: Iterable[str], name: str, day: str) -> Published | None:
    """Return the line for any of a model's names on a day, as YYYY-MM-DD; None if there is none."""
    return _find(kind, provider, tuple(models), name, day)


@cache
def has(kind: str, provider: str) -> bool:
    """Tell whether anything is known of a provider's tiers, regions or fees at all."""
    return any(line.kind == kind and line.provider == provider for line in lines())


@cache
def lines() -> tuple[Published, ...]:
    """Return all lines, in the order of the file."""
    with files(__package__).joinpath("published.csv").open(encoding="utf-8") as file:
        return tuple(
            Published(
                provider=row["provider"],
                model=row["model"],
                kind=row["kind"],
                name=row["name"],
                value=Decimal(row["value"]),
                since=row["from"],
                source=row["source"],
            )
            for row in csv.DictReader(file)
        )


@lru_cache(maxsize=_REMEMBERED)
def _find(kind: str, provider: str, models: tuple[str, ...], name: str, day: str) -> Published | None:
    fits = (
        line
        for line in reversed(lines())
        if (line.kind, line.provider) == (kind, provider)
        and line.name in (name, "*")
        and line.since <= day
        and any(fnmatchcase(model.lower(), line.model) for model in models)
    )
    return next(fits, None)
