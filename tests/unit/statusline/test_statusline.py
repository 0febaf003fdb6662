"""`llm-metrics statusline`: the sums of the rows, in one line, from whatever stands at the path, and quickly."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import Limit, Limits
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.statusline import asked as asking
from llm_metrics_proxy.recorder.statusline import figures, windows
from llm_metrics_proxy.recorder.store import quota, timestamps, watermarks
from llm_metrics_proxy.recorder.store.database import open_writer
from llm_metrics_proxy.recorder.store.slices import open_background
from tests.support.database import ask, execute
from tests.support.recent_calls import any_calls, call, write

MINUTE = timedelta(minutes=1)
ENTRY = "from llm_metrics_proxy.recorder.statusline.entry import main; main()"


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return schema.prepare(tmp_path / "metrics.db", backup_dir=None, lock_seconds=5)


def priced(path: Path) -> None:
    """Let all rows have been through pricing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        watermarks.move(connection, watermarks.PRICING, watermarks.newest(connection))


def added_up(path: Path) -> None:
    with closing(open_background(path)) as connection:
        rollup.bring_up_to_date(connection, path)


def run(*words: object, stdin: bytes = b"", **variables: str) -> str:
    """What the program prints, which ends with 0 and says nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, "statusline", *map(str, words)],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    return done.stdout.decode().removesuffix("\n")


def asked(path: Path, session: str | None = None, document: str | None = None) -> figures.Figures:
    return figures.ask(str(path), session, document, asking.LATEST)


def today(**fields: Any) -> Any:  # noqa: ANN401 - fields of any type
    """A call of this minute, but never of the next day."""
    return call(timedelta(), **{"cost_complete": 1} | fields)


def test_a_session_the_day_and_the_month_are_the_sums_of_their_rows(path: Path) -> None:
    write(path, [today(session_id="a", cost_usd=1.25, prompt_tokens=2000, completion_tokens=30), today(cost_usd=2.0)])
    priced(path)
    assert run("--db", path, "--session", "a") == "$1.25 session · $3.25 today · $3.25 this month"
    added_up(path)
    assert run("--db", path, "--session", "a") == "$1.25 session · $3.25 today · $3.25 this month"
    write(path, [today(session_id="a", cost_usd=0.5, prompt_tokens=1, completion_tokens=1)])
    priced(path)
    assert run("--db", path, "--session", "a") == "$1.75 session · $3.75 today · $3.75 this month"
    form = "{session} {tokens} {calls} {plan}"
    assert run("--db", path, "--session", "a", "--format", form) == "$1.75 session 2k in, 31 out 2 -"


@pytest.mark.parametrize("is_added_up", [False, True], ids=["rows", "roll-up"])
def test_a_sum_says_that_it_is_a_lower_bound(path: Path, is_added_up: bool) -> None:  # noqa: FBT001 - a parameter
    write(path, [today(cost_usd=1.0), today(cost_usd=0.5, cost_complete=0, cost_note="output_unknown")])
    priced(path)
    if is_added_up:
        added_up(path)
    assert run("--db", path) == "$1.50+ today · $1.50+ this month"


@pytest.mark.parametrize("is_added_up", [False, True], ids=["rows", "roll-up"])
def test_a_call_that_waits_for_its_cost_makes_a_lower_bound_and_a_refused_one_does_not(
    path: Path,
    is_added_up: bool,  # noqa: FBT001 - a parameter
) -> None:
    write(path, [today(cost_usd=1.0, session_id="a"), today(success=False, status_code=429, session_id="a")])
    if is_added_up:
        added_up(path)
    assert run("--db", path, "--session", "a") == "$1.00 session · $1.00 today · $1.00 this month"
    write(path, [today(prompt_tokens=10, session_id="a")])
    if is_added_up:
        added_up(path)
    assert run("--db", path, "--session", "a") == "$1.00+ session · $1.00+ today · $1.00+ this month"


def test_what_a_plan_pays_is_kept_apart(path: Path) -> None:
    write(path, [today(cost_usd=4.0, billing="subscription", session_id="a")])
    priced(path)
    assert run("--db", path, "--session", "a") == "plan $4.00 session · plan $4.00 today · plan $4.00 this month"
    write(path, [today(cost_usd=0.25, billing="api_key")])
    priced(path)
    added_up(path)
    assert run("--db", path) == "$0.250 + plan $4.00 today · $0.250 + plan $4.00 this month"


def test_any_calls_add_up_as_the_table_says(path: Path) -> None:
    write(path, any_calls(7, 300, longest_ago=timedelta(days=3)))
    execute(path, "UPDATE completion_requests SET cost_note = 'no_price' WHERE cost_usd IS NULL AND id % 2")
    priced(path)
    added_up(path)
    write(path, any_calls(8, 50, longest_ago=timedelta(hours=5)))
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    for found, prefix in ((asked(path).day, day), (asked(path).month, day[:7])):
        ((calls, usd),) = ask(
            path, "SELECT count(*), total(cost_usd) FROM completion_requests WHERE timestamp LIKE ? || '%'", prefix
        )
        assert found is not None
        assert (found.calls, found.usd) == (calls, usd if calls else None)


@pytest.mark.parametrize("minutes", [10, 12 * 60 + 7, 23 * 60 + 50])
def test_the_day_is_the_local_one(path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    now = datetime.now(UTC)
    ahead = (minutes - now.hour * 60 - now.minute + 720) % 1440 - 720  # so that so many minutes of the day have passed
    hours, rest = divmod(abs(ahead), 60)
    monkeypatch.setenv("TZ", f"<here>{'-' if ahead > 0 else '+'}{hours:02}:{rest:02}")
    time.tzset()
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    passed = datetime.now(UTC) - midnight.astimezone(UTC)
    assert passed // MINUTE in {minutes, minutes + 1}
    second = timedelta(seconds=1)
    write(path, [call(passed + second, cost_usd=1.0), call(passed - second, cost_usd=2.0), call(second, cost_usd=4.0)])
    priced(path)
    for _ in range(2):
        found = asked(path).day
        assert found is not None
        assert (found.calls, found.usd) == (2, 6.0)
        added_up(path)


def test_the_figures_of_a_long_month_are_those_above_the_roll_up_and_its_sums(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in (figures.OF_NEW_ROWS, figures.UNPRICED):
            values = {"begins": "", "month": "", "rollup": 1, "pricing": 1}
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            assert any("INTEGER PRIMARY KEY" in str(step) for step in plan)
        values = {"begins": "", "first_hour": "", "rollup": 1, "pricing": 1, "session": "a"}
        for statement, index in ((figures.OF_HOUR, "timestamp"), (figures.OF_SESSION, "session_id")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            assert f"completion_requests_{index} " in str(plan)


def test_claude_codes_json_says_which_session(path: Path) -> None:
    write(path, [today(session_id="0b9e", cost_usd=0.004)])
    priced(path)
    said = {"session_id": "0b9e", "cwd": "/x", "model": {"id": "claude-opus-5-5"}, "cost": {"total_cost_usd": 9}}
    assert run("--db", path, stdin=json.dumps(said).encode()).startswith("$0.004 session · ")
    said["session_id"] = "another"
    assert run("--db", path, stdin=json.dumps(said).encode()).startswith("- session · ")


@pytest.mark.parametrize(
    "stdin",
    [
        *(b"", b"{", b"[]", b"null", b'{"session_id": 5}', b'{"session_id": {"a": 1}}', b"\xff\x00", b'"a"'),
        *(b'{"session_id": "' + b"x" * 600 + b'"}', b'{"session_id": "a", "x": "' + b"x" * (1 << 20) + b'"}'),
    ],
    ids=lambda stdin: repr(stdin[:20]),
)
def test_what_is_no_session_costs_the_session_alone(path: Path, stdin: bytes) -> None:
    assert asked(path, None, stdin.decode(errors="replace")[:1000] or None).session is None
    if len(stdin) > 1000 or stdin in {b"{", b"\xff\x00"}:
        assert run("--db", path, stdin=stdin) == "$0.00 today · $0.00 this month"


def test_a_pipe_that_somebody_holds_open_is_not_waited_for(path: Path) -> None:
    reading, writing = os.pipe()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, "statusline", "--db", path], stdin=reading, capture_output=True, check=False
    )
    assert time.monotonic() - began < 5
    assert done.stdout == b"$0.00 today \xc2\xb7 $0.00 this month\n"
    os.close(reading)
    os.close(writing)


def test_the_latest_session_is_that_of_the_newest_call_that_has_one(path: Path) -> None:
    assert asked(path, asking.LATEST).session_id is None
    write(path, [today(session_id="a"), today(session_id="b"), today()])
    assert asked(path, asking.LATEST).session_id == "b"


def planted(kind: str, tmp_path: Path) -> Path:
    place = tmp_path / "planted"
    if kind == "empty":
        place.touch()
    elif kind == "text":
        place.write_text("no database\n" * 400)
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind in {"foreign", "other columns"}:
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT)")
            if kind == "other columns":
                connection.execute("CREATE TABLE watermarks (name TEXT, row_id INTEGER)")
    return place


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("nothing", "llm: no database yet"),
        ("empty", "llm: no database yet"),
        ("text", "llm: no database"),
        ("folder", "llm: no database"),
        ("pipe", "llm: no database yet"),
        ("foreign", "llm: no database of this release"),
        ("other columns", "llm: no database of this release"),
    ],
)
def test_what_is_no_database_of_ours_is_one_short_line(tmp_path: Path, kind: str, line: str) -> None:
    assert run("--db", planted(kind, tmp_path)) == line


def test_a_locked_database_is_one_short_line(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        assert run("--db", path) == "llm: the database is busy"


def test_a_writer_keeps_nobody_waiting(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert run("--db", path) == "$0.00 today · $0.00 this month"


def test_under_testing_no_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_METRICS_DB", raising=False)
    assert run(TESTING="true") == "llm: no database is named"


def test_what_takes_too_long_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, any_calls(7, 300, longest_ago=MINUTE))
    monkeypatch.setattr(figures, "SECONDS", -1)
    monkeypatch.setattr(figures, "_STEPS", 1)
    found = asked(path, "a")
    assert found.day is found.month is None


def test_nobody_who_reads_is_no_failure(path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, "statusline", "--db", path],
        stdout=writing,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_document_has_what_the_line_has(path: Path) -> None:
    write(path, [today(session_id="a", cost_usd=1.5, prompt_tokens=10)])
    found = json.loads(run("--db", path, "--json", "--session", "a"))
    assert found["session_id"] == "a"
    assert found["session"]["cost_usd"] == found["day"]["cost_usd"] == 1.5
    assert found["session"]["prompt_tokens"] == 10
    assert found["problem"] is None
    assert json.loads(run("--db", path.with_name("none"), "--json"))["problem"] == "no database yet"


def test_the_command_line_is_judged_by_the_command() -> None:
    done = CliRunner().invoke(main, ["statusline", "--format", "{nonsense}"])
    assert done.exit_code == 2
    assert "{session}, {day}, {month}, {plan}" in done.stderr
    assert asking.of_words(["--format", "{nonsense}"]) is None
    assert asking.of_words(["--help"]) is None
    assert asking.of_words(["--db"]) is None
    words = asking.of_words(["--db=x", "--session", "a", "--format={day}", "--json"])
    assert words is not None
    assert (words.db, words.session, words.form, words.as_json) == ("x", "a", "{day}", True)


def test_the_command_prints_the_same_as_the_quick_way(path: Path) -> None:
    done = CliRunner().invoke(main, ["statusline", "--db", str(path), "--session", "a"])
    assert (done.exit_code, done.stdout) == (0, "- session · $0.00 today · $0.00 this month\n")


def test_the_quick_way_imports_nothing_that_takes_time(path: Path) -> None:
    slow = ["click", "contextlib", "json", "logging", "msgspec", "pathlib", "re", "sqlite_utils", "typing"]
    code = "import sys\nfrom llm_metrics_proxy.recorder.statusline import entry\n"
    code += "entry.show(entry.asking.of_words(sys.argv[1:]))\n"
    code += f"sys.stderr.write(' '.join(set({slow}) & set(sys.modules)))"
    words: list[str | Path] = [sys.executable, "-c", code, "--db", path, "--session", "a"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def stated(path: Path, *said: tuple[str, str, str | None, str, str | None, float, float | None, float | None]) -> None:
    """Note limits: provider, key, model, kind, window, how many seconds ago, what remains of 100, resets in so many."""
    now = datetime.now(UTC)
    with closing(open_writer(path)) as connection:
        for provider, key, model, kind, window, ago, remaining, resets in said:
            at = None if resets is None else timestamps.bound(now + timedelta(seconds=resets))
            limit = Limit(kind, window, model, 100.0, remaining, at)
            quota.note(connection, Limits(provider, key, timestamps.bound(now - timedelta(seconds=ago)), (limit,)))


def test_a_plans_windows_are_those_of_the_sessions_key(path: Path) -> None:
    stated(
        path,
        ("anthropic", "a", None, "plan", "5h", 400, 90, 3_600),
        ("anthropic", "a", None, "plan", "5h", 130, 63, 3_600),
        ("anthropic", "a", None, "plan", "7d", 130, 88.0, 300_000),
        ("anthropic", "a", "opus", "plan", "7d", 130, None, 300_000),
        ("anthropic", "a", None, "plan", "1h", 400, 1, -60),
        ("anthropic", "a", "claude-opus-5-5", "tokens", "1m", 10, 1, 30),
        ("openai", "b", None, "plan", "5h", 0, 25, None),
    )
    write(path, [today(provider="anthropic", key_id="a", session_id="s")])
    write(path, [today(provider="x", key_id="y", session_id="t")])
    soon, later = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (3_600, 300_000))
    said = run("--db", path, "--session", "s", "--format", "{plan}")
    assert said in {
        f"5h 37% until {soon + MINUTE * n:%H:%M} · 7d 12% until {later + MINUTE * n:%a %H:%M} · "
        f"7d opus ? until {later + MINUTE * n:%a %H:%M}"
        for n in (-1, 0)
    }
    assert run("--db", path, "--format", "{plan}") == "5h 75%"
    assert run("--db", path, "--session", "t", "--format", "{plan}") == "-"
    found = json.loads(run("--db", path, "--json"))
    assert found["windows"] == [{"name": "5h", "used": 0.75, "resets_at": None}]


def test_a_full_table_of_limits_takes_no_longer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999) INSERT INTO quota "
            "SELECT 'openai', 'k' || (i % 10), 'm' || (i % 5), iif(i % 5, 'tokens', 'plan'), '5h', "
            "'2026-01-01T' || printf('%06d', i), '2026-01-01', 100, 50, NULL FROM n"
        )
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(count, 100)
        found = windows.of_plan(connection, None)
    assert [used for _, used, _ in found] == [0.5]
    assert steps < 100  # ten thousand of SQLite's own, for ten windows of 5,000 minutes each


def test_a_window_says_nothing_but_printable_characters(path: Path) -> None:
    stated(path, ("anthropic", "", "\x1b]0;owned\x07\u202e" + "x" * 100, "plan", "5h", 0, 50, None))
    assert run("--db", path, "--format", "{plan}") == "5h ?]0;owned??" + "x" * 10 + " 50%"


def test_a_cost_that_is_to_come_looks_otherwise_than_one_that_nobody_knows(path: Path) -> None:
    write(path, [today(session_id="a", prompt_tokens=10)])
    assert run("--db", path, "--session", "a") == "$… session · $… today · $… this month"
    execute(path, "UPDATE completion_requests SET cost_note = 'no_price'")
    priced(path)
    added_up(path)
    assert run("--db", path, "--session", "a") == "$? session · $? today · $? this month"
