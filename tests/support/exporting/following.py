"""A database of calls, and an export that is followed until it is enough, for tests of exporters."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.export import Batch, Row, outbox, run
from llm_metrics_proxy.recorder.export.run import Report, export
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.database import ask
from tests.support.exporting.shelf import Shelf
from tests.support.waiting import eventually

type MakeEvent = Callable[..., CompletionRequest]

ROWS = 35  # three batches and a half


def fill(path: Path, make_event: MakeEvent) -> Path:
    add(path, *(make_event(event_id=new_event_id(n), model=f"model {n}") for n in range(ROWS)))
    return path


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for longer than it has to be."""
    monkeypatch.setattr(run, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(run, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(0))


def stored(path: Path) -> list[Row]:
    return ask(path, "SELECT * FROM completion_requests ORDER BY id")


def add(path: Path, *events: CompletionRequest) -> None:
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(events)


@contextmanager
def recording(path: Path) -> Iterator[Recorder]:
    """A recorder that lives."""
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    try:
        assert eventually(lambda: presence.living(path))
        yield recorder
    finally:
        recorder.close()


def fails(times: int, error: Exception) -> Callable[[Batch], None]:
    left = [error] * times

    def fail(_batch: Batch) -> None:
        if left:
            raise left.pop()

    return fail


def following(path: Path, shelf: Shelf, until: Callable[[Report], bool], rate: float | None = None) -> list[Report]:
    """Follow until a report says that it is enough; all reports."""
    stop, reports = threading.Event(), []

    def progress(report: Report) -> None:
        reports.append(report)
        if until(report):
            stop.set()

    timer = threading.Timer(20, stop.set)
    timer.start()
    export(path, shelf, follow=True, stop=stop, progress=progress, rate=rate)
    timer.cancel()
    return reports
