"""An exporter: each row arrives, once in effect, whatever happens on either side, and nothing is pruned before."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recorder import backup, identity, presence, prune, restore, status, timestamps, watermarks
from recorder.background import open_background
from recorder.cli import main
from recorder.dao import CompletionRequestsDAO
from recorder.database import open_writer
from recorder.errors import DatabaseRefused, ExportFailed
from recorder.events import CompletionRequest, new_event_id
from recorder.export import cursors, outbox, run
from recorder.export.destination import Batch, Row, Unacceptable, Unavailable
from recorder.export.outbox import COLUMN
from recorder.export.run import Report, export
from recorder.worker import Recorder
from tests.shelf import Forgetful, Shelf

type MakeEvent = Callable[..., CompletionRequest]

ROWS = 35  # three batches and a half


def ask(path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, parameters).fetchall()


def execute(path: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, parameters)
        connection.commit()


def stored(path: Path) -> list[Row]:
    return ask(path, "SELECT * FROM completion_requests ORDER BY id")


def add(path: Path, *events: CompletionRequest) -> None:
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(events)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.fixture
def filled(current_db: Path, make_event: MakeEvent) -> Path:
    add(current_db, *(make_event(event_id=new_event_id(n), model=f"model {n}") for n in range(ROWS)))
    return current_db


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(run, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(0))


@contextmanager
def recording(path: Path) -> Iterator[Recorder]:
    """A recorder that lives."""
    recorder = Recorder(path)
    recorder.open()
    recorder.start()
    try:
        deadline = time.monotonic() + 10
        while not presence.living(path):
            assert time.monotonic() < deadline
            time.sleep(0.01)
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


def test_every_row_arrives_once_with_all_its_columns(filled: Path) -> None:
    shelf = Shelf()
    assert export(filled, shelf) == Report(sent=ROWS, refused=0, waiting=0)
    assert list(shelf.rows.values()) == stored(filled)
    assert (shelf.came, shelf.closed) == (ROWS, True)
    names = ask(filled, "SELECT name FROM pragma_table_info('completion_requests')")
    assert tuple(name for (name,) in names) == outbox.COLUMNS


def test_the_next_export_goes_on_where_the_last_one_was(filled: Path, make_event: MakeEvent) -> None:
    export(filled, shelf := Shelf())
    add(filled, make_event(model="new"))
    assert export(filled, shelf).sent == 1
    assert (shelf.came, len(shelf.rows)) == (ROWS + 1, ROWS + 1)


def test_a_row_that_is_changed_after_it_was_sent_is_sent_again(filled: Path) -> None:
    export(filled, shelf := Shelf())
    execute(filled, "UPDATE completion_requests SET cost_usd = 0.25 WHERE id = 7")
    assert export(filled, shelf).sent == 1
    assert list(shelf.rows.values()) == stored(filled)
    assert ask(filled, "SELECT count(*) FROM export_changes") == [(0,)]


def test_a_row_that_is_changed_while_it_is_sent_is_sent_again(filled: Path) -> None:
    shelf = Shelf()
    shelf.before = lambda batch: execute(
        filled, "UPDATE completion_requests SET cost_usd = 0.25 WHERE id = ? AND cost_usd IS NULL", batch.rows[0][0]
    )
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)


def test_a_row_that_changes_between_two_looks_is_sent_as_it_is_now(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = outbox.rows

    def racing(connection: sqlite3.Connection, above: int, up_to: int) -> list[Row]:
        found = rows(connection, above, up_to)
        if any(row[0] == 3 for row in found):
            execute(filled, "UPDATE completion_requests SET cost_usd = 7 WHERE id = 3")
        return found

    monkeypatch.setattr(outbox, "rows", racing)
    export(filled, shelf := Shelf())
    assert list(shelf.rows.values()) == stored(filled)


def test_a_text_that_is_no_utf_8_goes_as_far_as_it_can_be_read(filled: Path) -> None:
    execute(filled, "UPDATE completion_requests SET model = CAST(x'67ff' AS TEXT) WHERE id = 3")
    export(filled, shelf := Shelf())
    assert len(shelf.rows) == ROWS
    assert "g\N{REPLACEMENT CHARACTER}" in {row[COLUMN["model"]] for row in shelf.rows.values()}


def test_what_the_recorders_say_of_themselves_arrives(filled: Path) -> None:
    with recording(filled) as recorder:
        recorder.count("unparsed")
    export(filled, shelf := Shelf())
    (account,) = shelf.accounts
    assert [(name, value) for _process, name, value, _at in account.counters] == [("unparsed", 1)]


def test_many_changes_are_forgotten_a_few_at_a_time(filled: Path) -> None:
    export(filled, shelf := Shelf())
    with closing(sqlite3.connect(filled)) as connection:
        connection.executemany("INSERT INTO export_changes (row_id) VALUES (?)", [(1,)] * 12_000)
        connection.commit()
        newest = connection.execute("SELECT max(id) FROM export_changes").fetchone()[0]
        connection.execute("UPDATE exporters SET change_id = ?", (newest,))
        connection.commit()
    shelf.positions = {source: position._replace(change_id=newest) for source, position in shelf.positions.items()}
    left = []
    for _ in range(3):
        execute(filled, "UPDATE completion_requests SET cost_usd = ifnull(cost_usd, 0) + 1 WHERE id = 1")
        export(filled, shelf)
        left += ask(filled, "SELECT count(*) FROM export_changes")
    assert left == [(7_001,), (2_002,), (0,)]


def test_changes_are_not_noted_for_a_destination_that_does_not_want_them(filled: Path) -> None:
    shelf = Shelf()
    shelf.wants_changes = False
    export(filled, shelf)
    execute(filled, "UPDATE completion_requests SET cost_usd = 0.25")
    assert ask(filled, "SELECT count(*) FROM export_changes") == [(0,)]
    assert export(filled, shelf).sent == 0


def test_an_outage_is_waited_for(filled: Path) -> None:
    reports: list[Report] = []
    shelf = Shelf()
    shelf.before = fails(3, Unavailable("it sleeps"))
    export(filled, shelf, progress=reports.append)
    assert len(shelf.rows) == ROWS
    assert [report.error for report in reports[:2]] == ["it sleeps", None]
    assert shelf.connected == 4


def test_what_arrived_though_the_answer_was_lost_changes_nothing(filled: Path) -> None:
    shelf = Shelf()
    shelf.after = fails(2, Unavailable("connection lost"))
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)


def test_a_destination_that_does_not_know_how_far_it_is_gets_a_batch_twice_at_most(filled: Path) -> None:
    shelf = Forgetful()
    shelf.after = fails(1, Unavailable("connection lost"))
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)
    assert shelf.came == ROWS + shelf.rows_at_once
    assert export(filled, shelf).sent == 0


def test_without_follow_an_outage_is_not_waited_for_for_ever(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.05)
    shelf = Shelf()
    shelf.before = fails(1_000, Unavailable("it sleeps"))
    with pytest.raises(ExportFailed, match=r"shelf somewhere was not reached .*it sleeps.*: see that it runs"):
        export(filled, shelf)
    assert shelf.closed


def test_an_export_that_is_killed_between_sending_and_noting_sends_a_batch_again(filled: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(_batch: Batch) -> None:
        raise Killed

    shelf = Shelf()
    shelf.after = kill
    with pytest.raises(Killed):
        export(filled, shelf)
    shelf.after = lambda _batch: None
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)


def test_a_server_that_lost_all_is_filled_again(filled: Path) -> None:
    export(filled, Shelf())
    export(filled, emptied := Shelf())
    assert list(emptied.rows.values()) == stored(filled)


def test_again_begins_with_the_first_row(filled: Path) -> None:
    export(filled, shelf := Shelf())
    assert export(filled, shelf, again=True).sent == ROWS
    assert shelf.came == 2 * ROWS


def test_after_a_restore_rows_with_ids_that_were_sent_before_arrive(
    filled: Path, make_event: MakeEvent, tmp_path: Path
) -> None:
    export(filled, shelf := Shelf())
    saved = backup.create(filled, backup_dir=tmp_path)
    add(filled, make_event(model="before"))
    export(filled, shelf)
    restore.restore(filled, saved, backup_dir=tmp_path)
    execute(filled, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'completion_requests'", ROWS)
    add(filled, make_event(model="after"))
    assert stored(filled)[-1][0] == ROWS + 1, "the id that the lost row had"
    export(filled, shelf)
    assert {row[COLUMN["model"]] for row in shelf.rows.values()} >= {"before", "after"}


def test_a_restore_in_the_middle_of_following_is_noticed(filled: Path, make_event: MakeEvent, tmp_path: Path) -> None:
    export(filled, shelf := Shelf())
    saved = backup.create(filled, backup_dir=tmp_path)
    add(filled, make_event(model="before"))

    def swap(report: Report) -> bool:
        if report.sent == 1 and not report.waiting and "after" not in models(filled):
            restore.restore(filled, saved, backup_dir=tmp_path)
            execute(filled, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'completion_requests'", ROWS)
            add(filled, make_event(model="after"))
        return any(row[COLUMN["model"]] == "after" for row in shelf.rows.values())

    following(filled, shelf, swap)
    assert {row[COLUMN["model"]] for row in shelf.rows.values()} >= {"before", "after"}


def models(path: Path) -> set[str]:
    return {model for (model,) in ask(path, "SELECT model FROM completion_requests")}


def test_it_follows_what_comes(filled: Path, make_event: MakeEvent) -> None:
    shelf = Shelf()

    def more(report: Report) -> bool:
        if not report.waiting and report.sent < ROWS + 3:
            add(filled, make_event(event_id=new_event_id(report.sent)))
        return report.sent >= ROWS + 3

    following(filled, shelf, more)
    assert list(shelf.rows.values())[: ROWS + 3] == stored(filled)[: ROWS + 3]


def test_a_row_that_will_soon_have_a_cost_waits_for_it(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(minutes=1))
    with closing(open_background(filled)) as connection:
        watermarks.move(connection, watermarks.PRICING, 12)
        priced = outbox.Priced(filled)
        assert [priced.up_to(connection, wanted) for wanted in (7, ROWS)] == [7, ROWS], "no recorder lives"
        with recording(filled):
            assert [priced.up_to(connection, wanted) for wanted in (7, ROWS)] == [7, 12]
            monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(0))
            assert priced.up_to(connection, ROWS) == ROWS, "it does not move"


@pytest.mark.parametrize("wants_changes", [False, True])
def test_only_a_destination_that_takes_no_changes_waits_for_costs(
    filled: Path, *, wants_changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PRICED_WITHIN", timedelta(minutes=1))
    with closing(open_background(filled)) as connection:
        watermarks.move(connection, watermarks.PRICING, 12)
    shelf = Shelf()
    shelf.wants_changes = wants_changes
    least: list[int] = []

    def enough(report: Report) -> bool:
        if report.sent:
            least.append(report.sent)
            with closing(open_background(filled)) as connection:
                watermarks.move(connection, watermarks.PRICING, ROWS)
        return report.sent == ROWS

    with recording(filled):
        following(filled, shelf, enough)
    assert list(shelf.rows.values()) == stored(filled)
    assert [12 in least, 20 in least] == [not wants_changes, wants_changes]


def test_a_row_that_is_refused_is_left_out_and_counted_and_no_other(filled: Path) -> None:
    def picky(batch: Batch) -> None:
        if any(row[0] in {5, 17} for row in batch.rows):
            message = "no such month"
            raise Unacceptable(message)

    shelf = Shelf()
    shelf.before = picky
    assert export(filled, shelf) == Report(sent=ROWS - 2, refused=2, waiting=0)
    assert list(shelf.rows.values()) == [row for row in stored(filled) if row[0] not in {5, 17}]
    events = ask(filled, "SELECT count, detail FROM recorder_events WHERE kind = 'export_refused'")
    assert events == [(1, "shelf somewhere: no such month")] * 2
    assert status.collect(filled).exporters[0].refused == 2


def test_what_a_destination_rejects_of_a_batch_is_counted(filled: Path) -> None:
    shelf = Shelf()
    shelf.rejects = 2
    shelf.rows_at_once = ROWS
    shelf.before = lambda batch: None if batch.rows else setattr(shelf, "rejects", 0)
    assert export(filled, shelf) == Report(sent=ROWS - 2, refused=2, waiting=0)
    assert status.collect(filled).exporters[0].refused == 2
    ((count, detail),) = ask(filled, "SELECT count, detail FROM recorder_events WHERE kind = 'export_refused'")
    assert (count, detail) == (2, "shelf somewhere: it rejected some of those that it was sent")


def test_a_destination_that_refuses_everything_loses_nothing(filled: Path) -> None:
    def never(_batch: Batch) -> None:
        message = "not mine"
        raise Unacceptable(message)

    shelf = Shelf()
    shelf.before = never
    with pytest.raises(ExportFailed, match=r"takes nothing \(not mine\)"):
        export(filled, shelf)
    shelf.before = lambda _batch: None
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)


def test_a_row_of_version_1_gets_an_event_id_that_stays(version_1: Path, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["migrate", "--db", str(version_1), "--backup-dir", str(tmp_path / "saved")])
    export(version_1, shelf := Shelf())
    assert [len(str(event_id)) for event_id in shelf.rows] == [32, 32]
    execute(version_1, "UPDATE completion_requests SET cost_usd = 1")
    export(version_1, shelf)
    assert len(shelf.rows) == 2


def test_it_sends_no_more_rows_a_second_than_it_may(filled: Path) -> None:
    began = time.monotonic()
    export(filled, Shelf(), rate=100)
    assert time.monotonic() - began > (ROWS - 10) / 100


def test_what_was_not_sent_while_nothing_came_may_not_be_sent_at_once(filled: Path, make_event: MakeEvent) -> None:
    export(filled, shelf := Shelf(), again=True)
    sent_at: list[float] = []
    shelf.after = lambda batch: sent_at.append(time.monotonic()) if batch.rows else None
    came = False

    def late(_report: Report) -> bool:
        nonlocal came
        if not came:
            time.sleep(0.5)  # what might have been sent in that time is gone
            add(filled, *(make_event(event_id=new_event_id(n)) for n in range(30)))
            came = True
        return len(sent_at) == 3

    following(filled, shelf, late, rate=100)
    assert sent_at[2] - sent_at[0] > 0.15


def test_one_process_exports_to_a_destination_at_a_time(filled: Path) -> None:
    shelf = Shelf()

    def second(_batch: Batch) -> None:
        with pytest.raises(ExportFailed, match="Another process exports"):
            export(filled, Shelf())

    shelf.before = second
    export(filled, shelf)
    assert len(shelf.rows) == ROWS


def test_while_the_database_cannot_be_used_one_that_follows_waits(filled: Path) -> None:
    shelf = Shelf()
    aside = filled.with_name("aside.db")

    def take_away(batch: Batch) -> None:
        if batch.position.row_id == 20:
            filled.rename(aside)

    def bring_back(report: Report) -> bool:
        if report.error:
            assert "There is no database" in report.error
            aside.rename(filled)
        return report.sent == ROWS

    shelf.after = take_away
    following(filled, shelf, bring_back)
    assert list(shelf.rows.values()) == stored(filled)


def test_while_somebody_replaces_the_database_it_is_not_opened(filled: Path) -> None:
    shelf = Shelf()
    with closing(open_writer(filled)) as connection:  # and its -shm is there
        connection.execute("SELECT * FROM exporters").fetchall()
        with presence.exclusively(filled, 0), pytest.raises(DatabaseRefused, match="is being replaced"):
            export(filled, shelf)
    assert shelf.came == 0
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)


def test_nobody_replaces_the_database_while_it_is_open(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []
    rows = outbox.rows

    def replacing(connection: sqlite3.Connection, above: int, up_to: int) -> list[Row]:
        with pytest.raises(DatabaseRefused) as caught, presence.exclusively(filled, 0):
            pass
        refused.append(str(caught.value))
        return rows(connection, above, up_to)

    monkeypatch.setattr(outbox, "rows", replacing)
    shelf = Shelf()
    shelf.before = lambda _batch: alone_with(filled)  # while rows travel anybody may
    export(filled, shelf)
    assert refused


def alone_with(path: Path) -> None:
    with presence.exclusively(path, 0):
        pass


def test_where_others_write_by_a_shm_that_was_removed_no_other_is_made(filled: Path, make_event: MakeEvent) -> None:
    shelf, made = Shelf(), list[bool]()
    shm = filled.with_name(f"{filled.name}-shm")

    def look(report: Report) -> bool:
        if report.error:
            made.append(shm.exists())
            other.close()
            sharing.unshare()
        return report.sent >= ROWS

    sharing = presence.Presence(filled, "somebody")
    sharing.share()
    with closing(open_writer(filled)) as other:
        CompletionRequestsDAO(other).insert_completion_requests([make_event()])
        shm.unlink()
        following(filled, shelf, look)
    assert made == [False]
    assert list(shelf.rows.values())[:ROWS] == stored(filled)[:ROWS]


def test_status_says_how_far_an_export_is_and_why_it_does_not_go_on(
    filled: Path, monkeypatch: pytest.MonkeyPatch, make_event: MakeEvent
) -> None:
    export(filled, shelf := Shelf())
    add(filled, make_event(timestamp="2026-03-02T00:00:00.000Z"))
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.05)
    shelf.before = fails(1_000, Unavailable("it sleeps"))
    with pytest.raises(ExportFailed):
        export(filled, shelf)
    (lag,) = status.collect(filled).exporters
    assert (lag.name, lag.active, lag.waiting, lag.sent) == ("shelf somewhere", True, 1, ROWS)
    assert (lag.waiting_since, lag.error) == ("2026-03-02T00:00:00.000Z", "it sleeps")
    shelf.before = lambda _batch: None
    export(filled, shelf)
    (lag,) = status.collect(filled).exporters
    assert (lag.waiting, lag.waiting_since, lag.error) == (0, None, None)
    assert "shelf somewhere" in status.as_text(status.collect(filled))


def test_status_says_what_ended_an_export(filled: Path) -> None:
    export(filled, shelf := Shelf())
    shelf.before = fails(1, ExportFailed(what="the password is wrong", cure="set another"))
    with pytest.raises(ExportFailed):
        export(filled, shelf, again=True, follow=True)
    assert status.collect(filled).exporters[0].error == "the password is wrong: set another."


def test_what_an_export_has_not_sent_is_not_pruned(filled: Path, make_event: MakeEvent) -> None:
    export(filled, Shelf())
    add(filled, make_event(), make_event())
    after = datetime.now(UTC)
    assert prune.old(filled, after).rows == ROWS
    done = prune.prune(filled, after)
    assert (done.rows, done.kept) == (ROWS, 2)


def test_for_an_export_that_was_silent_for_a_week_nothing_is_kept(filled: Path, make_event: MakeEvent) -> None:
    export(filled, Shelf())
    add(filled, make_event())
    silent = timestamps.bound(datetime.now(UTC) - cursors.ACTIVE_FOR - timedelta(minutes=1))
    execute(filled, "UPDATE exporters SET reached_at = ?", silent)
    assert prune.prune(filled, datetime.now(UTC)).rows == ROWS + 1
    assert not status.collect(filled).exporters[0].active


def test_an_export_that_has_nothing_to_send_is_heard_from(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HEARTBEAT_SECONDS", 0.0)
    export(filled, shelf := Shelf())
    execute(filled, "UPDATE exporters SET reached_at = '2026-01-01T00:00:00.000Z'")
    following(filled, shelf, lambda _report: not shelf.batches[-1].rows)
    assert (shelf.batches[-1].rows, shelf.came) == ((), ROWS)
    assert status.collect(filled).exporters[0].active


def test_a_destination_that_was_never_reached_keeps_nothing_back(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.3)

    class Away(Shelf):
        def connect(self, source_id: str) -> None:
            message = f"nobody answers {source_id[:0]}"
            raise Unavailable(message)

    reports: list[Report] = []
    with pytest.raises(ExportFailed):
        export(filled, Away(), progress=reports.append)
    found = status.collect(filled)
    (lag,) = found.exporters
    assert (lag.active, lag.waiting, lag.reached_at, lag.error) == (False, ROWS, "", "nobody answers ")
    assert "never: nothing is kept for it" in status.as_text(found)
    assert prune.prune(filled, datetime.now(UTC)).kept == 0
    assert {report.waiting for report in reports} == {ROWS}


def test_an_export_can_be_forgotten(filled: Path) -> None:
    export(filled, Shelf())
    assert command("forget", "shelf somewhere", "--db", filled).exit_code == 0
    assert status.collect(filled).exporters == ()
    again = command("forget", "shelf somewhere", "--db", filled)
    assert (again.exit_code, again.stderr) == (
        1,
        "Error: There is no export to shelf somewhere: give a name that llm-metrics status shows.\n",
    )


def test_one_that_runs_is_not_forgotten(filled: Path) -> None:
    shelf, codes = Shelf(), []
    shelf.before = lambda _batch: codes.append(command("forget", shelf.name, "--db", filled).exit_code)
    export(filled, shelf)
    assert set(codes) == {1}


@pytest.mark.parametrize("version", [1, None], ids=["an old one", "none"])
def test_without_a_database_of_the_present_version_nothing_is_sent(
    version: int | None, db_path: Path, request: pytest.FixtureRequest
) -> None:
    if version:
        request.getfixturevalue("version_1")
    shelf = Shelf()
    with pytest.raises(DatabaseRefused):
        export(db_path, shelf, follow=True)
    assert (shelf.connected, db_path.exists()) == (0, bool(version))


def test_the_lock_of_the_database_is_free_while_rows_travel(filled: Path, make_event: MakeEvent) -> None:
    shelf = Shelf()
    shelf.before = lambda _batch: add(filled, make_event()) if len(shelf.rows) < ROWS else None
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)
    with closing(sqlite3.connect(filled)) as connection:
        assert identity.version_of(connection, filled) == len(ask(filled, "SELECT * FROM schema_version"))
