"""The views in PostgreSQL say of the same rows what those of SQLite say, and read no more of them than they need."""

import os
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from llm_metrics_proxy.migrations import views as sqlite_views
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.export import Batch, outbox
from llm_metrics_proxy.recorder.export.postgres import Postgres, schema
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import identity
from llm_metrics_proxy.recorder.store.account import Account, Gap
from llm_metrics_proxy.recorder.store.exporters import Position
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound
from tests.support.exporting.postgres_server import Server, binaries
from tests.support.recent_calls import call

pytest_plugins = ["tests.support.exporting.postgres_fixtures"]
pytestmark = [
    pytest.mark.skipif(
        binaries() is None and not os.environ.get("CI"), reason="needs PostgreSQL: apt install postgresql"
    ),
    pytest.mark.xdist_group("postgres"),
]

NAMES = [statement.split()[2] for statement in schema.view_statements()]
SQLITE_NAMES = [statement.split()[2] for statement in sqlite_views.statements()]
ONLY_HERE = ["active_days", "host_summary_last_24h", "host_summary_last_7d"]
ONLY_IN_SQLITE = [
    *("calls_by_span", "costs_by_span", "errors_by_span", "times_by_span"),  # the roll-up's own
    "quota_headroom",  # limits are not sent
    "substitutions",  # of a table that the recorder keeps
    *("cache_breaks_last_24h", "cache_breaks_last_7d"),
]
EXACT = {"model_summary_last_hour", "model_summary_last_24h", "model_summary_last_7d"}  # percentiles, by nearest rank
APART = RELATIVE_ERROR  # of others: what SQLite's are off by
AMBIGUOUS: dict[str, set[str]] = {}
KEYS = (
    *("id", "event_id", "hour", "day", "cost_note", "model", "origin", "provider", "error_type", "session_id", "calls"),
    *("error_class", "finish_class", "label", "value", "agent_id"),
)
NOW = datetime.now(UTC)
AGES = (0.3, 0.6, 3, 12, 22, 40, 100, 160, 300)  # hours: none is within minutes of a window's beginning
TIMINGS = [None, '{"openai-processing-ms":10}', '{"latencyMs":20.5,"x":1}', '{"total_time":0.5}', "{", '{"a":1}']


@dataclass
class Both:
    """The same rows on both sides."""

    sqlite: sqlite3.Connection
    postgres: psycopg.Connection[dict[str, Any]]


def _ago(numbers: random.Random) -> timedelta:
    """One of the ages and some minutes, in the same hour."""
    ago = timedelta(hours=numbers.choice(AGES))
    then = NOW - ago
    return ago + timedelta(minutes=numbers.random() * min(then.minute, 10))


def _cost(which: int, usd: float) -> dict[str, Any]:
    whole: dict[str, Any] = {"cost_usd": usd, "cost_complete": 1}
    return [{}, {"cost_note": "no_price"}, whole, whole | {"cost_complete": 0, "cost_note": "output_unknown"}][which]


def _calls(numbers: random.Random) -> list[CompletionRequest]:
    made = []
    for number in range(2_000):
        first = int(numbers.uniform(500, 1_500))
        success, streaming = numbers.random() < 0.9, numbers.random() < 0.7
        made.append(
            call(
                _ago(numbers),
                event_id=f"{number:032x}",
                model=numbers.choice(["fast", "slow", None]),
                origin=numbers.choice(["billing", "search", None]),
                provider=numbers.choice(["openai", None]),
                success=success,
                status_code=200 if success else 429,
                error_type=None if success else numbers.choice(["rate_limit", "timeout", None]),
                error_message=None if success else f"message {number}",
                error_class=None if success else numbers.choice(["rate_limit", "quota", None]),
                finish_reason=numbers.choice(["stop", "MAX_TOKENS", None]) if success else None,
                finish_class=numbers.choice(["tool", None]) if success else None,
                is_streaming=streaming,
                response_time_ms=first * 2_000 + number,  # all differ
                time_to_first_token_ms=first if streaming else None,
                time_to_first_byte_ms=first / 2,
                tokens_per_second=numbers.uniform(50, 150) if streaming else None,
                prompt_tokens=numbers.choice([None, 1_000]),
                completion_tokens=numbers.choice([None, 50]),
                cached_tokens=numbers.choice([None, 0, 400]),
                **_cost(numbers.randrange(4), number / 1_024),
                billing=numbers.choice([None, "api_key", "subscription"]),
                session_id=numbers.choice([None, "s1", "s2"]),
                labels=numbers.choice([None, '{"env":"prod","team":"a"}', '{"team":"b \\"c\\\\ ä"}', "{"]),
                agent_id=(agent := numbers.choice([None, "a1", "a2"])),
                parent_agent_id="a1" if agent == "a2" else None,
                agent=numbers.choice([None, "codex"]),
                request_kind=numbers.choice([None, "main", "subagent"]),
                cache_saved_usd=numbers.choice([None, number / 1_024]),
                cache_spent_usd=number / 2_048,
                upload_ms=numbers.choice([None, 3.5]),
                connect_ms=numbers.choice([None, 20.25]),
                retry_count=numbers.choice([None, 0, 2]),
                retry_after_ms=numbers.choice([None, 2_000]),
                rate_limit_remaining_tokens=numbers.choice([None, number]),
                server_timing=numbers.choice(
                    [
                        None,
                        '{"openai-processing-ms":10}',
                        '{"latencyMs":20.5,"x":1}',
                        '{"total_time":0.5}',
                        "{",
                        '{"a":1}',
                    ]
                ),
            )
        )
    made.append(call(timedelta(minutes=5), event_id="f" * 32, model="unpriced", prompt_tokens=5))
    return sorted(made, key=lambda one: one.timestamp)


@pytest.fixture(scope="module")
def both(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    database = postgres.database()
    path = tmp_path_factory.mktemp("views") / "metrics.db"

    Recorder(path).open()
    with (
        closing(open_background(path)) as sqlite,
        closing(Postgres(postgres.dsn(database), "host-1")) as destination,
        psycopg.connect(postgres.dsn(database), row_factory=psycopg.rows.dict_row) as connection,
    ):
        CompletionRequestsDAO(sqlite).insert_completion_requests(_calls(random.Random(3)))
        Account(sqlite, "process-1").write_gaps(
            [Gap("queue_full", number, bound(NOW), bound(NOW + timedelta(seconds=1))) for number in (3, 4)]
        )
        rollup.bring_up_to_date(sqlite, path)
        destination.connect("source-1")
        rows = outbox.rows(sqlite, 0, 2**62)
        destination.send(Batch(rows, Position(len(rows), 0)))
        for _ in range(2):
            destination.send_account(outbox.read_account(sqlite))
        sqlite.row_factory = sqlite3.Row
        yield Both(sqlite, connection)


def comparable(name: str, value: object) -> object:
    """A value of PostgreSQL's as SQLite has it."""
    match value:
        case datetime() if name == "hour":
            return value.astimezone(UTC).isoformat()[:13]
        case datetime():
            return bound(value)
        case date():
            return value.isoformat()
        case Decimal() | float():
            return float(value)
    return value


def near(value: object, apart: float) -> object:
    return pytest.approx(value, rel=apart, abs=0.5 if apart == APART else 1e-5) if isinstance(value, float) else value


def test_there_are_the_same_views_on_both_sides() -> None:
    assert sorted({*NAMES} - {*ONLY_HERE}) == sorted({*SQLITE_NAMES} - {*ONLY_IN_SQLITE})


@pytest.mark.parametrize("view", [name for name in NAMES if name not in ONLY_HERE])
def test_a_view_says_what_that_of_sqlite_says(view: str, both: Both) -> None:
    query = f"SELECT * FROM {view}"  # noqa: S608 - a view of ours
    ours = [dict(row) for row in both.sqlite.execute(query)]
    theirs = [{name: comparable(name, value) for name, value in row.items()} for row in both.postgres.execute(query)]
    assert ours
    assert [name for name in theirs[0] if name != "host_id"] == list(ours[0])

    def key(row: dict[str, Any]) -> list[str]:
        return [str(row[name]) for name in KEYS if name in row]

    for here, there in zip(sorted(ours, key=key), sorted(theirs, key=key), strict=True):
        for name, value in here.items():
            if name == "models":
                assert sorted(str(there[name]).split(",")) == sorted(value.split(","))
            elif name == "change_percent":
                assert there[name] == pytest.approx(value, abs=100 * APART)
            elif re.search(r"(^|_)p\d\d_", f"{name}_") and view not in EXACT:
                assert there[name] == near(value, APART)
            elif name not in AMBIGUOUS.get(view.partition("_last_")[0], ()):
                assert there[name] == near(value, 1e-9), name


@pytest.mark.parametrize("window", ["last_24h", "last_7d"])
def test_hosts_are_summed_up(window: str, both: Both) -> None:
    (host,) = both.postgres.execute(f"SELECT * FROM host_summary_{window}")  # noqa: S608
    models = both.postgres.execute(f"SELECT * FROM model_summary_{window}").fetchall()  # noqa: S608
    assert host["host_id"] == "host-1"
    for name in ("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd"):
        assert host[name] == pytest.approx(sum(model[name] or 0 for model in models), abs=Decimal("1e-5"))


@pytest.mark.parametrize("view", NAMES)
def test_a_view_of_nothing_is_empty(view: str, postgres: Server, empty: str) -> None:
    assert postgres.execute(f"SELECT * FROM {view}", database=empty) == []  # noqa: S608


@pytest.fixture(scope="module")
def empty(postgres: Server) -> str:
    database = postgres.database()
    with closing(Postgres(postgres.dsn(database), "host-1")) as destination:
        destination.connect("source-1")
    return database


@pytest.mark.parametrize("view", NAMES)
def test_a_view_can_be_read_whatever_stands_in_the_rows(view: str, postgres: Server, hostile: str) -> None:
    assert postgres.execute(f"SELECT * FROM {view}", database=hostile) or view == "lost_events"  # noqa: S608


@pytest.fixture(scope="module")
def hostile(postgres: Server) -> str:
    """The name of a database with numbers that are as large as can be, and with texts that are no JSON."""
    database = postgres.database()
    now, most = bound(datetime.now(UTC)), 2**63 - 1
    timing = f'{{"latencyMs":{"9" * 400}}}'
    whole = [name for name in outbox.COLUMNS if name.endswith(("_tokens", "_count", "_ms")) and name != "id"]
    rows = [
        dict.fromkeys(whole, number)
        | {"id": place, "event_id": str(place), "timestamp": now, "success": place % 2, "is_streaming": 1}
        | {"cost_usd": float(number) if model else None, "server_timing": timing, "session_id": "s", "model": model}
        | {"labels": '{"team":"a\\"","x":7,"env":"b'}
        | {"cost_note": "no_price", "billing": "subscription" if place % 3 else "x", "finish_reason": "x" * 9_999}
        for place, (number, model) in enumerate(
            [(most, "a"), (-most, "a"), (most, "a"), (0, "b"), (0, None), (most, None)]
        )
    ]
    rows += [rows[0] | {"event_id": "infinite", "cost_usd": float("inf")}]
    with closing(Postgres(postgres.dsn(database), "host-1")) as destination:
        destination.connect("source-1")
        made = [tuple(row.get(name) for name in outbox.COLUMNS) for row in rows]
        destination.send(Batch(made, Position(len(rows), 0)))
    return database


@pytest.fixture(scope="module")
def long_ago(both: Both) -> str:
    """The name of a partition with a call in it that nobody asks about."""
    both.postgres.execute("SELECT llm_metrics_make_partitions('{2020-02-01}')")
    both.postgres.execute(
        "INSERT INTO completion_requests (event_id, timestamp) VALUES ('old', '2020-02-01T00:00:00Z')"
    )
    return "completion_requests_2020_02"


def plan(both: Both, query: str) -> str:
    return "\n".join(row["QUERY PLAN"] for row in both.postgres.execute(f"EXPLAIN ANALYZE {query}"))


@pytest.mark.parametrize(
    "view",
    [name for name in NAMES if "_last_" in name] + ["latency_by_hour", "slower_this_week", "unpriced_models"],
)
def test_what_is_asked_of_lately_leaves_other_months_alone(view: str, both: Both, long_ago: str) -> None:
    assert long_ago not in plan(both, f"SELECT * FROM {view}")  # noqa: S608
    assert long_ago in plan(both, "SELECT count(*) FROM completion_requests")


@pytest.mark.parametrize("view", ["cost_by_day", "errors_by_day", "latency_by_day"])
def test_a_condition_on_the_day_leaves_other_months_alone(view: str, both: Both, long_ago: str) -> None:
    calls = rf"on {long_ago} completion_requests_\d+ .*(loops|never executed)"  # beside those that find the days
    recent = plan(both, f"SELECT * FROM {view} WHERE day > current_date - 3")  # noqa: S608
    ever = plan(both, f"SELECT * FROM {view}")  # noqa: S608
    assert len(re.findall(calls, ever)) == len(re.findall(calls, recent)) > 0
    assert ever.count("never executed") < recent.count("never executed")


def test_a_server_of_an_older_release_gets_the_present_views_and_its_readers_keep_their_right(
    postgres: Server, empty: str
) -> None:
    view = "SELECT pg_get_viewdef('latency_by_hour'::regclass)"
    may_read = "SELECT has_table_privilege('pg_monitor', 'latency_by_hour', 'SELECT')"
    ((present,),) = postgres.execute(view, database=empty)
    assert "percentile_disc" in present
    # As version 3 had it: a percentile between two values.
    older = present.replace("percentile_disc", "percentile_cont")
    postgres.execute(f"CREATE OR REPLACE VIEW latency_by_hour AS {older}", database=empty)
    postgres.execute("GRANT SELECT ON latency_by_hour TO pg_monitor", database=empty)
    of_version_4 = identity.columns_of(4)
    for later in (column for column in outbox.COLUMNS if column not in of_version_4):
        postgres.execute(f"ALTER TABLE completion_requests DROP COLUMN {later} CASCADE", database=empty)
    postgres.execute("DELETE FROM llm_metrics_schema WHERE version > 3", database=empty)
    with closing(Postgres(postgres.dsn(empty), "host-1")) as destination:
        destination.connect("source-1")
    assert postgres.execute(view, database=empty) == [(present,)]
    assert postgres.execute(may_read, database=empty) == [(True,)]
