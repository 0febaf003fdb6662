"""Buckets: every value is near the middle of its own, and percentiles of counts are near those of the values."""

import math
import random
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.recorder.percentile import RELATIVE_ERROR, bucket_of, middle, percentiles

SHARES = (0.5, 0.95, 0.99)


def nearest_rank(values: list[float], share: float) -> float:
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


@given(st.floats(1 / 16, 2.0**24, exclude_max=True))
def test_a_value_is_within_the_stated_error_of_its_buckets_middle(value: float) -> None:
    assert abs(middle(bucket_of(value)) - value) <= RELATIVE_ERROR * value


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_a_larger_value_is_in_no_lower_bucket(one: float, other: float) -> None:
    assert bucket_of(min(one, other)) <= bucket_of(max(one, other))


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0, 0), (-5, 0), (0.0624, 0), (0.0625, 0), (1, 64), (2, 80), (2**24 - 1, 447), (2**24, 448), (math.inf, 448)],
)
def test_what_is_outside_is_in_the_first_or_the_last_bucket(value: float, bucket: int) -> None:
    assert bucket_of(value) == bucket


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 99, 100, 101, 5_000])
@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_those_of_the_values_within_the_stated_error(count: int, seed: int) -> None:
    numbers = random.Random(seed)
    values = [numbers.lognormvariate(6, 1.5) for _ in range(count)]
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    for found, share in zip(percentiles(counts, SHARES), SHARES, strict=True):
        expected = nearest_rank(values, share)
        assert abs(found - expected) <= RELATIVE_ERROR * expected


def test_percentiles_of_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values were counted"):
        percentiles({}, SHARES)


def test_the_views_formula_is_the_middle() -> None:
    formula = "SELECT (1 << (? / 16)) * (16.5 + ? % 16) / 256"
    connection = sqlite3.connect(":memory:")
    for bucket in range(449):
        assert connection.execute(formula, (bucket, bucket)).fetchone() == (middle(bucket),)
    connection.close()
