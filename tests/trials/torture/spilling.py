"""T14: the spill file: torn, flipped, foreign lines; its bounds; and a replay that is killed again and again."""

import json
import random
import time
from itertools import count
from pathlib import Path
from unittest.mock import patch

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from llm_metrics_proxy.recorder.writing.spill import SpillFiles
from tests.trials.torture.case import Broken, Outcome, Stage, expect
from tests.trials.torture.faults import database_of_ours
from tests.trials.torture.load import Plan
from tests.trials.torture.recording import Recording
from tests.trials.torture.verdict import ask, check_sound, ids, wait_until

_LINES = 3_000
_LONGEST = 1.2  # seconds of a life; a replay begins anew with the file, so it has to be long enough for one
_TOTAL = "SELECT coalesce(sum(value), 0) FROM recorder_counters WHERE name = 'replayed'"


def killed_replay(stage: Stage) -> Outcome:
    """All lines are in the database once in the end, and were counted once."""
    path = database_of_ours(stage.folder / "metrics.db")
    plan = Plan(path)
    folder = spill_folder.make(path)
    kills = 0
    for number in range(stage.rounds(20)):
        _dead_file(folder, number, plan, range(number * _LINES, (number + 1) * _LINES))
        while spill.files(folder):
            with Recording(Plan(path, rate=100)) as recording:
                time.sleep(random.uniform(0.1, _LONGEST))
                recording.kill()
                kills += 1
            expect(kills < 5_000, "the replay does not come to its end")
    with Recording(Plan(path, rate=0)) as last:
        wait_until(lambda: not spill.files(folder), "the rest is replayed")
        last.stop()
    check_sound(path)
    found = ids(path)
    lines = stage.rounds(20) * _LINES
    wrong = sum(found[plan.event_id(n)] != 1 for n in range(lines))
    expect(not wrong, f"{wrong} of {lines} lines are missing or there twice")
    replayed = int(str(ask(path, _TOTAL)[0][0]))
    expect(replayed >= lines, f"{replayed} lines were counted as replayed, of {lines}")
    return Outcome(stage.rounds(20), {"lines": lines, "kills": kills, "counted as replayed": replayed})


def damaged_lines(stage: Stage) -> Outcome:
    """A torn tail is nothing; a flipped byte and a foreign line cost themselves, are counted, and the file is kept."""
    rounds = stage.rounds(20)
    for number in range(rounds):
        path = database_of_ours(stage.sub(number) / "metrics.db")
        plan, folder = Plan(path), spill_folder.make(path)
        lines = [spill.line_of(plan.event(n)) for n in range(1_200)]
        torn, flipped, foreign = random.randrange(1, 60), random.randrange(1_000), random.randrange(1_000)
        broken = bytearray(lines[flipped])
        broken[random.randrange(len(broken) - 1)] ^= 1 << random.randrange(8)
        damage = b"\n" in broken[:-1]  # a flipped bit can make two lines of one
        lines[flipped] = bytes(broken)
        lines.insert(foreign, b"This line is nobody's.\n")
        lines[-1] = lines[-1][:-torn]
        (folder / "host-1-1-1.jsonl").write_bytes(b"".join(lines))
        with Recording(Plan(path, rate=0)) as recording:
            wait_until(lambda folder=folder: not spill.files(folder), "the file is replayed")  # type: ignore[misc] # a default
            last = recording.stop()
        found = ids(path)
        missing = [n for n in range(1_199) if plan.event_id(n) not in found]
        expect(missing == [flipped], f"missing: {missing[:5]}, damaged: {flipped}")
        counted = last.counters.get("dropped_spill_damaged", 0)
        expect(2 <= counted <= 4 + damage, f"{counted} damaged lines were counted")
        expect(len(list(folder.glob("*.damaged"))) == 1, "the damaged file was not kept")
        gaps = ask(path, "SELECT coalesce(sum(count), 0) FROM recorder_events WHERE kind = 'gap'")
        expect(gaps == [(counted,)], f"{counted} damaged lines, gaps {gaps}")
    return Outcome(rounds, {"lines": rounds * 1_201})


def bounds(stage: Stage) -> Outcome:
    """A file and all files together stay below their bounds, and what is over them is refused whole."""
    file_bytes, total_bytes = 100_000, 1_000_000
    folder = stage.sub("metrics.db.spill")
    plan = Plan(stage.folder / "metrics.db")
    kept = 0
    with patch.object(spill, "FILE_BYTES", file_bytes), patch.object(spill, "TOTAL_BYTES", total_bytes):
        mine = SpillFiles(plan.database, "host-1-1", count(1))
        try:
            while True:
                mine.write(b"".join(spill.line_of(plan.event(kept + n)) for n in range(50)))
                kept += 50
        except OSError as error:
            reason = str(error.strerror)
        mine.let_go()
    files = spill.files(folder)
    sizes = [file.stat().st_size for file in files]
    expect(max(sizes) <= file_bytes, f"a file has {max(sizes)} bytes")
    expect(sum(sizes) <= total_bytes, f"all have {sum(sizes)} bytes")
    records = [spill.record_of(line) for file in files for line in file.read_bytes().splitlines(keepends=True)]
    expect(len(records) == kept and None not in records, f"{len(records)} lines of {kept}")
    return Outcome(1, {"files": len(files), "bytes": sum(sizes), "said": json.dumps(reason)})


def _dead_file(folder: Path, number: int, plan: Plan, numbers: range) -> None:
    """As a recorder that was killed left it."""
    name = f"host-{number + 1}-1"
    writer = SpillFiles(plan.database, name, count(1))
    for first in range(numbers.start, numbers.stop, 500):
        writer.write(b"".join(spill.line_of(plan.event(n)) for n in range(first, min(first + 500, numbers.stop))))
    writer.let_go()
    if not spill.files(folder):
        raise Broken("no spill file was written")
