"""Reading old databases in: every call once, with its time in UTC, and the old file untouched."""

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.care import importing
from llm_metrics_proxy.recorder.commands.importing import import_command
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import ImportFailed
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import open_reader, open_writer
from tests.support.database import ask, execute

DATABASES = Path(__file__).parents[2] / "databases"
BERLIN = ZoneInfo("Europe/Berlin")


def released(name: str, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATABASES / f"{name}.sql").read_text())
    return path


def upgraded(name: str, path: Path) -> Path:
    """The same, as a start of this program leaves it."""
    saved = path.parent / "saved"
    saved.mkdir(exist_ok=True)
    schema.prepare(released(name, path), backup_dir=saved, lock_seconds=5)
    return path


def calls(path: Path) -> list[dict[str, Any]]:
    """The calls by time, without their ids."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM completion_requests ORDER BY timestamp, id").fetchall()
    return [{name: row[name] for name in row.keys() if name != "id"} for row in rows]  # noqa: SIM118 - a Row


def command(*arguments: object) -> Result:
    return CliRunner().invoke(import_command, [str(one) for one in arguments])


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Seven calls, of which the sixth has no time; the first has times of tokens though nothing was streamed."""
    return released("original", tmp_path / "old.db")


def test_the_original_is_read_in_with_its_local_times_in_utc(original: Path, db_path: Path) -> None:
    before = original.read_bytes()
    done = importing.import_calls(original, db_path, zone=BERLIN)
    assert (done.read, done.inserted, done.already_there, done.skipped) == (7, 6, 0, 1)
    assert [row["timestamp"] for row in calls(db_path)] == [
        "2025-08-19T12:03:22.000Z",
        "2025-08-19T12:03:22.000Z",
        "2025-08-19T12:03:22.123Z",
        "2025-08-19T22:00:00.000Z",
        "2025-10-26T00:30:00.500Z",  # 02:30 came twice that night: the earlier one
        "2025-12-31T22:59:59.999Z",
    ]
    assert original.read_bytes() == before
    with closing(open_reader(db_path)) as reader:
        assert CompletionRequestsDAO(reader).validate_data_integrity() == []


def test_every_other_value_is_what_it_was(original: Path, db_path: Path) -> None:
    importing.import_calls(original, db_path, zone=BERLIN)
    imported = {(row["model"], row["status_code"], row["response_time_ms"]): row for row in calls(db_path)}
    for old in calls(original):
        if old["timestamp"] == "not a time":
            continue
        new = imported[old["model"], old["status_code"], old["response_time_ms"]]
        changed = {"timestamp", "app_version"} | (
            {"time_to_first_token_ms", "time_to_last_token_ms"} - set(new) or set()
        )
        if not old["is_streaming"]:
            changed |= {"time_to_first_token_ms", "time_to_last_token_ms"}
        assert {name: new[name] for name in old if name not in changed} == {
            name: value for name, value in old.items() if name not in changed
        }
        assert all(value is None for name, value in new.items() if name not in old and name != "event_id")


def test_bad_rows_are_named_and_never_half_imported(original: Path, db_path: Path) -> None:
    for change in (
        "status_code = 'ok' WHERE id = 1",
        "is_streaming = 7 WHERE id = 2",
        "prompt_tokens = x'00' WHERE id = 3",
    ):
        execute(original, f"UPDATE completion_requests SET {change}")  # noqa: S608 - of the test
    execute(original, "UPDATE completion_requests SET model = CAST(x'ff41' AS TEXT) WHERE id = 4")
    done = importing.import_calls(original, db_path, zone=BERLIN)
    assert [(bad.id, bad.reason.split(" ")[0]) for bad in done.bad_rows] == [
        (1, "Expected"), (2, "Expected"), (3, "Expected"), (4, "Expected"), (6, "timestamp"),
    ]  # fmt: skip
    assert (done.read, done.inserted, done.skipped) == (7, 2, 5)
    assert [row["status_code"] for row in calls(db_path)] == [502, 206]


def test_times_of_tokens_that_cannot_be_true_are_left_out_and_counted(original: Path, db_path: Path) -> None:
    execute(original, "UPDATE completion_requests SET time_to_first_token_ms = 9999 WHERE id = 2")
    done = importing.import_calls(original, db_path, zone=BERLIN)
    assert done.times_left_out == 2
    times = [row["time_to_first_token_ms"] for row in calls(db_path)]
    assert sorted(one for one in times if one is not None) == [400]


@pytest.mark.parametrize("name", ["original", "v1", "v1_unstamped", "v2"])
def test_a_second_run_inserts_nothing(name: str, db_path: Path, tmp_path: Path) -> None:
    source = released(name, tmp_path / "old.db")
    first = importing.import_calls(source, db_path)
    assert first.inserted == first.read - first.skipped > 0
    before = calls(db_path)
    moved = source.rename(tmp_path / "elsewhere.db")
    again = importing.import_calls(moved, db_path, zone=BERLIN)  # a time zone changes no identity
    assert (again.read, again.inserted, again.already_there) == (first.read, 0, first.inserted)
    assert calls(db_path) == before
    assert len(ask(db_path, "SELECT * FROM recorder_events")) == 1


def test_a_file_of_ours_is_the_same_before_and_after_its_migration(db_path: Path, tmp_path: Path) -> None:
    source = released("v1", tmp_path / "old.db")
    importing.import_calls(source, db_path)
    (tmp_path / "saved").mkdir()
    Recorder(source, backup_dir=tmp_path / "saved").open()
    assert importing.import_calls(source, db_path).inserted == 0


def test_two_databases_of_ours_are_merged_and_events_keep_their_identity(tmp_path: Path, db_path: Path) -> None:
    upgraded("v2", db_path)
    other = released("v2", tmp_path / "other.db")
    execute(other, "UPDATE completion_requests SET event_id = substr(event_id, 1, 31) || '0' WHERE id = 8")
    done = importing.import_calls(other, db_path)
    assert done.inserted == 1  # the others are the same rows, also those from version 1 that have no event_id
    identities = {row["event_id"] for row in calls(db_path)}
    assert {row["event_id"] for row in calls(other) if row["event_id"]} <= identities
    copied = [row for row in calls(db_path) if row["event_id"] == "019c8f0a00007abc8123456789abcdef"[:31] + "0"]
    nothing_yet = dict.fromkeys(copied[0].keys() - calls(other)[0].keys())  # in version 2
    assert copied == [nothing_yet | row for row in calls(other) if row["event_id"] == copied[0]["event_id"]]


def test_rows_without_an_identity_are_merged_unless_they_are_the_same_rows(tmp_path: Path, db_path: Path) -> None:
    upgraded("v2", db_path)
    other = released("v2", tmp_path / "other.db")
    execute(other, "UPDATE completion_requests SET model = 'another' WHERE id = 1")
    execute(other, "UPDATE completion_requests SET id = 1000 WHERE id = 2")
    assert importing.import_calls(other, db_path).inserted == 2
    assert importing.import_calls(other, db_path).inserted == 0


def test_rows_that_differ_in_their_id_alone_are_different_calls(original: Path, db_path: Path) -> None:
    execute(
        original,
        "INSERT INTO completion_requests SELECT 8, timestamp, success, status_code, response_time_ms, model, origin, "
        "is_streaming, max_tokens, temperature, top_p, message_count, prompt_tokens, completion_tokens, total_tokens, "
        "finish_reason, time_to_first_token_ms, time_to_last_token_ms, tokens_per_second, error_type, error_message, "
        "app_version FROM completion_requests WHERE id = 2",
    )
    assert importing.import_calls(original, db_path, zone=BERLIN).inserted == 7


def test_an_identity_made_of_a_row_looks_like_any_other() -> None:
    row = {"id": 1, "timestamp": "2025-08-19T14:03:22", "success": 1, "status_code": 200, "response_time_ms": 1.0,
           "is_streaming": 0}  # fmt: skip
    event, _ = importing.event_of(row, source="", zone=BERLIN)
    assert len(event.event_id) == 32
    assert event.event_id[12] == "7"
    assert event.event_id[16] in "89ab"
    assert (event.response_time_ms, event.success, event.is_streaming) == (1, True, False)
    other, _ = importing.event_of(row, source="another", zone=BERLIN)
    assert other.event_id != event.event_id


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-08-19T14:03:22.123456", "2025-08-19T12:03:22.123Z"),
        ("2025-08-19 14:03:22", "2025-08-19T12:03:22.000Z"),
        ("2025-08-19T14:03:22Z", "2025-08-19T14:03:22.000Z"),
        ("2025-08-19T14:03:22+05:30", "2025-08-19T08:33:22.000Z"),
        ("2025-08-19", None),
        ("2025-02-30 00:00:00", None),
        ("0001-01-01 00:00:00", None),
        ("", None),
        (1755612202, None),
        (None, None),
    ],
)
def test_a_time_is_converted_or_the_row_is_bad(text: object, moment: str | None) -> None:
    row = {"id": 1, "timestamp": text, "success": 1, "status_code": 200, "response_time_ms": 1, "is_streaming": 0}
    if moment is None:
        with pytest.raises(importing.BadRow, match="timestamp is"):
            importing.event_of(row, source="", zone=BERLIN)
    else:
        assert importing.event_of(row, source="", zone=BERLIN)[0].timestamp == moment


def test_naive_times_are_of_this_machine_unless_said_otherwise(
    original: Path, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time  # noqa: PLC0415 - tzset is for this test alone

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        importing.import_calls(original, db_path)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert calls(db_path)[0]["timestamp"] == "2025-08-19T18:03:22.000Z"


def test_it_runs_while_the_old_program_writes_and_ours_records(
    original: Path,
    db_path: Path,
    make_event: Any,  # noqa: ANN401 - the fixture's
) -> None:
    recorder = Recorder(db_path)
    recorder.open()
    recorder.start()
    with closing(sqlite3.connect(original, isolation_level=None)) as program:
        program.execute("BEGIN IMMEDIATE")
        program.execute("DELETE FROM completion_requests")  # never committed
        done = importing.import_calls(original, db_path, zone=BERLIN)
        recorder.submit(make_event())
        program.execute("ROLLBACK")
    recorder.close()
    assert done.inserted == 6
    assert len(calls(db_path)) == 7


def test_the_lock_is_given_up_in_between(current_db: Path, tmp_path: Path, make_event: Any) -> None:  # noqa: ANN401 - the fixture's
    other = tmp_path / "other.db"
    Recorder(other).open()
    with closing(open_writer(other)) as connection:
        events: list[CompletionRequest] = [make_event() for _ in range(5_000)]
        CompletionRequestsDAO(connection).insert_completion_requests(events)
    written = threading.Event()

    def write(done: int, _of: int) -> None:
        if done < 5_000:
            execute(current_db, f"INSERT INTO recorder_counters VALUES ('p', '{done}', 1, '')")  # noqa: S608 - a number
            written.set()

    done = importing.import_calls(other, current_db, progress=write)
    assert (done.inserted, written.is_set()) == (5_000, True)
    assert 0 < done.longest_hold_ms < 500


def test_a_run_that_was_cut_short_is_completed_by_the_next(original: Path, db_path: Path, tmp_path: Path) -> None:
    part = released("original", tmp_path / "part.db")
    execute(part, "DELETE FROM completion_requests WHERE id > 3")
    importing.import_calls(part, db_path, zone=BERLIN)
    done = importing.import_calls(original, db_path, zone=BERLIN)
    assert (done.inserted, done.already_there) == (3, 3)


def test_the_database_says_what_was_read_in(original: Path, db_path: Path) -> None:
    importing.import_calls(original, db_path, zone=BERLIN)
    assert ask(db_path, "SELECT kind, count, from_at, to_at, detail FROM recorder_events") == [
        ("import", 6, "2025-08-19T12:03:22.000Z", "2025-12-31T22:59:59.999Z", str(original))
    ]


def test_an_old_target_is_migrated_first_after_a_backup(original: Path, version_1: Path, tmp_path: Path) -> None:
    result = command(original, "--db", version_1, "--backup-dir", tmp_path / "saved", "--timezone", "Europe/Berlin")
    assert result.exit_code == 0, result.output
    assert len(calls(version_1)) == 8
    assert len(list((tmp_path / "saved").glob("*.backup"))) == 1


def test_the_command_says_what_it_did(original: Path, db_path: Path) -> None:
    result = command(original, "--db", db_path, "--timezone", "Europe/Berlin")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "7 calls were read: 6 inserted, 0 already there, 1 skipped." in result.stdout
    assert "left out of 1 of them" in result.stdout
    assert "skipped id 6: timestamp is 'not a time'" in result.stdout
    document = json.loads(command(original, "--db", db_path, "--json").stdout)
    assert (document["read"], document["inserted"], document["already_there"]) == (7, 0, 6)
    assert document["bad_rows"] == [{"id": 6, "reason": "timestamp is 'not a time'"}]


def test_bad_input_is_one_sentence_and_makes_no_database(tmp_path: Path, db_path: Path, original: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 100)
    foreign = tmp_path / "foreign.db"
    execute(foreign, "CREATE TABLE users (id)")
    empty = tmp_path / "empty.db"
    empty.touch()
    for arguments, phrase in (
        ((tmp_path / "typo.db",), "There is no database at"),
        ((empty,), "There is no database at"),
        ((text,), "cannot be"),
        ((foreign,), "of another program"),
        ((original, "--timezone", "Mars/Olympus"), "There is no time zone 'Mars/Olympus'"),
        ((original, "--timezone", "../../etc/passwd"), "There is no time zone"),
    ):
        result = command(*arguments, "--db", db_path)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1), arguments
        assert phrase in result.stderr
    assert not db_path.exists()
    itself = command(original, "--db", original)
    assert (itself.exit_code, "is the database itself" in itself.stderr) == (1, True)


def test_a_source_that_is_damaged_keeps_what_was_read_before(current_db: Path, tmp_path: Path, make_event: Any) -> None:  # noqa: ANN401 - the fixture's
    other = tmp_path / "other.db"
    Recorder(other).open()
    with closing(open_writer(other)) as connection:
        events = [make_event(model="marked" if n == 2_000 else None) for n in range(3_000)]
        CompletionRequestsDAO(connection).insert_completion_requests(events)
    content = bytearray(other.read_bytes())
    page = content.index(b"marked") // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    other.write_bytes(content)
    with pytest.raises(ImportFailed, match="cannot be read"):
        importing.import_calls(other, current_db)
    ((count,),) = ask(current_db, "SELECT count(*) FROM completion_requests")
    assert 0 < count < 3_000
    assert ask(current_db, "SELECT count FROM recorder_events") == [(count,)]
