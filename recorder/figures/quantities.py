"""Numbers with their units, as short as a person reads them. What is unknown is a dash, never 0."""

from datetime import timedelta
from typing import Final

UNKNOWN: Final = "-"
NAMELESS: Final = "(unknown)"  # a model, an origin, ...

_TEN, _HUNDRED, _THOUSAND = 10, 100, 1000
_EXACT = 10_000  # counts below it are given to the last digit
_SMALL_COST, _TINY_COST, _LEAST_COST = 0.1, 0.0001, 0.000001  # dollars
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def milliseconds(value: float | None) -> str:
    """A time: `253 ms`, `1.25 s`."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if round(value) < _THOUSAND else f"{three_digits(value / _THOUSAND)} s"


def count(value: float | None) -> str:
    """A number of things: `9,876`, `12.3k`, `1.23M`."""
    if value is None:
        return UNKNOWN
    if round(value) < _EXACT:
        return f"{value:,.0f}"
    for unit in ("k", "M"):
        value /= _THOUSAND
        if round(value) < _THOUSAND:
            return f"{three_digits(value)}{unit}"
    return f"{three_digits(value / _THOUSAND)}G"


def dollars(value: float | None) -> str:
    """A cost in US dollars: `$12.30`, `$0.0042`."""
    if value is None:
        return UNKNOWN
    if 0 < value < _LEAST_COST:
        return "<$0.000001"
    if 0 < value < _TINY_COST:
        return f"${value:.6f}"
    if 0 < value < _SMALL_COST:
        return f"${value:.4f}"
    return f"${value:,.2f}" if value < _THOUSAND else f"${value:,.0f}"


def rate(value: float | None) -> str:
    """Something per second, with three digits."""
    return UNKNOWN if value is None else three_digits(value)


def share(part: float | None, whole: float | None) -> str:
    """The part of the whole, in percent; 0 % and 100 % only where that is exact."""
    if part is None or not whole:
        return UNKNOWN
    percent = _HUNDRED * part / whole
    if percent in (0, _HUNDRED):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def length(value: timedelta) -> str:
    """A length of time in its largest unit: `3 s`, `5 min`, `2 h`, `4 days`."""
    if value >= 2 * _DAY:
        return f"{value // _DAY} days"
    if value >= 2 * _HOUR:
        return f"{value // _HOUR} h"
    if value >= 2 * _MINUTE:
        return f"{value // _MINUTE} min"
    return f"{max(round(value.total_seconds()), 0)} s"


def many(value: int, one: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{count(value)} {one}{'' if value == 1 else 's'}"


def three_digits(value: float) -> str:
    """`1.23`, `12.3`, `123`, `1,234`."""
    for limit, decimals in ((_TEN, 2), (_HUNDRED, 1)):
        if round(value, decimals) < limit:
            return f"{value:.{decimals}f}"
    return f"{value:,.0f}"
