"""Moments as the database keeps them, and lengths of time as people type them.

A moment is `YYYY-MM-DDTHH:MM:SS.mmmZ`, UTC, so that text order is time order; a length is `90d`, `36h`, `15m`.
"""

import re
from datetime import UTC, datetime, timedelta

from llm_metrics_proxy.recorder.errors import BadDuration

_MILLISECOND = timedelta(milliseconds=1)


def now() -> str:
    """The present moment as text; wall clock, so never to be subtracted."""
    return _text(datetime.now(UTC))


def bound(moment: datetime) -> str:
    """`moment` as text for `timestamp >= bound` and `timestamp < bound`.

    Rounded up to the millisecond: stored moments are whole milliseconds, so both comparisons then say what they would
    say about the exact moment.

    Raises:
        ValueError: `moment` has no time zone; guessing one would shift every number by hours.
    """
    if moment.utcoffset() is None:
        message = f"{moment.isoformat()} has no time zone: pass an aware datetime, e.g. datetime.now(UTC)"
        raise ValueError(message)
    moment = moment.astimezone(UTC)
    part = timedelta(microseconds=moment.microsecond % 1000)
    return _text(moment - part + _MILLISECOND if part else moment)


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_TEXT = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)


def parse_duration(name: str, text: str) -> timedelta:
    """The length of time that `text` says; `name` is what it was given for.

    Raises:
        BadDuration: it is not a whole number above 0 and one of m, h, d, w.
    """
    match = _TEXT.fullmatch(text.strip().lower())
    if match is None:
        raise BadDuration(what=f"{name} is {text[:100]!r}, which is no length of time", cure="write it like 90d or 12h")
    return int(match[1]) * _UNITS[match[2]]
