"""Whatever fails on either side of an export, or replaces the database, each row arrives and none is lost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import backup, restore
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused, ExportFailed
from llm_metrics_proxy.recorder.export import Batch, Row, Unavailable, outbox, run
from llm_metrics_proxy.recorder.export.outbox import COLUMN
from llm_metrics_proxy.recorder.export.run import Report, export
from llm_metrics_proxy.recorder.store import presence
from llm_metrics_proxy.recorder.store.database import open_writer
from tests.support.database import ask, execute
from tests.support.exporting.following import ROWS, MakeEvent, add, fails, following, stored
from tests.support.exporting.shelf import Forgetful, Shelf

pytestmark = pytest.mark.usefixtures("hurried")


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
