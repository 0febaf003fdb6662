"""Log-normal quantities: times, rates and sizes of real traffic, which have a long tail on one side only."""

from math import exp
from statistics import NormalDist

_STEPS = 1024


class Spread:
    """A log-normal distribution as a table of its quantiles: a look-up costs a fifth of drawing."""

    __slots__ = ("_values",)

    def __init__(self, median: float, sigma: float) -> None:
        """`sigma` is that of the logarithm: 0.7 puts one of twenty beyond three times the median."""
        normal = NormalDist(0, sigma)
        points = ((step + 0.5) / (_STEPS + 1) for step in range(_STEPS + 1))
        self._values = [median * exp(normal.inv_cdf(point)) for point in points]

    def at(self, chance: float) -> float:
        """Return the value that a share of `chance` (0 to 1, less than 1) stays below."""
        place = chance * _STEPS
        step = int(place)
        low = self._values[step]
        return low + (self._values[step + 1] - low) * (place - step)


def lot[Thing](things: list[tuple[Thing, float]], size: int = 4096) -> list[Thing]:
    """Return a list in which each thing stands as often as its weight says, once at least: any place is a fair draw."""
    total = sum(weight for _, weight in things)
    return [thing for thing, weight in things for _ in range(max(1, round(size * weight / total)))]
