"""`sqlite-utils llm-top`: the right figures of the window, for a terminal of any size, and harmless to it."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from llm_metrics_proxy.migrations import classes
from llm_metrics_proxy.recorder import top
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.recorder import Recorder
from llm_metrics_proxy.recorder.store import timestamps
from llm_metrics_proxy.recorder.store.database import reader
from llm_metrics_proxy.recorder.top import choice, table
from tests.support.recent_calls import HARMLESS, HOSTILE, any_calls, call, write

SQLITE_UTILS = str(Path(sys.executable).with_name("sqlite-utils"))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def llm_top(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [SQLITE_UTILS, "llm-top", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def shown(*arguments: object) -> str:
    done = llm_top(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(*arguments: object) -> str:
    done = llm_top(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def document(*arguments: object) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(shown(*arguments, "--json"))
    return loaded


def collected(path: Path, window: timedelta = HOUR, by: str = "model", where: Sequence[str] = ()) -> top.Top:
    with reader(path) as connection:
        return top.collect(connection, window, choice.dimension(by), tuple(map(choice.condition, where)))


def drawn(taken: top.Top, width: int | None, height: int | None = None) -> list[str]:
    console = Console(width=width or 1000, height=height, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(table.table(taken, width=width, height=height))
    return captured.get().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.fixture
def small(current_db: Path) -> Path:
    """Four calls of two models in the last hour, and one of before."""
    write(
        current_db,
        [
            call(2 * HOUR, model="old"),
            call(
                30 * MINUTE,
                time_to_first_token_ms=100,
                tokens_per_second=50.0,
                prompt_tokens=1000,
                completion_tokens=10,
                cost_usd=0.5,
            ),
            call(
                20 * MINUTE,
                time_to_first_token_ms=1300,
                tokens_per_second=70.0,
                prompt_tokens=2000,
                completion_tokens=20,
                cost_usd=0.25,
            ),
            call(10 * MINUTE, success=False, status_code=429, error_type="rate_limit_error"),
            call(5 * MINUTE, model="llama", provider="ollama", origin=None, prompt_tokens=7),
        ],
    )
    return current_db


def test_the_table_tells_of_each_model_and_of_all(small: Path) -> None:
    title, _, head, _, gpt, llama, _, total, note, causes = shown(small).splitlines()
    assert title.startswith("LLM calls of the last 60 minutes (since ")
    assert cells(head) == [
        *("model", "requests", "errors", "error %", "TTFT p50", "TTFT p95"),
        *("tokens/s", "tokens in", "out", "cost", "last call"),
    ]
    assert cells(gpt) == ["gpt-5", "3", "1", "33.3 %", "100 ms", "1.30 s", "50.0", "3,000", "30", "$0.75", "10 min ago"]
    assert cells(llama) == ["llama", "1", "0", "0 %", "-", "-", "-", "7", "-", "-", "5 min ago"]
    assert cells(total) == [
        *("total", "4", "1", "25.0 %", "100 ms", "1.30 s", "50.0", "3,007", "30", "$0.75+", "5 min ago"),
    ]
    assert note.startswith("+ at least")
    assert causes == "errors: rate_limit 1"


def test_the_json_document_has_every_figure_under_a_stable_key(small: Path) -> None:
    found = document(small)
    assert list(found) == ["at", "since", "by", "lines", "total", "last_at", "where"]
    gpt, llama = found["lines"]
    assert gpt == {
        "name": "gpt-5",
        "requests": 3,
        "errors": 1,
        "time_to_first_token_p50_ms": 100,
        "time_to_first_token_p95_ms": 1300,
        "time_to_first_token_count": 2,
        "tokens_per_second_p50": 50.0,
        "prompt_tokens": 3000,
        "completion_tokens": 30,
        "without_tokens": 0,
        "cached_tokens": None,
        "cached_of_tokens": None,
        "cost_usd": 0.75,
        "without_cost": 0,
        "last_at": gpt["last_at"],
        "plan_cost_usd": None,
        "lower_bounds": 0,
        "cost_notes": {},
        "error_classes": {"rate_limit": 1},
    }
    assert (llama["cost_usd"], llama["without_cost"]) == (None, 1)
    assert found["last_at"] == llama["last_at"] == found["total"]["last_at"]
    at, since = (datetime.fromisoformat(found[key]) for key in ("at", "since"))
    assert at - since == HOUR


def test_what_a_plan_would_have_cost_and_what_costs_lack_stand_apart(current_db: Path) -> None:
    lower = {"cost_usd": 0.5, "cost_complete": 0, "cost_note": "output_unknown"}
    calls = (
        call(MINUTE, cost_usd=1.0, cost_complete=1, billing="api_key"),
        call(MINUTE, cost_usd=4.0, cost_complete=1, billing="subscription"),
        call(MINUTE, success=False, status_code=200, error_type="client_disconnect", **lower),
        call(MINUTE, cost_note="no_price"),
        call(MINUTE, success=False, status_code=429, error_type="rate_limit_error"),  # which is not billed
    )
    write(current_db, calls)
    total = document(current_db)["total"]
    assert (total["cost_usd"], total["plan_cost_usd"]) == (1.5, 4.0)
    assert (total["without_cost"], total["lower_bounds"]) == (1, 1)
    assert total["cost_notes"] == {"output_unknown": 1, "no_price": 1}
    said = shown(current_db)
    assert "$1.50+" in said
    assert "cost: 1 call: the output was not counted; 1 call: no price is known" in said
    assert "cost: not counted are plans, whose calls would have cost $4.00" in said


def figures_of(name: str | None, calls: Iterable[CompletionRequest]) -> dict[str, Any]:
    """What the figures should be, by the plainest means."""
    calls = list(calls)

    def known(field: str) -> list[Any]:
        return [value for one in calls if (value := getattr(one, field)) is not None]

    def total(field: str) -> Any:  # noqa: ANN401 - a number or None
        return sum(known(field)) if known(field) else None

    def percentile(field: str, percent: int) -> Any:  # noqa: ANN401
        values = sorted(known(field))
        return values[-(-percent * len(values) // 100) - 1] if values else None

    succeeded = [one for one in calls if one.success]
    billed = [one.cost_usd for one in calls if one.cost_usd is not None and one.billing != "subscription"]
    of_plans = [one.cost_usd for one in calls if one.cost_usd is not None and one.billing == "subscription"]
    with_cache = [one.prompt_tokens for one in calls if one.cached_tokens is not None]
    return {
        "name": name,
        "requests": len(calls),
        "errors": len(calls) - len(succeeded),
        "time_to_first_token_p50_ms": percentile("time_to_first_token_ms", 50),
        "time_to_first_token_p95_ms": percentile("time_to_first_token_ms", 95),
        "time_to_first_token_count": len(known("time_to_first_token_ms")),
        "tokens_per_second_p50": percentile("tokens_per_second", 50),
        "prompt_tokens": total("prompt_tokens"),
        "completion_tokens": total("completion_tokens"),
        "without_tokens": sum(one.prompt_tokens is None and one.completion_tokens is None for one in succeeded),
        "cached_tokens": total("cached_tokens"),
        "cached_of_tokens": sum(tokens or 0 for tokens in with_cache) if with_cache else None,
        "cost_usd": sum(billed) if billed else None,
        "without_cost": sum(one.cost_usd is None and (one.success or one.cost_note is not None) for one in calls),
        "last_at": max(one.timestamp for one in calls),
        "plan_cost_usd": sum(of_plans) if of_plans else None,
        "lower_bounds": sum(one.cost_complete == 0 for one in calls),
        "cost_notes": Counter(known("cost_note")),
        "error_classes": Counter(
            one.error_class or classes.of_error_type(one.error_type or "") for one in calls if not one.success
        ),
    }


@pytest.mark.parametrize("by", ["model", "origin", "provider"])
def test_the_figures_are_those_of_the_calls(by: str, current_db: Path) -> None:
    calls = any_calls(7, 1500, longest_ago=3 * HOUR)
    write(current_db, calls)
    found = json.loads(json.dumps(document(current_db, "--by", by, "--minutes", 90)))
    inside = [one for one in calls if found["since"] <= one.timestamp]
    assert 100 < len(inside) < 1400
    names = {getattr(one, by) for one in inside}
    expected = [figures_of(name, (one for one in inside if getattr(one, by) == name)) for name in names]
    assert found["lines"] == sorted(expected, key=lambda line: (-line["requests"], line["name"] or ""))
    assert found["total"] == figures_of("total", inside)


WHO: list[dict[str, Any]] = [
    {
        "agent": "codex",
        "session_id": "s1",
        "project": "shop",
        "labels": '{"team":"search","env":"prod"}',
        "key_id": "a",
    },
    {"agent": "codex", "session_id": "s1", "project": "shop", "labels": '{"team":"ads"}', "request_kind": "subagent"},
    {"agent": "claude-code", "session_id": "s2", "labels": '{"team":7}', "model": "claude-opus-5"},
    {"session_id": "s[1", "labels": "{no JSON", "model": None},
]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("agent", ["codex", None, "claude-code"]),
        ("session", ["s1", "s2", "s[1"]),
        ("project", [None, "shop"]),
        ("kind", [None, "subagent"]),
        ("key", [None, "a"]),
        ("label:team", [None, "7", "ads", "search"]),
        ("label:env", [None, "prod"]),
    ],
)
def test_lines_can_be_what_calls_have_in_any_of_these_columns(
    by: str, names: list[str | None], current_db: Path
) -> None:
    write(current_db, [call(MINUTE, **who) for who in WHO])
    found = collected(current_db, by=by)
    assert {line.name: line.requests for line in found.lines} == {
        name: sum(one == name for one in map(_named(by), WHO)) for name in names
    }
    assert drawn(found, None)[2].startswith(by)


def _named(by: str) -> Callable[[dict[str, Any]], str | None]:
    column = {"session": "session_id", "kind": "request_kind", "key": "key_id"}.get(by, by)

    def name(who: dict[str, Any]) -> str | None:
        if not by.startswith("label:"):
            return who.get(column)
        labels = json.loads(who["labels"]) if who["labels"].endswith("}") else {}
        label = labels.get(by.removeprefix("label:"))
        return None if label is None else str(label)

    return name


@pytest.mark.parametrize(
    ("where", "of"),
    [
        (["agent=codex"], [0, 1]),
        (["agent=co*"], [0, 1]),
        (["agent="], [3]),
        (["agent=codex", "kind=subagent"], [1]),
        (["label:team=search"], [0]),
        (["label:team=7"], [2]),
        (["label:team="], [3]),
        (["session=s1"], [0, 1]),
        (["model=claude-*", "label:env="], [2]),
        (["project=x' OR '1'='1"], []),
    ],
)
def test_only_calls_that_fit_all_conditions_are_looked_at(where: list[str], of: list[int], current_db: Path) -> None:
    write(current_db, [call(timedelta(minutes=number + 1), **who) for number, who in enumerate(WHO)])
    found = collected(current_db, by="session", where=where)
    assert sum(line.requests for line in found.lines) == len(of)
    assert {line.name for line in found.lines} == {WHO[number]["session_id"] for number in of}
    assert f"with {', '.join(where)}" in "\n".join(drawn(found, None))
    assert found.where == tuple(where)


@pytest.mark.parametrize("text", ["colour", "", 'label:a"b', "label:", "label:a b", f"label:{'x' * 65}", "Model"])
def test_a_line_that_no_call_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not one of model, origin"):
        choice.dimension(text)
    with pytest.raises(ValueError, match="is not one of model, origin"):
        choice.condition(f"{text}=x")


def test_options_reach_the_figures_and_wrong_ones_are_a_sentence(current_db: Path) -> None:
    write(current_db, [call(MINUTE, **who) for who in WHO])
    found = document(current_db, "--by", "label:team", "--where", "agent=codex", "--where", "session=s1")
    assert [line["name"] for line in found["lines"]] == ["ads", "search"]
    done = llm_top(current_db, "--where", "agent")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'agent' is no NAME=VALUE: write it like agent=codex" in done.stderr


def test_one_call_is_enough_and_a_call_at_the_very_moment_counts(current_db: Path) -> None:
    write(current_db, [call(timedelta(0))])
    (line,) = collected(current_db, MINUTE).lines
    assert line.requests == 1
    write(current_db, [call(timedelta(0), timestamp="2099-01-01T00:00:00.000Z")])  # a clock that goes wrong
    assert cells(drawn(collected(current_db, MINUTE), None)[4])[-1] == "0 s ago"


def test_an_empty_window_tells_when_the_last_call_was(current_db: Path) -> None:
    assert shown(current_db).endswith(" UTC): none is recorded yet.\n")
    write(current_db, [call(timedelta(days=3, hours=1), timestamp=(at := "2026-03-01T12:00:00.000Z"))])
    text = shown(current_db, "--minutes", 1)
    assert text.startswith("No LLM calls in the last minute (since ")
    assert f": the last one was at {at}, " in text
    assert text.endswith(" days ago.\n")
    found = document(current_db)
    assert (found["lines"], found["total"], found["last_at"]) == ([], None, at)


def test_what_no_measurement_can_be_is_left_out(current_db: Path) -> None:
    write(current_db, [call(MINUTE, time_to_first_token_ms=5, cost_usd=1.0), call(MINUTE)])
    with closing(sqlite3.connect(current_db)) as connection:
        connection.execute(
            "UPDATE completion_requests SET time_to_first_token_ms = 'soon', tokens_per_second = 9e999, "
            "prompt_tokens = 9223372036854775807, timestamp = '~' WHERE cost_usd IS NULL"
        )
        connection.execute(
            "UPDATE completion_requests SET prompt_tokens = 9223372036854775807, model = CAST(x'67ff' AS TEXT)"
        )
        connection.commit()
    (line,) = collected(current_db).lines
    assert line.name == "g\ufffd"
    assert (line.time_to_first_token_p50_ms, line.tokens_per_second_p50, line.prompt_tokens) == (5, None, 2**64)
    assert cells(drawn(collected(current_db), None)[4])[-1] == "~"


@pytest.mark.parametrize("options", [[], ["--json"], ["--by", "origin"], ["--by", "provider"]])
def test_no_name_steers_the_terminal(current_db: Path, options: list[str]) -> None:
    write(current_db, [call(MINUTE, model=HOSTILE, origin=HOSTILE, provider=HOSTILE)])
    text = shown(current_db, *options)
    assert all(one.isprintable() or one == "\n" for one in text)
    if "--json" in options:
        assert json.loads(text)["lines"][0]["name"] == HOSTILE
    else:
        assert f"\n{HARMLESS}  " in text


def test_names_that_the_encoding_has_not_are_shown_all_the_same(current_db: Path) -> None:
    write(current_db, [call(MINUTE, model="模型")])
    command = [SQLITE_UTILS, "llm-top", str(current_db)]
    done = subprocess.run(command, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    assert b"\n\\u6a21\\u578b " in done.stdout


@pytest.mark.parametrize("height", [None, 1, 5, 9, 40])
def test_it_fits_into_a_terminal_of_any_size(current_db: Path, height: int | None) -> None:
    write(
        current_db,
        [call(MINUTE, model=f"{'模型' * n}-{n}", cost_usd=n / 3, prompt_tokens=10**n) for n in range(1, 12)]
        + [call(MINUTE, model="gpt-5", success=False)],
    )
    taken = collected(current_db)
    for width in range(1, 160):
        lines = drawn(taken, width, height)
        assert max(map(cell_len, lines)) <= width
        if height is not None and height >= 9:
            assert len(lines) <= height


def test_a_narrow_terminal_goes_without_what_matters_least(small: Path) -> None:
    taken = collected(small)
    heads = [tuple(cells(drawn(taken, width)[2])) for width in (120, 85, 70, 55, 41, 30)]
    assert heads == [
        (
            *("model", "requests", "errors", "error %", "TTFT p50", "TTFT p95"),
            *("tokens/s", "tokens in", "out", "cost", "last call"),
        ),
        ("model", "requests", "errors", "error %", "TTFT p50", "TTFT p95", "tokens/s", "cost", "last call"),
        ("model", "requests", "errors", "error %", "TTFT p50", "TTFT p95", "tokens/s", "cost"),
        ("model", "requests", "errors", "error %", "TTFT p50", "cost"),
        ("model", "requests", "errors", "TTFT p50"),
        ("model", "requests", "errors"),
    ]


def test_a_low_terminal_shows_the_busiest_and_says_how_many_are_left_out(current_db: Path) -> None:
    write(current_db, [call(MINUTE, model=f"m{n:02}") for n in range(1, 31) for _ in range(n)])
    lines = drawn(collected(current_db), 120, 20)
    assert [line.split()[0] for line in lines[4:15]] == [f"m{n:02}" for n in range(30, 19, -1)]
    assert lines[-1] == "and 19 more that there is no room for"
    assert len(drawn(collected(current_db), 120)) > 30


def test_a_missing_database_is_a_sentence_and_stays_missing(tmp_path: Path) -> None:
    assert "There is no database at" in refused(tmp_path / "typo.db")
    assert "There is no database at" in refused(tmp_path / "typo.db", "--watch")
    assert r"\x1b[2J" in refused(tmp_path / "\x1b[2J.db")
    assert "There is no database at" in refused(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_our_database_is_refused_with_its_sentence(tmp_path: Path, version_1: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than the header of one " * 10)
    assert "is not a SQLite database" in refused(text)
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE t (a)")
    assert "is the database of another program" in refused(foreign)
    assert "has schema version 1, and this program reads version " in refused(version_1)
    with closing(sqlite3.connect(version_1)) as connection:
        connection.execute("PRAGMA user_version=99")
    assert "has schema version 99" in refused(version_1)


def test_a_damaged_database_is_a_sentence(small: Path) -> None:
    content = bytearray(small.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    small.write_bytes(content)
    assert "is damaged" in refused(small)


def test_wrong_usage_ends_with_2_and_says_what_is_right(current_db: Path) -> None:
    for options in (["--minutes", "0"], ["--by", "colour"], ["--watch", "0"], ["--watch", "nan"], []):
        assert llm_top(*options).returncode == 2
    said = llm_top("--watch", current_db).stderr
    assert f"{str(current_db)!r} is no number of seconds: write the path before --watch." in said
    assert "\n    1  it could not be done" in llm_top("--help").stdout


def test_nothing_is_written_and_a_recorder_is_not_disturbed(
    recorder: Recorder, db_path: Path, make_event: Callable[..., CompletionRequest]
) -> None:
    recorder.submit(make_event(timestamp=timestamps.bound(datetime.now(UTC))))
    with closing(sqlite3.connect(db_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = other.execute("PRAGMA data_version").fetchone()
        assert "LLM calls" in shown(db_path)
        assert other.execute("PRAGMA data_version").fetchone() == before
        other.execute("ROLLBACK")
    with reader(db_path) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM completion_requests")


@pytest.mark.parametrize("options", [[], ["--json"], ["--watch"], ["--watch", "--json"]])
def test_where_stdout_cannot_be_written_one_sentence_says_so(small: Path, options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [SQLITE_UTILS, "llm-top", str(small), *options]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The output cannot be written (No space left on device): ")
    assert done.stderr.count("\n") == 1


def test_a_statement_ends_early_when_it_is_over(current_db: Path) -> None:
    asked = []

    def is_over() -> bool:
        asked.append(1)
        return len(asked) > 3

    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT sum(i) FROM n"
    with pytest.raises(KeyboardInterrupt), reader(current_db, is_over=is_over) as connection:
        connection.execute(long).fetchone()
    assert len(asked) == 4
