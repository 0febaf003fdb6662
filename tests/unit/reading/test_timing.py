"""The moments of an exchange become columns."""

from typing import Any

import pytest

from llm_metrics_proxy.addon.providers.format import Output
from llm_metrics_proxy.addon.providers.usage import Tokens
from llm_metrics_proxy.addon.timing import Timing

_MS = 1_000_000


def _columns(
    outputs: list[tuple[Output, float]], tokens: Tokens | None = None, *, start: int = 5_000 * _MS, end: float = 900
) -> dict[str, Any]:
    timing = Timing(start)
    for kind, at in outputs:
        timing.output(kind, start + round(at * _MS))
    return timing.columns(start + round(end * _MS), tokens)


def _answers(*at: float) -> list[tuple[Output, float]]:
    return [(Output.ANSWER, moment) for moment in at]


def test_times_count_from_the_first_moment_and_unknown_ones_are_none() -> None:
    columns = _columns(_answers(100.4, 250.6), end=300.5)
    assert columns["time_to_first_token_ms"] == 100
    assert columns["time_to_last_token_ms"] == 251
    assert columns["time_to_first_answer_ms"] == pytest.approx(100.4)
    assert columns["response_time_ms"] == 300
    assert columns["upload_ms"] is None
    assert columns["time_to_first_byte_ms"] is None


def test_an_exchange_without_output_has_no_token_times() -> None:
    columns = _columns([])
    assert {name: value for name, value in columns.items() if value is not None} == {"response_time_ms": 900}


def test_reasoning_is_a_token_but_no_answer() -> None:
    columns = _columns([(Output.REASONING, 50), (Output.REASONING, 80), (Output.ANSWER, 200)])
    assert (columns["time_to_first_token_ms"], columns["time_to_first_answer_ms"]) == (50, 200)
    assert _columns([(Output.REASONING, 50)])["time_to_first_answer_ms"] is None


def test_events_that_came_in_one_read_have_no_gap_between_them() -> None:
    columns = _columns(_answers(100, 100, 100, 130, 130, 230))
    assert columns["chunk_gap_max_ms"] == 100
    assert columns["chunk_gap_p50_ms"] == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize(
    ("tokens", "outputs", "rate"),
    [
        (Tokens(completion_tokens=11), _answers(100, 150, 600), 20.0),
        (Tokens(completion_tokens=111, reasoning_tokens=100), _answers(100, 600), 20.0),
        (Tokens(completion_tokens=11, reasoning_tokens=8), [(Output.REASONING, 100), *_answers(600)], 20.0),
        (Tokens(completion_tokens=11), _answers(100, 110), 1000.0),
        (Tokens(completion_tokens=11), _answers(100, 109.9), None),
        (Tokens(completion_tokens=11), _answers(100), None),
        (Tokens(completion_tokens=1), _answers(100, 600), None),
        (Tokens(completion_tokens=9, reasoning_tokens=8), _answers(100, 600), None),
        (Tokens(completion_tokens=8, reasoning_tokens=9), _answers(100, 600), None),
        (Tokens(), _answers(100, 600), None),
        (Tokens(completion_tokens=11), [], None),
        (None, _answers(100, 600), None),
    ],
)
def test_the_decode_rate_is_given_where_it_means_something(
    tokens: Tokens | None, outputs: list[tuple[Output, float]], rate: float | None
) -> None:
    assert _columns(outputs, tokens).get("tokens_per_second") == (pytest.approx(rate) if rate else None)
