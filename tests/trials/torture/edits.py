"""Edits that people make in the file while it is written: by sqlite-utils, by SQL, and what takes each of them back."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.trials.torture.case import expect

_MIGRATE = "from llm_metrics_proxy.recorder.commands.migrate import migrate; migrate()"
_ROOT = Path(__file__).parents[3]
_PATIENCE = 60.0
_THEIRS = {
    "timestamp": "2026-01-01T00:00:00.000Z",
    "success": 1,
    "status_code": 200,
    "response_time_ms": 1,
    "is_streaming": 0,
    "model": "by hand",
}
EXPRESSION_INDEX: Final = "partial and expression index"  # which keeps sqlite-utils from transforming the table
REPAIR: Final = "llm-metrics migrate --repair"

type Step = str | tuple[str, ...]  # SQL, or the words after `sqlite-utils`, in which DB is the file
type Fate = Literal["recorded", "partly", "waiting"]


@dataclass(frozen=True)
class Edit:
    """An edit, what takes it back, and the fate of calls meanwhile: recorded, kept aside in part, or all kept aside.

    `sign` has a row for as long as what an edit adds is there.
    """

    name: str
    do: Sequence[Step]
    undo: Sequence[Step]
    fate: Fate = "recorded"
    sign: str = ""


def _transform(*words: str) -> tuple[str, ...]:
    return ("transform", "DB", "completion_requests", *words)


_MOST_ATTEMPTS = 10


def _trigger(moment: str, body: str, *, some: bool = False) -> tuple[str, ...]:
    when = "WHEN substr(new.event_id, -1) IN ('0', '5', 'a')" if some else ""
    return (f"CREATE TRIGGER theirs {moment} INSERT ON completion_requests {when} BEGIN {body}; END",)


_NO_TRIGGER = ("DROP TRIGGER theirs",)
_FTS = ("enable-fts", "DB", "completion_requests", "error_message", "origin", "--create-triggers", "--replace")
_MANY = "CREATE UNIQUE INDEX one_each ON completion_requests(model, substr(event_id, -1)) WHERE timestamp > '{now}'"


def _column(name: str) -> str:
    return f"SELECT 1 FROM pragma_table_xinfo('completion_requests') WHERE name = '{name}'"  # noqa: S608 - names of ours


def _object(name: str) -> str:
    return f"SELECT 1 FROM sqlite_master WHERE name = '{name}'"  # noqa: S608 - names of ours


ADDITIONS: Final = (
    Edit(
        "add-column",
        [("add-column", "DB", "completion_requests", "note", "text")],
        ["ALTER TABLE completion_requests DROP COLUMN note"],
        sign=_column("note"),
    ),
    Edit(
        "add-column with a default",
        [("add-column", "DB", "completion_requests", "rank", "integer", "--not-null-default", "7")],
        ["ALTER TABLE completion_requests DROP COLUMN rank"],
        sign=_column("rank"),
    ),
    Edit(
        "generated column",
        ["ALTER TABLE completion_requests ADD COLUMN family TEXT AS (substr(model, 1, 3))"],
        ["ALTER TABLE completion_requests DROP COLUMN family"],
        sign=_column("family"),
    ),
    Edit(
        "create-index",
        [("create-index", "DB", "completion_requests", "model", "origin")],
        ["DROP INDEX idx_completion_requests_model_origin"],
        sign=_object("idx_completion_requests_model_origin"),
    ),
    Edit(
        EXPRESSION_INDEX,
        ["CREATE INDEX part ON completion_requests(lower(model), json_extract(usage, '$.x')) WHERE success"],
        ["DROP INDEX part"],
        sign=_object("part"),
    ),
    Edit(
        "unique index that fits",
        ["CREATE UNIQUE INDEX fits ON completion_requests(event_id, model)"],
        ["DROP INDEX fits"],
        sign=_object("fits"),
    ),
    Edit("enable-fts", [_FTS], [("disable-fts", "DB", "completion_requests")], sign=_object("completion_requests_ai")),
    Edit(
        "create-view of our name",
        [("create-view", "DB", "cost_by_day", "select 1 as mine", "--replace")],
        [("drop-view", "DB", "cost_by_day")],
        sign="SELECT 1 FROM sqlite_master WHERE name LIKE 'cost_by_day%' AND sql LIKE '%mine%'",
    ),
    Edit("insert", [("insert", "DB", "theirs", "-")], [("drop-table", "DB", "theirs")], sign=_object("theirs")),
    Edit(
        "trigger that notes",
        [
            "CREATE TABLE IF NOT EXISTS seen (id INTEGER PRIMARY KEY, at TEXT)",
            "CREATE TRIGGER see AFTER INSERT ON completion_requests BEGIN INSERT INTO seen VALUES (new.id, ''); END",
        ],
        ["DROP TRIGGER see", "DROP TABLE seen"],
        sign=_object("see"),
    ),
    Edit(
        "trigger on our counters",
        ["CREATE TRIGGER count_ups BEFORE UPDATE ON recorder_counters BEGIN SELECT 1; END"],
        ["DROP TRIGGER count_ups"],
        sign=_object("count_ups"),
    ),
)
OBSTACLES: Final = (
    Edit("ignore some", _trigger("BEFORE", "SELECT RAISE(IGNORE)", some=True), _NO_TRIGGER, "partly"),
    Edit("ignore all", _trigger("BEFORE", "SELECT RAISE(IGNORE)"), _NO_TRIGGER, "waiting"),
    Edit("abort some", _trigger("BEFORE", "SELECT RAISE(ABORT, 'not this')", some=True), _NO_TRIGGER, "partly"),
    Edit("fail some", _trigger("AFTER", "SELECT RAISE(FAIL, 'not this')", some=True), _NO_TRIGGER, "partly"),
    Edit("roll back some", _trigger("AFTER", "SELECT RAISE(ROLLBACK, 'none')", some=True), _NO_TRIGGER, "waiting"),
    Edit(
        "delete some again",
        _trigger("AFTER", "DELETE FROM completion_requests WHERE id = new.id", some=True),
        _NO_TRIGGER,
        "partly",
    ),
    Edit(
        "trigger into nothing",
        _trigger("AFTER", "INSERT INTO nowhere VALUES (new.id)"),
        _NO_TRIGGER,
        "waiting",
    ),
    Edit(
        "ignore counters",
        ["CREATE TRIGGER theirs BEFORE INSERT ON recorder_counters BEGIN SELECT RAISE(IGNORE); END"],
        _NO_TRIGGER,
        "waiting",
    ),
    Edit("unique index", [_MANY], ["DROP INDEX one_each"], "waiting"),
    Edit("transform --drop", [_transform("--drop", "server_timing")], [REPAIR], "waiting"),
    Edit(
        "transform --rename",
        [_transform("--rename", "user_agent", "renamed")],
        [_transform("--rename", "renamed", "user_agent"), REPAIR],
        "waiting",
    ),
    Edit("transform --not-null", [_transform("--not-null", "model")], [REPAIR], "waiting"),
    Edit("transform --type", [_transform("--type", "temperature", "text")], [REPAIR], "waiting"),
    Edit("extract", [("extract", "DB", "completion_requests", "http_version")], [REPAIR], "waiting"),
    Edit(
        "rename-table",
        [("rename-table", "DB", "completion_requests", "every_call")],
        [("rename-table", "DB", "every_call", "completion_requests")],
        "waiting",
    ),
    Edit(
        "drop-table of counters",
        [("drop-table", "DB", "recorder_counters")],
        [REPAIR],
        "waiting",
    ),
    Edit("drop our unique index", ["DROP INDEX completion_requests_event_id"], [REPAIR], "waiting"),
)


def take(path: Path, step: Step) -> None:
    """Do one step.

    Raises:
        Broken: it failed.
    """
    if step == REPAIR:
        _run([sys.executable, "-c", _MIGRATE, "--repair", "--db", str(path), "--backup-dir", str(path.parent)], step)
    elif isinstance(step, str):
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
            ((now,),) = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ')").fetchall()
            connection.execute(step.replace("{now}", now))
            connection.commit()
    else:
        expect(run_sqlite_utils(path, step) == 0, f"sqlite-utils {' '.join(step)} failed")


def run_sqlite_utils(path: Path, words: Sequence[str]) -> int:
    """Run `sqlite-utils` and return its exit code; it reads a row of theirs from stdin.

    It is run again if it finds the database locked, as a person would: where it reads before it writes, SQLite lets it
    wait for nobody.
    """
    command = [sys.executable, "-m", "sqlite_utils", *(str(path) if word == "DB" else word for word in words)]
    for _ in range(_MOST_ATTEMPTS):
        done = subprocess.run(
            command, cwd=path.parent, input=json.dumps([_THEIRS]), capture_output=True, text=True, check=False
        )
        if "database is locked" not in done.stderr:
            break
    return done.returncode


def _run(command: Sequence[str], name: str) -> None:
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    expect(result.returncode == 0, f"{name}: {result.stderr.strip()[-300:]}")
