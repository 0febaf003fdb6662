"""The recorder's log lines: from its thread, seldom, and never the end of anything.

Lines hold sentences and numbers, never what is in an event.
"""

import logging
import time
from contextlib import suppress

logger = logging.getLogger("recorder")

_INTERVAL = 60.0  # seconds between two lines about the same


class Reporter:
    """Logs each subject at most once a minute. For one thread."""

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._last: dict[str, float] = {}

    def warn(self, subject: str, message: str, *arguments: object) -> None:
        """Log a warning, unless there was one about `subject` less than a minute ago."""
        now = time.monotonic()
        if now - self._last.get(subject, -_INTERVAL) >= _INTERVAL:
            self._last[subject] = now
            say(logging.WARNING, message, *arguments)


def say(level: int, message: str, *arguments: object) -> None:
    """Log, whatever the handlers do."""
    # mitmproxy's handlers raise when its event loop is closed, and exit when nobody reads what it prints any more.
    with suppress(Exception, SystemExit):
        logger.log(level, message, *arguments)
