"""Numbers as people read them: three digits, a unit, and a dash for what is not known."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from llm_metrics_proxy.recorder.figures import quantities
from llm_metrics_proxy.recorder.figures.quantities import count, dollars, length, many, milliseconds, rate


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        *((milliseconds, value, text) for value, text in ((0, "0 ms"), (253, "253 ms"), (999.4, "999 ms"))),
        *((milliseconds, value, text) for value, text in ((999.6, "1.00 s"), (1254, "1.25 s"), (12_345, "12.3 s"))),
        *((milliseconds, value, text) for value, text in ((99_960, "100 s"), (1_234_567, "1,235 s"))),
        *((count, value, text) for value, text in ((0, "0"), (9_999, "9,999"), (10_000, "10.0k"), (99_960, "100k"))),
        *((count, value, text) for value, text in ((999_499, "999k"), (999_500, "1.00M"), (1_234_567, "1.23M"))),
        *((count, value, text) for value, text in ((999_500_000, "1.00G"), (12_345e9, "12,345G"))),
        *((dollars, value, text) for value, text in ((0, "$0.00"), (0.0000001, "<$0.000001"), (0.00002, "$0.000020"))),
        *((dollars, value, text) for value, text in ((0.0042, "$0.0042"), (0.0999, "$0.0999"), (0.1, "$0.10"))),
        *((dollars, value, text) for value, text in ((12.345, "$12.35"), (1234.5, "$1,234"))),
        *((rate, value, text) for value, text in ((0.5, "0.50"), (83.33, "83.3"), (250.4, "250"))),
    ],
)
def test_a_number_is_short_and_has_its_unit(write: Callable[[float | None], str], value: float, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize("write", [milliseconds, count, dollars, rate])
def test_what_is_not_known_is_a_dash(write: Callable[[float | None], str]) -> None:
    assert write(None) == "-"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33.3 %"),
        (1, 1_000_000, "0.1 %"),
        (999_999, 1_000_000, "99.9 %"),
        (0, 0, "-"),
        (None, 10, "-"),
        (1, None, "-"),
    ],
)
def test_a_share_is_nothing_or_all_only_if_it_is(part: float | None, whole: float | None, text: str) -> None:
    assert quantities.share(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_a_length_of_time_is_in_its_largest_unit(seconds: float, text: str) -> None:
    assert length(timedelta(seconds=seconds)) == text


def test_one_is_not_many() -> None:
    assert [many(n, "call") for n in (0, 1, 2, 12_345)] == ["0 calls", "1 call", "2 calls", "12.3k calls"]
