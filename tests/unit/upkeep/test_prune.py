"""Retention: what is too old goes, all else stays, and nobody who writes waits long meanwhile."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.commands.prune import prune as prune_command
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence, slices, timestamps
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.upkeep import prune
from tests.support.database import ask, execute

type MakeEvent = Callable[..., CompletionRequest]

START = datetime(2026, 3, 1, tzinfo=UTC)
CALLS = 20_000  # one a second
HALF = START + timedelta(seconds=CALLS // 2)


def command(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(prune_command, [str(one) for one in arguments], input=answer)


@pytest.fixture
def filled(current_db: Path, make_event: MakeEvent) -> Path:
    """`CALLS` calls, one a second from `START` on."""
    with closing(open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(
            [
                make_event(
                    timestamp=timestamps.bound(START + timedelta(seconds=n)), error_message="x" * 200, success=False
                )
                for n in range(CALLS)
            ]
        )
    return current_db


def test_what_is_older_goes_and_what_is_not_stays(filled: Path) -> None:
    newer = ask(filled, f"SELECT * FROM completion_requests WHERE timestamp >= '{timestamps.bound(HALF)}'")  # noqa: S608
    done = prune.prune(filled, HALF)
    assert done.rows == CALLS // 2
    assert (done.from_at, done.to_at) == ("2026-03-01T00:00:00.000Z", timestamps.bound(HALF - timedelta(seconds=1)))
    assert ask(filled, "SELECT * FROM completion_requests") == newer
    assert ask(filled, "PRAGMA integrity_check") == [("ok",)]
    assert prune.prune(filled, HALF).rows == 0


def test_a_call_at_the_very_moment_stays(current_db: Path, make_event: MakeEvent) -> None:
    with closing(open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_request(make_event(timestamp=timestamps.bound(START)))
    assert prune.prune(current_db, START).rows == 0
    assert prune.prune(current_db, START + timedelta(microseconds=1)).rows == 1


def test_calls_that_a_trigger_of_the_users_keeps_stay_and_the_others_go(filled: Path) -> None:
    execute(
        filled,
        """
        CREATE TRIGGER pinned BEFORE DELETE ON completion_requests WHEN old.id % 2 BEGIN SELECT RAISE(IGNORE); END
        """,
    )
    assert prune.prune(filled, HALF).rows == CALLS // 4
    assert ask(filled, "SELECT count(*), sum(id % 2) FROM completion_requests") == [(CALLS * 3 // 4, CALLS // 2)]


def test_the_file_becomes_smaller(filled: Path) -> None:
    done = prune.prune(filled, HALF)
    assert done.vacuumed
    assert done.bytes_after < 0.7 * done.bytes_before
    assert done.bytes_after == filled.stat().st_size
    assert ask(filled, "PRAGMA freelist_count") == [(0,)]


def test_the_database_says_what_was_deleted(filled: Path) -> None:
    done = prune.prune(filled, HALF)
    rows = ask(filled, "SELECT kind, count, from_at, to_at FROM recorder_events")
    assert rows == [("prune", done.rows, done.from_at, done.to_at)]
    prune.prune(filled, HALF)
    assert len(ask(filled, "SELECT * FROM recorder_events")) == 1  # nothing deleted, nothing to say


def test_the_recorders_own_rows_of_that_time_go_too(current_db: Path) -> None:
    for at in (START, HALF):
        text = timestamps.bound(at)
        execute(current_db, "INSERT INTO recorder_events (at, process, kind) VALUES (?, 'p', 'gap')", text)
        execute(current_db, "INSERT INTO unrecognised VALUES ('h', ?, 1, ?, ?)", text, text, text)
        execute(current_db, "INSERT INTO tunnelled_hosts VALUES (?, ?, 1, ?, ?)", text[:10], text, text, text)
    prune.prune(current_db, HALF)
    assert ask(current_db, "SELECT at FROM recorder_events") == [(timestamps.bound(HALF),)]
    assert ask(current_db, "SELECT last_at FROM unrecognised") == [(timestamps.bound(HALF),)]
    assert ask(current_db, "SELECT last_at FROM tunnelled_hosts") == [(timestamps.bound(HALF),)]


def test_what_was_replayed_is_known_for_as_long_as_the_file_may_be_there(current_db: Path) -> None:
    now = datetime.now(UTC)
    for at in (now - timedelta(days=1), now - timedelta(days=40)):
        statement = "INSERT INTO recorder_events (at, process, kind) VALUES (?, 'p', 'replay')"
        execute(current_db, statement, timestamps.bound(at))
    prune.prune(current_db, now)
    assert len(ask(current_db, "SELECT * FROM recorder_events")) == 1


def test_counters_of_the_long_gone_are_added_up_and_no_others(current_db: Path) -> None:
    now = datetime.now(UTC)
    long_ago, lately = timestamps.bound(now - timedelta(days=31)), timestamps.bound(now - timedelta(days=29))
    living = presence.Presence(current_db, "living-1-1")
    living.appear()
    rows = [
        ("gone-1-1", "received", 5, long_ago),
        ("gone-1-1", "written", 4, long_ago),
        ("gone-2-2", "received", 7, long_ago),
        ("half-3-3", "received", 1, long_ago),  # another counter of the same process is newer
        ("half-3-3", "written", 1, lately),
        ("living-1-1", "received", 11, long_ago),
    ]
    for row in rows:
        execute(current_db, "INSERT INTO recorder_counters VALUES (?, ?, ?, ?)", *row)
    try:
        for _ in range(2):  # a second time changes nothing
            prune.prune(current_db, START)
            assert ask(current_db, "SELECT process, name, value FROM recorder_counters ORDER BY 1, 2") == [
                ("earlier", "received", 12),
                ("earlier", "written", 4),
                ("half-3-3", "received", 1),
                ("half-3-3", "written", 1),
                ("living-1-1", "received", 11),
            ]
    finally:
        living.vanish()
    prune.prune(current_db, START)
    assert ask(current_db, "SELECT sum(value) FROM recorder_counters WHERE name = 'received'") == [(24,)]


@pytest.fixture
def writes(filled: Path) -> Iterator[list[float]]:
    """How many seconds each write of another connection took that writes all the time."""
    enough, began, took = threading.Event(), threading.Event(), list[float]()

    def write() -> None:
        with closing(open_writer(filled)) as connection:
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA synchronous=OFF")  # only the lock is to be waited for
            while not enough.is_set():
                start = time.monotonic()
                connection.execute("INSERT INTO recorder_counters VALUES ('p', ?, 1, '~')", (str(start),))
                took.append(time.monotonic() - start)
                began.set()
                enough.wait(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    assert began.wait(10)
    yield took
    enough.set()
    thread.join()


def test_others_write_all_the_time(filled: Path, writes: list[float]) -> None:
    before = len(writes)
    done = prune.prune(filled, HALF)
    during = writes[before:]
    assert done.slices > 5
    assert len(during) > done.slices / 2
    assert max(during) < 1.0


def test_the_lock_is_held_for_as_long_as_is_said_and_not_for_long(filled: Path) -> None:
    with closing(open_writer(filled)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        made = slices.Slices(connection, filled, hold_ms=50)
        for number in range(1, 6):
            asked = time.monotonic()
            with made.hold() as has_time:
                began = time.monotonic()
                while has_time():
                    connection.execute("UPDATE completion_requests SET model = 'm' WHERE id = 1")
                worked_ms = (time.monotonic() - began) * 1_000
                assert connection.in_transaction
            assert not connection.in_transaction
            assert worked_ms < 50
            # From within to within: what is said is not less than the work, and not more than all of it.
            assert worked_ms <= made.longest_ms
            assert number > 1 or made.longest_ms <= (time.monotonic() - asked) * 1_000
        assert made.count == 5
        assert made.longest_ms < 500


def test_a_slice_ends_when_its_time_is_up_and_not_when_the_work_is_done(filled: Path) -> None:
    deleted: list[int] = []
    prune.prune(filled, HALF, hold_ms=5, progress=deleted.append)
    assert len(deleted) > 10


def test_between_two_slices_the_lock_is_free_for_as_long_as_it_was_held(current_db: Path) -> None:
    with closing(open_writer(current_db)) as connection:
        made = slices.Slices(connection, current_db)
        for seconds in (0.0, 0.1):
            with made.hold():
                time.sleep(seconds)
                ended = time.monotonic()
            assert time.monotonic() - ended >= max(seconds, 0.02)


def test_the_next_slice_is_shorter_when_one_took_long(current_db: Path) -> None:
    took = []
    with closing(open_writer(current_db)) as connection:
        for _ in range(4):
            made = slices.Slices(connection, current_db, hold_ms=50)
            with made.hold() as has_time:
                while has_time():
                    pass
                time.sleep(0.2)  # as a commit on a slow disk
            began = time.monotonic()
            with made.hold() as has_time:
                while has_time():
                    pass
                took.append(time.monotonic() - began)
    assert min(took) < 0.015, "the machine may be slow once, but not four times"


def test_it_stops_between_two_slices_and_what_is_deleted_stays_deleted(filled: Path) -> None:
    stop = threading.Event()
    done = prune.prune(filled, HALF, stop=stop, progress=lambda _rows: stop.set())
    assert 0 < done.rows < CALLS // 2
    assert not done.vacuumed
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS - done.rows,)]
    assert ask(filled, "SELECT count FROM recorder_events") == [(done.rows,)]


def test_a_lock_that_is_held_too_long_is_one_sentence(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseRefused, match=r"is locked by another process \(waited 0.1 s\)"):
            prune.prune(filled, HALF)
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS,)]


def test_a_short_lock_is_waited_for(filled: Path) -> None:
    other = sqlite3.connect(filled, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.8, lambda: other.execute("ROLLBACK"))  # longer than the writer's own patience
    timer.start()
    try:
        assert prune.prune(filled, HALF).rows == CALLS // 2
    finally:
        timer.join()
        other.close()


def test_only_a_database_of_the_present_version_is_pruned(version_1: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="run llm-metrics migrate"):
        prune.prune(version_1, START)
    with pytest.raises(DatabaseRefused, match="There is no database"):
        prune.prune(tmp_path / "typo.db", START)
    with pytest.raises(ValueError, match="no time zone"):
        prune.prune(version_1, datetime(2026, 1, 1))  # noqa: DTZ001 - what the test is about
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.db", "saved"]


def test_a_running_recorder_loses_nothing(filled: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(filled)
    recorder.open()
    recorder.start()
    fed = 0

    def feed(_rows: int) -> None:
        nonlocal fed
        fed += recorder.submit(make_event(timestamp="2026-04-01T00:00:00.000Z", event_id=new_event_id(fed)))

    prune.prune(filled, HALF, progress=feed)
    recorder.close()
    assert fed > 3
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS // 2 + fed,)]


@pytest.fixture
def upgraded(version_1: Path, tmp_path: Path) -> Path:
    """A file of version 1, which cannot shrink, at the present version."""
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    for saved in (tmp_path / "saved").iterdir():
        saved.unlink()
    return version_1


def test_a_file_of_version_1_is_pruned_and_keeps_its_size(upgraded: Path, tmp_path: Path) -> None:
    result = command("--before", "2026-01-02", "--db", upgraded, "--backup-dir", tmp_path / "saved", "--yes")
    assert result.exit_code == 0
    assert "1 calls were deleted" in result.output
    assert "The file does not shrink" in result.output
    assert "--vacuum" in result.output


def test_it_is_rebuilt_on_request_and_shrinks_from_then_on(upgraded: Path, tmp_path: Path) -> None:
    arguments = ("--before", "2026-01-02", "--db", upgraded, "--backup-dir", tmp_path / "saved", "--yes")
    result = command(*arguments, "--vacuum")
    assert result.exit_code == 0, result.output
    assert "does not shrink" not in result.output
    assert ask(upgraded, "PRAGMA auto_vacuum") == [(2,)]
    assert ask(upgraded, "PRAGMA journal_mode") == [("wal",)]
    assert ask(upgraded, "SELECT id FROM completion_requests") == [(2,)]
    Recorder(upgraded).open()


def test_it_is_not_rebuilt_while_somebody_has_it_open(
    upgraded: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "_PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(upgraded)) as reader:
        reader.execute("SELECT count(*) FROM completion_requests").fetchall()
        with pytest.raises(DatabaseRefused, match="while another process has it open"):
            prune.vacuum(upgraded)
    recorder = Recorder(upgraded)
    recorder.open()
    recorder.start()
    recorder.submit(make_event())
    try:
        ends = time.monotonic() + 5
        while ask(upgraded, "SELECT count(*) FROM completion_requests") != [(3,)]:
            assert time.monotonic() < ends
        with pytest.raises(DatabaseRefused, match="is open in"):
            prune.vacuum(upgraded)
    finally:
        recorder.close()
    assert ask(upgraded, "PRAGMA auto_vacuum") == [(0,)]


def test_it_is_not_rebuilt_without_space(upgraded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "SPACE_FACTOR", 1e15)
    with pytest.raises(DatabaseRefused, match=r"free, and rebuilding .* needs"):
        prune.vacuum(upgraded)


def test_the_command_asks_backs_up_and_says_what_it_did(filled: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    arguments = ("--before", "2026-03-01T02:00:00", "--db", filled, "--backup-dir", saved)
    refused = command(*arguments, answer="n\n")
    assert (refused.exit_code, "Delete 7,200 calls (from 2026-03-01T00:00:00.000Z to" in refused.output) == (1, True)
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS,)]
    done = command(*arguments, answer="y\n")
    assert done.exit_code == 0
    assert "7,200 calls were deleted" in done.output
    (backup,) = saved.glob("*.backup")
    assert str(backup) in done.output
    assert ask(backup, "SELECT count(*) FROM completion_requests") == [(CALLS,)]


def test_a_dry_run_deletes_nothing(filled: Path) -> None:
    result = command("--older-than", "1d", "--db", filled, "--dry-run", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["rows"], document["dry_run"]) == (CALLS, True)
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS,)]


def test_the_json_document_has_every_figure(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    result = command("--before", "2026-03-02", "--db", filled, "--backup-dir", tmp_path / "saved", "--yes", "--json")
    # It says how far it is once it has taken two seconds.
    said = [line for line in result.stderr.splitlines() if not line.startswith(f"Pruning {filled}")]
    assert (result.exit_code, said) == (0, [])
    document = json.loads(result.stdout)
    assert document["rows"] == CALLS
    assert document["before"] == "2026-03-02T00:00:00.000Z"
    assert set(document) == {
        "database", "before", "dry_run", "rows", "from_at", "to_at", "kept", "slices", "longest_hold_ms",
        "bytes_before", "bytes_after", "vacuumed", "backup",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "phrase"),
    [
        ((), 2, "give --older-than or --before"),
        (("--older-than", "1d", "--before", "2026-01-01"), 2, "only one of them"),
        (("--older-than", "soon"), 1, "no length of time"),
        (("--before", "soon"), 2, "does not match the formats"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], code: int, phrase: str, filled: Path) -> None:
    result = command(*arguments, "--db", filled, "--yes")
    assert (result.exit_code, phrase in result.stderr) == (code, True), result.stderr
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS,)]


def test_without_a_backup_nothing_is_deleted(filled: Path, tmp_path: Path) -> None:
    result = command("--older-than", "1d", "--db", filled, "--yes", "--backup-dir", tmp_path / "not" / "there")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert ask(filled, "SELECT count(*) FROM completion_requests") == [(CALLS,)]
