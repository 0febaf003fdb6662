"""People edit the file while it is recorded into: what still fits is recorded, the rest waits and comes back."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.events import CompletionRequest, Tunnelled, Unrecognised, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.writing import spill
from tests.support.database import ask, execute

type MakeEvent = Callable[..., CompletionRequest]

TRIGGER = "CREATE TRIGGER guard BEFORE INSERT ON completion_requests WHEN new.model = 'odd' BEGIN SELECT RAISE({}); END"


@pytest.fixture
def recorder(current_db: Path) -> Iterator[Recorder]:
    recorder = Recorder(current_db)
    recorder.open()
    recorder.start()
    yield recorder
    recorder.close()


@pytest.fixture
def submit(recorder: Recorder, make_event: MakeEvent) -> Callable[[str, int], set[str]]:
    """Submit so many calls of a model, and return their ids."""

    def submit(model: str, n: int) -> set[str]:
        events = [make_event(model=model, event_id=new_event_id(number)) for number in range(n)]
        assert all(map(recorder.submit, events))
        return {event.event_id for event in events}

    return submit


def stored(path: Path) -> set[str]:
    return {event_id for (event_id,) in ask(path, "SELECT event_id FROM completion_requests")}


def beside(path: Path, files: Callable[[Path], list[Path]]) -> set[str]:
    lines = [
        line for file in files(spill_folder.folder_of(path)) for line in file.read_bytes().splitlines(keepends=True)
    ]
    records = map(spill.record_of, lines)
    return {record.event_id for record in records if isinstance(record, CompletionRequest)}


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not holds() and time.monotonic() < ends:
        time.sleep(0.02)
    assert holds()


def sqlite_utils(path: Path, *words: str) -> None:
    command = [sys.executable, "-m", "sqlite_utils", words[0], str(path), *words[1:]]
    subprocess.run(command, check=True, capture_output=True, input=b"{}")


def test_recording_goes_on_as_if_additions_were_not_there(
    current_db: Path, recorder: Recorder, submit: Callable[[str, int], set[str]]
) -> None:
    ids = submit("before", 3)
    for words in (
        ("add-column", "completion_requests", "note", "text"),
        ("add-column", "completion_requests", "weight", "integer", "--not-null-default", "1"),
        ("create-index", "completion_requests", "note"),
        ("create-index", "completion_requests", "event_id", "model", "--unique"),
        ("enable-fts", "completion_requests", "model", "error_message", "--create-triggers"),
        ("create-view", "noted", "select id, note from completion_requests"),
        ("create-table", "teams", "name", "text"),
        ("query", "alter table completion_requests add column seconds as (response_time_ms / 1000.0)"),
        ("query", "create trigger log after insert on completion_requests begin insert into teams values ('x'); end"),
    ):
        sqlite_utils(current_db, *words)
        ids |= submit(words[0], 3)
        until(lambda ids=ids: stored(current_db) == ids)  # type: ignore[misc] # a default
    assert recorder.counters().get("spilled", 0) == 0
    recorder.close()
    Recorder(current_db).open()
    assert ask(current_db, "SELECT count(*) FROM completion_requests_fts WHERE completion_requests_fts MATCH 'create'")
    assert ask(current_db, "SELECT count(*) FROM teams") == [(3,)]


@pytest.mark.parametrize(
    ("statement", "undo", "why"),
    [
        (TRIGGER.format("IGNORE"), "DROP TRIGGER guard", "trigger guard"),
        (
            """
            CREATE TRIGGER guard AFTER INSERT ON completion_requests WHEN new.model = 'odd'
            BEGIN DELETE FROM completion_requests WHERE id = new.id; END
            """,
            "DROP TRIGGER guard",
            "trigger guard",
        ),
        (TRIGGER.format("ABORT, 'no odd ones'"), "DROP TRIGGER guard", "no odd ones"),
        (TRIGGER.format("FAIL, 'no odd ones'"), "DROP TRIGGER guard", "no odd ones"),
        (TRIGGER.format("ROLLBACK, 'no odd ones'"), "DROP TRIGGER guard", "no odd ones"),
        (
            "CREATE INDEX parsed ON completion_requests(json_extract(model, '$.a')) WHERE model = 'odd'",
            "DROP INDEX parsed",
            "malformed JSON",
        ),
        (
            "CREATE UNIQUE INDEX mine ON completion_requests(model) WHERE model = 'odd'",
            "DROP INDEX mine",
            "UNIQUE constraint failed",
        ),
        (
            "ALTER TABLE completion_requests ADD COLUMN mine TEXT DEFAULT 'x' CHECK (model <> 'odd' OR mine <> 'x')",
            "ALTER TABLE completion_requests DROP COLUMN mine",
            "CHECK constraint failed",
        ),
    ],
)
def test_calls_that_an_addition_keeps_out_wait_until_it_is_gone_and_all_others_are_recorded(  # noqa: PLR0913, PLR0917 - fixtures and a case
    current_db: Path,
    recorder: Recorder,
    submit: Callable[[str, int], set[str]],
    caplog: pytest.LogCaptureFixture,
    statement: str,
    undo: str,
    why: str,
) -> None:
    caplog.set_level(logging.WARNING)
    ids = submit("even", 5)
    until(lambda: stored(current_db) == ids)
    execute(current_db, statement)
    odd: set[str] = set()
    for _ in range(3):
        odd |= submit("odd", 4)
        ids |= submit("even", 5)
        until(lambda ids=ids: stored(current_db) >= ids)  # type: ignore[misc] # a default
    held = odd - stored(current_db)
    assert len(held) >= len(odd) - 1  # a unique index takes the first
    until(lambda: beside(current_db, spill.held_files) == held)
    until(lambda: "did not get into" in caplog.text)  # said after the files are there
    counters = recorder.counters()
    assert (counters["spilled"], counters.get("duplicates", 0), counters.get("rejected", 0)) == (len(held), 0, 0)
    (message,) = [record.message for record in caplog.records if "did not get into" in record.message]
    assert why in message
    execute(current_db, undo)
    until(lambda: stored(current_db) == ids | odd)
    until(lambda: list(spill.held_files(spill_folder.folder_of(current_db))) == [])
    assert recorder.counters()["replayed"] == len(held)


def test_what_is_kept_out_still_is_held_back_again_and_a_later_start_brings_it_in(
    current_db: Path, recorder: Recorder, submit: Callable[[str, int], set[str]]
) -> None:
    execute(current_db, TRIGGER.format("IGNORE"))
    odd = submit("odd", 7)
    until(lambda: beside(current_db, spill.held_files) == odd)
    for number in range(3):  # changes of the schema that help nothing
        execute(current_db, f"CREATE TABLE t{number} (a)")
        until(lambda number=number: recorder.counters().get("replayed", 0) == 7 * (number + 1))  # type: ignore[misc] # a default
        until(lambda: beside(current_db, spill.held_files) == odd)
    recorder.close()
    assert beside(current_db, spill.held_files) == odd
    execute(current_db, "DROP TRIGGER guard")
    again = Recorder(current_db)
    again.open()
    again.start()
    until(lambda: stored(current_db) == odd)
    again.close()
    assert not spill_folder.folder_of(current_db).exists()


def test_what_a_trigger_does_for_a_call_that_it_keeps_out_is_undone(
    current_db: Path, submit: Callable[[str, int], set[str]]
) -> None:
    execute(current_db, "CREATE TABLE archive (event_id)")
    execute(
        current_db,
        """
        CREATE TRIGGER guard BEFORE INSERT ON completion_requests WHEN new.model = 'odd'
        BEGIN INSERT INTO archive VALUES (new.event_id); SELECT RAISE(IGNORE); END
        """,
    )
    ids = submit("odd", 4)
    until(lambda: beside(current_db, spill.held_files) == ids)
    assert ask(current_db, "SELECT * FROM archive") == []


def test_calls_that_a_later_one_of_their_batch_removes_are_written_and_not_held_back(
    current_db: Path, recorder: Recorder, submit: Callable[[str, int], set[str]]
) -> None:
    execute(
        current_db,
        """
        CREATE TRIGGER newest AFTER INSERT ON completion_requests
        BEGIN DELETE FROM completion_requests WHERE id <= new.id - 3; END
        """,
    )
    submit("even", 20)
    until(lambda: recorder.counters().get("written") == 20)
    assert len(stored(current_db)) == 3
    assert not beside(current_db, spill.held_files)


@pytest.mark.parametrize("answer", ["IGNORE", "ABORT, 'not here'"])
def test_traffic_that_nobody_understood_waits_as_well(current_db: Path, recorder: Recorder, answer: str) -> None:
    execute(current_db, f"CREATE TRIGGER guard BEFORE INSERT ON unrecognised BEGIN SELECT RAISE({answer}); END")
    recorder.submit(Unrecognised(host="example.com", path="/v1/chat", at="2026-03-01T00:00:00.000Z"))
    until(lambda: recorder.counters().get("spilled") == 1)
    execute(current_db, "DROP TRIGGER guard")
    until(lambda: ask(current_db, "SELECT host, count FROM unrecognised") == [("example.com", 1)])


@pytest.mark.parametrize("answer", ["IGNORE", "ABORT, 'not here'"])
def test_hosts_that_passed_unread_wait_as_well(current_db: Path, recorder: Recorder, answer: str) -> None:
    execute(current_db, f"CREATE TRIGGER guard BEFORE INSERT ON tunnelled_hosts BEGIN SELECT RAISE({answer}); END")
    recorder.submit(Tunnelled("a.example", 2, "2026-03-01T00:00:00.000Z", "2026-03-01T00:00:01.000Z"))
    until(lambda: recorder.counters().get("spilled") == 1)
    execute(current_db, "DROP TRIGGER guard")
    until(lambda: ask(current_db, "SELECT host, connections FROM tunnelled_hosts") == [("a.example", 2)])


def test_a_trigger_that_cannot_run_keeps_all_calls_out_until_it_can(
    current_db: Path, submit: Callable[[str, int], set[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    trigger = "CREATE TRIGGER log AFTER INSERT ON completion_requests BEGIN INSERT INTO gone VALUES (new.id); END"
    execute(current_db, trigger)
    ids = submit("even", 3)
    until(lambda: "no such table: main.gone" in caplog.text)
    assert beside(current_db, spill.held_files) == ids
    execute(current_db, "CREATE TABLE gone (id)")
    until(lambda: stored(current_db) == ids)
    assert ask(current_db, "SELECT count(*) FROM gone") == [(3,)]


def test_a_row_that_is_there_already_is_a_duplicate_whatever_triggers_do(
    current_db: Path, recorder: Recorder, make_event: MakeEvent
) -> None:
    event = make_event(model="even", event_id=new_event_id(1))
    assert recorder.submit(event)
    until(lambda: stored(current_db) == {event.event_id})
    execute(current_db, TRIGGER.format("IGNORE"))
    assert recorder.submit(event)
    until(lambda: recorder.counters().get("duplicates") == 1)
    assert beside(current_db, spill.held_files) == set()


@pytest.mark.parametrize(
    ("statements", "undo", "why"),
    [
        (
            ["CREATE TRIGGER deaf BEFORE INSERT ON recorder_counters BEGIN SELECT RAISE(IGNORE); END"],
            "DROP TRIGGER deaf",
            "A trigger of recorder_counters ignores rows",
        ),
        (
            ["ALTER TABLE completion_requests RENAME COLUMN usage TO usage_json"],
            "ALTER TABLE completion_requests RENAME COLUMN usage_json TO usage",
            "column usage of table completion_requests is missing",
        ),
        (
            ["ALTER TABLE completion_requests RENAME TO mine"],
            "ALTER TABLE mine RENAME TO completion_requests",
            "table completion_requests is missing",
        ),
    ],
)
def test_what_lets_no_call_in_is_told_in_one_sentence_and_all_comes_back_by_itself(  # noqa: PLR0913, PLR0917 - fixtures and a case
    current_db: Path,
    recorder: Recorder,
    submit: Callable[[str, int], set[str]],
    caplog: pytest.LogCaptureFixture,
    statements: list[str],
    undo: str,
    why: str,
) -> None:
    caplog.set_level(logging.WARNING)
    ids = submit("even", 3)
    until(lambda: stored(current_db) == ids)
    for statement in statements:
        execute(current_db, statement)
    ids |= submit("odd", 4)
    until(lambda: recorder.counters().get("spilled", 0) >= 4)
    until(lambda: why in caplog.text)
    execute(current_db, undo)
    until(lambda: stored(current_db) == ids)
    assert json.dumps(recorder.counters()).count("rejected") == 0
