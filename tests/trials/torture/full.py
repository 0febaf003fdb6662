"""T8: no space, for the database and for the spill file alike."""

import resource
import signal
import time
from multiprocessing.connection import Connection

from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from tests.trials.torture.case import Outcome, Stage, expect
from tests.trials.torture.disks import memory_disk
from tests.trials.torture.faults import full_disk
from tests.trials.torture.load import Plan, record
from tests.trials.torture.recording import Recording, processes
from tests.trials.torture.verdict import ask, check, until_written, wait_until

_RATE = 400
_MOST_BYTES = 1 << 20  # of a file: less than a log before its checkpoint, and room for what is kept aside in its place
_QUEUE = 1_500
_PADDING = 1_000
_MEGABYTES = 16
_GAPS = "SELECT count(*), coalesce(sum(count), 0) FROM recorder_events WHERE kind = 'gap' AND detail = 'queue_full'"


def disk_full(stage: Stage) -> Outcome:
    """The reserve takes events first, then memory, then they are dropped and counted; all figures agree."""
    rounds = stage.rounds(3)
    seen = []
    for number in range(rounds):
        with memory_disk(stage.sub(number), _MEGABYTES) as disk:
            path = disk / "metrics.db"
            with Recording(Plan(path, rate=_RATE, queue_size=_QUEUE, padding=_PADDING)) as recording:
                wait_until(lambda: recording.last.acknowledged > _RATE, "events are recorded")
                with full_disk(disk):
                    wait_until(lambda: recording.last.counters.get("spilled"), "the reserve takes events")
                    wait_until(lambda: recording.last.counters.get("dropped_queue_full"), "the memory is full")
                    time.sleep(0.5)
                    reserved = recording.last.counters["spilled"]
                recovered = until_written(recording, "the full disk")
                last = recording.stop()
            check([recording], path)
            ((gaps, lost),) = ask(path, _GAPS)
            dropped = last.counters["dropped_queue_full"]
            expect(lost == dropped == len(last.dropped), f"{dropped} dropped, {lost} in {gaps} gaps")
            stored = {str(name): value for name, value in ask(path, "SELECT name, value FROM recorder_counters")}
            expect(stored == last.counters, f"the database has {stored}, the recorder {last.counters}")
            seen.append((reserved, dropped, round(recovered, 1), round(last.slowest_submit_ms, 1)))
    names = ("kept by the reserve", "dropped and counted", "recovered after s", "slowest submit ms")
    return Outcome(rounds, {name: max(values) for name, values in zip(names, zip(*seen, strict=True), strict=True)})


def file_size_limit(stage: Stage) -> Outcome:
    """The same refusal without root: RLIMIT_FSIZE, which SQLite sees as an I/O error."""
    path = stage.folder / "metrics.db"
    with Recording(Plan(path, rate=0)) as first:
        first.stop()
    rounds = stage.rounds(3)
    kept = 0
    for _ in range(rounds):
        pipe, theirs = processes.Pipe()
        plan = Plan(path, rate=_RATE)
        child = processes.Process(target=_record_within, args=(plan, theirs, _MOST_BYTES), daemon=True)
        child.start()
        theirs.close()
        ends = time.monotonic() + 30
        last = pipe.recv()
        while time.monotonic() < ends and last.counters.get("spilled", 0) < _RATE:
            last = pipe.recv()
        resource.prlimit(child.pid or 0, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        pipe.send("stop")
        while last.close_ms is None:
            last = pipe.recv()
        child.join()
        pipe.close()
        kept += last.counters.get("spilled", 0)
        expect(last.counters.get("spilled", 0) >= _RATE, f"nothing was kept aside: {last.counters}")
        _check_all(plan, last.submitted)
    return Outcome(rounds, {"kept aside": kept})


def _record_within(plan: Plan, pipe: Connection, most_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    record(plan, pipe)


def _check_all(plan: Plan, submitted: int) -> None:
    with Recording(Plan(plan.database, rate=0)) as after:
        folder = spill_folder.folder_of(plan.database)
        wait_until(lambda: not spill.files(folder), "the next start takes in what waited")
        after.stop()
    found = {event_id for (event_id,) in ask(plan.database, "SELECT event_id FROM completion_requests")}
    missing = sum(plan.event_id(n) not in found for n in range(submitted))
    expect(not missing, f"{missing} of {submitted} events are lost")
