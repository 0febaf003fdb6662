"""Medians and ranges over all rounds: of figures, and of their ratios to the floor within each round.

The floor is mitmdump with an addon that does nothing but stream. It runs twice: what its second run differs from the
first (A/A) is the machine's own doing, and is taken out of every ratio and every difference.
"""

import enum
from dataclasses import dataclass
from statistics import median

from tests.trials.bench.rounds import Results
from tests.trials.bench.systems import AGAIN, FLOOR


class How(enum.Enum):
    """A way to compare a figure with the floor's of the same round."""

    RATIO = "ratio"
    ADDED = "added"
    VALUE = "value"
    """Not at all."""


@dataclass(frozen=True)
class Spread:
    """The median and the range of some values."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        """Return the spread; None without values."""
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Compared:
    """The comparison of a system with the floor; `adjusted` is the median less what A/A shows."""

    spread: Spread
    control: float | None
    adjusted: float


def spread(results: Results, workload: str, figure: str, system: str) -> Spread | None:
    """Return the spread of a figure over the rounds; None if it was not measured."""
    return Spread.of([value for value, _ in _pairs(results, workload, figure, system)])


def compared(results: Results, workload: str, figure: str, system: str, how: How) -> Compared | None:
    """Compare a system with the floor; None if it was not measured."""
    found = _against_floor(results, workload, figure, system, how)
    if found is None:
        return None
    control = None if how is How.VALUE else _against_floor(results, workload, figure, AGAIN, how)
    if control is None:
        return Compared(found, None, found.middle)
    adjusted = found.middle / control.middle if how is How.RATIO else found.middle - control.middle
    return Compared(found, control.middle, adjusted)


def _against_floor(results: Results, workload: str, figure: str, system: str, how: How) -> Spread | None:
    pairs = _pairs(results, workload, figure, system)
    if how is How.VALUE:
        return Spread.of([value for value, _ in pairs])
    with_floor = [(value, floor) for value, floor in pairs if floor is not None]
    if how is How.ADDED:
        return Spread.of([value - floor for value, floor in with_floor])
    return Spread.of([value / floor for value, floor in with_floor if floor])


def _pairs(results: Results, workload: str, figure: str, system: str) -> list[tuple[float, float | None]]:
    """Return a system's figure and the floor's, for each round that has the first."""
    pairs = []
    for one in results.rounds:
        systems = one.figures.get(workload, {})
        if (value := systems.get(system, {}).get(figure)) is not None:
            pairs.append((value, systems.get(FLOOR, {}).get(figure)))
    return pairs
