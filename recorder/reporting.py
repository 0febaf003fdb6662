"""The recorder's log lines, and names made safe to show: text for people.

Lines are written from the recorder's thread, seldom, and are never a reason for it to end. They hold sentences and
numbers, never the content of an event. A sentence names the cure if there is one, and has its values as `%(name)s`, so
that log lines in JSON have them as fields. `event` is its name there.
"""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("recorder")

_INTERVAL = 60.0  # seconds between two lines about the same


class Reporter:
    """Logs each event at most once a minute. For one thread."""

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._last: dict[tuple[str, str], float] = {}

    def warn(self, event: str, message: str, *, about: str = "", **values: object) -> None:
        """Log a warning, unless there was one of this `event`, and `about` the same thing, less than a minute ago."""
        now = time.monotonic()
        if now - self._last.get((event, about), -_INTERVAL) >= _INTERVAL:
            self._last[event, about] = now
            say(logging.WARNING, event, message, **values)


def own_fault(error: Exception) -> str:
    """The sentence for an error that nobody expected; without its text, which may quote an event."""
    return f"An error of the recorder's own: {type(error).__name__}. Please report it."


def say(level: int, event: str, message: str, **values: object) -> None:
    """Log, whatever the handlers do."""
    # mitmproxy's handlers raise when its event loop is closed, and exit when nobody reads what it prints any more.
    with suppress(Exception, SystemExit):
        logger.log(level, message, *([values] if values else []), extra={"event": event})


def printable(text: str) -> str:
    """`text` with escapes in place of control characters, line ends, bidirectional marks and the like."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
