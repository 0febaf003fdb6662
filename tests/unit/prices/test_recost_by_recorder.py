"""The recorder has calls priced by a process of its own, which has the prices."""

import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.errors import BadPrices
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.prices.newer_list import source
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import presence, watermarks
from llm_metrics_proxy.recorder.store.slices import Slices, open_background
from llm_metrics_proxy.recorder.store.spill_folder import folder_of, make
from llm_metrics_proxy.recorder.upkeep import INTERVAL, UpkeepProcess, answers, upkeep
from tests.support.database import write_lock
from tests.support.waiting import wait_until
from tests.unit.prices.recosted import COST, OWN, OWN_COST, Fill, costs, watermark
from tests.unit.writing.test_worker import run

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
    assert costs(db_path) == [(COST, source())] * 3
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
    assert not one.look()
    with closing(open_background(path)) as connection, ThreadPoolExecutor(1) as aside:
        answers.bring_up_to_date(connection, path, Slices(connection, path), OwnPrices(), aside)
    assert one.look()


def test_of_several_recorders_one_has_calls_priced(fill: Fill) -> None:
    path = fill({})
    make(path)
    with presence.alone(path, "upkeep") as alone:
        assert alone
        assert pricing(path).look()
    assert costs(path) == [(None, None)]
    assert pricing(path).look()
    assert costs(path) == [(COST, source())]


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
    assert costs(path) == [(COST, source())]


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
