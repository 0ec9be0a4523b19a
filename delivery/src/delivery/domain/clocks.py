"""What the clock of a drone is good for, and what it is not.

Several clocks tell of one delivery: the drone's, and those of the processes that handle its reports, which may be
minutes apart and may be set at any moment. So a time that a drone reported is kept as the drone told it, never bent to
the clock of the process that handles it: the next report may be handled by another. Which of two reports is the newer
is told by two times of the same drone. When we take something to have been observed, for estimates and views, is made
of the kept time whenever it is looked at, so that a clock that was wrong for a while leaves nothing behind.
"""

from datetime import datetime, timedelta

from delivery.domain.delivery import Delivery

FAST_AT_MOST = timedelta(seconds=5)
"""A drone that tells a time further in our future has a wrong clock, or we have."""
LATE_AT_MOST = timedelta(minutes=10)
"""How long a report may be under way while others overtake it. An older one is of a clock that was set back."""


def is_late(observed_at: datetime, last_observed_at: datetime | None, now: datetime) -> bool:
    """Whether a drone made the report before its last one, by its own clock.

    Our clock can only make a report count, it never silences one. And no time that a drone told once can silence it for
    long: a last time in our future is not believed, nor one that is further ahead than a report can be late.
    """
    if last_observed_at is None:
        return False
    return last_observed_at - LATE_AT_MOST <= observed_at < last_observed_at <= now + FAST_AT_MOST


def seen_at(observed_at: datetime, delivery: Delivery, now: datetime) -> datetime:
    """When we take it to have been observed: not before the drone was booked, and not in the future."""
    return min(max(observed_at, delivery.scheduled_at or observed_at), now)
