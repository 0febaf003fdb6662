"""T10: files that are damaged, at the start or under a running recorder."""

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.errors import RecorderError
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.restore import restore
from llm_metrics_proxy.recorder.store import spill_folder
from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.faults import DAMAGES, WAL_DAMAGES
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.starting import version_1
from tests.trials.torture.verdict import check, check_sound, check_sums, run_once, wait_until

_PAGE = 4096
_RATE = 400
_LONGEST_BEFORE = 4.0  # seconds between backup and damage: more than one checkpoint
_FOUND_SECONDS = 5.0
_FOREIGN = "another program's database copied over"
_INDEX_EMPTIED = "-shm emptied"


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


def damaged_while_recording(stage: Stage, *, how: str) -> Outcome:
    """Found within seconds; after a restore, if one is needed, and a start every event is in the database."""
    rounds = stage.rounds(3)
    found: list[float] = []
    ends = {"went on": 0, "restored": 0, "killed by SIGBUS": 0}
    for number in range(rounds):
        path = stage.sub(number) / "metrics.db"
        with Recording(Plan(path, rate=_RATE)) as recording:
            wait_until(partial(_beyond, recording, _RATE // 2), "events are recorded")
            copy = backup.create(path, backup_dir=stage.folder / str(number))
            time.sleep(random.uniform(0, _LONGEST_BEFORE))
            (DAMAGES | WAL_DAMAGES)[how](path)
            if how in DAMAGES:
                found += _seconds_until_found(recording, path)
            time.sleep(1)
            if how == _INDEX_EMPTIED and not recording.is_alive:
                ends["killed by SIGBUS"] += 1
                recording.kill()
            else:
                check_sums(recording.stop())
        if spill_folder.damage(spill_folder.folder_of(path)):
            if how == _FOREIGN:
                path.unlink()  # a restore leaves other programs' databases alone
            restore(path, copy, backup_dir=path.parent)
            ends["restored"] += 1
        else:
            ends["went on"] += recording.ended
        run_once(path)
        check([recording], path)
    figures: dict[str, object] = {name: n for name, n in ends.items() if n}
    return Outcome(rounds, figures | ({"found within ms": round(max(found) * 1e3)} if found else {}))


def _seconds_until_found(recording: Recording, path: Path) -> list[float]:
    """None if SQLite wrote the same pages at the same moment, so that nothing is damaged."""
    try:
        return [wait_until(partial(_is_found, recording), "the damage is found", _FOUND_SECONDS)]
    except Broken:
        check_sound(path)
        return []


def _is_found(recording: Recording) -> bool:
    return "kept_again" in recording.last.counters


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
