from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleet_simulator.flight import Design, Drone, Order, Phase, Rules
from fleet_simulator.reports import Cadence, activity_of, is_due, newest, report_of
from shared_contracts.domain_types import ConfirmationType, Location
from shared_contracts.fleet.v1 import DroneActivity

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACE = Location(latitude=48.85, longitude=2.35)
RULES = Rules(speed_factor=5)
CADENCE = Cadence(interval=timedelta(seconds=1), rate_per_s=100, charge_step_percent=10)
PARKED = Drone(UUID(int=1), Design(payload_kg=2, range_m=10_000, cruise_speed_mps=10), PLACE, 50, NOON)
ORDER = Order(UUID(int=2), PLACE, PLACE, NOON, ConfirmationType.NONE)


def in_phase(phase: Phase) -> Drone:
    return replace(PARKED, phase=phase, order=ORDER)


def later(drone: Drone, seconds: float, charge: float = 0) -> Drone:
    return replace(
        drone,
        observed_at=drone.observed_at + timedelta(seconds=seconds),
        battery_percent=drone.battery_percent + charge,
    )


def due(drone: Drone, last: Drone | None) -> bool:
    return is_due(drone, None if last is None else report_of(last, RULES), CADENCE.interval, CADENCE)


def test_every_phase_has_an_activity() -> None:
    assert {phase: activity_of(in_phase(phase)) for phase in Phase} == {
        Phase.PARKED: DroneActivity.IDLE,
        Phase.WAITING: DroneActivity.IDLE,
        Phase.TO_PICKUP: DroneActivity.HEADING_TO_PICKUP,
        Phase.LOADING: DroneActivity.HEADING_TO_PICKUP,
        Phase.TO_DROPOFF: DroneActivity.HEADING_TO_DROPOFF,
        Phase.AT_DROPOFF: DroneActivity.AT_DROPOFF,
    }
    assert activity_of(replace(PARKED, is_charged=False)) is DroneActivity.CHARGING


def test_report_names_the_delivery_only_when_the_drone_flies_for_it() -> None:
    assert report_of(in_phase(Phase.WAITING), RULES).delivery_id is None
    assert report_of(in_phase(Phase.TO_PICKUP), RULES).delivery_id == ORDER.delivery_id
    assert report_of(in_phase(Phase.AT_DROPOFF), RULES).delivery_id == ORDER.delivery_id
    assert report_of(PARKED, RULES).delivery_id is None


def test_speed_is_reported_as_it_is_flown() -> None:
    assert report_of(in_phase(Phase.TO_DROPOFF), RULES).speed_mps == 50
    assert report_of(in_phase(Phase.LOADING), RULES).speed_mps == 0


def test_first_report_and_change_of_activity_are_due_at_once() -> None:
    assert due(PARKED, None)
    assert due(in_phase(Phase.TO_DROPOFF), in_phase(Phase.TO_PICKUP))
    assert due(replace(PARKED, is_charged=False), PARKED)


def test_position_is_due_when_the_interval_has_passed() -> None:
    flying = in_phase(Phase.TO_PICKUP)
    assert not due(later(flying, 0.9), flying)
    assert due(later(flying, 1.0), flying)


def test_parked_drone_reports_only_steps_of_charge() -> None:
    assert not due(later(PARKED, 3_600, charge=9), PARKED)
    assert due(later(PARKED, 1, charge=10), PARKED)
    nearly_full = replace(PARKED, battery_percent=99)
    assert due(later(nearly_full, 1, charge=1), nearly_full)
    full = replace(PARKED, battery_percent=100)
    assert not due(later(full, 3_600), full)


def test_interval_grows_when_many_drones_are_under_way() -> None:
    assert CADENCE.interval_for(50) == timedelta(seconds=1)
    assert CADENCE.interval_for(500) == timedelta(seconds=5)


def test_of_unsent_reports_the_last_of_each_activity_is_kept_in_order() -> None:
    way = [in_phase(Phase.TO_PICKUP), in_phase(Phase.TO_PICKUP), in_phase(Phase.TO_DROPOFF), in_phase(Phase.AT_DROPOFF)]
    reports = [report_of(later(drone, second), RULES) for second, drone in enumerate(way)]
    assert newest(reports) == reports[1:]
    assert newest([*reports, *reports]) == reports[1:]
