"""When a call began, and how long its parts took, in nanoseconds since 1970 as OTLP has them."""

from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.recorder.export.otlp import values

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NS_PER_MS: Final = 1_000_000
_LAST: Final = 2**63  # receivers keep moments as signed numbers


def moment_of(timestamp: object) -> int | None:
    """The moment of a column `timestamp`; None if it is none."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ns = (moment - _EPOCH) // _MICROSECOND * 1_000
    return ns if 0 <= ns < _LAST else None


def moment_after(start: int, ms: object) -> int | None:
    """The moment so many milliseconds later; None if that is unknown or impossible."""
    length = values.real(ms)
    if length is None or not 0 <= length * _NS_PER_MS < _LAST - start:
        return None
    return start + round(length * _NS_PER_MS)
