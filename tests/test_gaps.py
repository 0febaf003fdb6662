"""Percentiles of gaps, in memory that does not grow."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.gaps import Gaps

_MILLISECONDS = st.floats(min_value=0.001, max_value=1e7, allow_nan=False)


def _counted(values: list[float]) -> Gaps:
    gaps = Gaps()
    for value in values:
        gaps.add(value)
    return gaps


@given(values=st.lists(_MILLISECONDS, min_size=1, max_size=400), percent=st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_a_percentile_is_within_one_percent_of_the_exact_nearest_rank(values: list[float], percent: int) -> None:
    exact = sorted(values)[ceil(Fraction(percent, 100) * len(values)) - 1]
    assert _counted(values).percentile(percent / 100) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_rank_is_exact_for_any_number_of_gaps(share: float) -> None:
    gaps = Gaps()
    for count in range(1, 1001):
        gaps.add(1.03**count)
        exact = 1.03 ** ceil(Fraction(str(share)) * count)
        assert gaps.percentile(share) == pytest.approx(exact, rel=0.0101), count


@given(values=st.lists(_MILLISECONDS, min_size=1))
def test_the_largest_gap_is_exact_and_no_percentile_passes_it(values: list[float]) -> None:
    gaps = _counted(values)
    assert gaps.max_ms == max(values)
    assert all((gaps.percentile(share) or 0) <= max(values) for share in (0.5, 0.95, 1.0))


def test_without_gaps_there_is_no_percentile() -> None:
    assert (Gaps().percentile(0.5), Gaps().max_ms) == (None, None)


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e12])
def test_gaps_of_no_length_and_of_years_are_counted(value: float) -> None:
    gaps = _counted([value])
    assert gaps.max_ms == value
    assert gaps.percentile(0.5) == pytest.approx(value, rel=0.01, abs=0.001)
