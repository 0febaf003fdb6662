"""Log lines that a person should act on: each kind once, and never more kinds than a person would read."""

import logging
from contextlib import suppress

from addon.providers.values import text

_logger = logging.getLogger("llm_metrics")
_MOST = 1000
_LONGEST = 500


class Complaints:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def once(self, kind: str, sentence: str) -> None:
        """Log `sentence` as a warning, unless something of this kind was logged before."""
        if kind not in self._said and len(self._said) < _MOST:
            self._said.add(kind)
            with suppress(Exception, SystemExit):  # mitmproxy's handler exits when nobody reads what it prints any more
                _logger.warning("LLM metrics: %s", text(sentence, _LONGEST))
