"""How a batch is shared among the partitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.worker import shares_of


@pytest.mark.parametrize(
    ("waiting", "limit", "shares"),
    [
        ([], 5, []),
        ([3], 5, [3]),
        ([10_000], 5, [5]),
        ([10_000, 1], 5, [4, 1]),
        ([1, 10_000, 1, 10_000], 10, [1, 4, 1, 4]),
        ([5, 5, 5], 1, [1, 0, 0]),
        ([0, 0], 5, [0, 0]),
    ],
)
def test_who_has_little_gives_it_all_and_the_others_share_the_rest(
    waiting: list[int], limit: int, shares: list[int]
) -> None:
    assert shares_of(waiting, limit) == shares


@given(st.lists(st.integers(0, 500), max_size=8), st.integers(1, 1_000))
def test_a_batch_is_full_when_enough_waits(waiting: list[int], limit: int) -> None:
    shares = shares_of(waiting, limit)
    assert sum(shares) == min(limit, sum(waiting))
    assert all(share <= many for share, many in zip(shares, waiting, strict=True))
