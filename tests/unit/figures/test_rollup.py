"""The roll-up: whatever is asked of it is what the rows say, however far it has come, and after rows were pruned."""

import logging
import math
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.recorder.care.check import check
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup, rollup_check
from llm_metrics_proxy.recorder.figures.metrics import BEGINNING, END, Figures, Metrics, metrics_between
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR
from llm_metrics_proxy.recorder.prices.pricing import Cost
from llm_metrics_proxy.recorder.prices.rollup_costs import change_costs
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import open_reader
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound
from llm_metrics_proxy.recorder.upkeep import prune
from tests.support.costs import changes

type MakeEvent = Callable[..., CompletionRequest]
type MakeEvents = Callable[..., list[CompletionRequest]]

NOW = datetime.now(UTC)
SUMMED = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens",
          "reasoning_tokens", "cost_usd")  # fmt: skip
TIMES = ("response_time_ms", "time_to_first_token_ms", "tokens_per_second")


@pytest.fixture
def connection(current_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_background(current_db)) as opened:
        yield opened


@pytest.fixture
def make_events(make_event: MakeEvent) -> MakeEvents:
    """Calls of the last `days`, of some models, origins and providers, with and without each number."""

    def make(count: int, *, days: float = 100, seed: int = 1) -> list[CompletionRequest]:
        numbers = random.Random(seed)

        def maybe(value: float) -> float | None:
            return value if numbers.random() < 0.8 else None

        events = []
        for at in sorted(numbers.random() for _ in range(count)):
            success, streaming = numbers.random() < 0.9, numbers.random() < 0.6
            first = numbers.lognormvariate(6, 1)
            event = make_event(
                timestamp=bound(NOW - timedelta(days=days * (1 - at))),
                success=success,
                is_streaming=streaming,
                model=numbers.choice(["a", "b", None]),
                origin=numbers.choice(["x", "y", "z", None]),
                provider=numbers.choice(["p", "q", None]),
                error_type=None if success else numbers.choice(["timeout", "http_500", None]),
                response_time_ms=int(first + numbers.lognormvariate(8, 1)),
                time_to_first_token_ms=int(first) if streaming else None,
                tokens_per_second=maybe(numbers.lognormvariate(4, 0.5)) if streaming else None,
                prompt_tokens=maybe(numbers.randrange(10_000, 20_000)),
                completion_tokens=maybe(numbers.randrange(5_000, 9_000)),
                total_tokens=maybe(numbers.randrange(30_000)),
                cached_tokens=maybe(numbers.randrange(5_000)),
                cache_write_tokens=maybe(numbers.randrange(5_000)),
                reasoning_tokens=maybe(numbers.randrange(5_000)),
                cost_usd=maybe(numbers.random()),
            )
            events.append(event)
        return events

    return make


def insert(connection: sqlite3.Connection, events: Sequence[CompletionRequest]) -> None:
    CompletionRequestsDAO(connection).insert_completion_requests(events)


def nearest_rank(values: list[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def assert_figures(found: Figures, of: list[CompletionRequest], *, exact: bool) -> None:
    assert found.requests == len(of)
    assert found.streamed == sum(event.is_streaming for event in of)
    assert found.not_streamed == found.requests - found.streamed
    assert found.successes == sum(event.success for event in of)
    assert found.failures == found.requests - found.successes
    for name in SUMMED:
        known = [getattr(event, name) for event in of if getattr(event, name) is not None]
        assert getattr(found, name) == (pytest.approx(math.fsum(known), rel=1e-12) if known else None)
    assert found.priced == sum(event.cost_usd is not None for event in of)
    for name in TIMES:
        known = [getattr(event, name) for event in of if getattr(event, name) is not None]
        if not known:
            assert getattr(found, name) is None
            assert getattr(found, f"mean_{name}") is None
            continue
        assert getattr(found, f"mean_{name}") == pytest.approx(math.fsum(known) / len(known))
        for share in (0.5, 0.95, 0.99):
            value = getattr(getattr(found, name), f"p{round(share * 100)}")
            expected = nearest_rank(known, share)
            assert value == (expected if exact else pytest.approx(expected, rel=RELATIVE_ERROR))


def assert_metrics(found: Metrics, of: list[CompletionRequest]) -> None:
    exact = found.percentiles_are_exact
    assert_figures(found.overall, of, exact=exact)
    for name, figures in (("model", found.by_model), ("origin", found.by_origin), ("provider", found.by_provider)):
        assert set(figures) == {getattr(event, name) for event in of}
        for value, one in figures.items():
            assert_figures(one, [event for event in of if getattr(event, name) == value], exact=exact)
    failed = [event.error_type for event in of if not event.success]
    assert found.error_types == {kind: failed.count(kind) for kind in set(failed)}


@pytest.mark.parametrize("added", [0, 700, 1_500])
def test_any_period_has_the_figures_of_its_rows_however_far_the_roll_up_has_come(
    added: int, connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    events = make_events(1_500)
    insert(connection, events[:added])
    assert rollup.bring_up_to_date(connection, current_db) == added
    insert(connection, events[added:])
    dao = CompletionRequestsDAO(connection)
    assert dao.get_metrics().percentiles_are_exact
    assert_metrics(dao.get_metrics(), events)
    numbers = random.Random(added)
    for _ in range(8):
        days = sorted((numbers.uniform(0, numbers.choice([1, 8, 110])) for _ in range(2)), reverse=True)
        start, end = (NOW - timedelta(days=day) for day in days)
        for begin, until in ((start, end), (start, None), (None, end)):
            first, last = bound(begin) if begin else "", bound(until) if until else "~"
            expected = [event for event in events if first <= event.timestamp < last]
            assert_metrics(dao.get_metrics(begin, until), expected)
            counted = metrics_between(connection, begin or BEGINNING, until or END, exact_calls=-1)
            assert not counted.percentiles_are_exact
            assert_metrics(counted, expected)


def test_what_is_inserted_again_counts_once(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    events = make_events(300)
    for _ in range(3):
        insert(connection, events)
        rollup.bring_up_to_date(connection, current_db)
    assert_metrics(CompletionRequestsDAO(connection).get_metrics(), events)


def test_pruned_calls_stay_in_every_figure_of_whole_days(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    events = make_events(800)
    insert(connection, events)
    prune.prune(current_db, NOW - timedelta(days=30))
    dao = CompletionRequestsDAO(connection)
    assert dao.get_table_info().rows < 400
    assert_metrics(dao.get_metrics(), events)
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=50)
    later = [event for event in events if event.timestamp >= bound(midnight)]
    assert_metrics(dao.get_metrics(midnight), later)
    assert check(current_db) == ()


def test_calls_that_the_roll_up_does_not_have_are_not_pruned(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    events = make_events(300)
    insert(connection, events[:100])
    rollup.bring_up_to_date(connection, current_db)
    insert(connection, events[100:])
    prune.prune(current_db, NOW, most_added=199)
    dao = CompletionRequestsDAO(connection)
    assert dao.get_table_info().rows == 200
    assert_metrics(dao.get_metrics(), events)
    prune.prune(current_db, NOW, most_added=200)
    assert dao.get_table_info().rows == 0
    assert_metrics(dao.get_metrics(), events)


@pytest.mark.parametrize("added", [0, 100, 200])
def test_costs_that_come_later_are_carried_over(
    added: int, connection: sqlite3.Connection, current_db: Path, make_event: MakeEvent
) -> None:
    events = [
        make_event(
            timestamp=bound(NOW - timedelta(days=n / 10)),
            model="ab"[n % 2],
            cost_usd=0.5 if n % 4 == 0 else None,
            cost_source="provider" if n % 4 == 0 else None,
        )
        for n in range(200)
    ]
    insert(connection, events[:added])
    rollup.bring_up_to_date(connection, current_db)
    insert(connection, events[added:])
    priced = [row for row in range(1, 201) if row % 4 != 1]
    for cost in (0.25, 0.125, None, 2.0):
        connection.execute("BEGIN IMMEDIATE")
        made = changes(connection, priced, Cost(cost, "file", None if cost is None else 1))
        assert change_costs(connection, made) == 150
        assert change_costs(connection, made) == 0  # they are no longer what they were
        connection.execute("COMMIT")
        overall = CompletionRequestsDAO(connection).get_metrics().overall
        assert overall.cost_usd == pytest.approx(50 * 0.5 + 150 * (cost or 0))
        assert overall.priced == (200 if cost is not None else 50)
    rollup.bring_up_to_date(connection, current_db)
    assert CompletionRequestsDAO(connection).get_metrics().overall.cost_usd == pytest.approx(325)
    assert check(current_db) == ()


def test_costs_that_change_while_rows_are_added_up_are_not_lost(
    connection: sqlite3.Connection, current_db: Path, make_event: MakeEvent
) -> None:
    insert(connection, [make_event(timestamp=bound(NOW)) for _ in range(1_200)])
    stop = threading.Event()

    def price() -> None:
        with closing(open_background(current_db)) as other:
            other.execute("PRAGMA busy_timeout=5000")
            for cost in range(1, 200):
                other.execute("BEGIN IMMEDIATE")
                change_costs(other, changes(other, range(1, 1_201, 7), Cost(float(cost), "file", 1)))
                other.execute("COMMIT")
                if stop.is_set():
                    return

    pricing = threading.Thread(target=price)
    pricing.start()
    while rollup.bring_up_to_date(connection, current_db):
        pass
    stop.set()
    pricing.join()
    assert watermarks.get(connection, watermarks.ROLLUP) == 1_200
    assert check(current_db) == ()


def test_several_that_add_up_at_once_count_each_row_once(current_db: Path, make_events: MakeEvents) -> None:
    events = make_events(2_000)

    def add_up() -> None:
        with closing(open_background(current_db)) as own:
            rollup.bring_up_to_date(own, current_db)

    with closing(open_background(current_db)) as writer:
        for start in range(0, 2_000, 500):
            insert(writer, events[start : start + 500])
            threads = [threading.Thread(target=add_up) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert_metrics(CompletionRequestsDAO(writer).get_metrics(), events)
    assert check(current_db) == ()


TAMPERING = {
    "DELETE FROM completion_requests WHERE id % 50 = 0": "differs from its rows",
    "UPDATE completion_requests SET model = 'other' WHERE id = 400": "differs from its rows",
    "UPDATE completion_requests SET prompt_tokens = 1000000 WHERE id = 400": "prompt_tokens of",
    "UPDATE completion_requests SET response_time_ms = 1000000 WHERE id = 400": "differs from its rows",
    "UPDATE rollup_times SET counts = replace(counts, ':1}', ':2}') WHERE span = 'day'": "its percentiles",
    "UPDATE rollup_calls SET calls = calls + 1 WHERE span = 'month'": "differs from its days",
    "DELETE FROM rollup_calls WHERE span = 'hour'": "differs from its rows",
}


@pytest.mark.parametrize("statement", TAMPERING)
def test_a_roll_up_that_is_not_its_rows_is_found_and_can_be_counted_anew(
    statement: str, connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    insert(connection, make_events(500, days=40))
    rollup.bring_up_to_date(connection, current_db)
    assert check(current_db) == ()
    connection.execute(statement)
    findings = check(current_db)
    assert any(TAMPERING[statement] in finding.what for finding in findings)
    assert all("llm-metrics rollup --recount" in finding.cure for finding in findings)
    done = CliRunner().invoke(main, ["rollup", "--db", str(current_db), "--recount"])
    assert done.exit_code == 0
    assert "counted anew" in done.stdout
    assert check(current_db) == ()


ABSURD = (
    "UPDATE completion_requests SET model = x'ff00', response_time_ms = 'soon' WHERE id = 3",
    "UPDATE completion_requests SET origin = CAST(x'ff' AS TEXT), prompt_tokens = x'00' WHERE id = 4",
    "UPDATE completion_requests SET timestamp = 'soon', tokens_per_second = -1, cost_usd = 9e999 WHERE id = 5",
    "UPDATE completion_requests SET error_type = 7, success = 'maybe', total_tokens = 9223372036854775807 WHERE id = 6",
)


@pytest.mark.parametrize("statement", ABSURD)
def test_what_no_recorder_writes_holds_nothing_up(
    statement: str, connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents
) -> None:
    insert(connection, make_events(20))
    connection.execute(statement)
    dao = CompletionRequestsDAO(connection)
    before = dao.get_metrics().overall.requests
    assert rollup.bring_up_to_date(connection, current_db) == 20
    assert before == dao.get_metrics().overall.requests
    assert not any("roll-up" in finding.what for finding in check(current_db))


def test_hours_are_forgotten_and_days_stay(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(connection, make_events(400, days=7))
    rollup.bring_up_to_date(connection, current_db)

    def hours() -> int:
        return len(connection.execute("SELECT DISTINCT period FROM rollup_times WHERE span = 'hour'").fetchall())

    assert hours() > 100
    days = connection.execute("SELECT * FROM rollup_times WHERE span <> 'hour'").fetchall()
    monkeypatch.setattr(rollup, "HOURS_KEPT", timedelta(days=1))
    rollup.bring_up_to_date(connection, current_db)
    assert 0 < hours() <= 25
    assert connection.execute("SELECT * FROM rollup_times WHERE span <> 'hour'").fetchall() == days


def test_a_recorder_that_ends_leaves_no_call_out(current_db: Path, make_events: MakeEvents) -> None:
    recorder = Recorder(current_db)
    recorder.open()
    recorder.start()
    events = make_events(300)
    for event in events:
        recorder.submit(event)
    recorder.close()
    with closing(open_reader(current_db)) as reader:
        assert watermarks.waiting(reader, watermarks.ROLLUP) == 0
        assert_metrics(CompletionRequestsDAO(reader).get_metrics(), events)


def test_an_end_that_cannot_add_up_says_so_and_leaves_a_sound_file(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = "CREATE TRIGGER mine BEFORE INSERT ON rollup_calls BEGIN SELECT RAISE(ABORT, 'not here'); END"
    connection.execute(trigger)
    recorder = Recorder(current_db)
    recorder.open()
    recorder.start()
    for event in make_events(30):
        recorder.submit(event)
    with caplog.at_level(logging.WARNING, "recorder"):
        recorder.close()
    assert ["roll-up" in record.getMessage() for record in caplog.records] == [True]
    connection.execute("DROP TRIGGER mine")
    assert rollup.bring_up_to_date(connection, current_db) == 30
    assert check(current_db) == ()


def test_the_command_adds_what_waits_and_refuses_what_is_no_database(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents, tmp_path: Path
) -> None:
    insert(connection, make_events(30))
    done = CliRunner().invoke(main, ["rollup", "--db", str(current_db)])
    assert (done.exit_code, done.stdout) == (0, "30 rows were added to the roll-up.\n")
    refused = CliRunner().invoke(main, ["rollup", "--db", str(tmp_path / "typo.db")])
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert not (tmp_path / "typo.db").exists()


@pytest.mark.parametrize("table", ["rollup_calls", "rollup_costs", "rollup_times", "watermarks"])
def test_a_trigger_that_ignores_its_rows_leaves_it_as_it_was_until_it_is_gone(
    connection: sqlite3.Connection, current_db: Path, make_events: MakeEvents, table: str
) -> None:
    CompletionRequestsDAO(connection).insert_completion_requests(make_events(50))
    connection.execute(f"CREATE TRIGGER deaf BEFORE INSERT ON {table} BEGIN SELECT RAISE(IGNORE); END")
    with pytest.raises(DatabaseRefused, match=f"A trigger of {table} ignores rows: drop it"):
        rollup.bring_up_to_date(connection, current_db)
    assert connection.execute("SELECT count(*) FROM rollup_calls").fetchone() == (0,)
    connection.execute("DROP TRIGGER deaf")
    assert rollup.bring_up_to_date(connection, current_db) == 50
    assert connection.execute("SELECT sum(calls) FROM rollup_calls WHERE span = 'day'").fetchone() == (50,)


def test_failures_are_added_up_by_cause_and_the_check_finds_one_under_another(
    connection: sqlite3.Connection, current_db: Path, make_event: MakeEvent
) -> None:
    failed = {"success": False, "status_code": 429, "timestamp": bound(datetime.now(UTC))}
    CompletionRequestsDAO(connection).insert_completion_requests(
        [
            make_event(**failed, error_type="tokens", error_class="rate_limit"),
            make_event(**failed, error_type="RESOURCE_EXHAUSTED", error_class="quota"),
            make_event(**failed, error_type="overloaded_error"),  # of an earlier version
            make_event(),
        ]
    )
    rollup.bring_up_to_date(connection, current_db)
    rows = "SELECT error_class, error_type, calls FROM {} WHERE span = 'day' ORDER BY 2"
    of_words = [("quota", "RESOURCE_EXHAUSTED", 1), ("", "overloaded_error", 1), ("rate_limit", "tokens", 1)]
    assert connection.execute(rows.format("rollup_errors")).fetchall() == of_words
    assert ("overloaded", "overloaded_error", 1) in connection.execute(rows.format("errors_by_span")).fetchall()
    connection.execute("UPDATE rollup_errors SET error_class = 'auth' WHERE error_class = 'quota' AND span <> 'month'")
    differing = [difference for _, difference in rollup_check.compared(connection) if difference]
    assert "rows (the causes of its failures)" in differing
    rollup_check.recount(connection, current_db)
    assert connection.execute(rows.format("rollup_errors")).fetchall() == of_words
