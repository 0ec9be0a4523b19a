"""What share of the measured values is not above which value."""

import math
from collections.abc import Sequence

SHOWN = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
"""The shares that make the line of a distribution."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of these values (in ascending order) that at least this share of them does not exceed.

    It is always a value that was measured: nothing is interpolated. Raises ValueError when there are none.
    """
    if not ordered:
        raise ValueError("there is no percentile of nothing")
    # A share such as 0.07 is a little off in binary, which must not push it over the next whole number.
    rank = math.ceil(share * len(ordered) - 1e-9)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the greatest of the values, in their unit, to a tenth."""
    ordered = sorted(values)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(ordered, share), 1) for name, share in shares.items()}


def distribution(values: Sequence[float]) -> list[tuple[float, float]]:
    """The values at the shares that are shown, as pairs of share and value."""
    ordered = sorted(values)
    return [(share, round(percentile(ordered, share), 2)) for share in SHOWN]
