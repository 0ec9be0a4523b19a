"""The clocks of a drone, of the processes that handle its reports, and of the staff: none silences a drone."""

from datetime import timedelta

import pytest

from drone_scheduler.domain.fleet import (
    LATE_AT_MOST,
    Drone,
    DroneDesign,
    DroneStatus,
    Observation,
    decide_observation,
    decide_registration,
    decide_telemetry,
)
from shared_contracts.fleet.v1 import DroneActivity

from .examples import DELIVERY, DRONE, LOUVRE, NOW, OPERA, VERSAILLES, after, drone, held_drone, report

FIVE_MINUTES = timedelta(minutes=5)
YEAR = timedelta(days=365)
CLOCKS = [timedelta(0), FIVE_MINUTES, -FIVE_MINUTES]


def seen(known: Drone, told_at: float, *, minute: float, ahead: timedelta = timedelta(0), percent: float = 50) -> Drone:
    """The drone after a report that it made at `told_at`, handled by a process that is so much ahead."""
    told = report(location=VERSAILLES, observed_at=after(told_at), battery_percent=percent)
    return decide_telemetry(known, told, after(minute) + ahead)


@pytest.mark.parametrize("drone_is_ahead", [*CLOCKS, YEAR, -50 * YEAR], ids=str)
@pytest.mark.parametrize("first", CLOCKS, ids=str)
@pytest.mark.parametrize("second", CLOCKS, ids=str)
def test_every_report_in_order_counts_whichever_clock_is_wrong(
    drone_is_ahead: timedelta, first: timedelta, second: timedelta
) -> None:
    known = drone()
    for minute, ahead in ((1, first), (2, second), (3, first)):
        told = report(observed_at=after(minute) + drone_is_ahead, battery_percent=50 - minute)
        known = decide_telemetry(known, told, after(minute) + ahead)
        assert known.battery_percent == 50 - minute


@pytest.mark.parametrize("ahead", CLOCKS[:2], ids=str)
def test_a_late_report_changes_nothing_whatever_the_clock_of_the_process(ahead: timedelta) -> None:
    known = seen(drone(), 2, minute=2)
    assert decide_telemetry(known, report(location=LOUVRE, observed_at=after(1)), after(2) + ahead) == known


def test_nothing_changes_when_a_report_comes_twice() -> None:
    known = seen(drone(), 1, minute=1)
    assert seen(known, 1, minute=1) == known


def test_reports_count_at_once_when_one_came_from_the_far_future() -> None:
    misled = seen(drone(), 1_000_000, minute=1, percent=90)
    assert misled.observed_at == after(1)
    assert seen(misled, 2, minute=2).battery_percent == 50


def test_reports_count_at_once_when_the_drone_forgot_the_time() -> None:
    forgot = report(observed_at=NOW - 50 * YEAR, battery_percent=49)
    assert decide_telemetry(seen(drone(), 1, minute=1), forgot, after(2)).battery_percent == 49


def test_it_is_silent_no_longer_than_a_report_can_be_late_when_the_drone_sets_its_clock_back() -> None:
    known = seen(drone(), 1, minute=1)
    back = report(observed_at=after(1) - LATE_AT_MOST, battery_percent=49)
    assert decide_telemetry(known, back, after(2)) == known
    further_back = report(observed_at=after(0.9) - LATE_AT_MOST, battery_percent=49)
    assert decide_telemetry(known, further_back, after(2)).battery_percent == 49


@pytest.mark.parametrize("ahead", CLOCKS, ids=str)
def test_reports_count_after_a_registration_or_a_correction_whatever_the_clock_of_that_process(
    ahead: timedelta,
) -> None:
    design = DroneDesign(payload_kg=5.0, range_m=20_000.0, cruise_speed_mps=15.0)
    known = decide_registration(None, DRONE, design, location=OPERA, battery_percent=60, now=NOW + ahead)
    assert seen(known, 1, minute=1).location == VERSAILLES
    corrected = decide_observation(seen(known, 1, minute=1), Observation(after(1) + ahead, LOUVRE, 70))
    assert (corrected.location, corrected.battery_percent) == (LOUVRE, 70)
    assert seen(corrected, 2, minute=2).location == VERSAILLES


def test_a_report_from_before_the_last_one_does_not_undo_a_correction() -> None:
    corrected = decide_observation(seen(drone(), 1, minute=1), Observation(after(1), LOUVRE, 70))
    assert seen(corrected, 0.9, minute=1.1) == corrected


def test_in_flight_also_when_the_report_of_the_departure_is_late() -> None:
    known = seen(held_drone(), 2, minute=2)
    left = report(delivery_id=DELIVERY, activity=DroneActivity.HEADING_TO_PICKUP, observed_at=after(1))
    late = decide_telemetry(known, left, after(2))
    assert (late.status, late.location) == (DroneStatus.IN_FLIGHT, VERSAILLES)
