"""Who spends: the labels of a call and the id of its key, by the rules of one proxy."""

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.addon.callers.key_id import KeyIds
from llm_metrics_proxy.addon.callers.labels import Labels, labels_of
from llm_metrics_proxy.addon.headers import Headers


class Who:
    """The settings and the secret that all calls of a proxy share."""

    __slots__ = ("_baggage", "_key_ids")

    def __init__(self, secret: bytes | None = None, baggage: Sequence[str] = ()) -> None:
        """Without a secret keys have no ids. `baggage` are the names that may be labels."""
        self._key_ids = KeyIds(secret) if secret is not None else None
        self._baggage = tuple(baggage)

    def key_id(self, headers: Headers, query: str) -> str | None:
        """Return the id of a request's key."""
        return self._key_ids.of(headers, query) if self._key_ids is not None else None

    def labels(self, ours: Headers, user: str | None, headers: Headers, secrets: Sequence[str]) -> Labels:
        """Return the labels of a request; see `labels_of`."""
        return labels_of(ours, user, headers, self._baggage, secrets)


NOBODY: Final = Who()
