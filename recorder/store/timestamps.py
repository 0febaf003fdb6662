"""Moments as the database keeps them: `YYYY-MM-DDTHH:MM:SS.mmmZ`, UTC, so that text order is time order."""

from datetime import UTC, datetime, timedelta

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
