"""Utilization in the units that people ask for."""

from datetime import UTC, datetime

import pytest

from drone_scheduler.domain.utilization import Utilization, month_bounds


def test_miles_and_hours_come_from_metres_and_seconds() -> None:
    utilization = Utilization(flights=2, distance_m=3_218.688, duration_s=5_400)
    assert utilization.traveled_miles == pytest.approx(2)
    assert utilization.assigned_hours == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("year", "month", "begin", "end"),
    [
        (2026, 2, datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        (2026, 12, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_month_ends_where_the_next_begins(year: int, month: int, begin: datetime, end: datetime) -> None:
    assert month_bounds(year, month) == (begin, end)
