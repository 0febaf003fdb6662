"""The views: right, portable, quick to find their rows, and empty where there is nothing."""

import math
import random
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.migrations import classes, views
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest, Limit, Limits
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR
from llm_metrics_proxy.recorder.store import quota
from llm_metrics_proxy.recorder.store.account import Account, Gap
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound

type MakeEvent = Callable[..., CompletionRequest]

NAMES = [statement.split()[2] for statement in views.statements()]
WINDOWS = {"last_hour": timedelta(hours=1), "last_24h": timedelta(days=1), "last_7d": timedelta(days=7)}
NOW = datetime.now(UTC)
COSTS: list[dict[str, Any]] = [
    {},
    {"cost_note": "no_price"},
    {"cost_usd": 0.25, "cost_complete": 1},
    {"cost_usd": 0.25, "cost_complete": 0, "cost_note": "output_unknown"},
]


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else None


@pytest.fixture
def connection(current_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_background(current_db)) as opened:
        opened.row_factory = sqlite3.Row
        yield opened


@pytest.fixture
def events(connection: sqlite3.Connection, make_event: MakeEvent) -> list[CompletionRequest]:
    """Calls of the last ten days, most of them of the last; none within minutes of a window's beginning."""
    numbers = random.Random(3)
    made = []
    for _ in range(1_500):
        age = timedelta(hours=numbers.choice([0.3, 0.6, 3, 12, 22, 40, 100, 160, 200]), minutes=-numbers.random() * 10)
        success, streaming = numbers.random() < 0.9, numbers.random() < 0.7
        first = numbers.lognormvariate(6, 1)
        made.append(
            make_event(
                timestamp=bound(NOW - age),
                model=numbers.choice(["fast", "slow", None]),
                origin=numbers.choice(["billing", "search", None]),
                provider=numbers.choice(["openai", None]),
                success=success,
                status_code=200 if success else 429,
                error_type=None if success else numbers.choice(["rate_limit", "timeout"]),
                error_message=None if success else f"message {numbers.randrange(10**9)}",
                error_class=None if success else numbers.choice(["rate_limit", "quota", None]),
                finish_reason=numbers.choice(["stop", "MAX_TOKENS", None]) if success else None,
                finish_class=numbers.choice(["tool", None]) if success else None,
                is_streaming=streaming,
                response_time_ms=int(first * 3),
                time_to_first_token_ms=int(first) if streaming else None,
                time_to_first_byte_ms=first / 2,
                tokens_per_second=numbers.lognormvariate(4, 1) if streaming else None,
                prompt_tokens=numbers.choice([None, 1_000]),
                completion_tokens=numbers.choice([None, 50]),
                cached_tokens=numbers.choice([None, 0, 400]),
                **numbers.choice(COSTS),
                billing=numbers.choice([None, "api_key", "subscription"]),
                session_id=numbers.choice([None, "s1", "s2"]),
                retry_count=numbers.choice([None, 0, 2]),
                server_timing=numbers.choice([None, '{"openai-processing-ms":10}', '{"latencyMs":20}']),
            )
        )
    made.sort(key=lambda event: event.timestamp)
    CompletionRequestsDAO(connection).insert_completion_requests(made)
    return made


def rows(connection: sqlite3.Connection, view: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(f"SELECT * FROM {view}")]  # noqa: S608 - a view of ours


def within(events: list[CompletionRequest], window: str) -> list[CompletionRequest]:
    return [event for event in events if event.timestamp >= bound(NOW - WINDOWS[window])]


def total(values: Sequence[float | None]) -> object:
    known = [value for value in values if value is not None]
    return pytest.approx(sum(known)) if known else None


def cause(event: CompletionRequest) -> str:
    """The class of a failure; a call from before version 7 of the schema has that of its type."""
    return event.error_class or classes.of_error_type(event.error_type or "")


def assert_costs(row: dict[str, Any], of: list[CompletionRequest]) -> None:
    """Money and what a plan's calls would have cost stand apart, and it is said of how many calls not all is known."""
    assert row["cost_usd"] == total([event.cost_usd for event in of if event.billing != "subscription"])
    assert row["plan_cost_usd"] == total([event.cost_usd for event in of if event.billing == "subscription"])
    assert row["cost_incomplete"] == sum(event.cost_note is not None for event in of)


@pytest.mark.parametrize("view", NAMES)
def test_a_view_of_nothing_is_empty(view: str, connection: sqlite3.Connection) -> None:
    assert rows(connection, view) == []


@pytest.mark.parametrize("view", NAMES)
def test_a_view_can_be_read_by_any_sqlite_that_is_not_ours(
    view: str, connection: sqlite3.Connection, events: list[CompletionRequest], current_db: Path, make_event: MakeEvent
) -> None:
    unpriced = make_event(timestamp=bound(NOW), model="new", prompt_tokens=5, labels='{"team":"a"}')
    broken = [
        make_event(
            timestamp=bound(NOW - timedelta(seconds=seconds)),
            session_id="broken",
            prompt_tokens=10_000,
            cached_tokens=cached,
        )
        for seconds, cached in ((90, 9_000), (30, 0))
    ]
    CompletionRequestsDAO(connection).insert_completion_requests([unpriced, *broken])
    connection.execute(
        "INSERT INTO model_answers VALUES ('2026-12-01', 'openai', 'gpt-5', 'gpt-5-mini', 1, 0, 1, '', '', 0, 0, 0)"
    )
    quota.note(connection, Limits("openai", None, bound(NOW), (Limit("tokens", "1m", None, 10.0, 9.0, None),)))
    rollup.bring_up_to_date(connection, current_db)
    shell = subprocess.run(
        ["sqlite3", "-readonly", current_db, f"SELECT count(*) FROM {view}"],  # noqa: S607, S608 - a view of ours
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert events
    assert int(shell.stdout) > 0 or view == "lost_events"


@pytest.mark.parametrize("view", [name for name in NAMES if "_last_" in name])
def test_a_window_is_found_through_the_index_on_timestamp(view: str, connection: sqlite3.Connection) -> None:
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view}")]  # noqa: S608
    assert any("completion_requests_timestamp (timestamp>?)" in step for step in plan)
    assert not any("SCAN completion_requests" in step for step in plan)


@pytest.mark.parametrize("window", WINDOWS)
def test_the_summary_of_models_is_that_of_their_calls(
    window: str, connection: sqlite3.Connection, events: list[CompletionRequest]
) -> None:
    found = rows(connection, f"model_summary_{window}")
    assert {row["model"] for row in found} == {"fast", "slow", None}
    for row in found:
        of = [event for event in within(events, window) if event.model == row["model"]]
        first = [event.time_to_first_token_ms for event in of if event.time_to_first_token_ms is not None]
        rates = [event.tokens_per_second for event in of if event.tokens_per_second is not None]
        assert row["requests"] == len(of)
        assert row["errors"] == sum(not event.success for event in of)
        assert row["error_percent"] == round(100 * row["errors"] / len(of), 2)
        for column in ("prompt_tokens", "cached_tokens", "completion_tokens"):
            assert row[column] == total([getattr(event, column) for event in of])
        assert_costs(row, of)
        for share in (50, 95, 99):
            assert row[f"first_token_p{share}_ms"] == nearest_rank(first, share / 100)
        assert row["tokens_per_second_p50"] == pytest.approx(nearest_rank(rates, 0.5), abs=0.05)


@pytest.mark.parametrize("added", [0, 700, 1_500])
def test_the_summary_of_all_time_is_that_of_all_calls_however_far_the_roll_up_has_come(
    added: int, connection: sqlite3.Connection, events: list[CompletionRequest], current_db: Path
) -> None:
    connection.execute("CREATE TABLE later AS SELECT * FROM completion_requests WHERE id > ?", (added,))
    connection.execute("DELETE FROM completion_requests WHERE id > ?", (added,))
    rollup.bring_up_to_date(connection, current_db)
    connection.execute("INSERT INTO completion_requests SELECT * FROM later")
    for row in rows(connection, "model_summary_all"):
        of = [event for event in events if event.model == row["model"]]
        assert row["requests"] == len(of)
        assert row["errors"] == sum(not event.success for event in of)
        assert_costs(row, of)
        known = [event.time_to_first_token_ms for event in events[:added] if event.model == row["model"]]
        first = [ms for ms in known if ms is not None]
        for share in (50, 95, 99):
            expected = nearest_rank(first, share / 100)
            near = pytest.approx(expected, rel=RELATIVE_ERROR, abs=0.5) if first else None
            assert row[f"first_token_p{share}_ms"] == near
    for row in rows(connection, "cost_by_day"):
        of_day = [event for event in events if event.timestamp.startswith(row["day"])]
        of = [event for event in of_day if (event.model, event.origin) == (row["model"], row["origin"])]
        assert (row["requests"], row["priced"]) == (len(of), sum(event.cost_usd is not None for event in of))
        assert_costs(row, of)
    assert sum(row["requests"] for row in rows(connection, "cost_by_day")) == len(events)
    lacking = Counter(event.cost_note for event in events if event.cost_note)
    found: Counter[str] = Counter()
    for row in rows(connection, "cost_notes_by_day"):
        found[row["cost_note"]] += row["calls"]
    assert found == lacking
    assert sum(row["requests"] for row in rows(connection, "latency_by_day")) == added
    failed = sum(not event.success for event in events)
    assert sum(row["calls"] for row in rows(connection, "errors_by_day")) == failed


def test_latencies_of_days_and_hours_are_those_of_their_calls(
    connection: sqlite3.Connection, events: list[CompletionRequest], current_db: Path
) -> None:
    rollup.bring_up_to_date(connection, current_db)
    for name, length in (("day", 10), ("hour", 13)):
        for row in rows(connection, f"latency_by_{name}"):
            of = [one for one in events if one.timestamp[:length] == row[name] and one.model == row["model"]]
            first = [one.time_to_first_token_ms for one in of if one.time_to_first_token_ms is not None]
            assert row["requests"] == len(of)
            for column, values in (("first_token", first), ("response", [one.response_time_ms for one in of])):
                for share in (50, 95):
                    expected = nearest_rank(values, share / 100)
                    near = pytest.approx(expected, rel=RELATIVE_ERROR, abs=0.5) if values else None
                    assert row[f"{column}_p{share}_ms"] == near


def test_errors_are_counted_by_type_and_by_class_with_the_last_of_each(
    connection: sqlite3.Connection, events: list[CompletionRequest]
) -> None:
    of = [event for event in within(events, "last_24h") if not event.success]
    found = rows(connection, "errors_last_24h")
    kinds = Counter((event.error_type, cause(event)) for event in of)
    assert {(row["error_type"], row["error_class"]): row["calls"] for row in found} == kinds
    by_class = rows(connection, "error_classes_last_24h")
    assert {row["error_class"]: row["calls"] for row in by_class} == Counter(map(cause, of))
    for row in (*found, *by_class):
        those = [event for event in of if cause(event) == row["error_class"]]
        those = [event for event in those if "error_type" not in row or event.error_type == row["error_type"]]
        last = max(those, key=lambda event: event.timestamp)
        assert (row["last_at"], row["last_message"]) == (last.timestamp, last.error_message)


@pytest.mark.parametrize("added", [0, 700, 1_500])
def test_errors_of_all_time_are_those_of_all_calls_however_far_the_roll_up_has_come(
    added: int, connection: sqlite3.Connection, events: list[CompletionRequest], current_db: Path
) -> None:
    connection.execute("CREATE TABLE later AS SELECT * FROM completion_requests WHERE id > ?", (added,))
    connection.execute("DELETE FROM completion_requests WHERE id > ?", (added,))
    rollup.bring_up_to_date(connection, current_db)
    connection.execute("INSERT INTO completion_requests SELECT * FROM later")
    found = {
        (row["day"], row["model"], row["error_type"], row["error_class"]): row["calls"]
        for row in rows(connection, "errors_by_day")
    }
    failed = [event for event in events if not event.success]
    assert found == Counter((one.timestamp[:10], one.model, one.error_type, cause(one)) for one in failed)


def test_ends_are_counted_by_model_and_class(connection: sqlite3.Connection, events: list[CompletionRequest]) -> None:
    of_words = {"stop": "stop", "MAX_TOKENS": "length"}
    ended = [event for event in within(events, "last_7d") if event.finish_reason]
    expected = Counter((event.model, event.finish_class or of_words[event.finish_reason or ""]) for event in ended)
    found = rows(connection, "finish_classes_last_7d")
    assert {(row["model"], row["finish_class"]): row["calls"] for row in found} == expected
    for model in ("fast", "slow", None):
        assert sum(row["percent"] for row in found if row["model"] == model) == pytest.approx(100, abs=0.02)


@pytest.mark.parametrize("window", ["last_24h", "last_7d"])
def test_what_costs_lack_is_told_by_reason_and_failures_by_error(
    window: str, connection: sqlite3.Connection, events: list[CompletionRequest]
) -> None:
    of = [event for event in within(events, window) if event.cost_note]
    found = rows(connection, f"cost_notes_{window}")
    assert sum(row["calls"] for row in found) == len(of)
    assert sum(row["lower_bounds"] for row in found) == sum(event.cost_usd is not None for event in of)
    for row in rows(connection, f"failed_cost_{window}"):
        failed = [
            event for event in within(events, window) if not event.success and (event.cost_usd or event.cost_note)
        ]
        those = [
            e
            for e in failed
            if (e.model, e.error_type, cause(e)) == (row["model"], row["error_type"], row["error_class"])
        ]
        assert row["calls"] == len(those)
        assert_costs(row, those)
    for name in ("origin_summary", "sessions"):
        key = "origin" if name == "origin_summary" else "session_id"
        for row in rows(connection, f"{name}_{window}"):
            assert_costs(row, [event for event in within(events, window) if getattr(event, key) == row[key]])


def test_slow_and_expensive_calls_come_first(connection: sqlite3.Connection, events: list[CompletionRequest]) -> None:
    longest = sorted((event.response_time_ms for event in within(events, "last_7d")), reverse=True)
    assert [row["response_time_ms"] for row in rows(connection, "slowest_requests_last_7d")] == longest[:20]
    assert [row["cost_usd"] for row in rows(connection, "most_expensive_requests_last_7d")] == [0.25] * 20


def test_shares_of_the_cache_are_over_calls_whose_provider_says_so(
    connection: sqlite3.Connection, make_event: MakeEvent
) -> None:
    at = bound(NOW - timedelta(minutes=5))
    CompletionRequestsDAO(connection).insert_completion_requests(
        [
            make_event(timestamp=at, prompt_tokens=1_000, cached_tokens=300),
            make_event(timestamp=at, prompt_tokens=1_000, cached_tokens=0),
            make_event(timestamp=at, prompt_tokens=8_000),
        ]
    )
    (row,) = rows(connection, "cache_hits_last_24h")
    assert (row["requests"], row["hits"], row["prompt_tokens"], row["cached_percent"]) == (2, 1, 2_000, 15.0)


def test_the_providers_time_is_set_against_what_was_seen_of_the_same(
    connection: sqlite3.Connection, make_event: MakeEvent
) -> None:
    at = bound(NOW - timedelta(minutes=5))
    timings = {'{"openai-processing-ms":400}': 100, '{"latencyMs":700}': 200, '{"total_time":0.5}': 400}
    for number, timing in enumerate(timings):
        CompletionRequestsDAO(connection).insert_completion_request(
            make_event(timestamp=at, model=str(number), server_timing=timing, time_to_first_byte_ms=500.0)
        )
    found = {row["model"]: row["network_and_queue_ms"] for row in rows(connection, "provider_time_last_24h")}
    assert found == {str(number): rest for number, rest in enumerate(timings.values())}


def test_a_model_that_became_slower_is_named_first(
    connection: sqlite3.Connection, make_event: MakeEvent, current_db: Path
) -> None:
    CompletionRequestsDAO(connection).insert_completion_requests(
        [
            make_event(timestamp=bound(NOW - timedelta(days=days)), model=model, is_streaming=True,
                       time_to_first_token_ms=ms)
            for model, days, ms in (("same", 2, 300), ("same", 10, 300), ("worse", 2, 900), ("worse", 10, 300))
            for _ in range(5)
        ]
    )  # fmt: skip
    rollup.bring_up_to_date(connection, current_db)
    worse, same = rows(connection, "slower_this_week")
    assert (worse["model"], same["model"], same["change_percent"]) == ("worse", "same", 0)
    assert worse["change_percent"] == pytest.approx(200, abs=20)


def test_a_model_without_any_price_is_named(connection: sqlite3.Connection, make_event: MakeEvent) -> None:
    at = bound(NOW)
    CompletionRequestsDAO(connection).insert_completion_requests(
        [
            make_event(timestamp=at, model="new", prompt_tokens=5),
            make_event(timestamp=at, model="known", prompt_tokens=5, cost_usd=0.5),
            make_event(timestamp=at, model="failed"),
        ]
    )
    assert [(row["model"], row["prompt_tokens"]) for row in rows(connection, "unpriced_models")] == [("new", 5)]


def test_lost_calls_are_listed(connection: sqlite3.Connection) -> None:
    Account(connection, "host-1").write_gaps(
        [Gap("queue_full", 3, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z")]
    )
    (row,) = rows(connection, "lost_events")
    assert (row["cause"], row["calls"], row["process"]) == ("queue_full", 3, "host-1")


@pytest.mark.parametrize("window", ["last_24h", "last_7d"])
def test_labels_are_added_up_by_name_and_value(
    window: str, connection: sqlite3.Connection, make_event: MakeEvent
) -> None:
    numbers = random.Random(5)
    made = []
    for _ in range(300):
        age = timedelta(hours=numbers.choice([1, 20, 30, 160, 200]))
        labels = numbers.choice([None, {"team": "a"}, {"env": "prod", "team": "b"}, {"team": 'q"\\'}])
        said = None if labels is None else msgspec.json.encode(labels).decode()
        billing = numbers.choice([None, "subscription"])
        made.append(make_event(timestamp=bound(NOW - age), labels=said, billing=billing, **numbers.choice(COSTS)))
    CompletionRequestsDAO(connection).insert_completion_requests(made)
    connection.execute(
        "UPDATE completion_requests SET labels = '{' WHERE id = (SELECT max(id) FROM completion_requests)"
    )
    since = bound(datetime.now(UTC) - WINDOWS[window])
    found = {(row["label"], row["value"]): row for row in rows(connection, f"label_summary_{window}")}
    expected: dict[tuple[str, str], list[CompletionRequest]] = {}
    for event in made[:-1]:
        if event.timestamp >= since and event.labels is not None:
            for pair in msgspec.json.decode(event.labels, type=dict[str, str]).items():
                expected.setdefault(pair, []).append(event)
    assert found.keys() == expected.keys()
    for pair, events in expected.items():
        assert found[pair]["requests"] == len(events)
        assert_costs(found[pair], events)
