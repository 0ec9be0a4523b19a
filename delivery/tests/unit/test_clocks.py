"""The clocks of a drone and of the processes that handle its reports: whichever is wrong, the delivery goes on."""

from datetime import datetime, timedelta

import pytest
from delivery_stories import (
    DROPOFF,
    HALFWAY,
    NOON,
    NOTHING_YET,
    PICKUP,
    Story,
    at_dropoff,
    drone_scheduled,
    headed_to_dropoff,
    headed_to_pickup,
    landed,
    leaving,
    minutes,
    on_board,
    package_ready,
    reschedule,
    scheduled,
    seconds,
    telemetry,
)

from delivery.domain.clocks import LATE_AT_MOST
from delivery.domain.delivery import TrackingEventKind
from delivery.domain.estimates import estimate
from shared_contracts.domain_types import ConfirmationType, Location
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported

FLOWN = ["DeliveryScheduled", "DeliveryHeadedToPickup", "DeliveryHeadedToDropoff", "DeliveryCompleted"]
SKEW = minutes(5)
YEAR = timedelta(days=365)


def flying(place: Location, after_s: float) -> DroneTelemetryReported:
    return telemetry(DroneActivity.HEADING_TO_DROPOFF, place, NOON + seconds(after_s))


def booked_at(moment: datetime, confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Story:
    return NOTHING_YET.hears(package_ready(confirmation=confirmation), drone_scheduled(), at=moment)


def flight(drone_is_ahead: timedelta, *processes_are_ahead: timedelta) -> Story:
    """A whole flight, told by a drone whose clock is ahead, each report handled by a process whose clock is ahead."""
    story = booked_at(NOON + processes_are_ahead[0], ConfirmationType.NONE)
    reports = (leaving, on_board, landed)
    for report, moment, is_ahead in zip(reports, (0, 100, 600), processes_are_ahead, strict=True):
        story = story.hears(report(NOON + seconds(moment) + drone_is_ahead), at=NOON + seconds(moment) + is_ahead)
    return story


@pytest.mark.parametrize("drone_is_ahead", [minutes(0), SKEW, -SKEW, YEAR, -50 * YEAR], ids=str)
@pytest.mark.parametrize(
    "processes_are_ahead",
    [
        (minutes(0), minutes(0), minutes(0)),
        (SKEW, minutes(0), minutes(0)),
        (SKEW, SKEW, -SKEW),
        (-SKEW, SKEW, minutes(0)),
    ],
    ids=["right", "fast, then corrected", "fast, then slow", "three processes"],
)
def test_it_is_flown_to_the_end_whichever_clock_is_wrong(
    drone_is_ahead: timedelta, processes_are_ahead: tuple[timedelta, ...]
) -> None:
    story = flight(drone_is_ahead, *processes_are_ahead)
    assert story.told == FLOWN
    assert story.delivery.last_location == DROPOFF
    assert story.last.flight.duration_s >= 0


@pytest.mark.parametrize("process_is_ahead", [SKEW, -SKEW], ids=["fast", "slow"])
def test_reports_count_at_once_when_the_clock_of_the_process_is_corrected(process_is_ahead: timedelta) -> None:
    while_wrong = headed_to_pickup().hears(flying(PICKUP, 100), at=NOON + seconds(100) + process_is_ahead)
    corrected = while_wrong.hears(flying(HALFWAY, 350), at=NOON + seconds(350))
    assert corrected.delivery.last_location == HALFWAY


def test_reports_count_at_once_when_the_drone_was_booked_by_a_process_whose_clock_was_fast() -> None:
    story = booked_at(NOON + SKEW).hears(leaving(), at=NOON + SKEW)
    story = story.hears(flying(PICKUP, 100), flying(HALFWAY, 350), at=NOON + seconds(350))
    assert story.delivery.last_location == HALFWAY


def test_two_processes_whose_clocks_differ_agree_on_which_report_is_late() -> None:
    for process_is_ahead in (minutes(0), SKEW):
        story = headed_to_dropoff().hears(flying(HALFWAY, 350), at=NOON + seconds(350) + process_is_ahead)
        assert story.hears(flying(PICKUP, 340), at=NOON + seconds(351)) == story


def test_a_late_report_moves_nothing_and_the_next_one_does() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, 350), at=NOON + seconds(350))
    assert story.hears(flying(PICKUP, 349), at=NOON + seconds(351)) == story
    assert story.hears(flying(DROPOFF, 590), at=NOON + seconds(590)).delivery.last_location == DROPOFF


def test_nothing_changes_when_a_report_comes_twice() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, 350), at=NOON + seconds(350))
    assert story.hears(flying(HALFWAY, 350), at=NOON + seconds(351)) == story


def test_the_position_follows_at_once_when_one_report_came_from_the_far_future() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, YEAR.total_seconds()), at=NOON + seconds(300))
    assert story.hears(flying(DROPOFF, 590), at=NOON + seconds(590)).delivery.last_location == DROPOFF


def test_the_position_follows_at_once_when_the_drone_forgot_the_time() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, -50 * YEAR.total_seconds()), at=NOON + seconds(350))
    assert story.delivery.last_location == HALFWAY


def test_the_position_waits_no_longer_than_a_report_can_be_late_when_the_drone_sets_its_clock_back() -> None:
    story = headed_to_dropoff()
    back = NOON + seconds(100) - LATE_AT_MOST
    assert story.hears(telemetry(DroneActivity.HEADING_TO_DROPOFF, HALFWAY, back), at=NOON + seconds(350)) == story
    further_back = telemetry(DroneActivity.HEADING_TO_DROPOFF, HALFWAY, back - seconds(1))
    assert story.hears(further_back, at=NOON + seconds(350)).delivery.last_location == HALFWAY


def test_a_report_that_looks_late_still_counts_when_the_drone_is_further_than_was_known() -> None:
    story = headed_to_dropoff().hears(landed(NOON + seconds(50)), at=NOON + seconds(600))
    assert story.delivery.arrived_at == NOON + seconds(50)
    assert story.delivery.last_location == DROPOFF


def test_it_ends_no_earlier_than_it_began_when_the_clock_was_corrected_in_between() -> None:
    story = scheduled(ConfirmationType.NONE).hears(leaving(NOON + SKEW), at=NOON + SKEW)
    story = story.hears(landed(NOON + seconds(20)), at=NOON + seconds(20))
    assert story.last.flight.duration_s == 0


def test_estimates_and_history_know_nothing_of_a_future_that_a_drone_tells() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, YEAR.total_seconds()), at=NOON + seconds(350))
    arrival = estimate(story.delivery, NOON + seconds(350)).dropoff_eta
    assert arrival is not None
    assert abs(arrival - (NOON + seconds(600))) < seconds(1)
    assert story.tracking[-1].occurred_at == NOON + seconds(350)


def test_the_history_keeps_positions_when_the_drone_sets_its_clock_back() -> None:
    story = headed_to_dropoff().hears(flying(HALFWAY, YEAR.total_seconds()), at=NOON + seconds(300))
    kept = story.hears(flying(HALFWAY, 310), at=NOON + seconds(310)).tracking[-1]
    assert (kept.kind, kept.occurred_at) == (TrackingEventKind.POSITION_REPORTED, NOON + seconds(310))


def test_the_flight_tells_when_the_drone_saw_its_last_place_by_its_own_clock() -> None:
    assert flight(SKEW, *[minutes(0)] * 3).last.flight.last_observed_at == NOON + seconds(600) + SKEW
    assert at_dropoff().delivery.last_observed_at == NOON + seconds(600)


def test_a_later_change_of_the_times_has_the_greater_number_when_the_clock_was_set_back_in_between() -> None:
    first = scheduled().hears(reschedule(), at=NOON + SKEW)
    second = first.hears(reschedule(deadline=NOON + minutes(240)), at=NOON + seconds(1))
    assert second.last.occurred_at < first.last.occurred_at
    assert second.last.sequence > first.last.sequence
