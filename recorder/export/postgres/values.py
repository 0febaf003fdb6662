"""Conversion of rows of SQLite for PostgreSQL, column by column.

SQLite lets any value stand in any column, PostgreSQL does not. A value of another type becomes what can be made of it
without guessing, else NULL: a number with a fraction is rounded for a column of whole numbers, a blob is read as UTF-8
for one of text, other numbers than 0 are true. In texts U+FFFD stands for what PostgreSQL cannot hold. Columns mostly
hold what they should, which is seen for a whole column at once.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.recorder.export import Row, Unacceptable
from llm_metrics_proxy.recorder.store import timestamps

type Column = Sequence[object]

_CANONICAL: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(\n(?!\Z)|\Z))*+", re.ASCII)
_NONE: Final = type(None)
_LEAST, _MOST = -(2**63), 2**63 - 1
_UNFIT: Final = re.compile("[\0\ud800-\udfff]")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def converted(rows: Sequence[Row], types: Sequence[str]) -> list[Row]:
    """The rows as COPY takes them, for columns of these types, in PostgreSQL's words; of others it reads text.

    Raises:
        Unacceptable: a row has no moment.
    """
    if not rows:
        return []
    columns = zip(*rows, strict=True)
    return list(
        zip(*(_CONVERT.get(kind, _texts)(column) for kind, column in zip(types, columns, strict=True)), strict=True)
    )


def text(value: object) -> str | None:
    """A text as PostgreSQL holds it."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return None if value is None else _UNFIT.sub(_REPLACEMENT, str(value))


def moment(value: object) -> str | None:
    """A moment as the recorder writes it, of what says one in another way; None if it says none."""
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(value)
            return timestamps.bound(found if found.tzinfo else found.replace(tzinfo=UTC))
    return None


def integer(value: object) -> int | None:
    """A whole number as PostgreSQL holds it."""
    if isinstance(value, int):
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    whole = round(value)
    return whole if _LEAST <= whole <= _MOST else None


def _texts(column: Column) -> Column:
    if _only(column, str):
        together = "".join(filter(None, column))  # type: ignore[arg-type]  # str or None
        with suppress(UnicodeEncodeError):
            together.encode()
            if "\0" not in together:
                return column
    return [text(value) for value in column]


def _integers(column: Column) -> Column:
    return column if _only(column, int) else [integer(value) for value in column]


def _reals(column: Column) -> Column:
    if _only(column, float):
        return column
    return [float(value) if isinstance(value, int | float) else None for value in column]


def _booleans(column: Column) -> Column:
    return [bool(value) if isinstance(value, int | float) else None for value in column]


def _moments(column: Column) -> Column:
    with suppress(TypeError, ValueError):
        if _CANONICAL.fullmatch("\n".join(column)):  # type: ignore[arg-type]  # else a TypeError
            list(map(datetime.fromisoformat, column))  # type: ignore[arg-type]  # also of a 13th month
            return column
    found = [moment(value) for value in column]
    if None in found:
        message = "a timestamp is invalid"
        raise Unacceptable(message)
    return found


def _only(column: Iterable[object], kind: type) -> bool:
    return set(map(type, column)) <= {kind, _NONE}


_CONVERT: Final[dict[str, Callable[[Column], Column]]] = {
    "text": _texts,
    "bigint": _integers,
    "double precision": _reals,
    "boolean": _booleans,
    "timestamp with time zone": _moments,
}
