"""CompletionRequestsDAO: what goes in comes out, and figures are right or None."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store.database import open_reader, open_writer

type MakeEvent = Callable[..., CompletionRequest]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def connection(current_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(current_db)) as opened:
        yield opened


@pytest.fixture
def dao(connection: sqlite3.Connection) -> CompletionRequestsDAO:
    return CompletionRequestsDAO(connection)


def test_every_field_of_an_event_comes_back_as_it_went_in(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    values: dict[type, object] = {int: 17, float: 0.25, str: "ä text", bool: True}
    fields = {
        field.name: next(
            value for kind, value in values.items() if kind in (field.type, *getattr(field.type, "__args__", ()))
        )
        for field in msgspec.structs.fields(CompletionRequest)
        if field.name not in {"timestamp", "event_id"}
    }
    event = make_event(**fields)
    dao.insert_completion_request(event)
    (row,) = dao.get_completion_requests()
    assert {name: getattr(row, name) for name in CompletionRequest.__struct_fields__} == msgspec.structs.asdict(event)
    assert row.id == 1
    assert row.success is True


def test_what_is_unknown_stays_null(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    dao.insert_completion_request(make_event(model=None))
    (row,) = dao.get_completion_requests()
    assert row.model is None
    assert row.prompt_tokens is None
    assert row.cost_usd is None


def test_an_event_is_stored_once_however_often_it_is_inserted(
    dao: CompletionRequestsDAO, make_event: MakeEvent
) -> None:
    first, second = make_event(), make_event()
    assert dao.insert_completion_request(first) is True
    assert dao.insert_completion_request(first) is False
    assert dao.insert_completion_requests([first, second, second]) == 1
    assert dao.get_table_info().rows == 2


def test_an_insert_without_a_transaction_is_durable_when_it_returns(
    dao: CompletionRequestsDAO, make_event: MakeEvent, current_db: Path
) -> None:
    dao.insert_completion_request(make_event())
    with closing(open_reader(current_db)) as other:
        assert CompletionRequestsDAO(other).get_table_info().rows == 1


def test_an_insert_joins_the_callers_transaction(
    dao: CompletionRequestsDAO, connection: sqlite3.Connection, make_event: MakeEvent
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    dao.insert_completion_requests([make_event()])
    connection.execute("ROLLBACK")
    assert dao.get_table_info().rows == 0


@pytest.mark.parametrize("count", [0, 1, 3, 4, 15, 16, 63, 64, 65, 85, 500])
def test_any_number_of_rows_is_inserted_as_it_is(dao: CompletionRequestsDAO, make_event: MakeEvent, count: int) -> None:
    events = [make_event(response_time_ms=number, model=f"m{number}") for number in range(count)]
    assert dao.insert_completion_requests(events) == count
    stored = dao.get_completion_requests()
    assert sorted((row.response_time_ms, row.model, row.event_id) for row in stored) == [
        (event.response_time_ms, event.model, event.event_id) for event in events
    ]
    assert dao.insert_completion_requests([*events, *events[:3], make_event()]) == 1


def test_a_row_that_cannot_be_stored_takes_its_batch_with_it(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        dao.insert_completion_requests([make_event(), make_event(status_code=None)])
    assert dao.get_table_info().rows == 0


def test_rows_come_newest_first_and_match_every_filter(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    for minute in range(6):
        dao.insert_completion_request(
            make_event(
                timestamp=f"2026-03-01T12:0{minute}:00.000Z",
                model="a" if minute % 2 else "b",
                origin=None if minute == 5 else "billing",
                success=minute < 4,
            )
        )

    def minutes(**filters: object) -> list[int]:
        rows = dao.get_completion_requests(**filters)  # type: ignore[arg-type] # the test's own literals
        return [int(row.timestamp[15]) for row in rows]

    assert minutes() == [5, 4, 3, 2, 1, 0]
    assert minutes(limit=2) == [5, 4]
    assert minutes(limit=0) == []
    assert minutes(model="a") == [5, 3, 1]
    assert minutes(model="a", origin="billing") == [3, 1]
    assert minutes(success=False) == [5, 4]
    assert minutes(start=NOON + timedelta(minutes=1), end=NOON + timedelta(minutes=3)) == [2, 1]


def test_a_period_holds_its_start_and_not_its_end_in_any_time_zone(
    dao: CompletionRequestsDAO, make_event: MakeEvent
) -> None:
    dao.insert_completion_request(make_event(timestamp="2026-03-01T12:00:00.000Z"))
    berlin = timezone(timedelta(hours=1))
    at = datetime(2026, 3, 1, 13, tzinfo=berlin)
    assert len(dao.get_completion_requests(start=at)) == 1
    assert dao.get_completion_requests(end=at) == []
    assert dao.get_completion_requests(start=at + timedelta(microseconds=1)) == []
    assert len(dao.get_completion_requests(end=at + timedelta(microseconds=1))) == 1


def test_a_time_without_a_zone_and_a_negative_limit_are_errors(dao: CompletionRequestsDAO) -> None:
    naive = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - what the test is about
    with pytest.raises(ValueError, match="no time zone"):
        dao.get_completion_requests(start=naive)
    with pytest.raises(ValueError, match="no time zone"):
        dao.get_metrics(end=naive)
    with pytest.raises(ValueError, match="limit is -1"):
        dao.get_completion_requests(limit=-1)


def test_a_period_is_found_by_the_index(dao: CompletionRequestsDAO, connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    dao.get_completion_requests(start=NOON, limit=5)
    connection.set_trace_callback(None)
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}"))
    assert "completion_requests_timestamp" in plan
    assert "TEMP B-TREE" not in plan


def test_metrics_of_a_period_add_up(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    dao.insert_completion_requests(
        [
            make_event(prompt_tokens=10, completion_tokens=4, response_time_ms=100, cost_usd=0.5),
            make_event(
                is_streaming=True, prompt_tokens=20, response_time_ms=300, time_to_first_token_ms=50, origin="search"
            ),
            make_event(success=False, status_code=429, error_type="rate_limit", model="claude", response_time_ms=20),
            make_event(success=False, status_code=500, error_type="http_500", model=None, response_time_ms=40),
            make_event(timestamp="2026-03-02T00:00:00.000Z", prompt_tokens=1_000_000),
        ]
    )
    metrics = dao.get_metrics(start=NOON, end=NOON + timedelta(hours=1))
    overall = metrics.overall
    assert (overall.requests, overall.successes, overall.failures) == (4, 2, 2)
    assert (overall.streamed, overall.not_streamed) == (1, 3)
    assert (overall.prompt_tokens, overall.completion_tokens, overall.cost_usd) == (30, 4, 0.5)
    assert overall.mean_response_time_ms == 115
    assert overall.mean_time_to_first_token_ms == 50
    assert metrics.error_types == {"rate_limit": 1, "http_500": 1}
    assert {model: tally.requests for model, tally in metrics.by_model.items()} == {"gpt-5": 2, "claude": 1, None: 1}
    assert metrics.by_model["gpt-5"].prompt_tokens == 30
    assert {origin: tally.requests for origin, tally in metrics.by_origin.items()} == {"billing": 3, "search": 1}


@pytest.mark.parametrize("rolled_up", [False, True])
def test_metrics_keep_plans_apart_and_say_what_costs_lack(
    dao: CompletionRequestsDAO,
    connection: sqlite3.Connection,
    make_event: MakeEvent,
    current_db: Path,
    rolled_up: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    dao.insert_completion_requests(
        [
            make_event(cost_usd=0.5, cost_complete=1),
            make_event(cost_usd=0.25, cost_complete=0, cost_note="output_unknown", origin="search"),
            make_event(cost_usd=2.0, cost_complete=1, billing="subscription", origin="search"),
            make_event(cost_note="no_price", model="made-up"),
            make_event(cost_note="no_price", model="made-up"),
        ]
    )
    if rolled_up:
        rollup.bring_up_to_date(connection, current_db)
    metrics = dao.get_metrics()
    overall = metrics.overall
    assert (overall.cost_usd, overall.priced, overall.plan_cost_usd, overall.lower_bounds) == (0.75, 2, 2.0, 1)
    assert overall.cost_notes == {"no_price": 2, "output_unknown": 1}
    assert metrics.by_origin["search"].plan_cost_usd == 2.0
    assert metrics.by_model["made-up"].cost_notes == {"no_price": 2}
    assert metrics.by_model["made-up"].plan_cost_usd is None
    assert metrics.by_model["made-up"].lower_bounds == 0


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, 23, tzinfo=UTC)])
def test_metrics_at_the_ends_of_time_are_those_of_nothing_or_all(
    moment: datetime, dao: CompletionRequestsDAO, make_event: MakeEvent
) -> None:
    dao.insert_completion_request(make_event())
    found = dao.get_metrics(moment).overall.requests, dao.get_metrics(None, moment).overall.requests
    assert sorted(found) == [0, 1]


def test_metrics_of_what_nobody_knows_are_none_and_not_zero(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    nothing = dao.get_metrics().overall
    assert nothing.requests == 0
    assert nothing.prompt_tokens is None
    assert nothing.mean_response_time_ms is None
    dao.insert_completion_request(make_event(completion_tokens=0))
    overall = dao.get_metrics().overall
    assert overall.completion_tokens == 0
    assert overall.prompt_tokens is None
    assert overall.cost_usd is None
    assert overall.mean_time_to_first_token_ms is None


def test_absurd_token_counts_do_not_break_the_metrics(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    dao.insert_completion_requests([make_event(prompt_tokens=2**63 - 1) for _ in range(3)])
    assert dao.get_metrics().overall.prompt_tokens == pytest.approx(3 * 2**63)


def test_table_info_names_columns_indexes_and_contents(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    dao.insert_completion_request(make_event())
    info = dao.get_table_info()
    assert [column.name for column in info.columns] == ["id", *CompletionRequest.__struct_fields__]
    assert [column.name for column in info.columns if column.not_null] == [
        "timestamp",
        "success",
        "status_code",
        "response_time_ms",
        "is_streaming",
    ]
    assert info.indexes == tuple(
        f"completion_requests_{of}" for of in ("event_id", "response_id", "session_id", "timestamp")
    )
    assert (info.rows, info.oldest, info.newest) == (1, "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.000Z")


def test_rows_that_can_be_true_make_no_problem(dao: CompletionRequestsDAO, make_event: MakeEvent) -> None:
    stream = {"is_streaming": True, "time_to_first_token_ms": 5, "time_to_last_token_ms": 900}
    dao.insert_completion_requests([make_event(), make_event(**stream), make_event(success=False, status_code=499)])
    assert dao.validate_data_integrity() == []


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"timestamp": "2026-03-01 12:00:00"}, "timestamp is not"),
        ({"timestamp": "2026-02-30T12:00:00.000Z"}, "timestamp is not"),
        ({"timestamp": "now"}, "timestamp is not"),
        ({"success": 7}, "neither 0 nor 1"),
        ({"status_code": 0}, "no status of HTTP"),
        ({"status_code": "ok"}, "no status of HTTP"),
        ({"status_code": 500}, "success without a 2xx"),
        ({"error_type": "boom"}, "success without a 2xx"),
        ({"response_time_ms": -1}, "negative"),
        ({"total_tokens": -5}, "negative"),
        ({"prompt_tokens": "many"}, "text or bytes"),
        ({"is_streaming": True, "time_to_first_token_ms": 9, "time_to_last_token_ms": 8}, "after the last"),
        ({"is_streaming": True, "time_to_last_token_ms": 901}, "after the end"),
        ({"prompt_tokens": 10, "cached_tokens": 6, "cache_write_tokens": 5}, "more than the whole"),
        ({"completion_tokens": 10, "reasoning_tokens": 11}, "more than the whole"),
        ({"time_to_first_token_ms": 5}, "without a stream"),
        ({"event_id": "123"}, "32 hex digits"),
    ],
)
def test_an_impossible_row_is_named(
    dao: CompletionRequestsDAO, make_event: MakeEvent, fields: dict[str, object], phrase: str
) -> None:
    dao.insert_completion_requests([make_event(), make_event(**fields)])
    problems = dao.validate_data_integrity()
    assert any(phrase in problem and "1 row, first id 2" in problem for problem in problems), problems


def test_duplicate_events_are_found_where_the_index_is_gone(
    dao: CompletionRequestsDAO, connection: sqlite3.Connection, make_event: MakeEvent
) -> None:
    dao.insert_completion_request(make_event())
    connection.execute("DROP INDEX completion_requests_event_id")
    columns = ", ".join(CompletionRequest.__struct_fields__)
    connection.execute(f"INSERT INTO completion_requests ({columns}) SELECT {columns} FROM completion_requests")  # noqa: S608 - own names
    assert any("more than one row" in problem for problem in dao.validate_data_integrity())


def test_a_reader_cannot_write(current_db: Path, make_event: MakeEvent) -> None:
    with closing(open_reader(current_db)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        CompletionRequestsDAO(reader).insert_completion_request(make_event())


def test_a_reader_of_a_missing_file_creates_none(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="no database"):
        open_reader(tmp_path / "typo.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_refuses_another_version_and_what_is_no_database(version_1: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="schema version 1"):
        open_reader(version_1)
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 100)
    with pytest.raises(DatabaseRefused, match="cannot be read"):
        open_reader(text)


def test_rows_from_version_1_are_read_too(version_1: Path, tmp_path: Path) -> None:
    Recorder(version_1, backup_dir=tmp_path / "saved").open()
    with closing(open_reader(version_1)) as reader:
        dao = CompletionRequestsDAO(reader)
        assert [row.event_id for row in dao.get_completion_requests()] == ["", ""]
        assert dao.validate_data_integrity() == []
