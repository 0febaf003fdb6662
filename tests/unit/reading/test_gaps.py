"""Percentiles of gaps, in memory that does not grow."""

import sys
from fractions import Fraction
from itertools import accumulate
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.timing import Gaps
from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR

_NANOSECONDS = st.integers(min_value=1_000, max_value=10**13)
_START = 5_000
APART = RELATIVE_ERROR * (1 + 1e-9)  # what doubles cannot hold


def _counted(gaps_ns: list[int]) -> Gaps:
    gaps = Gaps()
    for moment in accumulate(gaps_ns, initial=_START):
        gaps.add(moment)
    return gaps


def _nearest_rank(gaps_ns: list[int], share: Fraction) -> float:
    return sorted(gaps_ns)[ceil(share * len(gaps_ns)) - 1] / 1e6


@given(gaps=st.lists(_NANOSECONDS, min_size=1, max_size=900), percent=st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_a_percentile_of_few_gaps_is_exact(gaps: list[int], percent: int) -> None:
    assert _counted(gaps).percentile(percent) == _nearest_rank(gaps, Fraction(percent, 100))


@given(
    gaps=st.lists(_NANOSECONDS, min_size=1, max_size=50),
    times=st.integers(25, 60),
    percent=st.sampled_from([1, 50, 90, 95, 99, 100]),
)
def test_a_percentile_of_many_gaps_is_within_the_stated_error(gaps: list[int], times: int, percent: int) -> None:
    many = gaps * (times * 50 // len(gaps))
    exact = _nearest_rank(many, Fraction(percent, 100))
    assert _counted(many).percentile(percent) == pytest.approx(exact, rel=APART)


@pytest.mark.parametrize("percent", [50, 95])
def test_the_rank_is_right_for_any_number_of_gaps(percent: int) -> None:
    gaps = Gaps()
    gaps.add(0)
    steps = [1_000 + int(1.02**count) for count in range(900)] + [10**11 + 10**9 * count for count in range(400)]
    for count, moment in enumerate(accumulate(steps), 1):
        gaps.add(moment)
        if count % 50 == 0 or count > 990:
            exact = _nearest_rank(steps[:count], Fraction(percent, 100))
            assert gaps.percentile(percent) == pytest.approx(exact, rel=APART), count


@pytest.mark.parametrize("times", [1, 400])
@given(gaps=st.lists(_NANOSECONDS, min_size=1, max_size=20))
def test_the_longest_gap_is_exact_and_no_percentile_passes_it(times: int, gaps: list[int]) -> None:
    counted = _counted(gaps * times)
    assert counted.max_ms == max(gaps) / 1e6
    assert all((counted.percentile(percent) or 0) <= max(gaps) / 1e6 for percent in (50, 95, 100))


@given(gaps=st.lists(st.integers(0, 3), max_size=30), looks=st.sets(st.integers(0, 30)))
def test_it_may_be_looked_at_at_any_time(gaps: list[int], looks: set[int]) -> None:
    counted = Gaps()
    moments = list(accumulate(gaps, initial=_START))
    for index, moment in enumerate(moments):
        counted.add(moment)
        if index in looks:
            assert (counted.first, counted.last, counted.events) == (_START, moment, index + 1)
    real = [gap for gap in gaps if gap]
    assert counted.max_ms == (max(real) / 1e6 if real else None)
    assert counted.percentile(50) == (_nearest_rank(real, Fraction(1, 2)) if real else None)


def test_without_gaps_there_is_no_percentile() -> None:
    assert (Gaps().percentile(50), Gaps().max_ms) == (None, None)
    assert (Gaps().first, Gaps().last, Gaps().events) == (None, None, 0)


@pytest.mark.parametrize("times", [1, 1_500])
@pytest.mark.parametrize("gap", [1, 10**15])
def test_gaps_of_no_length_and_of_days_are_counted(gap: int, times: int) -> None:
    counted = _counted([gap] * times)
    assert counted.max_ms == gap / 1e6
    assert counted.percentile(50) == pytest.approx(gap / 1e6, rel=APART)


def test_memory_does_not_grow_with_the_stream() -> None:
    gaps = Gaps()
    moment, sizes = 0, set()
    for count in range(200_000):
        moment += 1_000 + count * 1_000
        gaps.add(moment)
        sizes.add(sum(sys.getsizeof(getattr(gaps, name)) for name in Gaps.__slots__))
    assert max(sizes) < 60_000
