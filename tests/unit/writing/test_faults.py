"""Whatever happens to the database while events come: none is lost, none is there twice, and it goes on by itself."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

import pytest
from sqlite_utils import Database

from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.spill_folder import folder_of, make
from llm_metrics_proxy.recorder.writing import write_loop
from llm_metrics_proxy.recorder.writing.live_file import LiveFile
from llm_metrics_proxy.recorder.writing.spill import files
from tests.support.database import ask, rows
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]

SUFFIXES = ("", "-wal", "-shm")


class Load:
    """200 events a second, from another thread, until it ends."""

    def __init__(self, recorder: Recorder, make_event: MakeEvent) -> None:
        self.sent: list[str] = []
        self._recorder = recorder
        self._make_event = make_event
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._enough.wait(0.005):
            event = self._make_event()
            assert self._recorder.submit(event)
            self.sent.append(event.event_id)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def more(self, count: int = 20) -> None:
        """Wait until so many more were sent."""
        goal = len(self.sent) + count
        wait_until(lambda: len(self.sent) >= goal)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits half a minute in earnest waits half a second here."""
    monkeypatch.setattr(write_loop, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(write_loop, "_LONGEST_PAUSE", 0.5)


@pytest.fixture
def load(recorder: Recorder, db_path: Path, make_event: MakeEvent) -> Iterator[Load]:
    with Load(recorder, make_event) as running:
        running.more()
        wait_until(lambda: rows(db_path) > 0)
        yield running


def assert_nothing_is_missing(path: Path, recorder: Recorder, load: Load) -> None:
    load.__exit__()
    recorder.close()
    recorded = [event_id for (event_id,) in ask(path, "SELECT event_id FROM completion_requests")]
    assert sorted(map(str, recorded)) == sorted(load.sent)
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    counters = recorder.counters()
    assert not any(name.startswith("dropped") for name in counters), counters
    assert counters.get("spilled", 0) == counters.get("replayed", 0)


def remove(path: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        Path(f"{path}{suffix}").unlink()


@contextmanager
def kept_aside(recorder: Recorder) -> Iterator[None]:
    """What is done here keeps events from the database, and they are kept aside."""
    before = recorder.counters().get("spilled", 0)
    yield
    wait_until(lambda: recorder.counters().get("spilled", 0) > before)


@pytest.mark.parametrize(
    "gone",
    [SUFFIXES, ("",), ("-wal",), ("-shm",), ("-wal", "-shm"), ("", "-wal")],
    ids=lambda gone: "and".join(gone) or "db",
)
def test_files_that_are_removed_cost_nothing(
    gone: tuple[str, ...], recorder: Recorder, db_path: Path, load: Load
) -> None:
    remove(db_path, *gone)
    load.more(60)
    wait_until(lambda: all(Path(f"{db_path}{suffix}").exists() for suffix in SUFFIXES))
    load.more(20)
    assert_nothing_is_missing(db_path, recorder, load)
    assert ask(db_path, "SELECT kind FROM recorder_events WHERE kind = 'salvage'") == [("salvage",)]
    assert list(db_path.parent.glob("*.salvaged")) == []


@pytest.mark.parametrize("moved", [SUFFIXES, ("",)], ids=["all", "the database alone"])
def test_a_database_that_is_moved_away_comes_back(
    moved: tuple[str, ...], recorder: Recorder, db_path: Path, load: Load
) -> None:
    for suffix in moved:
        Path(f"{db_path}{suffix}").rename(f"{db_path.with_name('away.db')}{suffix}")
    load.more(60)
    wait_until(db_path.exists)
    load.more(20)
    assert_nothing_is_missing(db_path, recorder, load)


def test_a_database_that_is_replaced_is_kept_beside_and_the_new_one_goes_on(
    recorder: Recorder, db_path: Path, tmp_path: Path, make_event: MakeEvent, load: Load
) -> None:
    other = tmp_path / "other.db"
    of_other = make_event(model="of the other")
    with Load(_started(other), make_event) as others:
        others._recorder.submit(of_other)  # noqa: SLF001 - its own
        others.more()
    others._recorder.close()  # noqa: SLF001
    other.rename(db_path)
    load.more(60)
    wait_until(lambda: list(db_path.parent.glob("*.salvaged")) != [])
    load.more(20)
    load.__exit__()
    recorder.close()
    (salvaged,) = db_path.parent.glob("*.salvaged")
    here, beside = (
        [str(event_id) for (event_id,) in ask(path, "SELECT event_id FROM completion_requests")]
        for path in (db_path, salvaged)
    )
    # Calls of the last minute are kept again when a file is not to be trusted: both may have them, and neither twice.
    assert {*here, *beside} == {*load.sent, *others.sent, of_other.event_id}
    assert (len(here), len(beside)) == (len(set(here)), len(set(beside)))
    assert {*others.sent, of_other.event_id} <= set(here)
    assert ask(db_path, "SELECT detail FROM recorder_events WHERE kind = 'salvage'") == [(f"kept as {salvaged.name}",)]
    assert ask(db_path, "PRAGMA integrity_check") == ask(salvaged, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("content", [b"", b"some notes\n" * 1_000], ids=["empty", "text"])
def test_a_database_that_is_replaced_by_something_else_is_kept_beside(
    content: bytes, recorder: Recorder, db_path: Path, tmp_path: Path, load: Load
) -> None:
    (tmp_path / "other").write_bytes(content)
    (tmp_path / "other").rename(db_path)
    load.more(60)
    wait_until(lambda: list(db_path.parent.glob("*.salvaged")) != [])
    if content:
        with kept_aside(recorder):
            load.more(20)
        assert db_path.read_bytes() == content
        remove(db_path, "")
        wait_until(db_path.exists)
    wait_until(lambda: not files(folder_of(db_path)))
    load.__exit__()
    recorder.close()
    (salvaged,) = db_path.parent.glob("*.salvaged")
    recorded = [
        str(one) for path in (db_path, salvaged) for (one,) in ask(path, "SELECT event_id FROM completion_requests")
    ]
    assert sorted(recorded) == sorted(load.sent)


def test_a_backup_that_is_put_back_into_the_file_is_written_on(
    recorder: Recorder, db_path: Path, tmp_path: Path, load: Load
) -> None:
    with closing(sqlite3.connect(db_path)) as live, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        live.backup(copy)
        (had,) = copy.execute("SELECT count(*) FROM completion_requests").fetchone()
        before = len(load.sent)
        copy.backup(live)
    load.more(40)
    load.__exit__()
    recorder.close()
    assert rows(db_path) >= had + len(load.sent) - before
    assert ask(db_path, "PRAGMA integrity_check") == [("ok",)]


def test_a_lock_of_another_process_costs_nothing(recorder: Recorder, db_path: Path, load: Load) -> None:
    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with kept_aside(recorder):
            load.more(300)
        other.execute("ROLLBACK")
    wait_until(lambda: not files(folder_of(db_path)))
    assert_nothing_is_missing(db_path, recorder, load)


def test_a_full_database_costs_nothing(
    recorder: Recorder, db_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    check_schema = LiveFile.check_schema

    def limit(live: LiveFile, connection: sqlite3.Connection) -> None:  # SQLITE_FULL without a disk of our own
        check_schema(live, connection)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages if full.is_set() else 1_000_000}")

    monkeypatch.setattr(LiveFile, "check_schema", limit)
    full.set()
    with kept_aside(recorder):
        load.more(300)
    full.clear()
    wait_until(lambda: not files(folder_of(db_path)))
    assert_nothing_is_missing(db_path, recorder, load)


def test_a_schema_that_a_user_changed_costs_nothing_and_is_named(
    recorder: Recorder, db_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    with kept_aside(recorder):
        with closing(Database(db_path)) as user:
            user.table("completion_requests").transform(drop=["user_agent"])
        load.more()
    wait_until(lambda: "was changed by another program" in caplog.text)
    load.__exit__()
    recorder.close()
    counters = recorder.counters()
    assert rows(db_path) + counters["spilled"] - counters.get("replayed", 0) == len(load.sent)


def test_what_a_user_adds_beside_the_schema_changes_nothing(recorder: Recorder, db_path: Path, load: Load) -> None:
    with closing(sqlite3.connect(db_path)) as user:
        user.execute("CREATE TABLE notes (text TEXT)")
        user.execute("CREATE INDEX by_model ON completion_requests(model)")
    load.more()
    assert_nothing_is_missing(db_path, recorder, load)
    assert "spilled" not in recorder.counters()


def test_a_damaged_database_is_left_alone_and_goes_on_once_it_is_whole(
    recorder: Recorder, db_path: Path, tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(db_path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = db_path.read_bytes()
    with db_path.open("r+b") as file:  # another program's
        file.write(b"not a database at all, any more " * 128)
    load.more(100)
    wait_until(lambda: "spilled" in recorder.counters(), seconds=10)
    wait_until(lambda: "is not a SQLite database" in caplog.text or "is damaged" in caplog.text)
    wait_until(lambda: _opens(db_path))
    with presence.exclusively(db_path, 5):
        for suffix in ("-wal", "-shm"):
            Path(f"{db_path}{suffix}").unlink(missing_ok=True)
        (tmp_path / "whole").write_bytes(whole)
        (tmp_path / "whole").rename(db_path)
    wait_until(lambda: not files(folder_of(db_path)), seconds=10)
    load.more()
    load.__exit__()
    recorder.close()
    assert ask(db_path, "PRAGMA integrity_check") == [("ok",)]


def test_a_start_may_go_on_without_the_database_and_writes_it_when_it_can(db_path: Path, make_event: MakeEvent) -> None:
    db_path.write_text("some notes")
    recorder = Recorder(db_path)
    assert "is not a SQLite database" in str(recorder.open(or_spill=True))
    recorder.start()
    with Load(recorder, make_event) as load:
        with kept_aside(recorder):
            load.more()
        db_path.unlink()
        wait_until(lambda: db_path.exists() and not files(folder_of(db_path)))
        assert_nothing_is_missing(db_path, recorder, load)


@pytest.mark.parametrize("at_once", [True, False], ids=["at its end", "at idle"])
def test_a_file_that_is_removed_while_nothing_happens_comes_back(
    at_once: object, recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    for _ in range(10):
        recorder.submit(make_event())
    wait_until(lambda: rows(db_path) == 10)
    remove(db_path, *SUFFIXES)
    if not at_once:
        wait_until(db_path.exists)
    recorder.close()
    assert rows(db_path) == 10


def test_what_killed_recorders_leave_goes_with_the_next_start_but_for_their_events(
    current_db: Path, make_event: MakeEvent
) -> None:
    folder = make(current_db)
    for name in ("host-1-1.alive", "host-1-1.reserve", "host-2-2.reserve", "rejected.jsonl"):
        (folder / name).touch()
    recorder = _started(current_db)
    recorder.submit(make_event())
    recorder.close()
    assert [file.name for file in folder.iterdir()] == ["rejected.jsonl"]


@pytest.mark.parametrize("many", [1, 3])
def test_recorders_of_one_file_that_is_replaced_leave_one_copy(
    many: int, current_db: Path, tmp_path: Path, make_event: MakeEvent
) -> None:
    recorders = [_started(current_db) for _ in range(many)]
    events = [make_event() for _ in recorders]
    for recorder, event in zip(recorders, events, strict=True):
        recorder.submit(event)
    wait_until(lambda: rows(current_db) == many)
    Recorder(tmp_path / "other.db").open()
    (tmp_path / "other.db").rename(current_db)
    wait_until(lambda: len(list(tmp_path.glob("*.salvaged"))) == 1)
    for recorder in recorders:
        recorder.submit(make_event())
    wait_until(lambda: rows(current_db) == many)
    for recorder in recorders:
        recorder.close()
    (salvaged,) = tmp_path.glob("*.salvaged")
    assert (rows(current_db), rows(salvaged)) == (many, many)


def test_two_recorders_whose_file_is_removed_lose_nothing(current_db: Path, make_event: MakeEvent) -> None:
    pair = [_started(current_db), _started(current_db)]
    with Load(pair[0], make_event) as one, Load(pair[1], make_event) as two:
        one.more()
        two.more()
        remove(current_db, *SUFFIXES)
        one.more(60)
        two.more(60)
    for recorder in pair:
        recorder.close()
    recorded = [str(event_id) for (event_id,) in ask(current_db, "SELECT event_id FROM completion_requests")]
    assert sorted(recorded) == sorted(one.sent + two.sent)
    assert list(current_db.parent.glob("*.salvaged")) == []


def _started(path: Path) -> Recorder:
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    return recorder


def _opens(path: Path) -> bool:
    try:
        with presence.exclusively(path, 0):
            return True
    except Exception:  # noqa: BLE001 - not yet
        time.sleep(0.01)
        return False
