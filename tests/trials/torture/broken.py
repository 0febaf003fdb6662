"""T10: files that are damaged, at the start or under a running recorder."""

import random
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.starting import version_1
from tests.trials.torture.verdict import ask, check_sums, spilled_ids, wait_until

_PAGE = 4096


def damaged_at_the_start(stage: Stage) -> Outcome:
    """However the file was damaged: a sentence and an untouched file, or a start. Never anything else."""
    rounds = stage.rounds(600)
    found = {"refused": 0, "started": 0}
    for number in range(rounds):
        path = version_1(stage.sub(number) / "metrics.db", rows=400)
        data = bytearray(path.read_bytes())
        for _ in range(random.randrange(1, 4)):
            _DAMAGES[number % len(_DAMAGES)](data)
        path.write_bytes(data)
        try:
            Recorder(path, backup_dir=path.parent).open()
        except RecorderError as error:
            found["refused"] += 1
            expect(str(error).endswith(".") and "\n" not in str(error), f"not one sentence: {error}")
            expect(path.read_bytes() == data, f"round {number}: a refused file was changed ({error})")
        else:
            found["started"] += 1
    return Outcome(rounds, found)


def damaged_while_recording(stage: Stage) -> Outcome:
    """Pages are overwritten under a running recorder: what comes afterwards is kept aside, or written."""
    rounds = stage.rounds(10)
    found = {"kept aside": 0, "went on into it": 0}
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with Recording(Plan(path, rate=400)) as recording:
            wait_until(partial(_beyond, recording, 800), "events are recorded")
            ask(path, "PRAGMA wal_checkpoint(PASSIVE)")
            pages = path.stat().st_size // _PAGE
            with path.open("r+b") as file:  # the parent has no connection whose locks this could drop
                for page in random.sample(range(1, pages), pages // 3):
                    file.seek(page * _PAGE)
                    file.write(random.randbytes(_PAGE))
            first = recording.last.submitted
            wait_until(partial(_beyond, recording, first + 800), "events are durable again")
            last = recording.stop()
        check_sums(last)
        there = spilled_ids(path)
        found["kept aside" if there else "went on into it"] += 1
        later = [recording.plan.event_id(n) for n in range(first + 400, last.submitted)]
        missing = sum(event_id not in there and not _can_be_read(path, event_id) for event_id in later)
        expect(not missing, f"{missing} of {len(later)} events that came after the damage cannot be read")
    return Outcome(rounds, found)


def _can_be_read(path: Path, event_id: str) -> bool:
    """By its id: a damaged file cannot be read from one end to the other."""
    try:
        return bool(ask(path, f"SELECT model FROM completion_requests WHERE event_id = '{event_id}'"))  # noqa: S608 - hexadecimal
    except sqlite3.Error:
        return False


def _beyond(recording: Recording, number: int) -> bool:
    return recording.last.acknowledged >= number


def _flip(data: bytearray) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _garbage(data: bytearray) -> None:
    at = random.randrange(len(data))
    data[at : at + 200] = random.randbytes(len(data[at : at + 200]))


def _zeros(data: bytearray) -> None:
    at = random.randrange(len(data) // _PAGE) * _PAGE
    data[at : at + _PAGE] = bytes(_PAGE)


def _truncate(data: bytearray) -> None:
    del data[random.randrange(1, len(data)) :]


def _header(data: bytearray) -> None:
    data[random.randrange(100)] ^= 0xFF


def _schema(data: bytearray) -> None:
    """SQLite quotes the names that it reads there in its errors, also those that are no text."""
    at = data.find(b"CREATE TABLE") + random.randrange(-40, 60)
    data[at : at + 2] = random.randbytes(2)


_DAMAGES: tuple[Callable[[bytearray], None], ...] = (_flip, _garbage, _zeros, _truncate, _header, _schema)
