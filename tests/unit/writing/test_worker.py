"""The recorder: nothing that was accepted gets lost silently, and nothing that happens blocks the caller."""

import json
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy import __version__
from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.events import CompletionRequest, Tunnelled, Unrecognised
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.spill_folder import folder_of
from llm_metrics_proxy.recorder.writing import spill
from tests.support.database import ask, rows, write_lock
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]


def stored_counters(path: Path) -> dict[object, object]:
    return dict(ask(path, "SELECT name, value FROM recorder_counters"))


def run(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own, with the database's path and the project's folder as arguments."""
    command = [sys.executable, "-c", code, str(path), str(Path(__file__).parents[3])]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_event_is_durable_within_250_ms(recorder: Recorder, db_path: Path, make_event: MakeEvent) -> None:
    waits = []
    with closing(sqlite3.connect(db_path)) as reader:
        for number in range(1, 6):
            began = time.monotonic()
            assert recorder.submit(make_event()) is True
            expected = (number,)
            wait_until(
                lambda expected=expected: (  # type: ignore[misc] # a default
                    reader.execute("SELECT count(*) FROM completion_requests").fetchone() == expected
                )
            )
            waits.append(time.monotonic() - began)
    assert sorted(waits)[2] < 0.25


def test_every_event_is_written_once_and_counted(recorder: Recorder, db_path: Path, make_event: MakeEvent) -> None:
    events = [make_event() for _ in range(1_200)]
    for event in [*events, events[0]]:
        recorder.submit(event)
    recorder.count("unparsed", 3)
    recorder.close()
    assert rows(db_path) == 1_200
    expected = {"received": 1_201, "written": 1_200, "duplicates": 1, "unparsed": 3}
    assert stored_counters(db_path) == recorder.counters() == expected


def test_counters_that_change_alone_are_written_at_idle(recorder: Recorder, db_path: Path) -> None:
    recorder.count("unparsed")
    wait_until(lambda: stored_counters(db_path) == {"unparsed": 1})
    recorder.count("unparsed")
    wait_until(lambda: stored_counters(db_path) == {"unparsed": 2})


def test_close_leaves_one_file_and_can_be_repeated(recorder: Recorder, db_path: Path, make_event: MakeEvent) -> None:
    recorder.submit(make_event())
    recorder.close()
    recorder.close()
    assert [path.name for path in db_path.parent.iterdir()] == ["metrics.db"]
    assert recorder.submit(make_event()) is False
    assert recorder.counters()["dropped_shutdown"] == 1


def test_close_empties_the_wal_also_while_others_have_the_file_open(
    recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    with closing(sqlite3.connect(db_path)) as other:
        other.execute("SELECT count(*) FROM completion_requests").fetchall()
        recorder.submit(make_event())
        recorder.close()
        assert Path(f"{db_path}-wal").stat().st_size == 0


def test_close_is_safe_when_nothing_was_started(current_db: Path, make_event: MakeEvent) -> None:
    never = Recorder(current_db)
    never.submit(make_event())
    never.close()
    assert never.counters() == {"received": 1, "dropped_shutdown": 1}


def test_close_drains_a_full_queue(current_db: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(current_db, queue_size=2_000)
    while recorder.submit(make_event()):
        pass
    recorder.start()
    recorder.close()
    assert rows(current_db) == 2_000
    assert stored_counters(current_db)["dropped_queue_full"] == 1


def test_a_lock_costs_no_event_and_what_waits_is_on_the_disk(
    recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    with write_lock(db_path):
        for _ in range(50):
            recorder.submit(make_event())
        wait_until(lambda: recorder.counters().get("spilled") == 50)
        assert sum(file.read_bytes().count(b"\n") for file in spill.files(folder_of(db_path))) == 50
    wait_until(lambda: rows(db_path) == 50)
    wait_until(lambda: not spill.files(folder_of(db_path)))
    assert recorder.counters() == {"received": 50, "written": 50, "spilled": 50, "replayed": 50}


def test_what_neither_database_nor_spill_file_nor_queue_takes_is_dropped_counted_and_leaves_a_gap(
    current_db: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "TOTAL_BYTES", 0)
    recorder = Recorder(current_db, queue_size=5)
    with write_lock(current_db):
        recorder.start()
        recorder.submit(make_event())
        wait_until(recorder._events.empty)  # noqa: SLF001 - nobody else can see it
        time.sleep(0.3)  # the thread gathers no more, and waits for the lock
        began = time.monotonic()
        accepted = [recorder.submit(make_event(timestamp=f"2026-03-01T12:00:{n:02}.000Z")) for n in range(8)]
        assert time.monotonic() - began < 0.05
        assert accepted == [True] * 5 + [False] * 3
        time.sleep(1.2)  # an attempt that has the gap in its hands fails too
    wait_until(lambda: rows(current_db) == 6)
    recorder.close()
    gaps = ask(current_db, "SELECT kind, count, from_at, to_at, detail FROM recorder_events WHERE kind <> 'start'")
    assert gaps == [("gap", 3, "2026-03-01T12:00:05.000Z", "2026-03-01T12:00:07.000Z", "queue_full")]
    assert stored_counters(current_db) == {"received": 9, "written": 6, "dropped_queue_full": 3}


def test_close_keeps_aside_what_a_locked_database_does_not_take_and_the_next_start_writes_it(
    recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    with write_lock(db_path):
        for _ in range(20):
            recorder.submit(make_event())
        recorder.count("unparsed", 2)
        began = time.monotonic()
        recorder.close(deadline=1.5)
        assert time.monotonic() - began < 1.6
    assert recorder.counters() == {"received": 20, "spilled": 20, "unparsed": 2}
    wait_until(lambda: not presence.living(db_path))  # its thread has ended, too
    following = Recorder(db_path)
    following.open()
    following.start()
    wait_until(lambda: rows(db_path) == 20)
    following.close()
    totals = ask(db_path, "SELECT name, sum(value) FROM recorder_counters GROUP BY name")
    assert dict(totals) == {"received": 20, "spilled": 20, "unparsed": 2, "replayed": 20, "written": 20}
    assert not folder_of(db_path).exists()


def test_close_keeps_its_deadline_and_counts_where_nothing_can_be_written(
    recorder: Recorder,
    db_path: Path,
    make_event: MakeEvent,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spill, "TOTAL_BYTES", 0)
    with write_lock(db_path):
        for _ in range(20):
            recorder.submit(make_event())
        began = time.monotonic()
        recorder.close(deadline=1.5)
        assert time.monotonic() - began < 1.6
    assert recorder.counters() == {"received": 20, "dropped_shutdown": 20}
    assert "20 events could not be recorded" in caplog.text


def test_close_keeps_aside_what_a_thread_has_that_hangs(current_db: Path) -> None:
    """It waits for a lock before there is a connection to interrupt, as it would for a migration or a slow disk."""
    code = """
import os, pathlib, sqlite3, sys, time
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder

def functions(frame):
    while frame:
        yield frame.f_code.co_name
        frame = frame.f_back

path = pathlib.Path(sys.argv[1])
recorder = Recorder(path, backup_interval=None)
recorder.open()
other = sqlite3.connect(path, isolation_level=None)
other.execute("PRAGMA locking_mode=EXCLUSIVE")
other.execute("BEGIN EXCLUSIVE")
recorder.start()
for number in range(50):
    recorder.submit(CompletionRequest(timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200,
        response_time_ms=1, is_streaming=False, event_id=new_event_id(number)))
while "open_writer" not in functions(sys._current_frames()[recorder._thread.ident]):
    time.sleep(0.001)
recorder.close(deadline=0.02)
print(recorder.counters(), flush=True)
os._exit(0)  # before the thread comes back
"""
    ended = run(code, current_db)
    assert ended.stdout == "{'received': 50, 'spilled': 50}\n", ended.stderr
    following = Recorder(current_db)
    following.open()
    following.start()
    wait_until(lambda: rows(current_db) == 50)
    following.close()


def test_values_that_cannot_be_stored_cost_only_their_own_event(
    recorder: Recorder, db_path: Path, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    bad: list[CompletionRequest | Unrecognised] = [
        make_event(prompt_tokens=2**63),
        make_event(error_message="planted \ud800"),
        make_event(status_code=None),
        make_event(model={"a": 1}),
        make_event(timestamp=None),
        Unrecognised("host\udcff", "/", "2026-03-01T12:00:00.000Z"),
    ]
    good = [make_event() for _ in range(40)]
    for position, event in enumerate(good):
        recorder.submit(event)
        if position < len(bad):
            recorder.submit(bad[position])
    recorder.close()
    assert rows(db_path) == 40
    assert recorder.counters() == {"received": 46, "written": 40, "rejected": 6}
    kept = [json.loads(line) for line in (folder_of(db_path) / "rejected.jsonl").read_text().splitlines()]
    assert [one["reason"].split(":")[0] for one in kept] == [
        "OverflowError",
        "UnicodeEncodeError",
        "IntegrityError",
        "ProgrammingError",
        "IntegrityError",
        "UnicodeEncodeError",
    ]
    assert kept[0]["event"]["prompt_tokens"] == 2**63
    assert "cannot be stored" in caplog.text
    assert "planted" not in caplog.text


def test_unrecognised_traffic_is_counted_by_host_and_path(recorder: Recorder, db_path: Path) -> None:
    for second in (5, 1, 9):
        recorder.submit(Unrecognised("api.example.com", "/v1/new", f"2026-03-01T12:00:0{second}.000Z"))
    recorder.close()
    assert ask(db_path, "SELECT * FROM unrecognised") == [
        ("api.example.com", "/v1/new", 3, "2026-03-01T12:00:01.000Z", "2026-03-01T12:00:09.000Z")
    ]
    assert recorder.counters() == {"received": 3, "unrecognised": 3}


def test_unrecognised_traffic_fills_at_most_1000_rows(recorder: Recorder, db_path: Path) -> None:
    for number in range(1_010):
        recorder.submit(Unrecognised("api.example.com", f"/{number}", "2026-03-01T12:00:00.000Z"))
    recorder.submit(Unrecognised("api.example.com", "/7", "2026-03-01T12:00:00.000Z"))
    recorder.close()
    assert ask(db_path, "SELECT count(*), sum(count) FROM unrecognised") == [(1_000, 1_001)]


def test_hosts_that_passed_unread_are_counted_by_day(recorder: Recorder, db_path: Path) -> None:
    recorder.submit(Tunnelled("a.example", 3, "2026-03-01T12:00:05.000Z", "2026-03-01T12:00:09.000Z"))
    recorder.submit(Tunnelled("a.example", 2, "2026-03-01T12:00:01.000Z", "2026-03-01T12:00:02.000Z"))
    recorder.submit(Tunnelled("a.example", 1, "2026-03-02T00:00:00.000Z", "2026-03-02T00:00:00.000Z"))
    recorder.close()
    assert ask(db_path, "SELECT * FROM tunnelled_hosts") == [
        ("2026-03-01", "a.example", 5, "2026-03-01T12:00:01.000Z", "2026-03-01T12:00:09.000Z"),
        ("2026-03-02", "a.example", 1, "2026-03-02T00:00:00.000Z", "2026-03-02T00:00:00.000Z"),
    ]
    assert recorder.counters() == {"received": 3, "tunnelled": 3}


def test_a_day_has_at_most_200_hosts_that_passed_and_the_rest_under_one_name(recorder: Recorder, db_path: Path) -> None:
    at = "2026-03-01T12:00:00.000Z"
    for number in range(300):
        recorder.submit(Tunnelled(f"{number}.example", 2, at, at))
    recorder.submit(Tunnelled("7.example", 1, at, at))
    recorder.submit(Tunnelled("300.example", 1, at.replace("-01T", "-02T"), at))
    recorder.close()
    found = ask(db_path, "SELECT day, count(*), sum(connections) FROM tunnelled_hosts GROUP BY day")
    assert found == [("2026-03-01", 201, 601), ("2026-03-02", 1, 1)]
    assert ask(db_path, "SELECT connections FROM tunnelled_hosts WHERE host = '(others)'") == [(200,)]
    assert ask(db_path, "SELECT connections FROM tunnelled_hosts WHERE host = '7.example'") == [(3,)]


def test_nothing_is_written_once_the_schema_is_another(
    recorder: Recorder, db_path: Path, make_event: MakeEvent, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        other.execute(f"PRAGMA user_version={CURRENT_SCHEMA_VERSION + 1}")
    recorder.submit(make_event())
    wait_until(lambda: f"now has schema version {CURRENT_SCHEMA_VERSION + 1}" in caplog.text)
    assert rows(db_path) == 0
    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        other.execute(f"PRAGMA user_version={CURRENT_SCHEMA_VERSION}")
    wait_until(lambda: rows(db_path) == 1)


def test_a_disk_that_cannot_grow_the_file_holds_events_up_until_it_can(current_db: Path) -> None:
    code = """
import resource, signal, sys, pathlib, time
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
recorder = Recorder(pathlib.Path(sys.argv[1]))
recorder.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
recorder.start()
for number in range(300):
    recorder.submit(CompletionRequest(timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200,
        response_time_ms=1, is_streaming=False, event_id=new_event_id(number), error_message="x" * 500))
time.sleep(0.6)
assert "written" not in recorder.counters(), recorder.counters()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
recorder.close()
assert recorder.counters()["received"] == recorder.counters()["written"] == 300, recorder.counters()
"""
    result = run(code, current_db)
    assert result.returncode == 0, result.stderr
    assert rows(current_db) == 300


def test_a_log_that_fails_does_not_end_the_thread(recorder: Recorder, db_path: Path, make_event: MakeEvent) -> None:
    class Closed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = f"Event loop is closed: {record.levelname}"
            raise RuntimeError(message)

    handler = Closed()
    logging.getLogger().addHandler(handler)
    try:
        recorder.submit(make_event(prompt_tokens=2**63))
        wait_until(lambda: recorder.counters().get("rejected") == 1)
        recorder.submit(make_event())
        wait_until(lambda: rows(db_path) == 1)
    finally:
        logging.getLogger().removeHandler(handler)


def test_two_recorders_share_a_file(current_db: Path, make_event: MakeEvent) -> None:
    pair = [Recorder(current_db), Recorder(current_db)]
    for recorder in pair:
        recorder.open()
        recorder.start()
    for _ in range(300):
        for recorder in pair:
            recorder.submit(make_event())
    for recorder in pair:
        recorder.close()
    assert rows(current_db) == 600


def test_a_kill_loses_nothing_that_was_written_before(current_db: Path) -> None:
    code = """
import os, signal, sys, pathlib
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
recorder = Recorder(pathlib.Path(sys.argv[1]))
recorder.open()
recorder.start()
number = 0
while recorder.counters().get("written", 0) < 2000:
    number += 1
    recorder.submit(CompletionRequest(timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200,
        response_time_ms=1, is_streaming=False, event_id=new_event_id(number)))
print(recorder.counters()["written"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    result = run(code, current_db)
    assert rows(current_db) >= int(result.stdout)
    assert ask(current_db, "PRAGMA integrity_check") == [("ok",)]


def test_the_live_file_is_opened_by_sqlite_alone(db_path: Path) -> None:
    code = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
opened = []
def hook(name, arguments):
    if name == "open" and str(arguments[0]) in {sys.argv[1] + suffix for suffix in ("", "-wal", "-shm")}:
        opened.append(str(arguments[0]))
sys.addaudithook(hook)
for number in range(2):
    recorder = Recorder(pathlib.Path(sys.argv[1]))
    recorder.open()
    recorder.start()
    recorder.submit(CompletionRequest(timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200,
        response_time_ms=1, is_streaming=False, event_id=new_event_id(number)))
    recorder.close()
assert opened == [sys.argv[1]], opened  # once, exclusively, to create it before there was any connection
"""
    result = run(code, db_path)
    assert result.returncode == 0, result.stderr
    assert rows(db_path) == 2


def test_the_first_batch_says_which_version_wrote_it_and_a_start_without_calls_says_nothing(
    current_db: Path, make_event: MakeEvent
) -> None:
    for batches in (0, 2):
        recorder = Recorder(current_db)
        recorder.open()
        recorder.start()
        for number in range(batches):
            recorder.submit(make_event())
            wait_until(lambda: recorder.counters().get("written") == number + 1)  # noqa: B023 - called at once
        recorder.close()
    noted = ask(current_db, "SELECT kind, detail FROM recorder_events")
    assert noted == [("start", f"llm-metrics-proxy {__version__}")]
