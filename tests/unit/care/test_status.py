"""`llm-metrics status`: it only reads, says in one sentence why it cannot, and prints nothing that steers terminals."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder import backup
from llm_metrics_proxy.recorder.care import status
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest, Unrecognised
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.schema import table_backup
from llm_metrics_proxy.recorder.store import spill_folder, sqlite, timestamps
from tests.support.database import execute
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]

AT = "2026-03-01T12:00:00.000Z"
LATER = "2026-03-01T13:00:00.000Z"
HOSTILE = "\x1b]0;owned\x07\x9b31m\x7f\u202e\nnext"
HARMLESS = r"\x1b]0;owned\x07\x9b31m\x7f\u202e\nnext"


def llm_metrics(*arguments: object, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], env=environment)


def shown(path: Path) -> str:
    result = llm_metrics("status", "--db", path)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def document(path: Path) -> dict[str, Any]:
    result = llm_metrics("status", "--db", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def refused(*arguments: object) -> str:
    result = llm_metrics("status", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def record(path: Path, *events: CompletionRequest | Unrecognised, queue_size: int = 100) -> None:
    recorder = Recorder(path, queue_size=queue_size)
    recorder.open()
    for event in events:
        recorder.submit(event)
    recorder.start()
    recorder.close()


@pytest.fixture
def filled(db_path: Path, make_event: MakeEvent) -> Path:
    """Three rows; two more found the queue full; three requests that nobody understood, by another recorder."""
    record(db_path, *(make_event(timestamp=at) for at in (LATER, AT, AT, AT, LATER)), queue_size=3)
    seen = [("api.openai.com", "/v1/new/{id}"), ("api.openai.com", "/v1/new/{id}"), ("api.x.ai", "/v1/other")]
    record(db_path, *(Unrecognised(host, path, AT) for host, path in seen))
    return db_path


def test_the_json_document_has_every_figure_under_a_stable_key(filled: Path) -> None:
    size = filled.stat().st_size
    found = document(filled)
    assert list(found) == [
        *(
            "at",
            "version",
            "database",
            "surroundings",
            "table_backups",
            "rows",
            "counters",
            "dropped",
            "exporters",
            "recent_since",
            "recent_processes",
            "events",
        ),
        "unrecognised",
        "passed_unread",
    ]
    assert found["database"] == {
        "path": str(filled),
        "bytes": size,
        "wal_bytes": None,
        "schema_version": CURRENT_SCHEMA_VERSION,
        "sqlite_version": sqlite3.sqlite_version,
        "sqlite_defects": sqlite.defects(),
    }
    assert found["surroundings"] == {
        "living": [],
        "spill_files": 0,
        "spill_bytes": 0,
        "held_files": 0,
        "newer_spill_files": 0,
        "damage": [],
        "rejected_bytes": 0,
        "salvaged": [],
        "backups": 0,
        "last_backup": None,
    }
    assert found["rows"] == {"count": 3, "exact": True, "first_at": AT, "last_at": LATER}
    assert found["counters"] == {"dropped_queue_full": 2, "received": 8, "unrecognised": 3, "written": 3}
    assert found["dropped"] == {"queue_full": 2}
    address = {"first_at": AT, "last_at": AT}
    assert found["unrecognised"] == {
        "addresses": 2,
        "requests": 3,
        "top": [
            {"host": "api.openai.com", "path": "/v1/new/{id}", "count": 2, **address},
            {"host": "api.x.ai", "path": "/v1/other", "count": 1, **address},
        ],
    }
    assert found["passed_unread"] == {"days": 7, "hosts": 0, "connections": 0, "top": []}
    (gap,) = found["events"]
    lost = {"kind": "gap", "count": 2, "from_at": AT, "to_at": LATER, "detail": "queue_full"}
    assert gap == {"id": 1, "at": gap["at"], "process": gap["process"], **lost}
    assert [list(one) for one in found["recent_processes"]] == [["process", "updated_at", "counters"]] * 2
    assert [one["counters"] for one in found["recent_processes"]] == [
        {"dropped_queue_full": 2, "received": 5, "written": 3},
        {"received": 3, "unrecognised": 3},
    ]


def test_the_text_shows_the_same_in_aligned_lines(filled: Path) -> None:
    text = shown(filled)
    for lines in (
        f"database        {filled}\n",
        "rows            3\n",
        f"first row       {AT}\nlast row        {LATER}\n",
        "Counters, all processes\n  received      8\n  unrecognised  3\n  written       3\n",
        "Dropped, by cause\n  queue_full  2\n",
        f"  gap   2      {AT}  {LATER}  queue_full  ",
        "no parser understood (3 requests, 2 addresses)\n  count  host            path          first",
        f"\n  2      api.openai.com  /v1/new/{{id}}  {AT}  {AT}\n  1      api.x.ai        /v1/other     {AT}",
    ):
        assert lines in text


def test_what_stands_around_the_database_is_shown(
    filled: Path, monkeypatch: pytest.MonkeyPatch, make_event: MakeEvent
) -> None:
    monkeypatch.delenv("TESTING")  # the default places for backups are the test's own
    backup.create(filled)
    recorder = Recorder(filled)
    recorder.open()
    recorder.start()
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.submit(make_event())
        wait_until(lambda: "spilled" in recorder.counters())
        (filled.parent / f"{filled.name}.20260301_120000_000000.salvaged").touch()
        found = document(filled)["surroundings"]
        text = shown(filled)
    recorder.close()
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        name = table_backup.save(connection, "unrecognised", version=2)
        connection.execute("COMMIT")
    assert document(filled)["table_backups"] == [name]
    assert f"table backup    {name}\n" in shown(filled)
    assert (len(found["living"]), found["spill_files"], found["backups"]) == (1, 1, 1)
    assert found["spill_bytes"] > 100
    assert f"recorders       {found['living'][0]}\n" in text
    assert f"kept aside      {found['spill_bytes']} bytes in 1 files\n" in text
    assert f"last backup     {found['last_backup']}\n" in text
    assert f"salvaged        {found['salvaged'][0]}\n" in text or text.endswith(found["salvaged"][0])


def test_spill_files_of_a_newer_release_are_counted_and_no_events_that_wait(filled: Path) -> None:
    folder = spill_folder.make(filled)
    (folder / "host-1-1-1.jsonl.v99").write_text("x")
    found = document(filled)["surroundings"]
    assert (found["newer_spill_files"], found["spill_files"], found["spill_bytes"]) == (1, 0, 0)
    assert "newer release   wrote 1 spill files: start it to have their events written\n" in shown(filled)


def test_events_that_wait_for_a_broken_database_are_told_with_its_sentence(
    db_path: Path, make_event: MakeEvent
) -> None:
    db_path.write_text("some notes")
    recorder = Recorder(db_path)
    recorder.open(or_spill=True)
    recorder.start()
    recorder.submit(make_event())
    recorder.close()
    said = refused("--db", db_path)
    assert "is not a SQLite database" in said
    assert f"bytes of events are kept aside in {db_path}.spill." in said


@pytest.mark.parametrize(
    ("version", "count"), [((3, 6, 23), 0), ((3, 7, 0), 1), ((3, 40, 1), 1), ((3, 51, 2), 1), ((3, 51, 3), 0)]
)
def test_the_defects_of_a_version_of_sqlite_are_known(version: tuple[int, int, int], count: int) -> None:
    assert len(sqlite.defects_of(version)) == count


def test_an_empty_database_shows_none_in_every_section(current_db: Path) -> None:
    text = shown(current_db)
    assert text.count(": none\n") == 6
    assert "\nLLM-like traffic that no parser understood: none\n" in text
    assert text.endswith("\nHosts that passed unread in the last 7 days: none\n")
    assert "rows            0\nfirst row       none\n" in text
    assert document(current_db)["rows"] == {"count": 0, "exact": True, "first_at": None, "last_at": None}


def test_a_recorder_that_has_not_written_for_long_is_in_the_sums_only(filled: Path) -> None:
    old = timestamps.bound(datetime.now(UTC) - status.RECENT - timedelta(seconds=1))
    execute(filled, "UPDATE recorder_counters SET updated_at = ?", old)
    found = document(filled)
    assert found["recent_processes"] == []
    assert found["counters"]["received"] == 8


def test_only_the_last_events_and_the_most_frequent_addresses_are_shown(current_db: Path) -> None:
    for n in range(1, 31):
        execute(current_db, "INSERT INTO recorder_events (at, process, kind) VALUES (?, 'p', 'restore')", AT)
        execute(current_db, "INSERT INTO unrecognised VALUES ('host', ?, ?, ?, ?)", f"/{n}", n, AT, AT)
    found = status.collect(current_db)
    assert [event.id for event in found.events] == list(range(30, 20, -1))
    assert [address.count for address in found.unrecognised.top] == list(range(30, 10, -1))
    assert "(465 requests, 30 addresses, of which the 20 most frequent)" in shown(current_db)


def test_rows_are_counted_only_while_that_is_quick(
    filled: Path, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(filled, make_event())
    execute(filled, "DELETE FROM completion_requests WHERE id = 2")
    assert status.collect(filled).rows == status.Rows(3, exact=True, first_at=AT, last_at=LATER)
    monkeypatch.setattr(status, "MOST_COUNTED", 3)
    assert status.collect(filled).rows == status.Rows(4, exact=False, first_at=AT, last_at=LATER)
    assert "rows            at most 4 (" in shown(filled)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_text_from_the_database_steers_the_terminal(
    db_path: Path, make_event: MakeEvent, options: list[str]
) -> None:
    record(db_path, make_event(model=HOSTILE, host=HOSTILE), Unrecognised(f"h{HOSTILE}", f"/p{HOSTILE}", AT))
    execute(db_path, "INSERT INTO recorder_counters VALUES (?, ?, 1, '9999')", HOSTILE, HOSTILE)
    event = "INSERT INTO recorder_events (at, process, kind, detail) VALUES (?, ?, ?, ?)"
    execute(db_path, event, AT, HOSTILE, HOSTILE, HOSTILE)
    result = llm_metrics("status", "--db", db_path, *options)
    assert result.exit_code == 0
    assert all(one.isprintable() or one == "\n" for one in result.stdout)
    if options:
        (address,) = json.loads(result.stdout)["unrecognised"]["top"]
        assert address["host"] == f"h{HOSTILE}"
    else:
        assert f"h{HARMLESS}  /p{HARMLESS}  " in result.stdout


def test_text_that_is_not_utf_8_and_long_paths_are_shown_all_the_same(current_db: Path) -> None:
    path = "/" + 500 * "a"
    execute(current_db, "INSERT INTO unrecognised VALUES (CAST(x'68ff' AS TEXT), ?, 1, ?, ?)", path, AT, AT)
    assert f"  1      h\ufffd    /{'a' * 76}...  {AT}" in shown(current_db)
    assert status.collect(current_db).unrecognised.top[0].path == path


def test_a_missing_database_is_a_sentence_and_stays_missing(tmp_path: Path) -> None:
    assert "There is no database at" in refused("--db", tmp_path / "typo.db")
    assert r"\x1b[2J" in refused("--db", tmp_path / "\x1b[2J.db")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_our_database_is_refused_with_its_sentence(tmp_path: Path, current_db: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than the header of one " * 10)
    assert "is not a SQLite database" in refused("--db", text)
    foreign = tmp_path / "foreign.db"
    execute(foreign, "CREATE TABLE t (a)")
    assert "is the database of another program" in refused("--db", foreign)
    execute(foreign, "PRAGMA user_version=2")
    assert "is the database of another program" in refused("--db", foreign)
    assert "There is no database at" in refused("--db", tmp_path)
    execute(current_db, "ALTER TABLE completion_requests DROP COLUMN user_agent")
    assert "was changed by another program" in refused("--db", current_db)
    execute(current_db, "PRAGMA user_version=99")
    assert "has schema version 99" in refused("--db", current_db)


def test_an_older_database_is_refused_and_left_as_it_is(version_1: Path) -> None:
    assert f"has schema version 1, and this program reads version {CURRENT_SCHEMA_VERSION}" in refused(
        "--db", version_1
    )
    with closing(sqlite3.connect(version_1)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_damaged_database_is_a_sentence(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    content[5 * 4096 :] = b"\xff" * len(content[5 * 4096 :])
    filled.write_bytes(content)
    assert "is damaged" in refused("--db", filled)


def test_the_option_comes_before_the_environment(filled: Path, tmp_path: Path) -> None:
    environment = {"LLM_METRICS_DB": str(filled)}
    assert llm_metrics("status", environment=environment).exit_code == 0
    assert llm_metrics("status", "--db", tmp_path / "typo.db", environment=environment).exit_code == 1


def test_wrong_usage_ends_with_2_and_the_help_names_the_exit_codes() -> None:
    assert llm_metrics("status", "--bogus").exit_code == 2
    assert llm_metrics("statsu").exit_code == 2
    for arguments in (["--help"], ["status", "--help"]):
        text = llm_metrics(*arguments).stdout
        assert "\n    1  it could not be done" in text
        assert "\n    2  wrong usage\n" in text


def test_it_runs_as_a_program_of_its_own_while_a_recorder_writes(
    recorder: Recorder, db_path: Path, make_event: MakeEvent
) -> None:
    def written() -> int:
        return recorder.counters().get("written", 0)

    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        recorder.submit(make_event())
        wait_until(lambda: written() == 1)
        other.execute("BEGIN IMMEDIATE")  # in the middle of a transaction, which no reader waits for
        for _ in range(50):
            recorder.submit(make_event())
        command = [
            sys.executable,
            "-c",
            "from llm_metrics_proxy.recorder.commands.cli import main; main()",
            "status",
            "--json",
        ]
        environment = {**os.environ, "LLM_METRICS_DB": str(db_path), "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run(command, env=environment, cwd=db_path.parent, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["rows"]["count"] == 1
        assert found["database"]["wal_bytes"] > 0
        assert [process["counters"] for process in found["recent_processes"]] == [{"received": 1, "written": 1}]
        other.execute("ROLLBACK")
    wait_until(lambda: written() == 51)
    assert document(db_path)["rows"]["count"] == 51
