"""What `sqlite-utils` has from us: functions in every query, two commands, and nothing that costs other commands."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from llm_metrics_proxy.recorder import percentile
from llm_metrics_proxy.recorder.commands import plugin
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store.database import open_writer

type MakeEvent = Callable[..., CompletionRequest]

SQLITE_UTILS = Path(sys.executable).with_name("sqlite-utils")
FAILED = "user-defined aggregate's 'step' method raised error"

numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.integers(0, 5))
percentages = st.one_of(
    st.integers(0, 100), st.decimals(0, 100, places=1).map(float), st.floats(0, 100, allow_subnormal=False)
)


def sqlite_utils(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(SQLITE_UTILS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def answer(statement: str, *parameters: Any) -> Any:  # noqa: ANN401 - whatever SQL answers
    with closing(sqlite3.connect(":memory:")) as connection:
        percentile.register(connection)
        plugin.prepare_connection(connection)
        ((value,),) = connection.execute(statement, parameters).fetchall()
        return value


def of(values: list[Any], function: str, *parameters: Any) -> Any:  # noqa: ANN401
    with closing(sqlite3.connect(":memory:")) as connection:
        percentile.register(connection)
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        ((value,),) = connection.execute(f"SELECT {function} FROM t", parameters).fetchall()  # noqa: S608
        return value


def reference(values: list[int | float], percent: float) -> int | float:
    """By definition: the smallest value that at least so many percent of all values do not exceed."""
    share = Fraction(str(percent))
    return min(value for value in values if Fraction(100 * sum(one <= value for one in values), len(values)) >= share)


@given(values=st.lists(numbers, min_size=1, max_size=60), percent=percentages, nulls=st.integers(0, 3))
def test_percentiles_are_those_of_the_definition(values: list[int | float], percent: float, nulls: int) -> None:
    assert of([None] * nulls + values, "percentile(x, ?)", percent) == reference(values, percent)


@given(values=st.lists(numbers, min_size=1, max_size=60))
def test_the_short_names_are_percentiles_too(values: list[int | float]) -> None:
    short = "json_array(median(x) = percentile(x, 50), p50(x) = median(x), p90(x) = percentile(x, 90), \
        p95(x) = percentile(x, 95), p99(x) = percentile(x, 99))"
    assert json.loads(of(values, short)) == [1] * 5
    assert of(values, "median(x)") == reference(values, 50)


@given(values=st.lists(st.one_of(st.none(), numbers), min_size=1, max_size=30), width=st.integers(0, 6))
def test_they_are_window_functions_as_well(values: list[int | float | None], width: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        percentile.register(connection)
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
        connection.executemany("INSERT INTO t (x) VALUES (?)", [(value,) for value in values])
        window = f"ORDER BY id ROWS {width} PRECEDING"
        found = connection.execute(f"SELECT percentile(x, 90) OVER ({window}) FROM t ORDER BY id").fetchall()  # noqa: S608
    for row, (value,) in enumerate(found):
        known = [one for one in values[max(row - width, 0) : row + 1] if one is not None]
        assert value == (reference(known, 90) if known else None)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 99, 100, 128, 1000])
def test_no_rank_is_off_by_one_for_a_binary_fraction(count: int) -> None:
    ordered = range(1, count + 1)
    for tenths in range(1001):
        expected = max(-(-tenths * count // 1000), 1)
        assert percentile.nearest_rank(ordered, tenths / 10) == expected
        if tenths % 10 == 0:
            assert percentile.nearest_rank(ordered, tenths // 10) == expected


def test_as_typed_and_not_as_binary_fractions() -> None:
    assert of(list(range(1, 1001)), "percentile(x, 55.1)") == 551
    assert of(list(range(1, 1001)), "percentile(x, 0.1)") == 1
    assert of(list(range(1, 1001)), "percentile(x, 100)") == 1000
    assert of(list(range(1, 1001)), "percentile(x, 0)") == 1


@pytest.mark.parametrize("values", [[], [None, None]])
def test_over_no_value_the_answer_is_null(values: list[None]) -> None:
    assert of(values, "percentile(x, 95)") is None
    assert of(values, "median(x)") is None


def test_groups_and_filters_work() -> None:
    statement = """
        SELECT json_group_array(json_array(g, p)) FROM (
            SELECT column1 AS g, percentile(column2, 50) FILTER (WHERE column2 < 100) AS p
            FROM (VALUES ('a', 1), ('a', 3), ('a', 200), ('b', 7), ('c', 100)) GROUP BY 1 ORDER BY 1)
    """
    assert json.loads(answer(statement)) == [["a", 1], ["b", 7], ["c", None]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("percentile('gpt-5', 95)", "percentile(): 'gpt-5' is not a number: leave it out, or convert it with cast("),
        ("percentile(x'00', 95)", "percentile(): a blob is not a number"),
        ("p95('12')", "p95(): '12' is not a number"),
        (r"p95('" + "\x1b[2J" + "')", r"p95(): '\x1b[2J' is not a number"),
        ("percentile(1, 101)", "percentile(): the percentage is 101: give a number from 0 to 100."),
        ("percentile(1, -1)", "percentile(): the percentage is -1: "),
        ("percentile(1, 9e999)", "percentile(): the percentage is inf: "),
        ("percentile(1, 'high')", "percentile(): the percentage is 'high': "),
        ("percentile(1, NULL)", "percentile(): the percentage is NULL: "),
        ("percentile(1, column1)", "percentile(): the percentage is 50 and then 95: give the same for all rows"),
    ],
)
def test_what_makes_no_sense_is_an_error_with_its_reason(call: str, sentence: str) -> None:
    done = sqlite_utils("memory", f"select {call} from (values (50), (95))")  # noqa: S608 - the test's own
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert done.stderr.endswith(f"\nError: {FAILED}\n")


def test_ours_stand_in_the_place_of_functions_that_sqlite_has() -> None:
    class Interpolating:
        def __init__(self) -> None:
            self.values: list[float] = []

        def step(self, value: float, *_: object) -> None:
            self.values.append(value)

        def finalize(self) -> float:
            return sum(self.values) / len(self.values)

    with closing(sqlite3.connect(":memory:")) as connection:
        other: Callable[[], Any] = Interpolating
        connection.create_aggregate("percentile", 2, other)
        connection.create_aggregate("median", 1, other)
        statement = "SELECT percentile(column1, 50), median(column1) FROM (VALUES (1), (2))"
        assert connection.execute(statement).fetchall() == [(1.5, 1.5)]
        percentile.register(connection)
        assert connection.execute(statement).fetchall() == [(1, 1)]


@pytest.mark.parametrize(("length", "minutes"), [("15m", 15), ("24h", 1440), ("7d", 10_080), (" 2W ", 20_160)])
def test_ago_is_a_moment_as_the_database_has_it(length: str, minutes: int) -> None:
    expected = datetime.now(UTC) - timedelta(minutes=minutes)
    found = answer("SELECT ago(?)", length)
    assert abs(datetime.fromisoformat(found) - expected) < timedelta(seconds=5)
    assert len(found) == len("2026-03-01T12:00:00.000Z")


@pytest.mark.parametrize("length", ["'yesterday'", "NULL", "24", "''"])
def test_what_is_no_length_of_time_is_an_error_with_its_reason(length: str) -> None:
    done = sqlite_utils("memory", f"select ago({length})")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("What ago() got is ")
    assert "which is no length of time: write it like 90d or 12h.\n" in done.stderr


def test_the_index_serves_ago(current_db: Path) -> None:
    with closing(sqlite3.connect(current_db)) as connection:
        plugin.prepare_connection(connection)
        statement = "EXPLAIN QUERY PLAN SELECT model FROM completion_requests WHERE timestamp >= ago('24h')"
        ((*_, plan),) = connection.execute(statement).fetchall()
    assert plan == "SEARCH completion_requests USING INDEX completion_requests_timestamp (timestamp>?)"


def test_every_query_of_sqlite_utils_has_the_functions(current_db: Path, make_event: MakeEvent) -> None:
    now = datetime.now(UTC)
    events = [
        make_event(
            timestamp=(now - timedelta(hours=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            event_id=f"{n:032x}",
            time_to_first_token_ms=100 * n,
        )
        for n in range(30)
    ]
    with closing(open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(events)
    query = """select count(*) as calls, percentile(time_to_first_token_ms, 95) as p95, median(time_to_first_token_ms)
        as median, p99(cost_usd) as cost from completion_requests where timestamp >= ago('24h')"""
    done = sqlite_utils(current_db, query)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [{"calls": 24, "p95": 2200, "median": 1100, "cost": None}]


def test_databases_that_python_opens_have_them_too() -> None:
    with closing(Database(memory=True)) as database:
        assert database.execute("SELECT percentile(1, 50), p95(2)").fetchone() == (1, 2)


def test_sqlite_utils_knows_the_plugin_and_its_commands() -> None:
    (plugin,) = json.loads(sqlite_utils("plugins").stdout)
    assert plugin["name"] == "llm-metrics-proxy"
    assert sorted(plugin["hooks"]) == ["prepare_connection", "register_commands"]
    commands = sqlite_utils("--help").stdout
    assert "  llm-report " in commands
    assert "  llm-top " in commands


def test_no_other_command_pays_for_what_ours_need() -> None:
    script = """if True:
        import sys
        import sqlite_utils.cli
        assert "llm_metrics_proxy.recorder.commands.plugin" in sys.modules
        print(*sorted(name for name in sys.modules if name.partition(".")[0] in
            ("llm_metrics_proxy", "mitmproxy", "msgspec", "rich", "jinja2", "markupsafe", "xml")))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "llm_metrics_proxy",
        "llm_metrics_proxy.recorder",
        "llm_metrics_proxy.recorder.commands",
        "llm_metrics_proxy.recorder.commands.common",
        "llm_metrics_proxy.recorder.commands.plugin",
        "llm_metrics_proxy.recorder.errors",
        "llm_metrics_proxy.recorder.percentile",
        "llm_metrics_proxy.recorder.reporting",
        "llm_metrics_proxy.recorder.store",
        "llm_metrics_proxy.recorder.store.timestamps",
    ]


def test_the_recorder_knows_nothing_of_the_plugin() -> None:
    script = """if True:
        import sys
        from llm_metrics_proxy.recorder import recorder
        assert not {"rich", "jinja2", "llm_metrics_proxy.recorder.commands"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", script], check=True)
