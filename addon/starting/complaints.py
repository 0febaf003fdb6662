"""Log lines that a person should act on: each kind once, and never more kinds than a person would read."""

import logging
from contextlib import suppress

from llm_metrics_proxy.addon.providers.values import text
from llm_metrics_proxy.addon.starting.json_lines import PREFIX

_logger = logging.getLogger("llm_metrics")
_MOST = 100
_LONGEST = 500


class Complaints:
    """Remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def once(self, event: str, sentence: str, *, about: str = "", **fields: object) -> None:
        """Log `sentence` as a warning, unless `event` was logged before, of the same thing if it is `about` one.

        `event` is a name that stays, and `fields` what the sentence speaks of: JSON lines have both.
        """
        if (event, about) in self._said or len(self._said) > _MOST:
            return
        self._said.add((event, about))
        if len(self._said) > _MOST:
            event, about, fields = "enough", "", {}
            sentence = f"{_MOST} different warnings were logged, and no more are: act on those, then start anew."
        with suppress(Exception, SystemExit):  # mitmproxy's handler exits when nobody reads what it prints any more
            extra = {"event": event, "fields": ({"about": about} if about else {}) | fields}
            _logger.warning("%s%s", PREFIX, text(sentence, _LONGEST), extra=extra)
