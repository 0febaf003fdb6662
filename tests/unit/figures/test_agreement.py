"""One percentile: every figure of the same calls is the same number, or within the roll-up's stated error of it."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder import top
from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.figures import rollup
from llm_metrics_proxy.recorder.figures.metrics import BEGINNING, END, metrics_between
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR, nearest_rank, register
from llm_metrics_proxy.recorder.report.content import collect, period
from llm_metrics_proxy.recorder.store.slices import open_background
from llm_metrics_proxy.recorder.store.timestamps import bound

type MakeEvent = Callable[..., CompletionRequest]

DAY = timedelta(days=1)
# Where a percentile is between two values, or one off, these numbers of calls show it.
COUNTS = {"one": 1, "two": 2, "ten": 10, "nineteen": 19, "twenty": 20, "hundred": 100, "many": 457}


@pytest.fixture
def connection(current_db: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_background(current_db)) as opened:
        yield opened


@pytest.fixture
def events(connection: sqlite3.Connection, current_db: Path, make_event: MakeEvent) -> dict[str, list[int]]:
    """Streams of the last 20 hours, all in the roll-up too; returns their times to the first token by model."""
    numbers, now = random.Random(5), datetime.now(UTC)
    times = {model: [int(numbers.lognormvariate(6, 1.2)) for _ in range(count)] for model, count in COUNTS.items()}
    calls = [
        make_event(
            model=model,
            is_streaming=True,
            success=True,
            timestamp=bound(now - timedelta(minutes=numbers.uniform(2, 1_200))),
            time_to_first_token_ms=ms,
            response_time_ms=ms + 1_000,
            tokens_per_second=numbers.lognormvariate(4, 0.5),
        )
        for model, of in times.items()
        for ms in of
    ]
    CompletionRequestsDAO(connection).insert_completion_requests(calls)
    rollup.bring_up_to_date(connection, current_db)
    return times


@pytest.mark.parametrize("percent", [50, 95])
def test_every_figure_of_the_same_calls_is_the_same_percentile(
    percent: int, connection: sqlite3.Connection, events: dict[str, list[int]], current_db: Path
) -> None:
    expected = {model: nearest_rank(sorted(of), percent) for model, of in events.items()}

    register(connection)
    by_function = "SELECT model, percentile(time_to_first_token_ms, ?) FROM completion_requests GROUP BY model"
    assert dict(connection.execute(by_function, (percent,))) == expected

    by_view = f"SELECT model, first_token_p{percent}_ms FROM model_summary_last_24h"  # noqa: S608 - a number of ours
    assert dict(connection.execute(by_view)) == expected

    metrics = CompletionRequestsDAO(connection).get_metrics()
    times = {model: figures.time_to_first_token_ms for model, figures in metrics.by_model.items()}
    assert {model: getattr(found, f"p{percent}") for model, found in times.items()} == expected

    lines = top.collect(connection, DAY, "model").lines
    assert {line.name: getattr(line, f"time_to_first_token_p{percent}_ms") for line in lines} == expected

    with closing(open_background(current_db)) as another:
        content = collect(another, period(1, datetime.now(UTC)))
    assert {one.name: getattr(one, f"time_to_first_token_p{percent}_ms") for one in content.models} == expected


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_figures_of_the_roll_up_are_within_the_stated_error_of_it(
    percent: int, connection: sqlite3.Connection, events: dict[str, list[int]]
) -> None:
    counted = metrics_between(connection, BEGINNING, END, exact_calls=-1)
    by_view = dict(connection.execute(f"SELECT model, first_token_p{percent}_ms FROM model_summary_all"))  # noqa: S608
    assert set(by_view) == set(events)
    for model, of in events.items():
        exact = nearest_rank(sorted(of), percent)
        assert exact is not None
        found = counted.by_model[model].time_to_first_token_ms
        assert getattr(found, f"p{percent}") == pytest.approx(exact, rel=RELATIVE_ERROR)
        assert by_view[model] == pytest.approx(exact, rel=RELATIVE_ERROR, abs=0.5)  # rounded to whole milliseconds


def test_rates_agree_to_the_last_digit_that_is_shown(
    connection: sqlite3.Connection, events: dict[str, list[int]]
) -> None:
    register(connection)
    by_function = dict(
        connection.execute("SELECT model, median(tokens_per_second) FROM completion_requests GROUP BY model")
    )
    by_view = dict(connection.execute("SELECT model, tokens_per_second_p50 FROM model_summary_last_24h"))
    metrics = CompletionRequestsDAO(connection).get_metrics().by_model
    for line in top.collect(connection, DAY, "model").lines:
        rates = metrics[line.name].tokens_per_second
        assert rates is not None
        assert rates.p50 == by_function[line.name]
        assert line.tokens_per_second_p50 == pytest.approx(rates.p50, rel=1e-14)  # SQLite's JSON has 15 digits
        assert by_view[line.name] == round(rates.p50, 1)
    assert set(by_view) == set(events)
