"""An exporter: each row arrives, once in effect, with all that changes, and those that are refused are counted."""

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.recorder.care import status
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.events import new_event_id
from llm_metrics_proxy.recorder.export import Batch, Row, Unacceptable, delivery, outbox
from llm_metrics_proxy.recorder.export.outbox import COLUMN
from llm_metrics_proxy.recorder.export.run import Report, export
from llm_metrics_proxy.recorder.store import identity, watermarks
from llm_metrics_proxy.recorder.store.slices import open_background
from tests.support.database import ask, execute
from tests.support.exporting.following import ROWS, MakeEvent, add, following, recording, stored
from tests.support.exporting.shelf import Shelf

pytestmark = pytest.mark.usefixtures("hurried")


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
    shelf = Shelf()
    shelf.rows_at_once = ROWS + 10  # so that changes are read after the rows
    export(filled, shelf)
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


def test_the_lock_of_the_database_is_free_while_rows_travel(filled: Path, make_event: MakeEvent) -> None:
    shelf = Shelf()
    shelf.before = lambda _batch: add(filled, make_event()) if len(shelf.rows) < ROWS else None
    export(filled, shelf)
    assert list(shelf.rows.values()) == stored(filled)
    with closing(sqlite3.connect(filled)) as connection:
        assert identity.version_of(connection, filled) == len(ask(filled, "SELECT * FROM schema_version"))


def test_a_change_of_a_row_that_is_still_to_be_sent_sends_nothing_twice(filled: Path) -> None:
    execute(filled, "INSERT INTO export_changes (row_id) VALUES (3), (30)")
    with closing(open_background(filled)) as connection:
        rows, change_id = outbox.changed(connection, 0, 20, 10)
    assert ([row[0] for row in rows], change_id) == ([3], 2)


def test_while_nothing_comes_the_database_is_not_opened(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(filled, shelf := Shelf())
    opened: list[Path] = []
    turns = count()

    def counted(path: Path) -> sqlite3.Connection:
        opened.append(path)
        return open_background(path)

    monkeypatch.setattr(delivery, "open_background", counted)
    reports = following(filled, shelf, lambda _report: next(turns) > 20)
    assert len(reports) > 20
    assert len(opened) <= 5, "to connect, to look once, and to tell of the recorders"
