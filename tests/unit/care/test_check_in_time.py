"""A check of a large database ends in time, begins with the newest calls, and says what it did not come to."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner

from llm_metrics_proxy.recorder.care.check import SECONDS, check, look
from llm_metrics_proxy.recorder.commands.status import check as check_command
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.store.database import open_writer

type MakeEvent = Callable[..., CompletionRequest]

_IMPOSSIBLE = "UPDATE completion_requests SET status_code = 7 WHERE id = ?"


def fill(path: Path, make_event: MakeEvent, count: int = 10) -> None:
    with closing(open_writer(path)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests([make_event() for _ in range(count)])
        rollup.bring_up_to_date(connection, path)


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_small_database_is_checked_whole_in_the_usual_time(current_db: Path, make_event: MakeEvent) -> None:
    fill(current_db, make_event)
    assert look(current_db, SECONDS) == ((), ())


def test_what_there_was_no_time_for_is_named(current_db: Path, make_event: MakeEvent) -> None:
    fill(current_db, make_event)
    findings, unchecked = look(current_db, 0.0)
    assert findings == ()
    assert [any(part in one for one in unchecked) for part in ("with an id up to 10", "the roll-up of")] == [True] * 2
    assert look(current_db, None).unchecked == ()


def test_ids_with_wide_gaps_are_looked_at_too(current_db: Path, make_event: MakeEvent) -> None:
    fill(current_db, make_event)
    execute(current_db, "UPDATE completion_requests SET id = 1000000000000 WHERE id = 10")
    execute(current_db, *(_IMPOSSIBLE.replace("?", one) for one in ("1", "2", "1000000000000")))
    assert [one.what for one in check(current_db) if "status" in one.what] == [
        "status_code is no status of HTTP: 3 rows, first id 1",
        "success without a 2xx status, or with an error type: 3 rows, first id 1",
    ]


def test_an_index_that_lacks_a_row_is_found_by_the_full_check(current_db: Path, make_event: MakeEvent) -> None:
    execute(current_db, "CREATE INDEX own ON completion_requests (model)")
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        of_index = connection.execute("SELECT * FROM sqlite_master WHERE name = 'own'").fetchone()
    execute(current_db, "PRAGMA writable_schema=ON", "DELETE FROM sqlite_master WHERE name = 'own'")
    fill(current_db, make_event, 1)
    with closing(sqlite3.connect(current_db, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", of_index)
    assert CliRunner().invoke(check_command, ["--db", str(current_db)]).exit_code == 0
    result = CliRunner().invoke(check_command, ["--db", str(current_db), "--full", "--json"])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["unchecked"]) == (3, [])
    assert "missing from index own" in document["findings"][0]["what"]
