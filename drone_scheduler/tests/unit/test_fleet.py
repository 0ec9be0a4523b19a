"""Drones join the fleet, report where they are, charge, are taken out of service and put back."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.decisions import NOTHING, Decision, decide_grounding
from drone_scheduler.domain.fleet import (
    Drone,
    DroneDesign,
    DroneStatus,
    Observation,
    decide_observation,
    decide_registration,
    decide_telemetry,
    lift_grounding,
)
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailed, DroneSchedulingFailureReason
from shared_contracts.fleet.v1 import DroneActivity

from .examples import (
    DELIVERY,
    DRONE,
    LOUVRE,
    NOW,
    OPERA,
    OTHER_DELIVERY,
    after,
    booked,
    drone,
    held_drone,
    message,
    report,
    state,
)

DESIGN = DroneDesign(payload_kg=5.0, range_m=20_000.0, cruise_speed_mps=15.0)


def register(known: Drone | None, *, design: DroneDesign = DESIGN, battery_percent: float = 100.0) -> Drone:
    return decide_registration(known, DRONE, design, location=OPERA, battery_percent=battery_percent, now=NOW)


def test_free_when_it_joins_the_fleet() -> None:
    assert register(None) == drone()


def test_charges_first_when_it_joins_with_little_charge() -> None:
    assert register(None, battery_percent=10).status is DroneStatus.CHARGING


def test_nothing_changes_when_it_is_registered_again() -> None:
    busy = held_drone(at=LOUVRE, battery_percent=40.0)
    assert register(busy) == busy


def test_takes_over_a_new_design_and_keeps_its_place() -> None:
    known = drone(at=LOUVRE)
    assert register(known, design=replace(DESIGN, payload_kg=8.0)) == replace(known, payload_kg=8.0)


def test_place_and_charge_follow_the_telemetry() -> None:
    seen = drone(at=LOUVRE, battery_percent=50.0, observed_at=after(1), reported_at=after(1))
    assert decide_telemetry(drone(), report(), after(1)) == seen


@pytest.mark.parametrize(
    "activity", [DroneActivity.HEADING_TO_PICKUP, DroneActivity.HEADING_TO_DROPOFF, DroneActivity.AT_DROPOFF]
)
def test_in_flight_when_it_reports_flying_for_its_delivery(activity: DroneActivity) -> None:
    flying = report(delivery_id=DELIVERY, activity=activity)
    assert decide_telemetry(held_drone(), flying, after(1)).status is DroneStatus.IN_FLIGHT


def test_stays_booked_when_it_still_flies_for_the_delivery_before() -> None:
    flying = report(delivery_id=OTHER_DELIVERY, activity=DroneActivity.HEADING_TO_DROPOFF)
    assert decide_telemetry(held_drone(), flying, after(1)).status is DroneStatus.BOOKED


def test_stays_free_when_it_flies_for_nobody() -> None:
    flying = report(activity=DroneActivity.HEADING_TO_PICKUP)
    assert decide_telemetry(drone(), flying, after(1)).status is DroneStatus.FREE


@pytest.mark.parametrize(
    ("before", "battery_percent", "afterwards"),
    [
        (DroneStatus.FREE, 25.0, DroneStatus.FREE),
        (DroneStatus.FREE, 24.9, DroneStatus.CHARGING),
        (DroneStatus.CHARGING, 79.9, DroneStatus.CHARGING),
        (DroneStatus.CHARGING, 80.0, DroneStatus.FREE),
        (DroneStatus.BOOKED, 5.0, DroneStatus.BOOKED),
        (DroneStatus.IN_FLIGHT, 5.0, DroneStatus.IN_FLIGHT),
        (DroneStatus.GROUNDED, 100.0, DroneStatus.GROUNDED),
        (DroneStatus.GROUNDING, 100.0, DroneStatus.GROUNDING),
    ],
)
def test_charge_decides_only_between_free_and_charging(
    before: DroneStatus, battery_percent: float, afterwards: DroneStatus
) -> None:
    seen = decide_observation(drone(status=before), Observation(after(1), battery_percent=battery_percent))
    assert (seen.status, seen.battery_percent) == (afterwards, battery_percent)


def test_what_was_not_observed_stays_as_it_was() -> None:
    assert decide_observation(drone(), Observation(after(1), location=LOUVRE)) == drone(at=LOUVRE, observed_at=after(1))


@pytest.mark.parametrize("status", [DroneStatus.FREE, DroneStatus.CHARGING])
def test_grounded_at_once_when_no_delivery_holds_it(status: DroneStatus) -> None:
    decision = decide_grounding(drone(status=status), None, NOW)
    assert decision == Decision((drone(status=DroneStatus.GROUNDED),))


def test_its_delivery_fails_when_it_is_grounded_before_it_left() -> None:
    decision = decide_grounding(held_drone(), booked(), NOW)
    assert state(decision, Drone) == drone(status=DroneStatus.GROUNDED)
    assert state(decision, Booking).status is BookingStatus.REFUSED
    assert message(decision, DroneSchedulingFailed).reason is DroneSchedulingFailureReason.DRONE_GROUNDED


def test_grounded_only_after_its_flight_when_it_has_left() -> None:
    decision = decide_grounding(held_drone(DroneStatus.IN_FLIGHT), booked(), NOW)
    assert decision == Decision((held_drone(DroneStatus.GROUNDING),))


@pytest.mark.parametrize("status", [DroneStatus.GROUNDED, DroneStatus.GROUNDING])
def test_nothing_changes_when_it_is_grounded_again(status: DroneStatus) -> None:
    assert decide_grounding(drone(status=status), None, NOW) == NOTHING


@pytest.mark.parametrize(("battery_percent", "status"), [(90.0, DroneStatus.FREE), (20.0, DroneStatus.CHARGING)])
def test_in_service_again_when_the_grounding_is_lifted(battery_percent: float, status: DroneStatus) -> None:
    grounded = drone(status=DroneStatus.GROUNDED, battery_percent=battery_percent)
    assert lift_grounding(grounded) == replace(grounded, status=status)


def test_flies_on_when_the_grounding_is_lifted_during_the_flight() -> None:
    assert lift_grounding(held_drone(DroneStatus.GROUNDING)) == held_drone(DroneStatus.IN_FLIGHT)


@pytest.mark.parametrize("status", set(DroneStatus) - {DroneStatus.GROUNDED, DroneStatus.GROUNDING})
def test_nothing_changes_when_there_is_no_grounding_to_lift(status: DroneStatus) -> None:
    assert lift_grounding(drone(status=status)) == drone(status=status)


def test_reports_of_one_moment_all_count() -> None:
    seen = decide_telemetry(drone(), report(), after(1))
    again = decide_telemetry(seen, report(battery_percent=49), after(1) + timedelta(seconds=1))
    assert again.battery_percent == 49
