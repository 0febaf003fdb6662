"""Percentiles of gaps, in memory that does not grow."""

import sys
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.gaps import Gaps

_NANOSECONDS = st.integers(min_value=1_000, max_value=10**13)


def _counted(gaps_ns: list[int]) -> Gaps:
    gaps = Gaps()
    for gap in gaps_ns:
        gaps.add(gap)
    return gaps


def _nearest_rank(gaps_ns: list[int], share: Fraction) -> float:
    return sorted(gaps_ns)[ceil(share * len(gaps_ns)) - 1] / 1e6


@given(gaps=st.lists(_NANOSECONDS, min_size=1, max_size=900), percent=st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_a_percentile_of_few_gaps_is_exact(gaps: list[int], percent: int) -> None:
    assert _counted(gaps).percentile(percent / 100) == _nearest_rank(gaps, Fraction(percent, 100))


@given(
    gaps=st.lists(_NANOSECONDS, min_size=1, max_size=50),
    times=st.integers(25, 60),
    percent=st.sampled_from([1, 50, 90, 95, 99, 100]),
)
def test_a_percentile_of_many_gaps_is_within_one_percent(gaps: list[int], times: int, percent: int) -> None:
    many = gaps * (times * 50 // len(gaps))
    exact = _nearest_rank(many, Fraction(percent, 100))
    assert _counted(many).percentile(percent / 100) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_rank_is_right_for_any_number_of_gaps(share: float) -> None:
    gaps = Gaps()
    steps = [1_000 + int(1.02**count) for count in range(900)] + [10**11 + 10**9 * count for count in range(400)]
    for count, step in enumerate(steps, 1):
        gaps.add(step)
        exact = _nearest_rank(steps[:count], Fraction(str(share)))
        if count % 50 == 0 or count > 990:
            assert gaps.percentile(share) == pytest.approx(exact, rel=0.0101), count


@pytest.mark.parametrize("times", [1, 400])
@given(gaps=st.lists(_NANOSECONDS, min_size=1, max_size=20))
def test_the_longest_gap_is_exact_and_no_percentile_passes_it(times: int, gaps: list[int]) -> None:
    counted = _counted(gaps * times)
    assert counted.max_ms == max(gaps) / 1e6
    assert all((counted.percentile(share) or 0) <= max(gaps) / 1e6 for share in (0.5, 0.95, 1.0))


def test_without_gaps_there_is_no_percentile() -> None:
    assert (Gaps().percentile(0.5), Gaps().max_ms) == (None, None)


@pytest.mark.parametrize("times", [1, 1_500])
@pytest.mark.parametrize("gap", [0, 1, 10**18])
def test_gaps_of_no_length_and_of_years_are_counted(gap: int, times: int) -> None:
    counted = _counted([gap] * times)
    assert counted.max_ms == gap / 1e6
    assert counted.percentile(0.5) == pytest.approx(gap / 1e6, rel=0.01, abs=0.001)


def test_memory_does_not_grow_with_the_stream() -> None:
    gaps = Gaps()
    sizes = set()
    for count in range(200_000):
        gaps.add(1_000 + count * 1_000)
        sizes.add(sys.getsizeof(gaps._kept) + sys.getsizeof(gaps._buckets))  # noqa: SLF001 - what is bounded
    assert max(sizes) < 50_000
