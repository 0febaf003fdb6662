"""Which of the limits that answers state are news: of a provider, key and model one answer a minute, and a refusal."""

from typing import Final

from llm_metrics_proxy.addon.quota.stated import Stated, limits_in
from llm_metrics_proxy.recorder.events import CompletionRequest, Limits, timestamp_of

_MINUTE: Final = 60_000_000_000  # nanoseconds
_MOST: Final = 1_000  # providers, keys and models that are remembered: clients choose the names of models
_TOO_MANY_REQUESTS: Final = 429

type _Whose = tuple[str | None, str | None, str | None]


class News:
    """Remembers in which minute each was heard last, and whether that was a refusal."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._heard: dict[_Whose, tuple[int, bool]] = {}

    def of(self, row: CompletionRequest, stated: Stated) -> Limits | None:
        """Return the limits that the answer of this call states; None if they are no news, or there are none."""
        minute, refused = stated.wall // _MINUTE, row.status_code == _TOO_MANY_REQUESTS
        whose = row.provider, row.key_id, row.model
        heard, was_refused = self._heard.get(whose, (-1, False))
        if heard == minute and (was_refused or not refused):
            return None
        if len(self._heard) >= _MOST and whose not in self._heard:
            self._heard.clear()
        self._heard[whose] = minute, refused
        limits = limits_in(stated, row.provider, row.model)
        if not limits:
            return None
        return Limits(row.provider or "", row.key_id, timestamp_of(stated.wall), limits)
