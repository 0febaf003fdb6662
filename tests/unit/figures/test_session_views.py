"""The views of sessions: what each cost, which agents it started, and where its cache broke."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound

type MakeEvent = Callable[..., CompletionRequest]
type Row = dict[str, Any]

NOW = datetime.now(UTC)
ONE: Row = {
    "session_id": "s1",
    "agent": "claude-code",
    "response_time_ms": 2_000,
    "model": "m",
    "provider": "anthropic",
}


class Calls:
    """Rows of a database, a minute after each other unless something else is said."""

    def __init__(self, connection: sqlite3.Connection, make_event: MakeEvent) -> None:
        self.connection = connection
        self._make = make_event
        self._at = NOW - timedelta(hours=10)

    def add(self, *, after: float = 60, **fields: Any) -> str:  # noqa: ANN401 - columns
        """Add a call that began so many seconds after the one before; its timestamp."""
        self._at += timedelta(seconds=after)
        made = self._make(timestamp=bound(self._at), **ONE | {"success": True, "status_code": 200} | fields)
        CompletionRequestsDAO(self.connection).insert_completion_request(made)
        return made.timestamp

    def rows(self, view: str) -> list[Row]:
        """All rows of a view, as dictionaries."""
        return [dict(row) for row in self.connection.execute(f"SELECT * FROM {view}")]  # noqa: S608 - a view of ours


@pytest.fixture
def calls(current_db: Path, make_event: MakeEvent) -> Iterator[Calls]:
    with closing(open_background(current_db)) as connection:
        connection.row_factory = sqlite3.Row
        yield Calls(connection, make_event)


def test_a_session_has_its_kinds_of_calls_and_its_longest_pause(calls: Calls) -> None:
    first = calls.add(request_kind="main", project="shop", prompt_tokens=100, cached_tokens=60, cost_usd=0.5)
    calls.add(request_kind="subagent", agent_id="a", prompt_tokens=100, response_time_ms=100_000, cost_note="no_price")
    calls.add(
        after=10, request_kind="auxiliary", success=False, status_code=500, error_type="x"
    )  # within the one before
    calls.add(after=95, request_kind="compaction")  # 5 s after that
    last = calls.add(after=62, request_kind="prewarm", cost_usd=0.25, billing="subscription")  # 60 s after the end
    (row,) = calls.rows("sessions_last_24h")
    assert row == {
        "session_id": "s1", "agent": "claude-code", "project": "shop", "origin": row["origin"], "requests": 5,
        "main": 1, "subagent": 1, "auxiliary": 1, "compaction": 1, "prewarm": 1, "errors": 1, "first_at": first,
        "last_at": last, "longest_pause_ms": 60_000, "models": "m", "prompt_tokens": row["prompt_tokens"],
        "cached_tokens": 60, "completion_tokens": row["completion_tokens"], "cached_percent": row["cached_percent"],
        "cost_usd": 0.5, "plan_cost_usd": 0.25, "cost_incomplete": 1,
    }  # fmt: skip


def test_a_session_of_one_call_had_no_pause(calls: Calls) -> None:
    calls.add()
    assert calls.rows("sessions_last_24h")[0]["longest_pause_ms"] is None


def test_a_tree_has_each_agent_below_what_started_it(calls: Calls) -> None:
    calls.add(request_kind="main", cost_usd=1.0)
    calls.add(request_kind="subagent", agent_id="a", cost_usd=0.25)  # says nothing of who started it
    calls.add(request_kind="subagent", agent_id="b", parent_agent_id="a", cost_usd=0.5)
    calls.add(session_id="s2", agent="opencode", cost_usd=8.0)
    calls.add(session_id="s3", agent="opencode", parent_agent_id="s2", cost_note="no_price")  # a session of its own
    calls.add(cost_usd=1.0)
    found = calls.rows("session_tree_last_24h")
    assert [(row["name"], row["depth"], row["requests"], row["cost_usd"]) for row in found] == [
        ("claude-code", 0, 2, 2.0),
        ("> a", 1, 1, 0.25),
        ("> > b", 2, 1, 0.5),
        ("opencode", 0, 1, 8.0),
        ("> s3", 1, 1, None),
    ]
    of_trees = [
        (row["conversation_agents"], row["conversation_requests"], row["conversation_cost_usd"]) for row in found
    ]
    assert of_trees == [(3, 4, 2.75)] * 3 + [(2, 2, 8.0)] * 2
    assert [row["conversation_cost_incomplete"] for row in found] == [0, 0, 0, 1, 1]


def test_agents_that_name_each_other_or_themselves_are_all_in_the_tree_once(calls: Calls) -> None:
    for agent, parent in (("a", "b"), ("b", "a"), ("c", "c"), ("d", "nobody"), (None, "d"), ("e", "s1")):
        calls.add(agent_id=agent, parent_agent_id=parent)
    for number in range(30):  # a chain without end
        calls.add(session_id="long", agent_id=f"n{number}", parent_agent_id=f"n{number - 1}")
    found = calls.rows("session_tree_last_24h")
    assert len(found) == 36
    assert sorted(row["requests"] for row in found) == [1] * 36
    assert [row["agent_id"] for row in found if row["depth"] == 0] == ["n0", "a"]
    assert max(row["depth"] for row in found) == 29


KEPT: Row = {"prompt_tokens": 20_000, "cached_tokens": 15_000, "cache_write_tokens": 5_000, "request_kind": "main"}
LOST: Row = {"prompt_tokens": 21_000, "cached_tokens": 0, "cache_write_tokens": 21_000, "request_kind": "main"}
OPENAI: Row = {"provider": "openai", "model": "gpt-5", "prompt_tokens": 9_000, "request_kind": "main"}


def causes(calls: Calls) -> list[str]:
    return [row["cause"] for row in calls.rows("cache_breaks_last_24h")]


def test_a_prefix_that_was_edited_is_a_break_with_its_tokens_and_dollars(calls: Calls) -> None:
    calls.add(**KEPT, cache_saved_usd=0.0405, cache_spent_usd=0.00375)  # $2.7 and $0.75 for a million
    at = calls.add(
        **KEPT | {"prompt_tokens": 22_000, "cached_tokens": 4_000, "cache_write_tokens": 17_000},
        cache_spent_usd=0.01275,
        billing="api_key",
    )
    (row,) = calls.rows("cache_breaks_last_24h")
    assert (row["timestamp"], row["cause"], row["billing"]) == (at, "edited", "api_key")
    assert (row["expected_tokens"], row["cached_tokens"], row["lost_tokens"]) == (20_000, 4_000, 16_000)
    assert row["cost_usd"] == pytest.approx(16_000 * (2.7 + 0.75) / 1e6)
    assert row["idle_seconds"] == pytest.approx(58, abs=3)


@pytest.mark.parametrize(
    ("cause", "before", "now"),
    [
        ("expired", KEPT, LOST | {"after": 400}),
        ("edited", KEPT | {"billed": '{"cache_write_1h_tokens":5000}'}, LOST | {"after": 400}),
        ("expired", KEPT | {"billed": '{"cache_write_1h_tokens":5000}'}, LOST | {"after": 3_700}),
        ("model_changed", KEPT, LOST | {"model": "m2"}),
        ("compaction", KEPT, LOST | {"prompt_tokens": 9_000, "cache_write_tokens": 9_000}),
        ("agent_changed", KEPT | {"agent_version": "1"}, LOST | {"agent_version": "2"}),
        ("edited", OPENAI | {"cached_tokens": 8_000}, OPENAI | {"cached_tokens": 4_096}),
        ("missed", OPENAI | {"cached_tokens": 8_000}, OPENAI | {"cached_tokens": 0}),
    ],
)  # fmt: skip
def test_a_break_has_the_cause_that_the_rows_tell(cause: str, before: Row, now: Row, calls: Calls) -> None:
    if before.get("provider") == "openai":
        calls.add(**before | {"cached_tokens": 0})  # what a new conversation finds
    calls.add(**before)
    calls.add(**now)
    assert causes(calls) == [cause]


def test_a_call_that_sums_the_conversation_up_makes_it_a_compaction(calls: Calls) -> None:
    calls.add(**KEPT)
    calls.add(**KEPT | {"request_kind": "compaction", "cached_tokens": 0})
    calls.add(**LOST)
    assert causes(calls) == ["compaction"]


@pytest.mark.parametrize(
    "others",
    [
        [KEPT | {"prompt_tokens": 60_000, "cached_tokens": 20_000, "cache_write_tokens": 40_000}],  # much that is new
        [LOST | {"request_kind": "auxiliary"}],
        [LOST | {"agent_id": "another"}],
        [LOST | {"session_id": "another"}],
        [LOST | {"success": False, "status_code": 500}],
        [LOST | {"cache_write_tokens": 0}],  # asked for no cache
        [LOST | {"cached_tokens": 19_500}],  # a little
        [LOST | {"model": "m2", "prompt_tokens": 2_000}],  # something else that is short
        # Another agent that says nothing of itself: afterwards the conversation goes on with all that it had.
        [LOST | {"prompt_tokens": 9_000}, KEPT | {"prompt_tokens": 21_000, "cached_tokens": 20_000}],
        [LOST | {"after": 1}],  # before anything of the last answer had come
    ],
)
def test_what_only_looks_like_a_break_is_none(others: list[Row], calls: Calls) -> None:
    calls.add(**KEPT)
    for other in others:
        calls.add(**other)
    assert causes(calls) == []


def test_calls_that_were_under_way_at_once_are_not_compared(calls: Calls) -> None:
    calls.add(**KEPT)
    calls.add(**LOST, response_time_ms=30_000)
    calls.add(**LOST, after=10, response_time_ms=30_000)
    assert causes(calls) == []


def test_savings_are_summed_up_by_model_and_a_plans_are_apart(calls: Calls) -> None:
    calls.add(**KEPT, cache_saved_usd=0.5, cache_spent_usd=0.125, billing="api_key")
    calls.add(**KEPT, cache_saved_usd=0.25, cache_spent_usd=0.0, billing=None)
    calls.add(**KEPT, cache_saved_usd=8.0, cache_spent_usd=1.0, billing="subscription")
    calls.add(**KEPT)
    calls.add(prompt_tokens=100, cached_tokens=0)
    (row,) = calls.rows("cache_savings_last_24h")
    assert row == {
        "model": "m", "provider": "anthropic", "requests": 4, "cached_tokens": 60_000, "cache_write_tokens": 20_000,
        "saved_usd": 0.75, "spent_usd": 0.125, "net_usd": 0.625, "plan_net_usd": 7.0, "unpriced": 1,
    }  # fmt: skip
