"""PostgreSQL as a destination: each row is there once, with the values it has here, whatever happens to the server."""

import os
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from typing import Any

import psycopg
import pytest

import llm_metrics_proxy.recorder.export.postgres as package
from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.export import Batch, Row, Unacceptable, Unavailable
from llm_metrics_proxy.recorder.export.outbox import COLUMN, COLUMNS
from llm_metrics_proxy.recorder.export.postgres import Postgres, schema
from llm_metrics_proxy.recorder.store.exporters import Position
from tests.support.exporting.postgres_server import PASSWORD, Server, binaries
from tests.trials.bench.made_up.calls import calls

pytest_plugins = ["tests.support.exporting.postgres_fixtures"]
pytestmark = [
    pytest.mark.skipif(
        binaries() is None and not os.environ.get("CI"), reason="needs PostgreSQL: apt install postgresql"
    ),
    pytest.mark.xdist_group("postgres"),
]

type Connected = Callable[..., Postgres]

MARCH_MS = 1_772_366_400_000  # the first of March 2026
SOURCE = "source-1"


@pytest.fixture
def connected(postgres: Server, database: str) -> Iterator[Connected]:
    """Destinations that are connected to the test's database, each as of its own source."""
    made: list[Postgres] = []

    def connect(source: str = SOURCE, **where: str) -> Postgres:
        made.append(Postgres(postgres.dsn(database, **where), f"host of {source}"))
        made[-1].connect(source)
        return made[-1]

    yield connect
    for one in made:
        one.close()


def row(number: int = 0, **values: object) -> Row:
    """A row as SQLite has it, of which most is unknown."""
    known: dict[str, object] = {
        "id": number + 1,
        "event_id": f"{number:032x}",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "success": 1,
        "status_code": 200,
        "response_time_ms": 900,
        "is_streaming": 0,
    }
    return tuple((known | values).get(name) for name in COLUMNS)


def real(count: int, *, since_ms: int = MARCH_MS, seed: int = 1) -> list[Row]:
    """Rows like those of real traffic, an hour apart."""
    made = calls((since_ms + 3_600_000 * hour for hour in range(count)), seed=seed)
    return [_as_sqlite_has_it(number, event) for number, event in enumerate(made)]


def _as_sqlite_has_it(number: int, event: CompletionRequest) -> Row:
    values = {name: getattr(event, name) for name in COLUMNS if name != "id"}
    return tuple(int(value) if isinstance(value, bool) else value for value in ({"id": number + 1} | values).values())


def batch(rows: Sequence[Row], row_id: int | None = None, change_id: int = 0) -> Batch:
    return Batch(rows, Position(len(rows) if row_id is None else row_id, change_id))


def there(postgres: Server, database: str) -> list[dict[str, Any]]:
    """All rows of the server, by the names of their columns."""
    with psycopg.connect(postgres.dsn(database), row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("SET TimeZone = 'UTC'")  # moments of an hour that comes twice are never equal
        return connection.execute("SELECT * FROM completion_requests ORDER BY event_id, timestamp").fetchall()


def expected(rows: Sequence[Row], source: str = SOURCE) -> list[dict[str, Any]]:
    """What is to be there of rows whose values are of the types of their columns."""
    found: list[dict[str, Any]] = []
    for one in sorted(rows, key=lambda one: str(one[COLUMN["event_id"]])):
        values: dict[str, Any] = dict(zip(COLUMNS, one, strict=True)) | {"host_id": f"host of {source}"}
        for name in ("success", "is_streaming"):
            values[name] = bool(values[name])
        found.append(values | {"timestamp": datetime.fromisoformat(values["timestamp"])})
    return found


def test_rows_like_those_of_real_traffic_arrive_with_equal_columns(
    connected: Connected, postgres: Server, database: str
) -> None:
    rows = real(2_000)
    random.Random(1).shuffle(rows)
    connected().send(batch(rows))
    assert there(postgres, database) == expected(rows)
    partitions = "SELECT tableoid::regclass::text FROM completion_requests GROUP BY 1 ORDER BY 1"
    months = [(f"completion_requests_2026_{month:02}",) for month in (3, 4, 5)]
    assert postgres.execute(partitions, database=database) == months


def test_the_same_rows_again_change_nothing_and_changed_ones_are_changed(
    connected: Connected, postgres: Server, database: str
) -> None:
    versions = "SELECT xmin::text FROM completion_requests ORDER BY event_id"
    destination, rows = connected(), [row(number) for number in range(10)]
    destination.send(batch(rows))
    before = postgres.execute(versions, database=database)
    rows[3] = row(3, cost_usd=0.25, model="gpt-5")
    destination.send(batch(rows))
    after = postgres.execute(versions, database=database)
    assert there(postgres, database) == expected(rows)
    assert [number for number in range(10) if after[number] != before[number]] == [3]


def test_of_a_call_that_is_twice_in_a_batch_the_last_counts(
    connected: Connected, postgres: Server, database: str
) -> None:
    connected().send(batch([row(cost_usd=0.5), row(1), row(cost_usd=0.25)]))
    assert there(postgres, database) == expected([row(cost_usd=0.25), row(1)])


def test_the_server_knows_how_far_each_source_has_come(connected: Connected, postgres: Server, database: str) -> None:
    first, second = connected("source-1"), connected("source-2")
    first.send(batch([row(0), row(1)], row_id=7, change_id=3))
    second.send(batch([row(2)], row_id=2))
    second.send(batch([], row_id=9, change_id=1))
    assert (first.connect("source-1"), second.connect("source-2")) == (Position(7, 3), Position(9, 1))
    assert [one["host_id"] for one in there(postgres, database)] == ["host of source-1"] * 2 + ["host of source-2"]


def test_a_server_that_was_emptied_is_filled_from_the_beginning(
    connected: Connected, postgres: Server, database: str
) -> None:
    destination = connected()
    destination.send(batch([row()]))
    postgres.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", database=database)
    with pytest.raises(ExportFailed, match="does not exist"):
        destination.send(batch([row(1)], row_id=2))
    assert destination.connect(SOURCE) == Position(0, 0)
    destination.send(batch([row()]))
    assert there(postgres, database) == expected([row()])


def test_sidecars_that_start_at_once_make_one_schema_and_each_month_once(postgres: Server, database: str) -> None:
    begin = threading.Barrier(8, timeout=20)
    months = [f"{year}-{month:02}" for year in (1970, 2026, 9999) for month in (1, 2, 11, 12)]

    def bring(number: int) -> None:
        destination = Postgres(postgres.dsn(database), f"host of {number}")
        begin.wait()
        destination.connect(str(number))
        mine = [row(100 * number + place, timestamp=f"{month}-28T23:59:59.999Z") for place, month in enumerate(months)]
        begin.wait()
        destination.send(batch(mine))
        destination.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(bring, range(8)))
    counts = "SELECT tableoid::regclass::text, count(*) FROM completion_requests GROUP BY 1 ORDER BY 1"
    assert postgres.execute(counts, database=database) == [
        (f"completion_requests_{month.replace('-', '_')}", 8) for month in months
    ]
    versions = postgres.execute("SELECT version FROM llm_metrics_schema ORDER BY 1", database=database)
    assert versions == [(number + 1,) for number in range(schema.CURRENT)]


def test_sidecars_that_send_the_same_rows_at_once_do_not_wait_for_each_other_in_a_circle(
    connected: Connected, postgres: Server, database: str
) -> None:
    rows = [row(number, model="gpt-5") for number in range(3_000)]
    first, second = connected("source-1"), connected("source-2")
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one, mine: one.send(batch(mine)), (first, second), (rows, rows[::-1])))
    assert len(there(postgres, database)) == len(rows)


def test_a_deadlock_with_somebody_else_is_tried_again(connected: Connected, postgres: Server, database: str) -> None:
    destination, rows = connected(), [row(0), row(1)]
    destination.send(batch(rows))
    hold = "UPDATE completion_requests SET model = 'held' WHERE event_id = %s"
    with psycopg.connect(postgres.dsn(database)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1min'")  # so that it is not this one that gives way
        other.execute(hold, (f"{1:032x}",))
        sending = pool.submit(destination.send, batch([row(0, cost_usd=1.0), row(1, cost_usd=1.0)]))
        _until_it_waits(postgres, database)
        other.execute(hold, (f"{0:032x}",))
        with pytest.raises(Unavailable, match="deadlock"):
            sending.result()
        other.rollback()
    assert there(postgres, database) == expected(rows)


def _until_it_waits(postgres: Server, database: str) -> None:
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"  # noqa: S608
    while postgres.execute(waiting) == [(0,)]:
        pass


def test_a_server_that_stops_midway_has_all_or_nothing_of_a_batch_and_goes_on_afterwards(
    connected: Connected, postgres: Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    destination, rows = connected(), real(600)
    destination.send(batch(rows[:200]))
    with closing(psycopg.connect(postgres.dsn(database))) as other, ThreadPoolExecutor(1) as pool:
        other.execute("LOCK TABLE llm_metrics_sources")  # the batch is inserted, and waits to move the cursor
        sending = pool.submit(destination.send, batch(rows, row_id=400))
        _until_it_waits(postgres, database)
        postgres.stop()
        with pytest.raises(Unavailable):
            sending.result()
    with pytest.raises(Unavailable):
        destination.send(batch(rows[200:], row_id=600))
    with pytest.raises(Unavailable, match=r"No such file|refused"):
        destination.connect(SOURCE)
    postgres.start(wait=False)
    position = None
    while position is None:
        with suppress(Unavailable):  # "the database system is starting up" and the like
            position = destination.connect(SOURCE)
    assert position == Position(200, 0)
    assert there(postgres, database) == expected(rows[:200])
    destination.send(batch(rows[200:], row_id=600))
    assert there(postgres, database) == expected(rows)
    assert caplog.records == []


def test_a_connection_that_an_admin_ends_is_made_anew(connected: Connected, postgres: Server, database: str) -> None:
    destination = connected()
    ended = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"  # noqa: S608
    assert postgres.execute(ended) == [(True,)]
    with pytest.raises(Unavailable):
        destination.send(batch([row()]))
    destination.connect(SOURCE)
    destination.send(batch([row()]))
    assert there(postgres, database) == expected([row()])


def test_a_server_that_is_full_is_tried_again(postgres: Server, database: str) -> None:
    postgres.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    with pytest.raises(Unavailable, match="too many connections"):
        Postgres(postgres.dsn(database, user="crowded"), "host-1").connect(SOURCE)


@pytest.mark.parametrize("any_will_do", ["", " target_session_attrs=any"])
def test_a_server_that_may_only_be_read_just_now_is_tried_again(
    connected: Connected, postgres: Server, database: str, any_will_do: str
) -> None:
    connected()
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")  # as of a standby
    with pytest.raises(Unavailable, match="read-only"):
        Postgres(postgres.dsn(database) + any_will_do, "host-1").connect(SOURCE)


@pytest.mark.parametrize(
    ("database", "user", "password", "said"),
    [
        (
            "postgres",
            "postgres",
            "falsch-8",
            ("password authentication failed", "give the right password in PGPASSWORD"),
        ),
        (
            "postgres",
            "nobody-9",
            "falsch-8",
            ("password authentication failed", "give the right password in PGPASSWORD"),
        ),
        ("postgres", "postgres", "", ("no password supplied", "give the right password in PGPASSWORD")),
        ("nowhere", "postgres", PASSWORD, ('database "nowhere" does not exist', "create the database")),
        ("postgres?sslmode=require", "postgres", PASSWORD, ("SSL", "see to the certificates, or sslmode")),
        ("postgres?sslmode=falsch", "postgres", PASSWORD, ("sslmode", "correct that parameter of the DSN")),
        ("postgres?options=-cnothing%3D1", "postgres", PASSWORD, ("nothing", "correct that parameter of the DSN")),
    ],
)
def test_what_only_a_person_can_mend_is_said_in_one_sentence(
    postgres: Server, database: str, user: str, password: str, said: tuple[str, str]
) -> None:
    destination = Postgres(postgres.url(database, user, password), "host-1")
    with pytest.raises(ExportFailed) as failed:
        destination.connect(SOURCE)
    text = str(failed.value)
    assert text.startswith(f"postgres 127.0.0.1:{postgres.port}/{database.partition('?')[0]}: ")
    assert all(words in text for words in said)
    assert text.count("\n") == 0
    assert "falsch-8" not in text
    assert PASSWORD not in text


def test_a_password_comes_from_the_environment(
    postgres: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    destination = Postgres(f"host=127.0.0.1 port={postgres.port} dbname={database} user=postgres", "host-1")
    assert destination.connect(SOURCE) == Position(0, 0)
    destination.close()


def test_tables_of_a_newer_program_are_left_alone(connected: Connected, postgres: Server, database: str) -> None:
    connected()
    newer = schema.CURRENT + 1
    postgres.execute(f"INSERT INTO llm_metrics_schema VALUES ({newer}, now())", database=database)  # noqa: S608
    with pytest.raises(ExportFailed, match=rf"has version {newer} of the tables.*: update this program\.$"):
        connected()


def test_an_older_postgresql_is_refused(connected: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_OLDEST", 99)
    with pytest.raises(ExportFailed, match=r"is PostgreSQL \d+: give one of version 99 or newer\.$"):
        connected()


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    latin = postgres.database(options="ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(
        ExportFailed, match=r"is encoded in LATIN1: give a database that is made with ENCODING 'UTF8'\.$"
    ):
        Postgres(postgres.dsn(latin), "host-1").connect(SOURCE)


def test_tables_of_somebody_else_are_left_alone(connected: Connected, postgres: Server, database: str) -> None:
    postgres.execute("CREATE TABLE completion_requests (mine text)", database=database)
    with pytest.raises(ExportFailed, match=r'"completion_requests" already exists: something else has that name'):
        connected()
    assert postgres.execute("SELECT to_regclass('llm_metrics_schema')::text", database=database) == [(None,)]


def test_a_schema_of_their_own_is_found_and_one_that_is_missing_is_named(postgres: Server, database: str) -> None:
    postgres.execute("CREATE SCHEMA team", database=database)
    inside = f"{postgres.dsn(database)} options='-c search_path=team'"
    with closing(Postgres(inside, "host-1")) as destination:
        destination.connect(SOURCE)
        destination.send(batch([row()]))
    assert postgres.execute("SELECT count(*) FROM team.completion_requests_2026_03", database=database) == [(1,)]
    with pytest.raises(ExportFailed, match=r"no schema .*: create the schema that the role's search_path names\.$"):
        Postgres(inside.replace("team", "nowhere"), "host-1").connect(SOURCE)


def test_a_role_needs_no_more_than_is_said(connected: Connected, postgres: Server, database: str) -> None:
    postgres.execute("CREATE ROLE exporter LOGIN")
    with pytest.raises(ExportFailed, match=r"permission denied for schema public: grant the role what"):
        connected(user="exporter")
    connected()  # as an admin, which makes the tables
    with pytest.raises(ExportFailed, match=r"permission denied for table llm_metrics_schema: grant the role what"):
        connected(user="exporter")
    granted = re.findall(r"GRANT [^;]+", package.__doc__ or "")
    assert len(granted) == 4
    postgres.execute(*granted, database=database)
    connected(user="exporter").send(batch([row(timestamp="2031-07-01T00:00:00.000Z")]))
    assert len(there(postgres, database)) == 1


def test_a_role_that_may_only_read_is_told_so(connected: Connected, postgres: Server) -> None:
    connected()
    postgres.execute("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
    with pytest.raises(ExportFailed, match=r"permission denied for table llm_metrics_sources: grant the role what"):
        connected(user="reader")


@pytest.mark.parametrize("moment", ["", "now", "infinity", "2026-13-01T00:00:00.000Z", b"2026"])
def test_a_row_without_a_moment_is_refused_alone(
    connected: Connected, postgres: Server, database: str, moment: object
) -> None:
    destination = connected()
    with pytest.raises(Unacceptable) as refused:
        destination.send(batch([row(), row(1, timestamp=moment, model="secret")]))
    assert str(refused.value) == "a timestamp is invalid"
    destination.send(batch([row()]))
    assert there(postgres, database) == expected([row()])


def test_a_row_that_no_index_takes_is_refused_alone_and_not_repeated_in_the_error(
    connected: Connected, postgres: Server, database: str
) -> None:
    long = "".join(random.Random(1).choices("0123456789abcdef", k=20_000))
    destination = connected()
    with pytest.raises(Unacceptable) as refused:
        destination.send(batch([row(), row(1, event_id=long)]))
    assert str(refused.value) == "PostgreSQL refuses a row: program limit exceeded"
    destination.send(batch([row()], row_id=2))
    assert there(postgres, database) == expected([row()])
    assert destination.connect(SOURCE) == Position(2, 0)
