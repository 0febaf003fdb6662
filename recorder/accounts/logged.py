"""One call as an agent's own log has it."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from llm_metrics_proxy.recorder.store import timestamps

_LONGEST = 512  # characters of an identifier
_MOST_TOKENS = 10**12


class Logged(msgspec.Struct):
    """A call; unknown is None. `input_tokens` includes what caches gave and took, as the column `prompt_tokens`."""

    agent: str
    session_id: str
    at: str  # of the last line about it, as the column `timestamp`
    request_id: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    output_tokens: int | None = None


class Stated(msgspec.Struct, frozen=True):
    """Cost of a session as the agent states it, in US dollars."""

    agent: str
    session_id: str
    usd: float


type Reader = Callable[[bytes], bool]
"""Takes one line of a file, and says if it is one of its agent's; one that is no JSON raises msgspec.DecodeError."""


class Shape(msgspec.Struct, frozen=True):
    """How one agent's logs are read: `begin` makes the reader of a file."""

    agent: str
    begin: Callable[["Log"], Reader]


class Log:
    """The calls of the logs: each once, however many lines and files tell of it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.calls: dict[tuple[str, ...], Logged] = {}
        self.by_request: dict[tuple[str, ...], tuple[str, ...]] = {}  # keys of calls
        self.sessions: dict[str, str] = {}  # and the agent of each
        self.stated: dict[str, Stated] = {}  # by session; the last one counts

    def add(self, key: tuple[str, ...], call: Logged) -> None:
        """Add a call, or what a later line says of it: counts only grow, and the last line has the whole."""
        known = self.calls.get(key)
        if known is None:
            self.calls[key] = call
        elif (call.output_tokens or 0) >= (known.output_tokens or 0):
            call.at = max(known.at, call.at)
            call.request_id = call.request_id or known.request_id
            self.calls[key] = call


def text(value: object) -> str | None:
    """An identifier or a name of usual length; None for anything else."""
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def count(value: object) -> int | None:
    """A number of tokens; None for anything else."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if is_count else None  # type: ignore[return-value]  # what `is_count` says


def moment(value: object) -> str | None:
    """A moment as the column `timestamp` has it; None for anything that is none."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return timestamps.bound(found if found.tzinfo else found.replace(tzinfo=UTC))


def added(*values: int | None) -> int | None:
    """The sum of the known ones; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
