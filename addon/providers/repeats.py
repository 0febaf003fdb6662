"""Repeats of a stream: which events are like one that was read, and need not be read again.

What a format learns from an event follows from the event and from what was known before. So an event after which no
more is known than before can be repeated, with other texts, as often as it likes, until another one says something new.
"""

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from llm_metrics_proxy.addon.framing import ServerSentEvents
from llm_metrics_proxy.addon.framing.alike import alike_to
from llm_metrics_proxy.addon.providers.format import Answer, Output

_MOST_TRIES = 4  # events that others are compared with, of those that are read at once: streams may have many kinds
_facts: Callable[[Answer], tuple[Any, ...]] = attrgetter(*Answer.__slots__)


class Repeats:
    """Those of one stream."""

    __slots__ = ("_framing", "_free", "_known", "_tries", "kind")

    def __init__(self, framing: ServerSentEvents, free: re.Pattern[bytes]) -> None:
        self._framing = framing
        self._free = free
        self._known: tuple[Any, ...] | None = None
        self._tries = 0
        self.kind = Output.NONE
        """The output of events that are alike."""

    @property
    def moments(self) -> list[int]:
        """Those of the events that have just been found alike."""
        return self._framing.alike_moments

    def begin(self) -> None:
        """More events of the stream follow."""
        self._tries = _MOST_TRIES

    def note(self, name: bytes, payload: bytes, kind: Output, answer: Answer) -> None:
        """Take note of an event that was read."""
        facts = _facts(answer)
        if facts != self._known:
            self._known = facts
            self._framing.alike = None
        elif kind and self._tries:
            event = b"data: %b\n\n" % payload
            if (alike := alike_to(b"event: %b\n%b" % (name, event) if name else event, self._free)) is not None:
                self._framing.alike, self.kind = alike, kind
                self._tries -= 1
