"""Made-up calls are rows as the recorder's own could be, and the same ones each time."""

import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.recorder.care import check
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.store import database
from llm_metrics_proxy.recorder.store.timestamps import bound
from tests.support.proxy import ROOT
from tests.trials.bench.fill import fill
from tests.trials.bench.made_up.calls import calls
from tests.trials.bench.made_up.moments import moments
from tests.trials.bench.queries import differences

ROWS, DAYS = 20_000, 10
UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday
UNTIL_MS = round(UNTIL.timestamp() * 1_000)


def made(rows: int, *, seed: int = 1) -> list[CompletionRequest]:
    return list(calls(moments(rows, DAYS, UNTIL_MS, seed=seed), seed=seed))


@pytest.fixture(scope="module")
def rows() -> list[CompletionRequest]:
    return made(ROWS)


@pytest.fixture(scope="module")
def filled(rows: list[CompletionRequest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "metrics.db"
    fill(path, iter(rows))
    return path


def test_nothing_is_found_in_the_file_and_no_row_is_impossible(filled: Path) -> None:
    assert check.check(filled) == ()
    with closing(database.open_reader(filled)) as connection:
        assert CompletionRequestsDAO(connection).get_table_info().rows == ROWS


def test_what_is_in_the_file_is_what_was_made(filled: Path, rows: list[CompletionRequest]) -> None:
    with closing(database.open_reader(filled)) as connection:
        stored = CompletionRequestsDAO(connection).get_completion_requests()
    assert sorted((row.event_id, row.usage, row.cost_usd) for row in stored) == sorted(
        (row.event_id, row.usage, row.cost_usd) for row in rows
    )


def test_every_column_is_filled_somewhere(rows: list[CompletionRequest]) -> None:
    names = CompletionRequest.__struct_fields__
    without = [name for name in names if all(getattr(row, name) is None for row in rows)]
    # Prices of these hosts have no region, none of the calls is a sub-agent's or in the background, and what a cache
    # saved comes with recost alone.
    of_recost = ["cache_saved_usd", "cache_spent_usd"]
    assert without == ["region", "agent_id", "parent_agent_id", "project", "response_id", *of_recost]


def test_a_row_takes_as_much_space_as_real_ones(filled: Path) -> None:
    of_calls = "SELECT sum(pgsize) FROM dbstat WHERE name GLOB 'completion_requests*'"
    with closing(database.open_reader(filled)) as connection:
        ((size,),) = connection.execute(of_calls).fetchall()
    assert 800 < size / ROWS < 1_150


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(rows: list[CompletionRequest]) -> None:
    assert made(ROWS) == rows
    others = made(500, seed=2)
    assert others == made(500, seed=2)
    assert others != made(500, seed=1)


def test_shares_are_those_of_real_traffic(rows: list[CompletionRequest]) -> None:
    assert 0.02 < sum(not row.success for row in rows) / ROWS < 0.04
    assert 0.62 < sum(row.is_streaming for row in rows) / ROWS < 0.68
    assert 0.025 < sum(row.usage is None for row in rows if row.success) / ROWS < 0.05
    assert len({row.error_type for row in rows}) > 12
    assert any(row.retry_after_ms for row in rows if row.status_code == 429)
    counted = [row for row in rows if row.usage and row.provider != "openrouter"]
    assert 0.93 < sum(row.cost_usd is not None for row in counted) / len(counted) < 0.97


def test_few_origins_ask_for_most(rows: list[CompletionRequest]) -> None:
    asked = [calls for _, calls in Counter(row.origin for row in rows).most_common()]
    assert len(asked) == 20
    assert 0.25 < asked[0] / ROWS < 0.31
    assert 0.12 < asked[1] / ROWS < 0.16
    assert asked[-1] / ROWS < 0.02
    assert len({row.model for row in rows if row.model}) == 15
    assert len({row.provider for row in rows}) == 6


def test_what_failed_is_asked_again(rows: list[CompletionRequest]) -> None:
    again = [row for row in rows if row.retry_count]
    assert 0.005 < len(again) / ROWS < 0.02
    for row in again[:100]:
        assert any(
            not failed.success
            and (failed.origin, failed.model, failed.request_bytes) == (row.origin, row.model, row.request_bytes)
            and failed.retry_count == (row.retry_count or 0) - 1
            and failed.timestamp < row.timestamp
            for failed in rows
        )


def test_a_session_goes_on_with_a_prompt_that_grows(rows: list[CompletionRequest]) -> None:
    of_sessions = Counter(row.session_id for row in rows if row.session_id)
    name, calls_of_it = of_sessions.most_common(1)[0]
    assert calls_of_it > 5
    assert len(of_sessions) > 100
    session = sorted((row for row in rows if row.session_id == name), key=lambda row: row.timestamp)
    assert len({(row.origin, row.client) for row in session}) == 1
    prompts = [row.prompt_tokens for row in session if row.prompt_tokens]
    grows = [before < after for before, after in pairwise(prompts)]
    assert sum(grows) / len(grows) > 0.8


def test_rows_come_as_calls_end(rows: list[CompletionRequest]) -> None:
    ended = [datetime.fromisoformat(row.timestamp) + timedelta(milliseconds=row.response_time_ms) for row in rows]
    assert ended == sorted(ended)
    begun = [row.timestamp for row in rows]
    assert begun != sorted(begun)
    assert max(begun) < bound(UNTIL)
    assert min(begun) >= bound(UNTIL - timedelta(days=DAYS))


def test_the_last_day_has_as_many_as_the_mean_day_and_the_night_has_few(rows: list[CompletionRequest]) -> None:
    yesterday = bound(UNTIL - timedelta(days=1))
    assert sum(row.timestamp >= yesterday for row in rows) == pytest.approx(ROWS / DAYS, abs=5)
    hours = Counter(row.timestamp[11:13] for row in rows)
    assert hours["12"] > 3 * hours["00"]
    days = Counter(row.timestamp[:10] for row in rows)
    assert days["2026-02-24"] > 1.8 * days["2026-02-22"]  # Tuesday and Sunday


def test_calls_go_on_for_as_long_as_moments_do() -> None:
    assert len(list(islice(calls(count(UNTIL_MS, 1_000)), 100))) == 100


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.trials.bench.fill", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_makes_a_file_and_says_how_large_it_is(db_path: Path) -> None:
    done = command(db_path, "--rows", "300", "--days", "1.5", "--until", "2026-03-01T12:00:00")
    assert (done.returncode, done.stdout.startswith("300 rows, ")) == (0, True), done.stderr
    with closing(database.open_reader(db_path)) as connection:
        about = CompletionRequestsDAO(connection).get_table_info()
    assert about.rows == 300
    assert "2026-02-28T00:00:00.000Z" <= (about.oldest or "") < (about.newest or "") < "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (("--rows", "0"), "--rows must be 1 or more"),
        (("--days", "0"), "--days must be more than 0"),
        (("--days", "nan"), "--days must be more than 0"),
        (("--days", "1e9"), "--days must not reach back before 1970"),
        (("--until", "soon"), "soon"),
    ],
)
def test_bad_input_makes_no_file(arguments: tuple[str, ...], phrase: str, db_path: Path) -> None:
    done = command(db_path, *arguments)
    assert (done.returncode, phrase in done.stderr) == (2, True), done.stderr
    assert not db_path.exists()


def test_a_file_that_is_there_is_left_alone(filled: Path) -> None:
    before = filled.stat()
    with pytest.raises(DatabaseRefused, match="is there already"):
        fill(filled, iter(()))
    done = command(filled, "--rows", "1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert (filled.stat().st_size, filled.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_figures_that_differ_are_named(current_db: Path) -> None:
    with closing(database.open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests(made(500))
        metrics = CompletionRequestsDAO(connection).get_metrics()
    overall, times = metrics.overall, metrics.overall.response_time_ms
    assert times is not None

    def differing(**fields: Any) -> list[str]:  # noqa: ANN401 - figures of any type
        found = differences(replace(metrics, overall=replace(overall, **fields)), metrics)
        return [one.split()[1] for one in found]

    assert differing() == differing(response_time_ms=replace(times, p95=times.p95 * 1.03)) == []
    assert differing(response_time_ms=replace(times, p95=times.p95 * 1.04)) == ["response_time_ms"]
    assert differing(requests=overall.requests + 1) == ["requests"]
    assert differing(cost_usd=(overall.cost_usd or 0) + 0.01) == ["cost_usd"]
