"""`llm-top --watch` in a real terminal and without one: nothing that happens to either ends it badly."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.recorder import Recorder
from tests.support.recent_calls import HARMLESS, HOSTILE, call, write
from tests.support.terminal import Terminal

SQLITE_UTILS = str(Path(sys.executable).with_name("sqlite-utils"))
MINUTE = timedelta(minutes=1)
TAKEN, GIVEN_BACK = "\x1b[?1049h", "\x1b[?25h\x1b[?1049l"  # the other screen; the cursor, and the first screen


def watching(path: Path, seconds: float = 0.2, *, columns: int = 250, lines: int = 30, **environment: str) -> Terminal:
    command = [SQLITE_UTILS, "llm-top", str(path), "--watch", str(seconds)]
    return Terminal(command, columns=columns, lines=lines, **environment)


def assert_ended_well(terminal: Terminal, code: int = 130) -> None:
    assert terminal.exit_code() == code
    assert terminal.output.count(TAKEN) == terminal.output.count(GIVEN_BACK)
    assert terminal.output.endswith(GIVEN_BACK)
    assert "Traceback" not in terminal.output


@contextmanager
def printing(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The program without a terminal."""
    command = [SQLITE_UTILS, "llm-top", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def filled(current_db: Path) -> Path:
    write(current_db, [call(MINUTE, model="gpt-5", cost_usd=1.25), call(MINUTE, model="claude", success=False)])
    return current_db


def test_new_calls_appear_and_ctrl_c_gives_the_terminal_back(filled: Path) -> None:
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        terminal.wait_for(" UTC, every 0.2 s, Ctrl-C ends")
        write(filled, [call(MINUTE, model="gemini")])
        terminal.wait_for("gemini ")
        terminal.type("\x03")
        assert_ended_well(terminal)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_other_ends_give_the_terminal_back_too(filled: Path, ending: signal.Signals) -> None:
    with watching(filled, 60) as terminal:
        terminal.wait_for("gpt-5 ")
        terminal.process.send_signal(ending)
        assert_ended_well(terminal, 128 + ending)


def test_a_terminal_of_another_size_is_drawn_at_once(filled: Path) -> None:
    with watching(filled, 60, columns=120, lines=30, COLUMNS="120", LINES="30") as terminal:
        terminal.wait_for("last call")
        for columns, lines in ((60, 12), (25, 6), (3, 2), (1, 1), (200, 50)):
            before = len(terminal.output)
            terminal.resize(columns, lines)
            terminal.wait_for(lambda before=before: len(terminal.output) > before)  # type: ignore[misc]
            terminal.wait_for(lambda lines=lines: len(terminal.screen()) == lines)  # type: ignore[misc]
            assert max(map(len, terminal.screen())) <= columns
        assert "last call" in "\n".join(terminal.screen())
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_a_database_that_is_gone_is_waited_for_and_not_made(filled: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        for file in tmp_path.glob("metrics.db*"):
            file.rename(away / file.name)
        terminal.wait_for("metrics.db is gone: waiting for it to come back.")
        terminal.wait_for_drawings(3)
        assert list(tmp_path.glob("metrics.db*")) == []
        for file in away.iterdir():
            file.rename(tmp_path / file.name)
        terminal.wait_for("gpt-5 ")
        assert "stands at" not in "\n".join(terminal.screen())  # it is the same one
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_a_database_in_the_place_of_another_is_read_and_told(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    Recorder(other).open()
    write(other, [call(MINUTE, model="another-model")])
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        other.rename(filled)
        terminal.wait_for("another-model ")
        terminal.wait_for("Another file stands at ")  # the line below, which may come in a later piece
        assert "gpt-5" not in "\n".join(terminal.screen())
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_what_else_may_come_to_stand_there_is_told_until_it_is_over(filled: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        filled.rename(ours)
        filled.write_text("some notes, longer than the header of a database" * 10)
        terminal.wait_for("is not a SQLite database")
        filled.unlink()
        filled.touch()
        terminal.wait_for("There is no database at")
        filled.unlink()
        filled.mkdir()
        terminal.wait_for_drawings(2)
        filled.rmdir()
        ours.rename(filled)
        terminal.wait_for("gpt-5 ")
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_a_locked_database_is_told_and_ctrl_c_is_heard_meanwhile(filled: Path) -> None:
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        with closing(sqlite3.connect(filled, isolation_level=None, timeout=10)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            terminal.wait_for("is locked by another process")
            time.sleep(0.5)  # by now it waits for the lock again
            started = time.monotonic()
            terminal.type("\x03")
            assert_ended_well(terminal)
            assert time.monotonic() - started < 3


def test_after_a_lock_it_goes_on(filled: Path) -> None:
    with watching(filled) as terminal:
        terminal.wait_for("gpt-5 ")
        with closing(sqlite3.connect(filled, isolation_level=None, timeout=10)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            terminal.wait_for("is locked by another process")
        terminal.wait_for("gpt-5 ")
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(filled: Path) -> None:
    with watching(filled, 60) as terminal:
        terminal.wait_for("gpt-5 ")
        terminal.type("\x1a")
        terminal.wait_until_stopped()
        terminal.wait_for(lambda: terminal.output.endswith(GIVEN_BACK))
        terminal.go_on()
        terminal.wait_for(lambda: terminal.output.count(TAKEN) == 2)
        terminal.wait_for("gpt-5 ")
        terminal.type("\x03")
        assert_ended_well(terminal)


def test_no_name_steers_the_terminal(current_db: Path) -> None:
    write(current_db, [call(MINUTE, model=HOSTILE)])
    with watching(current_db, columns=160) as terminal:
        terminal.wait_for(HARMLESS[:20])
        terminal.type("\x03")
        assert_ended_well(terminal)
        assert "\x1b]" not in terminal.output
        assert "\x9b" not in terminal.output
        assert "\u202e" not in terminal.output


def test_a_terminal_that_cannot_be_drawn_over_gets_plain_lines(filled: Path) -> None:
    with Terminal([SQLITE_UTILS, "llm-top", str(filled), "--watch", "0.1"], TERM="dumb") as terminal:
        terminal.wait_for(lambda: terminal.output.count("LLM calls of ") >= 2)
        terminal.type("\x03")
        assert terminal.exit_code() == 130
        assert "\x1b" not in terminal.output


def test_without_a_terminal_tables_follow_each_other(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # means colours to others; here it is a file that is written
    with printing(filled, "--watch", 0.1) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=10)
    assert process.returncode == 130
    assert complaints == ""
    text = "".join(lines) + rest
    assert text.count("LLM calls of the last 60 minutes") >= 2
    assert "\x1b" not in text


def test_as_json_each_table_is_a_line(filled: Path) -> None:
    with printing(filled, "--watch", 0.1, "--json") as process:
        assert process.stdout is not None
        documents = [json.loads(process.stdout.readline()) for _ in range(3)]
    assert [len(one["lines"]) for one in documents] == [2, 2, 2]
    assert documents[0]["at"] < documents[1]["at"] < documents[2]["at"]


def test_without_a_terminal_troubles_are_told_once_on_stderr(filled: Path, tmp_path: Path) -> None:
    with printing(filled, "--watch", 0.1, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        filled.rename(tmp_path / "away")
        assert process.stderr.readline() == f"{filled} is gone: waiting for it to come back.\n"
        time.sleep(0.4)
        (tmp_path / "away").rename(filled)
        documents = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=10)
    assert len(documents[-1]["lines"]) == 2
    assert (process.returncode, complaints) == (143, "")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_it_ends_at_once_when_nobody_reads_any_more(filled: Path, options: list[str]) -> None:
    with printing(filled, "--watch", 600, *options) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=10) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_ends_when_there_was_no_stdout_from_the_start(filled: Path) -> None:
    command = ["/bin/sh", "-c", 'exec "$0" llm-top "$1" --watch >&-', SQLITE_UTILS, str(filled)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_database_that_is_missing_from_the_start_is_an_error(tmp_path: Path) -> None:
    with watching(tmp_path / "typo.db") as terminal:
        assert terminal.exit_code() == 1
        assert "Error: There is no database at " in terminal.output
        assert "\x1b" not in terminal.output
    assert os.listdir(tmp_path) == []  # noqa: PTH208
