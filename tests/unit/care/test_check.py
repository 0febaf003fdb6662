"""`llm-metrics check`: every kind of trouble is found, and what is in order is not."""

import json
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlite_utils import Database

from llm_metrics_proxy.migrations import CURRENT_SCHEMA_VERSION
from llm_metrics_proxy.recorder.care.check import check
from llm_metrics_proxy.recorder.commands.status import check as check_command
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from tests.unit.store.test_database import damage, damage_unseen

type MakeEvent = Callable[..., CompletionRequest]


def command(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(check_command, ["--db", str(path), *arguments])


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def transform(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        Database(connection).table("completion_requests").transform(types={"origin": int})
        connection.commit()


def beside(name: str, content: str = "x", *, age: float = 0.0) -> Callable[[Path], None]:
    """Put a file beside the database."""

    def put(path: Path) -> None:
        file = path.parent / name
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600)
        os.utime(file, (time.time() - age,) * 2)

    return put


def orphan_wal(path: Path) -> None:
    path.unlink()
    beside("metrics.db-wal")(path)


def open_backup(path: Path) -> None:
    name = "backups/metrics.db.20260101_000000_000.backup"
    beside(name)(path)
    (path.parent / name).chmod(0o640)


def folder_with(mode: int, name: str) -> Callable[[Path], None]:
    """Let others into a folder beside the database, in which something lies."""

    def let_in(path: Path) -> None:
        beside(f"{name}/something")(path)
        (path.parent / name).chmod(mode)

    return let_in


def events_for_all(path: Path) -> None:
    name = "metrics.db.spill/host-1-1-1.jsonl"
    beside(name)(path)
    (path.parent / name).chmod(0o644)


def wal_for_all(path: Path) -> None:
    beside("metrics.db-wal", "")(path)
    path.with_name("metrics.db-wal").chmod(0o666)


def not_adding_up(path: Path) -> None:
    for name, value in (("received", 5), ("replayed", 1), ("written", 3), ("spilled", 3), ("dropped_shutdown", 1)):
        execute(path, f"INSERT INTO recorder_counters VALUES ('host-1-1', '{name}', {value}, '')")  # noqa: S608 - above


IMPOSSIBLE = "INSERT INTO completion_requests (timestamp, success, status_code, response_time_ms, is_streaming)"

FOUND: dict[str, tuple[Callable[[Path], object], str]] = {
    "impossible row": (lambda path: execute(path, f"{IMPOSSIBLE} VALUES ('now', 1, 200, 1, 0)"), "timestamp is not"),
    "damaged pages": (damage, "damaged"),
    "damaged page of rows": (damage_unseen, "llm-metrics restore"),
    "text in its place": (
        lambda path: path.write_text("just some notes\n" * 500),
        "is damaged (file is not a database)",
    ),
    "table transformed": (transform, "has the type REAL, not BOOLEAN: stop the proxy and run"),
    "index gone": (lambda path: execute(path, "DROP INDEX completion_requests_timestamp"), "is missing"),
    "versions disagree": (lambda path: execute(path, "DELETE FROM schema_version"), "records of the schema version"),
    "copy of a table": (
        lambda path: execute(
            path,
            "CREATE TABLE _backup_unrecognised_v2_20260101_000000_000 (host TEXT)",
            "CREATE TABLE _llm_metrics_table_backups "
            "(name TEXT PRIMARY KEY, sequence INTEGER, statements TEXT NOT NULL, is_protecting INTEGER NOT NULL)",
            "INSERT INTO _llm_metrics_table_backups VALUES ('_backup_unrecognised_v2_20260101_000000_000', 0, '[]', 0)",
        ),
        "is a copy of unrecognised",
    ),
    "events that wait": (beside("metrics.db.spill/host-1-1-1.jsonl"), "1 files with events (1 bytes) wait in"),
    "calls kept out": (
        beside("metrics.db.spill/host-1-1-2.jsonl.v2.held"),
        "1 files with calls (1 bytes) in",
    ),
    "events of a newer release": (
        beside("metrics.db.spill/host-1-1-1.jsonl.v99"),
        "a newer release wrote 1 spill files in",
    ),
    "damaged events": (beside("metrics.db.spill/host-1-1-1.damaged"), "has lines that cannot be read"),
    "rejected events": (beside("metrics.db.spill/rejected.jsonl"), "that no row could be made of"),
    "salvaged file": (
        beside("metrics.db.20260101_000000_000000.salvaged"),
        "holds rows of a database that was removed",
    ),
    "damaged database put aside": (beside("corrupt-20260101_000000_000000/metrics.db"), "were moved away"),
    "unfinished backup": (
        beside("backups/metrics.db.20260101_000000_000.backup.tmp", age=4_000),
        "is a backup that was never finished",
    ),
    "wal without its database": (orphan_wal, "is gone while metrics.db-wal still holds rows"),
    "readable by others": (lambda path: path.chmod(0o644), "has mode 0644"),
    "backup readable by others": (open_backup, "has mode 0640"),
    "events readable by others": (events_for_all, "has mode 0644"),
    "wal writable by others": (wal_for_all, "metrics.db-wal has mode 0666"),
    "folder of backups open to others": (folder_with(0o755, "backups"), "backups has mode 0755"),
    "spill folder open to others": (folder_with(0o777, "metrics.db.spill"), "metrics.db.spill has mode 0777"),
    "folder that everybody can write": (lambda path: path.parent.chmod(0o777), "can put other files in the place of"),
    "counters": (not_adding_up, "of host-1-1 do not add up: 6 events came, and 7 were"),
}


@pytest.mark.parametrize("case", FOUND)
def test_each_trouble_is_found_with_what_to_do(case: str, current_db: Path) -> None:
    spoil, phrase = FOUND[case]
    spoil(current_db)
    result = command(current_db)
    assert (result.exit_code, result.stderr) == (3, "")
    (line,) = [line for line in result.stdout.splitlines() if phrase in line][:1] or [result.stdout]
    assert phrase in line
    assert line.endswith(".")
    assert ": " in line


def test_what_is_in_order_makes_no_finding(db_path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(db_path, queue_size=3)
    recorder.open()
    for _ in range(5):
        recorder.submit(make_event())  # two more than there is room for
    recorder.start()
    try:
        assert check(db_path) == ()  # also while it is being written
    finally:
        recorder.close()
    beside("backups/metrics.db.20260101_000000_000.backup.tmp")(db_path)  # of a backup that is being made
    beside("metrics.db.20260101_000000_000.backup")(db_path)
    result = command(db_path)
    assert (result.exit_code, result.stdout) == (0, "Nothing was found.\n")


def test_spilled_and_replayed_events_add_up(db_path: Path, make_event: MakeEvent) -> None:
    recorder = Recorder(db_path)
    recorder.open()
    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.start()
        for _ in range(20):
            recorder.submit(make_event())
        ends = time.monotonic() + 10
        while not recorder.counters().get("spilled"):
            assert time.monotonic() < ends
            time.sleep(0.01)
        other.execute("ROLLBACK")
    ends = time.monotonic() + 10
    while recorder.counters().get("written") != 20:
        assert time.monotonic() < ends
        time.sleep(0.01)
    recorder.close()
    assert recorder.counters()["replayed"] > 0
    assert check(db_path) == ()
    assert not spill_folder.folder_of(db_path).exists()


def test_it_changes_nothing(current_db: Path) -> None:
    before = current_db.read_bytes()
    check(current_db)
    assert current_db.read_bytes() == before


def test_an_older_version_is_checked_too(version_1: Path) -> None:
    version_1.chmod(0o600)
    (finding,) = check(version_1)
    assert (finding.what, finding.cure) == (
        f"it has schema version 1, and this program writes {CURRENT_SCHEMA_VERSION}",
        "run llm-metrics migrate, or start the proxy",
    )


def test_what_cannot_be_checked_is_one_sentence(tmp_path: Path, current_db: Path) -> None:
    with pytest.raises(DatabaseRefused, match="There is no database"):
        check(tmp_path / "typo.db")
    execute(current_db, "PRAGMA user_version=99")
    result = command(current_db)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "has schema version 99" in result.stderr
    assert not (tmp_path / "typo.db").exists()


def test_the_json_document_has_every_finding(current_db: Path) -> None:
    execute(current_db, f"{IMPOSSIBLE} VALUES ('now', 7, 200, 1, 0)")
    current_db.chmod(0o644)
    result = command(current_db, "--json")
    assert result.exit_code == 3
    findings = json.loads(result.stdout)["findings"]
    assert [set(finding) for finding in findings] == [{"what", "cure"}] * len(findings)
    assert len(findings) >= 3
    current_db.chmod(0o600)
    execute(current_db, "DELETE FROM completion_requests")
    assert json.loads(command(current_db, "--json").stdout)["findings"] == []


def test_texts_of_a_database_steer_no_terminal(current_db: Path) -> None:
    execute(current_db, 'ALTER TABLE completion_requests ADD COLUMN "\x1b]0;owned\x07" TEXT')
    sql = "UPDATE sqlite_master SET sql = replace(sql, 'owned\x07\" TEXT', 'owned\x07\" TEXT NOT NULL')"
    execute(current_db, "PRAGMA writable_schema=ON", sql)
    result = command(current_db)
    assert (result.exit_code, "\x1b" in result.stdout, r"\x1b]0;owned" in result.stdout) == (3, False, True)


def test_the_help_says_what_the_exit_codes_mean() -> None:
    result = CliRunner().invoke(check_command, ["--help"])
    assert "3  something was found" in result.stdout
