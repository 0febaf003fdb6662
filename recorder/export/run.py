"""The loop of an exporter, which outlives outages of either side."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_never,
    stop_when_event_set,
    wait_random_exponential,
)

from llm_metrics_proxy.recorder.errors import DatabaseRefused, ExportFailed, RecorderError
from llm_metrics_proxy.recorder.export import Destination, Unavailable, alone
from llm_metrics_proxy.recorder.export.delivery import Delivery
from llm_metrics_proxy.recorder.store.database import reader

POLL_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 60.0  # between two looks whether the destination is there, when there is nothing to send
LONGEST_WAIT: Final = 30.0  # seconds between two attempts
PATIENCE_SECONDS: Final = 120.0  # of an export that does not follow


class Report(msgspec.Struct, frozen=True):
    """The progress of an export: rows sent and refused since it began, and about how many are left."""

    sent: int
    refused: int
    waiting: int
    error: str | None = None  # why it does not go on just now


def export(  # noqa: PLR0913 - how it is done, each by name and with a default
    path: Path,
    destination: Destination,
    *,
    follow: bool = False,
    again: bool = False,
    rate: float | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Send what the destination does not have; with `follow` also all that comes, until `stop`.

    `again` begins with the first row. `rate` is the most rows a second. `progress` is told after each batch, and when
    something fails. Outages are waited for, without `follow` for `PATIENCE_SECONDS`.

    Raises:
        DatabaseRefused: there is no database of the present version at `path`; without `follow` also if it could not
            be used later.
        ExportFailed: the destination refuses, was not reached for too long, or an export to it runs already.
    """
    path = path.resolve()  # what belongs to it stands beside the real file
    with reader(path):  # what is wrong with it shows before anything is waited for
        pass
    with alone(path, destination.name) as only_one:
        if not only_one:
            what = f"Another process exports {path} to {destination.name}"
            raise ExportFailed(what=what, cure="end that one first")
        try:
            stop = stop or threading.Event()
            at_once = max(1, min(destination.rows_at_once, int(rate or destination.rows_at_once)))
            delivery = Delivery(path, destination, at_once=at_once, follow=follow, stop=stop)
            return _Loop(delivery, destination.name, follow, rate, stop, progress).run(again=again)
        finally:
            destination.close()


@dataclass
class _Loop:
    delivery: Delivery
    name: str
    follow: bool
    rate: float | None
    stop: threading.Event
    progress: Callable[[Report], None]
    error: str | None = None

    def run(self, *, again: bool) -> Report:
        delivery = self.delivery
        enough = stop_never if self.follow else stop_after_delay(PATIENCE_SECONDS)
        attempts = Retrying(
            retry=retry_if_exception_type((Unavailable, DatabaseRefused) if self.follow else Unavailable),
            stop=stop_any(stop_when_event_set(self.stop), enough),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT),
            sleep=sleep_using_event(self.stop),
            before_sleep=lambda state: self._failed(state.outcome.exception() if state.outcome else None),
            reraise=True,
        )
        heard_at = free_at = time.monotonic()
        while not self.stop.is_set():
            try:
                attempts(delivery.step, again=again)
            except (Unavailable, RecorderError) as error:
                if self.stop.is_set():
                    break
                self._note(str(error))
                if not isinstance(error, Unavailable):
                    raise
                what = f"{self.name} was not reached for {PATIENCE_SECONDS:g} s ({error})"
                raise ExportFailed(what=what, cure="see that it runs and try again: it goes on where it was") from error
            again, self.error = False, None
            self.progress(self._report())
            now = time.monotonic()
            if delivery.batch is not None:
                heard_at = now
                if self.rate:
                    free_at = max(free_at, now) + len(delivery.batch.rows) / self.rate
                    self.stop.wait(free_at - now)
            elif not self.follow:
                break
            elif now - heard_at >= HEARTBEAT_SECONDS:
                heard_at = now
                delivery.beat()
            else:
                self.stop.wait(POLL_SECONDS)
        return self._report()

    def _report(self) -> Report:
        return Report(self.delivery.sent, self.delivery.refused, self.delivery.waiting, self.error)

    def _failed(self, error: BaseException | None) -> None:
        if str(error) != self.error:
            self.error = str(error)
            self.progress(self._report())
            self._note(self.error)

    def _note(self, error: str) -> None:
        with suppress(DatabaseRefused, Unavailable):  # which may be what failed
            self.delivery.note_error(error)
