"""The summary of a program's run: money, what a plan's calls would have cost, and what is at least."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.dao import CompletionRequestsDAO
from llm_metrics_proxy.recorder.events import CompletionRequest
from llm_metrics_proxy.recorder.running.summary import as_text, summary
from llm_metrics_proxy.recorder.store.database import open_writer

WHOLE = {"cost_usd": 1.5, "cost_source": "file", "cost_complete": 1}
LOWER = {"cost_usd": 0.5, "cost_source": "file", "cost_complete": 0, "cost_note": "output_unknown"}
PLAN = WHOLE | {"billing": "subscription", "cost_usd": 4.0}


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        ([WHOLE], "$1.50"),
        ([WHOLE, LOWER], "$2.00+"),
        ([WHOLE, PLAN], "$1.50, $4.00 of a plan's calls at list prices"),
        ([PLAN], "$4.00 of a plan's calls at list prices"),
        ([WHOLE, {"cost_note": "no_price"}], "$1.50+"),
    ],
)
def test_what_a_run_cost(
    calls: list[dict[str, object]], text: str, current_db: Path, make_event: Callable[..., CompletionRequest]
) -> None:
    with closing(open_writer(current_db)) as connection:
        CompletionRequestsDAO(connection).insert_completion_requests([make_event(**call) for call in calls])
    assert f" out, {text}" in as_text(summary(current_db, 0)) + "\n"
