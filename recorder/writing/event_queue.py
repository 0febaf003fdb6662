"""The queue between the proxy's thread and the recorder's: bounded, and whoever submits never waits.

An event that finds it full, or shut down, is dropped and counted by that cause; the counters keep from when to when
events were dropped, which becomes a gap in `recorder_events`.
"""

import queue
from contextlib import suppress
from typing import Literal

from llm_metrics_proxy.recorder.events import CompletionRequest, Event
from llm_metrics_proxy.recorder.store.account import Counters


class EventQueue(queue.Queue[Event]):
    """Events on their way to the recorder's thread, at most `size` of them."""

    def __init__(self, size: int, counters: Counters) -> None:
        """Be empty; events that are dropped are counted in `counters`."""
        super().__init__(size)
        self._counters = counters

    def submit(self, event: Event) -> bool:
        """Take an event; never blocks, never raises. False: it was dropped, and counted."""
        self._counters.add("received")
        try:
            self.put_nowait(event)
        except queue.Full:
            self.drop(event, "queue_full")
            return False
        except queue.ShutDown:
            self.drop(event, "shutdown")
            return False
        return True

    def drop(self, event: Event, cause: Literal["queue_full", "shutdown"]) -> None:
        """Count an event that nobody will write."""
        self._counters.dropped(cause, event.timestamp if isinstance(event, CompletionRequest) else event.at)

    def rest(self) -> list[Event]:
        """Take all that is still here."""
        found: list[Event] = []
        with suppress(queue.Empty, queue.ShutDown):
            while True:
                found.append(self.get_nowait())
        return found

    def drop_rest(self) -> None:
        """Count all that is still here, of a recorder whose thread never ran."""
        for event in self.rest():
            self.drop(event, "shutdown")
