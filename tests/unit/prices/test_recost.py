"""Costs of stored calls: each gets the one that it should have, once, whoever computes it and however that ends."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.commands.recost import recost as recost_command
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import BadPrices, DatabaseRefused
from llm_metrics_proxy.recorder.figures import rollup, rollup_check
from llm_metrics_proxy.recorder.prices import newer_list, price_file, recost_report
from llm_metrics_proxy.recorder.prices import recost as recosting
from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.newer_list import source
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import Cost
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.prices.rollup_costs import change_costs
from llm_metrics_proxy.recorder.store import watermarks
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import open_background
from tests.support.costs import changes
from tests.support.database import ask, write_lock
from tests.support.waiting import wait_until
from tests.unit.prices.recosted import COST, GPT_4O, OWN, OWN_COST, Fill, MakeEvent, costs, watermark

MANY = 4_000


def roll_up(path: Path) -> None:
    with closing(open_background(path)) as connection:
        rollup.bring_up_to_date(connection, path)


def assert_rolled_up(path: Path) -> None:
    """The roll-up has the costs that the rows have."""
    roll_up(path)
    with closing(sqlite3.connect(path)) as connection:
        assert not any(difference for _period, difference in rollup_check.compared(connection))


def command(*arguments: object) -> Result:
    return CliRunner().invoke(recost_command, [str(one) for one in arguments])


# --- what is computed


def test_every_call_gets_its_cost_and_a_second_run_changes_nothing(fill: Fill) -> None:
    path = fill({}, {"model": "made-up", "response_model": None}, {"usage": None, "prompt_tokens": None}, {})
    done = recost(path, OwnPrices(), Span())
    assert costs(path) == [(COST, source()), (None, None), (None, None), (COST, source())]
    assert (done.calls, done.changed) == (4, 2)
    again = recost(path, OwnPrices(), Span())
    assert (again.calls, again.changed) == (4, 0)
    assert costs(path) == [(COST, source()), (None, None), (None, None), (COST, source())]


def test_what_the_provider_stated_stays_whatever_the_prices_say(fill: Fill, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(OWN)
    path = fill({"cost_usd": 0.5, "cost_source": "provider"}, {"cost_usd": 0.0, "cost_source": "provider"})
    done = recost(path, price_file.load(None, path), Span())
    assert costs(path) == [(0.5, "provider"), (0.0, "provider")]
    assert (done.stated, done.changed) == (2, 0)
    recost(path, OwnPrices())
    assert costs(path) == [(0.5, "provider"), (0.0, "provider")]


def test_a_cost_that_is_not_known_any_more_goes(fill: Fill) -> None:
    path = fill({"model": "made-up", "response_model": None, "cost_usd": 0.5, "cost_source": "file"})
    roll_up(path)
    done = recost(path, OwnPrices(), Span())
    assert costs(path) == [(None, None)]
    assert_rolled_up(path)
    assert done.models == (recost_report.ModelCosts("made-up", 1, 1, 0, 0.5, None),)


def test_only_the_calls_that_were_asked_for_are_computed(fill: Fill) -> None:
    days = [{"timestamp": f"2026-03-0{day}T12:00:00.000Z"} for day in (1, 2, 3)]
    path = fill(*days, {"timestamp": "2026-03-02T13:00:00.000Z", "model": "o3", "response_model": None})
    recost(path, OwnPrices(), Span("2026-03-02T00:00:00.000Z", "2026-03-03T00:00:00.000Z", "gpt-*"))
    assert [cost for cost, _ in costs(path)] == [None, COST, None, None]
    recost(path, OwnPrices(), Span(model="*-2024-08-06"))
    assert [cost for cost, _ in costs(path)] == [COST, COST, COST, None]
    recost(path, OwnPrices(), Span(since="2026-03-02T13:00:00.000Z", until="2026-03-02T13:00:00.001Z"))
    assert costs(path)[3][0] is not None


def test_pending_are_those_that_nobody_has_looked_at_yet(fill: Fill) -> None:
    path = fill({}, {"model": "made-up", "response_model": None})
    assert watermark(path) == 0
    assert recost(path, OwnPrices()).calls == 2
    assert watermark(path) == 2
    assert recost(path, OwnPrices()).calls == 0
    fill({})
    assert recost(path, OwnPrices()).calls == 1
    assert [cost for cost, _ in costs(path)] == [COST, None, COST]
    assert watermark(path) == 3


def test_the_watermark_only_moves_forward(fill: Fill) -> None:
    path = fill({}, {}, {})
    recost(path, OwnPrices())
    with closing(sqlite3.connect(path)) as connection, connection:
        watermarks.move(connection, watermarks.PRICING, 1)
    assert watermark(path) == 3


def test_a_dry_run_says_what_would_change_and_changes_nothing(fill: Fill) -> None:
    path = fill({}, {})
    for span in (Span(), None):
        assert recost(path, OwnPrices(), span, dry_run=True).changed == 2
    assert costs(path) == [(None, None)] * 2
    assert watermark(path) == 0


def test_what_no_recorder_writes_into_a_row_has_no_cost_and_holds_nothing_up(fill: Fill) -> None:
    path = fill(*[{}] * 6)
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, assignment in enumerate(
            ("model = x'ff00'", "usage = x'00'", "prompt_tokens = 'many'", "timestamp = 7", "cost_usd = 'cheap'"), 1
        ):
            connection.execute(f"UPDATE completion_requests SET {assignment} WHERE id = {number}")  # noqa: S608 - our own
        connection.execute("UPDATE completion_requests SET model = CAST(x'ff' AS TEXT) WHERE id = 6")
    recost(path, OwnPrices(), Span())
    recost(path, OwnPrices())
    assert watermark(path) == 6
    assert [cost for cost, _ in costs(path)] == [None, None, None, None, COST, COST]


def test_the_work_is_done_in_many_short_slices(fill: Fill) -> None:
    path = fill(*[{}] * MANY)
    seen: list[tuple[int, int]] = []
    done = recost(path, OwnPrices(), hold_ms=5, progress=lambda done, of: seen.append((done, of)))
    assert done.slices > MANY / 500
    assert done.longest_hold_ms < 100  # on a machine that is busy with something else
    assert seen[-1] == (MANY, MANY)
    assert {cost for cost, _ in costs(path)} == {COST}


def test_the_report_is_bounded_however_many_models_there_are(
    fill: Fill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recost_report, "_MOST_NAMED", 3)
    (tmp_path / "prices.toml").write_text('[[price]]\nmodel = "a*"\ninput = 1\noutput = 10\n')
    names = [f"{letter}{number}" for letter in "ab" for number in range(5)]
    path = fill(*[{"model": name, "response_model": None} for name in names])
    done = recost(path, price_file.load(None, path), Span())
    assert [(one.model, one.calls) for one in done.models] == [("(others)", 2), ("a0", 1), ("a1", 1), ("a2", 1)]
    assert next((one.model, one.calls) for one in done.without_price) == ("(others)", 2)
    assert sum(one.calls for one in done.without_price) == 5


def test_a_change_takes_no_longer_in_a_large_table(fill: Fill) -> None:
    path = fill(*[{}] * 50)
    roll_up(path)
    steps: list[int] = []
    for _ in range(2):
        with closing(open_writer(path)) as connection, connection:
            taken: list[int] = []
            connection.set_progress_handler(lambda taken=taken: taken.append(1), 10)  # type: ignore[misc] # mypy's guess
            assert change_costs(connection, changes(connection, (1, 2), Cost(len(steps) + 1.0, "file", 1))) == 2
            steps.append(len(taken))
        fill(*[{}] * MANY)
        roll_up(path)
    assert steps[1] < 2 * steps[0]


# --- killed, stopped, together


def test_what_was_stopped_goes_on_where_it_was(fill: Fill) -> None:
    path = fill(*[{}] * MANY)
    stop = threading.Event()
    recost(path, OwnPrices(), stop=stop, progress=lambda _done, _of: stop.set())
    priced = sum(cost is not None for cost, _ in costs(path))
    assert 0 < priced < MANY
    assert watermark(path) == priced  # not a call more and not a call less
    assert recost(path, OwnPrices()).calls == MANY - priced
    assert {cost for cost, _ in costs(path)} == {COST}


def test_what_was_killed_goes_on_where_it_was(fill: Fill) -> None:
    path = fill(*[{}] * MANY)
    arguments = [sys.executable, "-m", "llm_metrics_proxy.recorder.upkeep.upkeep", str(path)]
    for number in range(3):
        before = watermark(path)
        with subprocess.Popen(arguments, cwd=Path(__file__).parents[3]) as process:
            wait_until(lambda before=before: watermark(path) > before, 30)  # type: ignore[misc] # mypy's guess
            process.kill()
        assert process.returncode == -signal.SIGKILL
        looked_at = watermark(path)
        assert before < looked_at < MANY
        assert [cost for cost, _ in costs(path)] == [COST] * looked_at + [None] * (MANY - looked_at)
        if number == 0:
            roll_up(path)  # some calls have their cost by then, and some get it later
    subprocess.run(arguments, cwd=Path(__file__).parents[3], check=True)
    assert {cost for cost, _ in costs(path)} == {COST}
    assert watermark(path) == MANY
    assert_rolled_up(path)
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("pending", [[], ["--pending"]])
def test_ctrl_c_ends_the_command_and_what_was_done_stays(fill: Fill, pending: list[str]) -> None:
    path = fill(*[{}] * 2 * MANY)
    arguments = [str(Path(sys.executable).with_name("llm-metrics")), "recost", "--db", str(path), *pending]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: ask(path, "SELECT 1 FROM completion_requests WHERE cost_usd IS NOT NULL LIMIT 1"), 30)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Interrupted: what was done stays done. Run the same command again for the rest."
    assert all(line.startswith("Pricing the calls of ") for line in complaints.splitlines())
    priced = sum(cost is not None for cost, _ in costs(path))
    assert 0 < priced < 2 * MANY
    again = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert f" {2 * MANY - priced:,} got another cost.\n" in again.stdout
    assert set(costs(path)) == {(COST, source())}
    assert_rolled_up(path)


def test_what_is_stopped_while_others_hold_the_lock_changed_nothing_and_says_so(fill: Fill) -> None:
    path = fill({})
    stop = threading.Event()
    ctrl_c = threading.Timer(0.5, stop.set)
    with write_lock(path):
        ctrl_c.start()
        done = recost(path, OwnPrices(), Span(), stop=stop)
    assert (done.stopped, done.calls, done.changed) == (True, 0, 0)
    assert costs(path) == [(None, None)]


def test_several_at_once_and_a_writer_beside_them_make_the_costs_of_one(
    fill: Fill, make_event: MakeEvent, tmp_path: Path
) -> None:
    path = fill(*[{}] * MANY)
    (tmp_path / "prices.toml").write_text(OWN)
    prices = price_file.load(None, path)
    works: list[Callable[[], object]] = [
        lambda: recost(path, prices),
        lambda: recost(path, prices),
        lambda: recost(path, prices, Span()),
        lambda: roll_up(path),
    ]
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    with closing(open_writer(path)) as connection:
        for _ in range(20):
            CompletionRequestsDAO(connection).insert_completion_request(
                make_event(**GPT_4O, event_id=os.urandom(16).hex())
            )
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    recost(path, prices)
    assert costs(path) == [(OWN_COST, "file")] * (MANY + 20)
    assert watermark(path) == MANY + 20
    assert_rolled_up(path)


# --- the command


def test_the_command_shows_what_changed_and_what_has_no_price(fill: Fill, tmp_path: Path) -> None:
    path = fill({}, {}, {"model": "made-up", "response_model": None, "provider": "custom"})
    recost(path, OwnPrices(), Span())
    prices = tmp_path / "mine.toml"
    prices.write_text(OWN)
    said = command("--db", path, "--prices", prices, "--dry-run").stdout
    assert said == (
        "3 calls were looked at, 2 would get another cost.\n"
        "model   calls  changed  before, $    now, $  lower bounds\n"
        "gpt-4o      2        2   0.007000  0.004000             0\n"
        "Without a cost:\n"
        "  made-up, custom: 1 calls (no price is known)\n"
        "Write prices of your own into prices.toml beside the database; docs/costs.md says how.\n"
        "2 calls are from before version 6 of the schema, which kept no service tier: "
        "they are priced as if the ordinary one had served them.\n"
    )
    document = json.loads(command("--db", path, "--prices", prices, "--json").stdout)
    assert (document["calls"], document["changed"], document["dry_run"]) == (3, 2, False)
    costs_of_models = {"calls": 2, "changed": 2, "lower_bounds": 0, "usd_before": 0.007, "usd_now": 0.004}
    assert document["models"] == [{"model": "gpt-4o", **costs_of_models}]
    assert document["without_price"] == [{"reason": "no_price", "provider": "custom", "model": "made-up", "calls": 1}]
    assert costs(path)[0] == (OWN_COST, "file")
    assert "0 got another cost." in command("--db", path, "--prices", prices).stdout


def test_names_that_clients_chose_steer_no_terminal(fill: Fill) -> None:
    path = fill(
        {"model": "\x1b[2J\nevil\x7f", "response_model": "gpt-4o"}, {"model": "\x1b]0;x", "response_model": None}
    )
    for arguments in ([], ["--json"]):
        said = command("--db", path, "--dry-run", *arguments).stdout
        assert all(one.isprintable() for one in said.replace("\n", ""))
    assert json.loads(said)["models"][0]["model"] == "\x1b[2J\nevil\x7f"


def test_days_are_those_of_utc(fill: Fill) -> None:
    path = fill({"timestamp": "2026-03-01T23:59:59.999Z"}, {"timestamp": "2026-03-02T00:00:00.000Z"})
    assert command("--db", path, "--since", "2026-03-02", "--until", "2026-03-03").exit_code == 0
    assert [cost for cost, _ in costs(path)] == [None, COST]


@pytest.mark.parametrize("filter_of_history", [["--since", "2026-03-01"], ["--until", "2026-03-01"], ["--model", "x"]])
def test_pending_and_a_part_of_history_are_two_things(current_db: Path, filter_of_history: list[str]) -> None:
    done = command("--db", current_db, "--pending", *filter_of_history)
    assert done.exit_code == 2
    assert "leave --since, --until and --model out" in done.stderr


def test_what_cannot_be_done_is_one_sentence(version_1: Path, tmp_path: Path) -> None:
    for arguments, sentence in (
        (["--db", tmp_path / "typo.db"], "There is no database at "),
        (["--db", version_1], "has schema version 1, and this program "),
        (["--db", version_1, "--prices", tmp_path / "typo.toml"], "There is no file of prices at "),
    ):
        for more in ([], ["--pending"], ["--dry-run"]):
            done = command(*arguments, *more)
            assert done.exit_code == 1
            assert sentence.partition(",")[0] in done.stderr
            assert done.stderr.count("\n") == 1
    assert not (tmp_path / "typo.db").exists()
    with pytest.raises(DatabaseRefused, match="run llm-metrics migrate"):
        recost(version_1, OwnPrices())


# --- many calls, priced by a process of their own


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recosting, "MANY", 10)


@pytest.mark.usefixtures("many")
def test_a_process_prices_as_a_thread_does(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fill(*[{}] * MANY, {"model": "unheard-of", "response_model": None})
    by_process = recost(path, OwnPrices(), Span(), dry_run=True)
    monkeypatch.undo()
    by_thread = recost(path, OwnPrices(), Span(), dry_run=True)
    assert by_thread == by_process
    assert (by_thread.calls, by_thread.changed) == (MANY + 1, MANY)
    assert recost(path, OwnPrices()).changed == MANY
    (tmp_path / "prices.toml").write_text(OWN)
    monkeypatch.setattr(recosting, "MANY", 10)
    assert recost(path, price_file.load(None, path), Span()).changed == MANY
    assert_rolled_up(path)


@pytest.mark.usefixtures("many")
def test_a_process_that_is_killed_is_one_sentence_and_what_was_done_stays(fill: Fill) -> None:
    path = fill(*[{}] * MANY)

    def kill(_done: int, _of: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(BadPrices, match=r"^The process that computes costs ended early \(exit code -9\): run the same"):
        recost(path, OwnPrices(), Span(), progress=kill)
    assert 0 < sum(cost is not None for cost, _ in costs(path)) < MANY
    assert multiprocessing.active_children() == []
    recost(path, OwnPrices(), Span())
    assert {cost for cost, _ in costs(path)} == {COST}


@pytest.mark.usefixtures("many")
def test_what_a_process_refuses_is_refused_as_by_a_thread(fill: Fill) -> None:
    path = fill(*[{}] * 20)
    newer_list.place(path).write_text("{")
    with pytest.raises(BadPrices) as refused:
        recost(path, OwnPrices(), Span())
    assert refused.value.what.startswith(f"The list of prices {newer_list.place(path)} is")
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("many")
def test_a_process_ends_with_the_work_that_is_stopped(fill: Fill) -> None:
    path = fill(*[{}] * MANY)
    stop = threading.Event()
    done = recost(path, OwnPrices(), Span(), stop=stop, progress=lambda _done, _of: stop.set())
    assert done.stopped
    assert 0 < done.calls < MANY
    assert multiprocessing.active_children() == []
