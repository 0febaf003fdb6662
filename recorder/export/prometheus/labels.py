"""Texts that calls are told apart by: few, so that there are few series, and harmless wherever they are shown.

Who comes first gets a label of its own; once there are enough, whatever is new is `other` for good. So no call ever
moves from one series to another.
"""

from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.recorder.printable import printable

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
LONGEST: Final = 100  # characters of a label


class Labels:
    """The values that one label may have, at most so many besides `other`."""

    def __init__(self, most: int, known: Iterable[str] = ()) -> None:
        """`known` are those that have been given already."""
        self._most = most
        self._known = dict.fromkeys(known)

    @property
    def known(self) -> tuple[str, ...]:
        """In the order in which they came."""
        return tuple(self._known)

    def label(self, text: object) -> str:
        """The label for a text of a row."""
        value = _shown(text)
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known[value] = None
        return value


def _shown(text: object) -> str:
    if not isinstance(text, str) or not text:
        return UNKNOWN
    return printable(text[:LONGEST])[:LONGEST]
