"""Buckets: every value is near the middle of its own, and percentiles of counts are near those of the values."""

import math
import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR, bucket_of, middle, percentiles, stored_bucket_of

PERCENTS = (50, 95, 99)


def nearest_rank(values: list[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@given(st.floats(1e-300, 1e300))
def test_a_value_is_within_the_stated_error_of_its_buckets_middle(value: float) -> None:
    assert abs(middle(bucket_of(value)) - value) <= RELATIVE_ERROR * value


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_a_larger_value_is_in_no_lower_bucket(one: float, other: float) -> None:
    assert stored_bucket_of(min(one, other)) <= stored_bucket_of(max(one, other))


@given(st.floats(1 / 16, 2.0**24, exclude_max=True))
def test_what_the_roll_up_stores_is_the_bucket_itself(value: float) -> None:
    assert stored_bucket_of(value) == bucket_of(value)


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0, 0), (-5, 0), (0.0624, 0), (0.0625, 0), (1, 64), (2, 80), (2**24 - 1, 447), (2**24, 448), (math.inf, 448)],
)
def test_what_is_outside_is_in_the_first_or_the_last_bucket(value: float, bucket: int) -> None:
    assert stored_bucket_of(value) == bucket


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 99, 100, 101, 5_000])
@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_those_of_the_values_within_the_stated_error(count: int, seed: int) -> None:
    numbers = random.Random(seed)
    values = [numbers.lognormvariate(6, 1.5) for _ in range(count)]
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    for found, percent in zip(percentiles(counts, PERCENTS), PERCENTS, strict=True):
        expected = nearest_rank(values, percent / 100)
        assert abs(found - expected) <= RELATIVE_ERROR * expected


def test_percentiles_of_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values were counted"):
        percentiles({}, PERCENTS)


def test_the_views_formula_is_the_middle() -> None:
    formula = "SELECT (1 << (? / 16)) * (16.5 + ? % 16) / 256"
    connection = sqlite3.connect(":memory:")
    for bucket in range(449):
        assert connection.execute(formula, (bucket, bucket)).fetchone() == (middle(bucket),)
    connection.close()
