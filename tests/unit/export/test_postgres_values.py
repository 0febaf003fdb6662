"""What rows become on their way into PostgreSQL, and what a DSN is called: whatever stands in them."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.export import Batch, Destination, outbox
from llm_metrics_proxy.recorder.export.postgres import Postgres, dsn
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.exporting.postgres_server import Server, binaries

pytest_plugins = ["tests.support.exporting.postgres_fixtures"]
needs_server = pytest.mark.skipif(
    binaries() is None and not os.environ.get("CI"), reason="needs PostgreSQL: apt install postgresql"
)
pytestmark = pytest.mark.xdist_group("postgres")

HOSTILE: list[object] = [None, 0, 1, 2, -(2**63), 2**63 - 1, 0.5, -0.0, 1e308, 2.5, float("inf"), "12", "twelve"]
HOSTILE.extend(["\\N", "\\.", "\t\n", "a\0b", "\ufffe\U0001f600", "\x1b]0;owned\x07", "x" * 100_000])
HOSTILE.extend([b"", b"caf\xc3\xa9", b"\xff\0"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    TEXTS,
    st.binary(max_size=20),
)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001 - Z is said below
    lambda moment: moment.isoformat(timespec="milliseconds") + "Z"
)
OTHERS = [name for name in outbox.COLUMNS if name not in ("id", "event_id", "timestamp")]


@pytest.fixture
def sqlite(current_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(current_db)) as opened:
        yield opened


@pytest.fixture
def destination(postgres: Server, database: str) -> Iterator[Postgres]:
    with closing(Postgres(postgres.dsn(database), "host-1")) as made:
        made.connect("source-1")
        yield made


def expected(kind: str, value: object) -> object:  # noqa: PLR0911 - one for each rule
    """The rules of the documentation, once more, and as slowly as one likes."""
    match kind, value:
        case _, None:
            return None
        case "TEXT", bytes():
            return value.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        case "TEXT", _:
            return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
        case _, str() | bytes():
            return None
        case "BOOLEAN", _:
            return value != 0
        case "INTEGER", float():
            return round(value) if -(2.0**63) <= value < 2.0**63 else None
        case _:
            return value


@needs_server
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(MOMENTS, st.fixed_dictionaries(dict.fromkeys(OTHERS, VALUES))), min_size=1, max_size=4))
def test_any_values_in_any_columns_arrive_as_what_can_be_made_of_them(
    sqlite: sqlite3.Connection, destination: Postgres, postgres: Server, made: list[tuple[str, dict[str, object]]]
) -> None:
    sqlite.execute("DELETE FROM completion_requests")
    for number, (moment, values) in enumerate(made):
        row: dict[str, object] = {"event_id": str(number), "timestamp": moment, **values}
        row |= {name: 0 for name in ("success", "status_code", "response_time_ms", "is_streaming") if row[name] is None}
        sqlite.execute(
            f"INSERT INTO completion_requests ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
            list(row.values()),
        )
    rows = outbox.rows(sqlite, 0, 2**62)
    database = destination.name.rpartition("/")[2]
    postgres.execute("TRUNCATE completion_requests", database=database)
    destination.send(Batch(rows, Position(len(rows), 0)))
    kinds = {name: kind for _, name, kind, *_ in sqlite.execute("PRAGMA table_info(completion_requests)")}
    kinds["cost_complete"] = "BOOLEAN"  # SQLite's table calls it INTEGER
    with psycopg.connect(postgres.dsn(database), row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute("SELECT * FROM completion_requests ORDER BY event_id").fetchall()
    assert len(found) == len(rows)
    for sent, arrived in zip(rows, found, strict=True):
        said: dict[str, Any] = dict(zip(outbox.COLUMNS, sent, strict=True))
        assert arrived.pop("host_id") == "host-1"
        assert arrived.pop("timestamp") == datetime.fromisoformat(said.pop("timestamp"))
        assert arrived == {name: expected(kinds[name], value) for name, value in said.items()}


def test_it_is_a_destination() -> None:
    destination: Destination = Postgres("postgresql://h/db", "host-1")
    assert (destination.name, destination.wants_changes) == ("postgres h:5432/db", True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("postgresql://u:geheim@db.example/metrics", "db.example:5432/metrics"),
        ("postgres://u:geheim@db.example:6000/metrics?sslmode=verify-full", "db.example:6000/metrics"),
        ("postgresql://u:ge?heim@h/db", "h:5432/db"),
        ("postgresql://u:ge%40h%2Feim@[::1]:6000/metrics", "[::1]:6000/metrics"),
        ("postgresql://u:geheim@a:1,b:2/metrics", "a:1,b:2/metrics"),
        ("host=a,b dbname=metrics password=geheim", "a:5432,b:5432/metrics"),
        ("host=/run/postgresql dbname=metrics user=u", "/run/postgresql:5432/metrics"),
        ("postgresql:///metrics?host=/run/postgresql", "/run/postgresql:5432/metrics"),
        ("hostaddr=10.0.0.1 user=u", "10.0.0.1:5432/u"),
        ("service=metrics password=geheim", "service metrics:5432/metrics"),
        ("dbname='a\x1b[31mb' host=h", "h:5432/a\\x1b[31mb"),
    ],
)
def test_a_destination_is_named_by_its_place_alone(text: str, name: str) -> None:
    assert dsn.parse(text).name == f"postgres {name}"


def test_what_a_dsn_leaves_open_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATABASE", "metrics")
    monkeypatch.setenv("PGPASSWORD", "geheim")
    assert dsn.parse("").name == "postgres db.example:6000/metrics"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:ge@heim@h/db",
        "postgresql://u:ge/heim@h/db",
        "postgresql://u:12/heim@h/db",
        "host=h password=ge heim",
        "host=h geheim=x",
        "mysql://u:geheim@h/db",
        "host=h port=heim",
        "postgresql://u:geheim@h:70000/db",
        "geheim",
    ],
)
def test_what_is_no_dsn_is_refused_without_repeating_any_of_it(text: str) -> None:
    with pytest.raises(ExportFailed) as failed:
        Postgres(text, "host-1")
    assert "write it like postgresql://USER@HOST:PORT/DATABASE" in str(failed.value)
    assert "heim" not in str(failed.value)
