"""Percentiles are values that were measured, and never too good."""

import random

import pytest
from measuring.percentiles import SHOWN, distribution, percentile, summary


def test_a_percentile_is_the_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]


def test_a_percentile_between_two_values_is_the_greater_one() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5) == 3
    assert percentile([1.0, 2.0], 0.51) == 2
    assert percentile([1.0, 2.0, 1_000.0], 0.99) == 1_000


@pytest.mark.parametrize("share", SHOWN)
def test_a_single_value_is_every_percentile(share: float) -> None:
    assert percentile([7.0], share) == 7


def test_at_least_the_share_is_not_above_its_percentile() -> None:
    chance = random.Random(1)  # noqa: S311 - nothing secret
    for count in range(1, 300):
        ordered = sorted(chance.random() for _ in range(count))
        for share in (0.07, 0.29, 0.5, 0.95, 0.99):
            found = percentile(ordered, share)
            assert sum(value <= found for value in ordered) >= share * count - 1e-6
            assert sum(value < found for value in ordered) < share * count + 1e-6


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_a_stall_of_a_hundredth_is_seen_at_the_end_only() -> None:
    latencies = [10.0] * 980 + [5_000.0] * 20
    assert summary(latencies) == {"p50": 10, "p95": 10, "p99": 5_000, "max": 5_000}


def test_a_distribution_never_falls() -> None:
    values = [value for _, value in distribution([5.0, 1.0, 9.0, 3.0])]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (1, 9)
