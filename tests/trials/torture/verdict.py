"""Promises of a recorder amid faults: no event is lost or there twice, the file is sound, the counters add up."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from tests.support.waiting import eventually
from tests.trials.torture.case import Broken, expect
from tests.trials.torture.load import Plan, Progress, handled
from tests.trials.torture.recording import Recording

_PATIENCE = 60.0


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Read the database as another process would."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)) as connection:
        return connection.execute(statement).fetchall()


def ids(path: Path) -> Counter[str]:
    """Return how often each event is in the table; NOT INDEXED, since the index could not show two."""
    return Counter(str(row[0]) for row in ask(path, "SELECT event_id FROM completion_requests NOT INDEXED"))


def spilled_ids(database: Path) -> set[str]:
    """The events that wait in the spill folder."""
    found = set()
    for file in spill.files(spill_folder.folder_of(database)):
        with suppress(FileNotFoundError):  # it was replayed just now
            for line in file.read_bytes().splitlines(keepends=True):
                record = spill.record_of(line)
                if isinstance(record, CompletionRequest):
                    found.add(record.event_id)
    return found


def check_sound(path: Path) -> None:
    """integrity_check.

    Raises:
        Broken: it found something.
    """
    answers = [str(answer) for (answer,) in ask(path, "PRAGMA integrity_check(3)")]
    expect(answers == ["ok"], f"{path.name} is damaged: {answers[0]}")


def check(
    recordings: Iterable[Recording], database: Path, *, beside: Sequence[Path] = (), waiting: bool = False
) -> int:
    """All that was promised is in the database once, or in a file `beside` it; return how many events that are.

    With `waiting` the spill folder counts as well.

    Raises:
        Broken: events are missing or there twice, the file is damaged, or a recorder's figures do not add up.
    """
    check_sound(database)
    counted = ids(database)
    twice = [event_id for event_id, n in counted.items() if n > 1]
    expect(not twice, f"{len(twice)} events are in the database twice")
    found = set(counted)
    for path in beside:
        check_sound(path)
        found |= set(ids(path))
    if waiting:
        found |= spilled_ids(database)
    promised = 0
    for recording in recordings:
        missing = [event_id for event_id in recording.promised if event_id not in found]
        promised += recording.last.submitted if recording.ended else recording.last.acknowledged
        if missing:
            numbers = [int(event_id[len(recording.plan.name) :], 16) for event_id in missing]
            where = f"numbers {numbers[0]} to {numbers[-1]}; {recording.last.counters}"
            raise Broken(f"{len(missing)} of {recording.last.submitted} events are lost ({where})")
        if recording.ended:
            check_sums(recording.last)
    return promised


def check_sums(last: Progress) -> None:
    """Of a recorder that has ended: received + replayed - spilled = written + ... + dropped.

    Raises:
        Broken: they do not.
    """
    whole = handled(last.counters) + last.counters.get("dropped_queue_full", 0)
    received = last.counters.get("received", 0)
    expect(received == last.submitted == whole, f"the counters do not add up: {last.counters}")


def run_once(database: Path) -> None:
    """A next start, which takes in what others left behind, and its end.

    Raises:
        Broken: something still waits afterwards.
    """
    with Recording(Plan(database, rate=0)) as recording:
        wait_until(lambda: not spill.files(spill_folder.folder_of(database)), "the next start takes in what waited")
        recording.stop()


def wait_until(condition: Callable[[], object], what: str, seconds: float = _PATIENCE) -> float:
    """Poll until it holds; return how long that took.

    Raises:
        Broken: it did not come.
    """
    began = time.monotonic()
    expect(eventually(condition, within=seconds), f"not within {seconds:.0f} s: {what}")
    return time.monotonic() - began


def stored(recording: Recording) -> int:
    """Return how many of its events have reached the database."""
    counters = recording.last.counters
    return counters.get("written", 0) + counters.get("duplicates", 0)


def until_written(recording: Recording, what: str) -> float:
    """Wait until the database takes events again and has all that was kept aside; return how long that took.

    Raises:
        Broken: it did not come to that.
    """
    at = recording.last.submitted

    def all_written() -> bool:
        return stored(recording) + recording.last.counters.get("dropped_queue_full", 0) >= at

    return wait_until(all_written, f"all is written after {what}", seconds=90)
