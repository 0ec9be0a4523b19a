"""Utilization: what the drones flew for an owner in a month, in metres and seconds, miles and hours."""

from datetime import UTC, datetime

from msgspec import Struct

METRES_PER_MILE = 1_609.344
SECONDS_PER_HOUR = 3_600


class Utilization(Struct, frozen=True):
    """The sum of an owner's flights. A flight belongs to the month in which it ended, in UTC."""

    flights: int
    distance_m: float
    duration_s: float

    @property
    def traveled_miles(self) -> float:
        """Statute miles, as the reference application counts."""
        return self.distance_m / METRES_PER_MILE

    @property
    def assigned_hours(self) -> float:
        """Hours between departure and end, as the reference application counts."""
        return self.duration_s / SECONDS_PER_HOUR


def month_bounds(year: int, month: int) -> tuple[datetime, datetime]:
    """The first moment of the month and the first after it, in UTC."""
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
