"""T15: nothing but SQLite opens the live files, as the system calls of a recorder tell."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.trials.torture.case import Blocked, Outcome, Stage, expect
from tests.trials.torture.faults import SUFFIXES, program
from tests.trials.torture.load import Plan

_ROOT = Path(__file__).parents[3]
_AUDITED = "the database was opened by Python"
_OPEN = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"(?P<path>[^"]+)", (?P<flags>[A-Z_|]+)')
_OF_SQLITE = "O_NOFOLLOW|O_CLOEXEC"  # libsqlite opens with exactly these, and never with O_EXCL


def opened(stage: Stage) -> Outcome:
    """Every open() of the live files is SQLite's own, but for the one that creates the file."""
    path = stage.folder / "metrics.db"
    found = _trace(stage, path, careless=False)
    return Outcome(1, {"opens of live files": found})


def opened_carelessly(stage: Stage) -> Outcome:
    """The control: a recorder's process that reads its database's first bytes."""
    _trace(stage, stage.folder / "metrics.db", careless=True)
    return Outcome(1)


def _trace(stage: Stage, path: Path, *, careless: bool) -> int:
    log = stage.folder / "strace.log"
    child = [sys.executable, "-m", "tests.trials.torture.hygiene", str(path), *(["careless"] if careless else [])]
    command = [program("strace"), "-f", "-e", "trace=open,openat", "-o", str(log), *child]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if "ptrace" in result.stderr:
        raise Blocked(f"strace: {result.stderr.strip().splitlines()[-1]}")
    expect(result.returncode == 0, f"the recorder failed: {result.stderr[-300:]}")
    live = {f"{path}{suffix}" for suffix in SUFFIXES}
    seen = [(one["path"], one["flags"]) for one in _OPEN.finditer(log.read_text()) if one["path"] in live]
    expect(any(name == str(path) for name, _ in seen), "strace saw nothing")
    foreign = [flags for _, flags in seen if _OF_SQLITE not in flags and "O_EXCL" not in flags]
    creations = [flags for _, flags in seen if "O_EXCL" in flags]
    expect(not foreign, f"{len(foreign)} opens that are not SQLite's: {foreign[:1]}")
    expect(len(creations) <= 1, f"the file was created {len(creations)} times")
    return len(seen)


def _watch(name: str, arguments: tuple[object, ...]) -> None:
    """See what Python itself opens; sqlite3.connect is another event."""
    live = {sys.argv[1] + suffix for suffix in SUFFIXES}
    flags = arguments[2] if len(arguments) > 2 else 0
    if name == "open" and str(arguments[0]) in live and not (isinstance(flags, int) and flags & 0o200):
        raise SystemExit(_AUDITED)


def _record(path: Path, *, careless: bool) -> None:
    """A life with everything that touches the file: start, load, lock, removal, checkpoint, end."""
    if not careless:
        sys.addaudithook(_watch)
    plan = Plan(path)
    recorder = Recorder(path, backup_dir=path.parent)
    recorder.open()
    recorder.start()
    for number in range(600):
        recorder.submit(plan.event(number))
        if number == 300 and careless:
            path.open("rb").close()
        if number == 400:
            path.unlink()
        time.sleep(0.002)
    ends = time.monotonic() + 10
    while _stored(recorder) < 600 and time.monotonic() < ends:
        time.sleep(0.02)  # what was kept aside is written as soon as the file is back
    recorder.close()
    if threading.active_count() > 1 or _stored(recorder) < 600:
        raise SystemExit(str(recorder.counters()))


def _stored(recorder: Recorder) -> int:
    """The events in the database: those of the last minute may be kept again, and are there already then."""
    counters = recorder.counters()
    return counters.get("written", 0) + counters.get("duplicates", 0)


if __name__ == "__main__":
    _record(Path(sys.argv[1]), careless="careless" in sys.argv)
