"""Which model answered to which name: counted once, judged, compared in dollars, and told once a day for each pair."""

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import Slices, open_background
from llm_metrics_proxy.recorder.store.spill_folder import make
from llm_metrics_proxy.recorder.store.timestamps import bound
from llm_metrics_proxy.recorder.upkeep import UpkeepProcess, answers
from tests.support.database import ask

NOW = bound(datetime.now(UTC))
MINI = {
    "timestamp": NOW,
    "provider": "openai",
    "operation": "chat",
    "model": "gpt-4o",
    "response_model": "gpt-4o-mini-2024-07-18",
    "prompt_tokens": 1_000,
    "completion_tokens": 100,
    "usage": '{"prompt_tokens":1000,"completion_tokens":100}',
}
DATED = {"response_model": "gpt-4o-2024-08-06"}
MINI_COST, ASKED_COST = 0.00021, 0.0035

type Store = Callable[..., Path]


@pytest.fixture
def store(current_db: Path, make_event: Callable[..., CompletionRequest]) -> Store:
    def stored(*calls: dict[str, Any]) -> Path:
        with closing(open_writer(current_db)) as connection:
            events = [make_event(**MINI | fields, event_id=os.urandom(16).hex()) for fields in calls]
            CompletionRequestsDAO(connection).insert_completion_requests(events)
        return current_db

    return stored


def follow(path: Path) -> list[answers.Told]:
    own = price_file.load(None, path)
    recost(path, own)
    with closing(open_background(path)) as connection, ThreadPoolExecutor(1) as aside:
        return answers.bring_up_to_date(connection, path, Slices(connection, path), own, aside)


def found(path: Path) -> list[tuple[object, ...]]:
    return ask(path, "SELECT model, response_model, calls, compared, cost_usd, asked_usd FROM substitutions")


def test_answers_by_another_model_are_counted_and_compared_in_dollars(store: Store) -> None:
    path = store({}, {}, DATED, {"response_model": None}, {"response_model": "gpt-4o"})
    (told,) = follow(path)
    assert (told.provider, told.asked, told.answered, told.calls) == ("openai", "gpt-4o", MINI["response_model"], 2)
    assert found(path) == [
        ("gpt-4o", MINI["response_model"], 2, 2, pytest.approx(2 * MINI_COST), pytest.approx(2 * ASKED_COST))
    ]
    assert ask(path, "SELECT difference_usd FROM substitutions") == [(pytest.approx(2 * (MINI_COST - ASKED_COST)),)]
    assert ask(path, "SELECT response_model, substituted FROM model_answers ORDER BY 1") == [
        (DATED["response_model"], 0), (MINI["response_model"], 1),
    ]  # fmt: skip


def test_a_call_counts_once_and_a_pair_is_told_once_a_day(store: Store) -> None:
    path = store({})
    assert len(follow(path)) == 1
    assert follow(path) == []
    store({}, {})
    assert follow(path) == []
    assert [row[2] for row in found(path)] == [3]


def test_of_long_ago_nobody_is_told_and_days_are_added_up(store: Store) -> None:
    days = [bound(datetime.now(UTC) - timedelta(days=days)) for days in (40, 20)]
    path = store(*({"timestamp": day} for day in days))
    assert follow(path) == []
    assert ask(path, "SELECT calls, first_at, last_at FROM substitutions") == [(2, *days)]


def test_calls_are_counted_when_they_have_been_priced_and_stay_when_they_are_deleted(store: Store) -> None:
    path = store({})
    with closing(open_background(path)) as connection, ThreadPoolExecutor(1) as aside:
        own = price_file.load(None, path)
        assert answers.bring_up_to_date(connection, path, Slices(connection, path), own, aside) == []
        assert watermarks.get(connection, watermarks.ANSWERS) == 0
    follow(path)
    with closing(open_writer(path)) as connection:
        connection.execute("DELETE FROM completion_requests")
    follow(path)
    assert [row[2] for row in found(path)] == [1]


def test_of_a_model_without_a_price_calls_are_counted_and_nothing_is_compared(store: Store) -> None:
    path = store({"response_model": "made-up-model"})
    follow(path)
    assert found(path) == [("gpt-4o", "made-up-model", 1, 0, None, None)] or found(path)[0][3] == 1


def test_an_alias_that_is_written_later_takes_the_pair_away_and_one_that_is_deleted_brings_it_back(
    store: Store,
) -> None:
    path = store({"provider": "azure.ai.openai"})
    assert len(follow(path)) == 1
    alias = path.with_name("prices.toml")
    alias.write_text('[[alias]]\nmodel = "gpt-4o"\nprovider = "azure.ai.openai"\nas = "gpt-4o-mini"\n')
    follow(path)
    assert found(path) == []
    alias.unlink()
    follow(path)
    assert [row[2] for row in found(path)] == [1]


def test_names_that_clients_make_up_do_not_fill_the_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MOST_PAIRS", 3)
    path = store(*({"model": f"gpt-4o-{word}"} for word in "abcdef"))
    follow(path)
    counted = ask(path, "SELECT model, substituted, calls FROM model_answers")
    assert sum(int(str(calls)) for _, _, calls in counted) == 6
    assert len(counted) == 4
    assert (answers.OTHERS, 0, 3) in counted


def test_the_recorder_warns_of_each_pair_and_shows_names_as_they_are_harmless(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = store({"model": "gpt-4o\x1b[2J"}, {"model": "gpt-4o\x1b[2J"}, DATED)
    make(path)
    with caplog.at_level(logging.WARNING):
        assert UpkeepProcess(path).look()
        store({"model": "gpt-4o\x1b[2J"})
        assert UpkeepProcess(path).look()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("openai answers with gpt-4o-mini-2024-07-18 where gpt-4o\\x1b[2J was asked for: 2 calls on ")
    assert [record.event for record in caplog.records] == ["model_substituted"]  # type: ignore[attr-defined]
