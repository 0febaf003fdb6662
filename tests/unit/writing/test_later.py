"""A call whose answer comes later is one row, completed once, whoever fetches the answer and in whatever order."""

import itertools
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.figures import rollup, rollup_check
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import spill_folder
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.writing import later, spill
from tests.support.database import ask, execute, write_lock
from tests.support.waiting import wait_until

type MakeEvent = Callable[..., CompletionRequest]

ROW = """
    SELECT event_id, success, prompt_tokens, completion_tokens, finish_reason, error_type, cost_note
    FROM completion_requests
"""
USAGE = '{"input_tokens":9350,"output_tokens":2140,"total_tokens":11490}'


@pytest.fixture
def call(make_event: MakeEvent) -> CompletionRequest:
    """The answer to a call in the background: it waits for its turn."""
    return make_event(
        event_id=new_event_id(1), model="gpt-5.4", provider="openai", response_id="resp_1", message_count=3
    )


@pytest.fixture
def answered(make_event: MakeEvent) -> MakeEvent:
    """What a fetch of the final answer says."""
    numbers = itertools.count(2)

    def make(**fields: object) -> CompletionRequest:
        said = {
            "event_id": new_event_id(next(numbers)),
            "model": None,
            "origin": "another",
            "provider": "openai",
            "response_id": "resp_1",
            "response_model": "gpt-5.4",
            "response_time_ms": 5,
            "finish_reason": "completed",
            "prompt_tokens": 9350,
            "completion_tokens": 2140,
            "total_tokens": 11490,
            "usage_source": "provider",
            "usage": USAGE,
            "host": "api.openai.com:443",
            "endpoint": "/v1/responses",
        }
        return make_event(**said | fields)

    return make


def record(path: Path, *events: CompletionRequest) -> dict[str, int]:
    """Record the events, and return what became of them."""
    recorder = Recorder(path, upkeep_interval=3_600)
    recorder.open()
    recorder.start()
    assert all(map(recorder.submit, events))
    recorder.close()
    return {name: n for name, n in recorder.counters().items() if name not in {"received", "replayed", "spilled"}}


def follow(path: Path) -> None:
    """Do what upkeep does each minute, and see that sums and rows agree."""
    recost(path, OwnPrices())
    with closing(open_background(path)) as connection:
        rollup.bring_up_to_date(connection, path)
    with closing(sqlite3.connect(path)) as connection:
        assert [difference for _, difference in rollup_check.compared(connection) if difference] == []
    assert ask(path, "SELECT count(*) FROM completed_later") == [(0,)]


@pytest.mark.parametrize("adds_up_first", [False, True])
def test_an_answer_completes_the_row_of_its_call_and_counts_once(
    current_db: Path, call: CompletionRequest, answered: MakeEvent, *, adds_up_first: bool
) -> None:
    assert record(current_db, call) == {"written": 1}
    assert ask(current_db, ROW) == [(call.event_id, 1, None, None, None, None, None)]
    if adds_up_first:
        follow(current_db)
        assert ask(current_db, "SELECT cost_note FROM completion_requests") == [("no_usage",)]
    assert record(current_db, answered(), answered(), answered()) == {"completed": 1, "duplicates": 2}
    assert ask(current_db, ROW.replace(", cost_note", "")) == [(call.event_id, 1, 9350, 2140, "completed", None)]
    assert ask(current_db, "SELECT origin, message_count, response_time_ms FROM completion_requests") == [
        ("billing", 3, 900)
    ]
    follow(current_db)
    ((cost, complete, note),) = ask(current_db, "SELECT cost_usd, cost_complete, cost_note FROM completion_requests")
    assert (cost, complete, note) == (pytest.approx(9350 * 2.5e-6 + 2140 * 15e-6), 1, None)
    sums = (
        "SELECT sum(calls), sum(prompt_tokens), sum(cost_usd), sum(cost_usd_known) FROM rollup_calls WHERE span = 'day'"
    )
    assert ask(current_db, sums) == [(1, 9350, pytest.approx(cost), 1)]


@pytest.mark.parametrize("in_one_batch", [False, True])
@pytest.mark.parametrize("adds_up_first", [False, True])
def test_a_call_that_fails_later_or_was_cut_and_then_completed_has_its_last_outcome(  # noqa: PLR0913 - fixtures and cases
    current_db: Path,
    call: CompletionRequest,
    answered: MakeEvent,
    make_event: MakeEvent,
    *,
    in_one_batch: bool,
    adds_up_first: bool,
) -> None:
    failed = answered(success=False, error_type="server_error", error_class="server_error", finish_reason="failed")
    left = make_event(
        event_id=new_event_id(9),
        provider="openai",
        response_id="resp_2",
        success=False,
        error_type="client_disconnect",
        is_streaming=True,
    )
    completed = answered(response_id="resp_2")
    batches = [(call, left, failed, completed)] if in_one_batch else [(call, left), (failed, completed)]
    for batch in batches:
        record(current_db, *batch)
        if adds_up_first:
            follow(current_db)
    assert [row[1:6] for row in ask(current_db, ROW)] == [
        (0, 9350, 2140, "failed", "server_error"),
        (1, 9350, 2140, "completed", None),
    ]
    follow(current_db)
    sums = "SELECT success, error_type, calls FROM rollup_calls WHERE span = 'day' ORDER BY 1"
    assert ask(current_db, sums) == [(0, "server_error", 1), (1, "", 1)]


def test_an_answer_whose_call_never_passed_leaves_one_row(current_db: Path, answered: MakeEvent) -> None:
    assert record(current_db, answered(), answered()) == {"written": 1, "duplicates": 1}
    assert record(current_db, answered()) == {"duplicates": 1}
    assert [row[2] for row in ask(current_db, ROW)] == [9350]
    follow(current_db)


@pytest.mark.parametrize("adds_up_first", [False, True])
def test_a_call_that_comes_after_its_answer_completes_the_same_row(
    current_db: Path, call: CompletionRequest, answered: MakeEvent, *, adds_up_first: bool
) -> None:
    fetched = answered(timestamp="2026-02-28T12:00:00.000Z")
    assert record(current_db, fetched) == {"written": 1}
    if adds_up_first:
        follow(current_db)
    assert record(current_db, call, call, fetched) == {"completed": 1, "duplicates": 2}
    ((*row, _),) = ask(current_db, ROW)
    assert row == [call.event_id, 1, 9350, 2140, "completed", None]
    asked = "SELECT timestamp, model, origin, message_count, response_time_ms FROM completion_requests"
    assert ask(current_db, asked) == [(call.timestamp, "gpt-5.4", "billing", 3, 900)]
    follow(current_db)
    sums = "SELECT period, model, calls, prompt_tokens, response_time_ms FROM rollup_calls WHERE span = 'day'"
    assert ask(current_db, sums) == [("2026-03-01", "gpt-5.4", 1, 9350, 900)]
    series = "SELECT DISTINCT period, value FROM rollup_times WHERE span = 'day' AND dimension = 'model'"
    assert ask(current_db, series) == [("2026-03-01", "gpt-5.4")]
    ((cost,),) = ask(current_db, "SELECT cost_usd FROM completion_requests")
    assert ask(current_db, "SELECT sum(cost_usd) FROM rollup_costs WHERE span = 'day'") == [(pytest.approx(cost),)]


def test_calls_that_a_server_gives_the_same_id_keep_their_rows(
    current_db: Path, call: CompletionRequest, answered: MakeEvent
) -> None:
    second = msgspec.structs.replace(call, event_id=new_event_id(5))
    elsewhere = msgspec.structs.replace(call, event_id=new_event_id(6), provider="custom")
    assert record(current_db, call, second, call, elsewhere) == {"written": 3, "duplicates": 1}
    assert record(current_db, answered(), answered()) == {"completed": 1, "duplicates": 1}
    assert [row[2] for row in ask(current_db, f"{ROW} ORDER BY id")] == [None, 9350, None]
    follow(current_db)


def test_the_same_answer_by_several_recorders_at_once_counts_once(
    current_db: Path, call: CompletionRequest, answered: MakeEvent
) -> None:
    record(current_db, call)
    follow(current_db)
    threads = [threading.Thread(target=record, args=(current_db, answered())) for _ in range(4)]
    threads.append(threading.Thread(target=recost, args=(current_db, OwnPrices())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    follow(current_db)
    assert [row[2] for row in ask(current_db, ROW)] == [9350]
    assert ask(current_db, "SELECT sum(value) FROM recorder_counters WHERE name = 'completed'") == [(1,)]


def test_what_could_not_be_written_completes_the_row_later(
    current_db: Path, call: CompletionRequest, answered: MakeEvent
) -> None:
    recorder = Recorder(current_db, upkeep_interval=3_600)
    recorder.open()
    recorder.start()
    with write_lock(current_db):
        recorder.submit(call)
        recorder.submit(answered())
        recorder.close(1)
    assert len(list(spill.files(spill_folder.folder_of(current_db)))) == 1
    assert record(current_db) == {"written": 1, "completed": 1}
    assert [row[2] for row in ask(current_db, ROW)] == [9350]
    follow(current_db)


@pytest.mark.parametrize("answer", ["IGNORE", "ABORT, 'no changes'", "ROLLBACK, 'no changes'"])
def test_an_answer_waits_while_a_trigger_of_a_user_lets_no_row_be_changed(
    current_db: Path, call: CompletionRequest, answered: MakeEvent, make_event: MakeEvent, answer: str
) -> None:
    record(current_db, call)
    execute(
        current_db, f"CREATE TRIGGER t BEFORE UPDATE OF usage ON completion_requests BEGIN SELECT RAISE({answer}); END"
    )
    record(current_db, answered(), make_event(model="other", event_id=new_event_id(8)))
    assert [row[2] for row in ask(current_db, f"{ROW} ORDER BY id")] == [None, None]
    assert len(spill.held_files(spill_folder.folder_of(current_db))) == 1
    execute(current_db, "DROP TRIGGER t")
    recorder = Recorder(current_db, upkeep_interval=3_600)
    recorder.open()
    recorder.start()
    wait_until(lambda: [row[2] for row in ask(current_db, f"{ROW} ORDER BY id")] == [9350, None])
    recorder.close()


def test_a_row_that_is_deleted_before_the_roll_up_follows_is_forgotten(
    current_db: Path, call: CompletionRequest, answered: MakeEvent
) -> None:
    record(current_db, call)
    record(current_db, answered())
    assert ask(current_db, "SELECT count(*) FROM completed_later") == [(1,)]
    execute(current_db, "DELETE FROM completion_requests")
    recost(current_db, OwnPrices())
    assert ask(current_db, "SELECT count(*) FROM completed_later") == [(0,)]


def test_a_day_whose_roll_up_has_not_followed_yet_is_no_finding(
    current_db: Path, call: CompletionRequest, answered: MakeEvent
) -> None:
    record(current_db, call)
    follow(current_db)
    with closing(open_writer(current_db)) as connection, connection:  # as a recorder does before the next upkeep
        assert later.complete(connection, answered()) == later.Found(completed=True)
    assert ask(current_db, "SELECT added FROM completed_later") == [(0,)]
    with closing(sqlite3.connect(current_db)) as connection:
        assert [difference for _, difference in rollup_check.compared(connection) if difference] == []
