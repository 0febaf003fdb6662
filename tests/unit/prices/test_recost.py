"""Costs of stored calls: each gets the one that it should have, once, whoever computes it and however that ends."""

import json
import logging
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
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.commands.recost import recost as recost_command
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import BadPrices, DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup, rollup_check
from llm_metrics_proxy.recorder.prices import price_file
from llm_metrics_proxy.recorder.prices import recost as recosting
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import SOURCE
from llm_metrics_proxy.recorder.prices.recost import Span, recost
from llm_metrics_proxy.recorder.prices.rollup_costs import change_costs
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence, watermarks
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.spill_folder import folder_of, make
from llm_metrics_proxy.recorder.upkeep import INTERVAL, UpkeepProcess, upkeep
from tests.support.database import ask, write_lock
from tests.support.waiting import wait_until
from tests.unit.writing.test_worker import run

type MakeEvent = Callable[..., CompletionRequest]
type Fill = Callable[..., Path]

MANY = 4_000
USAGE = '{"prompt_tokens":1000,"completion_tokens":100}'
GPT_4O = {
    "provider": "openai",
    "operation": "chat",
    "model": "gpt-4o",
    "response_model": "gpt-4o-2024-08-06",
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "usage": USAGE,
}
COST = 0.0035  # 1,000 tokens at $2.50 and 100 at $10 for a million
OWN = '[[price]]\nmodel = "gpt-4o"\ninput = 1\noutput = 10\n'
OWN_COST = 0.002


@pytest.fixture
def fill(current_db: Path, make_event: MakeEvent) -> Fill:
    """Store calls, each with the columns of `GPT_4O` and those that are given."""

    def store(*calls: dict[str, Any]) -> Path:
        with closing(open_writer(current_db)) as connection:
            events = [make_event(**GPT_4O | fields, event_id=os.urandom(16).hex()) for fields in calls]
            CompletionRequestsDAO(connection).insert_completion_requests(events)
        return current_db

    return store


def costs(path: Path) -> list[tuple[object, ...]]:
    return ask(path, "SELECT cost_usd, cost_source FROM completion_requests ORDER BY id")


def watermark(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return watermarks.get(connection, watermarks.PRICING)


def roll_up(path: Path) -> None:
    with closing(open_background(path)) as connection:
        rollup.bring_up_to_date(connection, path)


def assert_rolled_up(path: Path) -> None:
    """The roll-up has the costs that the rows have."""
    roll_up(path)
    with closing(sqlite3.connect(path)) as connection:
        assert list(rollup_check.differences(connection)) == []


def command(*arguments: object) -> Result:
    return CliRunner().invoke(recost_command, [str(one) for one in arguments])


# --- what is computed


def test_every_call_gets_its_cost_and_a_second_run_changes_nothing(fill: Fill) -> None:
    path = fill({}, {"model": "made-up", "response_model": None}, {"usage": None, "prompt_tokens": None}, {})
    done = recost(path, OwnPrices(), Span())
    assert costs(path) == [(COST, SOURCE), (None, None), (None, None), (COST, SOURCE)]
    assert (done.calls, done.changed) == (4, 2)
    again = recost(path, OwnPrices(), Span())
    assert (again.calls, again.changed) == (4, 0)
    assert costs(path) == [(COST, SOURCE), (None, None), (None, None), (COST, SOURCE)]


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
    assert done.models == (recosting.ModelCosts("made-up", 1, 1, 0.5, None),)


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
    monkeypatch.setattr(recosting, "_MOST_NAMED", 3)
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
            assert change_costs(connection, [(1, len(steps) + 1.0, "file"), (2, len(steps) + 1.0, "file")]) == 2
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
        "model   calls  changed  before, $    now, $\n"
        "gpt-4o      2        2   0.007000  0.004000\n"
        "No price is known for:\n"
        "  made-up, custom: 1 calls\n"
        "Write prices of your own into prices.toml beside the database; docs/costs.md says how.\n"
    )
    document = json.loads(command("--db", path, "--prices", prices, "--json").stdout)
    assert (document["calls"], document["changed"], document["dry_run"]) == (3, 2, False)
    assert document["models"] == [{"model": "gpt-4o", "calls": 2, "changed": 2, "usd_before": 0.007, "usd_now": 0.004}]
    assert document["without_price"] == [{"provider": "custom", "model": "made-up", "calls": 1}]
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


# --- by the recorder itself

RECORDER = """
import os, pathlib, sqlite3, sys, threading, time
sys.path.insert(0, sys.argv[2])
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from llm_metrics_proxy.recorder.recorder import Recorder
path = pathlib.Path(sys.argv[1])
recorder = Recorder(path, upkeep_interval=0.1)
recorder.open()
recorder.start()
for number in range(3):
    recorder.submit(CompletionRequest(
        timestamp="2026-03-01T12:00:00.000Z", success=True, status_code=200, response_time_ms=9, is_streaming=False,
        event_id=new_event_id(number), provider="openai", operation="chat", model="gpt-4o",
        prompt_tokens=1000, completion_tokens=100, usage='{"prompt_tokens":1000,"completion_tokens":100}',
    ))
    ends = time.monotonic() + 30
    with sqlite3.connect(path) as connection:
        query = "SELECT count(cost_usd) FROM completion_requests"
        while connection.execute(query).fetchone()[0] <= number and time.monotonic() < ends:
            time.sleep(0.02)
recorder.close()
print("genai_prices" in sys.modules, [thread.name for thread in threading.enumerate() if "upkeep" in thread.name])
"""


def test_a_recorder_has_calls_priced_without_having_the_prices_in_its_process(db_path: Path) -> None:
    done = run(RECORDER, db_path)
    assert (done.stdout, done.stderr) == ("False []\n", "")
    assert costs(db_path) == [(COST, SOURCE)] * 3
    assert watermark(db_path) == 3
    assert not folder_of(db_path).exists()


def pricing(path: Path, **arguments: Any) -> UpkeepProcess:  # noqa: ANN401 - those of UpkeepProcess
    make(path)
    return UpkeepProcess(path, **arguments)


def test_the_process_is_only_started_when_calls_wait(fill: Fill) -> None:
    path = fill({})
    one = pricing(path)
    one._command = ["/nonexistent"]  # noqa: SLF001 - a process that cannot start
    assert not one.look()
    recost(path, OwnPrices())
    assert not one.look()
    with closing(open_background(path)) as connection:
        rollup.bring_up_to_date(connection, path)
    assert one.look()


def test_of_several_recorders_one_has_calls_priced(fill: Fill) -> None:
    path = fill({})
    make(path)
    with presence.alone(path, "upkeep") as alone:
        assert alone
        assert pricing(path).look()
    assert costs(path) == [(None, None)]
    assert pricing(path).look()
    assert costs(path) == [(COST, SOURCE)]


def test_own_prices_are_taken_from_beside_the_database_and_from_the_option(fill: Fill, tmp_path: Path) -> None:
    path = fill({})
    (tmp_path / "prices.toml").write_text(OWN)
    assert pricing(path).look()
    assert costs(path) == [(OWN_COST, "file")]
    other = tmp_path / "other.toml"
    other.write_text(OWN.replace("1", "2", 1))
    fill({})
    assert pricing(path, prices=other).look()
    assert [cost for cost, _ in costs(path)] == [OWN_COST, 0.003]


def test_a_file_of_prices_that_became_bad_is_said_once_and_nothing_ends(
    fill: Fill, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = fill({})
    (tmp_path / "prices.toml").write_text("[[price]]\nmodel = 7\ninput = 1\noutput = 1")
    one = pricing(path)
    with caplog.at_level(logging.WARNING, "recorder"):
        assert not one.look()
        assert not one.look()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        f"Calls get no cost for now. Price 1 of {tmp_path / 'prices.toml'} has 'model' = 7, which is no name: "
        "write it in quotes."
    )
    (tmp_path / "prices.toml").unlink()
    assert one.look()
    assert costs(path) == [(COST, SOURCE)]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise SystemExit(7)", "The process that prices calls and adds them up ended with 7, and is tried again: "),
        (
            "import os; os.kill(os.getpid(), 9)",
            "The process that prices calls and adds them up ended with -9, and is tried again: ",
        ),
        (
            "import time; time.sleep(60)",
            "The process that prices calls and adds them up ended with -9, and is tried again: ",
        ),
        ("import sys; sys.exit('\\x1b[2J' + 'x' * 9999)", r"\x1b[2J" + "x" * 400),
    ],
)
def test_however_the_process_fails_one_sentence_says_so(
    fill: Fill, caplog: pytest.LogCaptureFixture, code: str, sentence: str
) -> None:
    one = pricing(fill({}), timeout=1.0)
    one._command = [sys.executable, "-c", code]  # noqa: SLF001 - a process that fails
    with caplog.at_level(logging.WARNING, "recorder"):
        assert not one.look()
    (said,) = [record.getMessage() for record in caplog.records]
    assert sentence in said
    assert len(said) < 1_000
    assert said.isprintable()


def test_a_database_that_cannot_be_read_is_for_the_recorder_to_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "recorder"):
        assert UpkeepProcess(tmp_path / "typo.db").look()
    assert caplog.records == []
    assert list(tmp_path.iterdir()) == []


def children() -> list[int]:
    own = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in own.iterdir() for pid in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read from Linux's /proc")
def test_the_end_waits_for_no_process_and_leaves_none(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up")
    monkeypatch.setenv("HTTPS_PROXY", "http://made-up.example")
    path = fill({})
    make(path)
    one = UpkeepProcess(path, interval=0.01)
    before = set(children())
    with write_lock(path):  # for which the process waits
        one.start()
        wait_until(lambda: bool(set(children()) - before), 10)
        (pid,) = set(children()) - before
        wait_until(lambda: b"llm_metrics_proxy.recorder.upkeep.upkeep" in Path(f"/proc/{pid}/cmdline").read_bytes(), 10)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"PYTHONPATH=" in environment
        assert b"made-up" not in environment
        time.sleep(0.5)
        began = time.monotonic()
        one.stop()
        assert time.monotonic() - began < 0.4
        wait_until(lambda: not set(children()) - before)
    assert costs(path) == [(None, None)]


def test_a_recorder_with_bad_prices_does_not_start(db_path: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPrices, match="There is no file of prices"):
        Recorder(db_path, prices=tmp_path / "typo.toml").open()
    (tmp_path / "prices.toml").write_text("[[price]]\n")
    with pytest.raises(BadPrices, match="has no 'model'"):
        Recorder(db_path).open()
    assert not db_path.exists()


def test_prices_that_take_long_leave_time_for_the_roll_up(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fill(*[{}] * 20_000)
    monkeypatch.setattr(upkeep, "LONGEST_RUN", 1.0)
    monkeypatch.setattr(sys, "argv", ["upkeep", str(path)])
    priced = added = 0
    with closing(open_background(path)) as connection:
        for _ in range(20):  # where others need the CPU a run of the lowest priority may get nothing done
            assert upkeep.main() == 0
            priced, added = (watermarks.get(connection, of) for of in (watermarks.PRICING, watermarks.ROLLUP))
            if priced and added:
                break
    assert 0 < priced < 20_000
    assert added > 0


def test_a_cost_is_there_within_a_minute() -> None:
    assert INTERVAL <= 45
