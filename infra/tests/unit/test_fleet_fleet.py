from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from fleet_simulator.designs import CARRIER, COURIER, HEAVY_LIFTER, FleetPlan
from fleet_simulator.fleet import Assignment, Fleet
from fleet_simulator.flight import Drone, Order, Phase, Rules
from fleet_simulator.geography import DEFAULT_AREA, distance_m, place_at
from fleet_simulator.reports import Cadence
from shared_contracts.domain_types import ConfirmationType, DeliveryStage
from shared_contracts.fleet.v1 import DroneActivity

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOME = DEFAULT_AREA.center
PICKUP = place_at(HOME, 0, 1_800)
DROPOFF = place_at(PICKUP, 1, 1_800)
DRONE = Drone(UUID(int=1), COURIER, HOME, 100, NOON)
ORDER = Order(UUID(int=11), PICKUP, DROPOFF, NOON, ConfirmationType.VOICE)
ASSIGNMENT = Assignment(DRONE.drone_id, ORDER, DeliveryStage.CREATED, has_arrived=False)


def fleet_of(*drones: Drone) -> Fleet:
    fleet = Fleet(Rules(loading_s=10), Cadence(interval=timedelta(seconds=5)))
    for drone in drones:
        fleet.add(drone)
    return fleet


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def only(fleet: Fleet) -> Drone:
    (drone,) = fleet
    return drone


def test_whole_flight_is_reported_when_time_passes() -> None:
    fleet = fleet_of(DRONE)
    fleet.tick(NOON)
    assert fleet.reconcile([ASSIGNMENT], NOON) == []
    reports = [report for second in range(300) for report in fleet.tick(after(second))]
    activities = list(dict.fromkeys(report.activity for report in reports))
    assert activities == [DroneActivity.HEADING_TO_PICKUP, DroneActivity.HEADING_TO_DROPOFF, DroneActivity.AT_DROPOFF]
    assert [report.observed_at for report in reports] == sorted(report.observed_at for report in reports)
    assert len(reports) < 300 / 5 + 6
    # The corner at the pickup is reported, so what is flown can be summed up from the reports.
    flown_m = sum(distance_m(one.location, following.location) for one, following in pairwise(reports))
    assert abs(flown_m - 3_600) < 1


def test_recipient_is_waited_for_only_at_the_dropoff() -> None:
    fleet = fleet_of(DRONE)
    fleet.reconcile([ASSIGNMENT], NOON)
    fleet.tick(after(200))
    assert list(fleet.at_dropoff()) == []
    fleet.tick(after(300))
    assert list(fleet.at_dropoff()) == [ORDER]


def test_flight_is_given_up_when_its_delivery_is_not_under_way_any_more() -> None:
    fleet = fleet_of(DRONE)
    fleet.reconcile([ASSIGNMENT], NOON)
    fleet.tick(after(50))
    fleet.reconcile([], after(51))
    assert only(fleet).phase is Phase.PARKED
    (report,) = fleet.tick(after(52))
    assert (report.activity, report.delivery_id) == (DroneActivity.IDLE, None)


def test_drone_goes_over_to_its_next_delivery() -> None:
    fleet = fleet_of(DRONE)
    fleet.reconcile([ASSIGNMENT], NOON)
    fleet.tick(after(50))
    following = replace(ASSIGNMENT, order=replace(ORDER, delivery_id=UUID(int=12)))
    fleet.reconcile([following], after(51))
    assert only(fleet).order == following.order
    assert fleet.tick(after(52))[0].delivery_id == following.order.delivery_id


def test_late_list_does_not_bring_back_a_confirmed_delivery() -> None:
    fleet = fleet_of(DRONE)
    fleet.reconcile([ASSIGNMENT], NOON)
    fleet.tick(after(300))
    fleet.end(ORDER.delivery_id, after(301))
    stale = replace(ASSIGNMENT, stage=DeliveryStage.HEADED_TO_DROPOFF, has_arrived=True)
    assert fleet.reconcile([stale], after(301.1)) == []
    assert only(fleet).phase is Phase.PARKED


def test_new_times_reach_a_drone_that_waits() -> None:
    fleet = fleet_of(DRONE)
    later = replace(ASSIGNMENT, order=replace(ORDER, pickup_time=after(3_600)))
    fleet.reconcile([later], NOON)
    fleet.tick(after(60))
    assert only(fleet).phase is Phase.WAITING
    fleet.reconcile([replace(ASSIGNMENT, stage=DeliveryStage.RESCHEDULED)], after(60))
    fleet.tick(after(61))
    assert only(fleet).phase is Phase.TO_PICKUP


def test_deliveries_of_unknown_drones_are_told() -> None:
    stranger = replace(ASSIGNMENT, drone_id=UUID(int=99))
    fleet = fleet_of(DRONE)
    assert fleet.reconcile([ASSIGNMENT, stranger], NOON) == [stranger]


def test_five_hundred_flights_stay_below_the_telemetry_rate() -> None:
    drones = FleetPlan(500, DEFAULT_AREA, seed=4).generate(NOON)
    fleet = Fleet(Rules(), Cadence(interval=timedelta(seconds=1), rate_per_s=200))
    for drone in drones:
        fleet.add(drone)
    fleet.reconcile(
        [
            replace(ASSIGNMENT, drone_id=drone.drone_id, order=replace(ORDER, delivery_id=drone.drone_id))
            for drone in drones
        ],
        NOON,
    )
    fleet.tick(after(0.1))
    reports = sum(len(fleet.tick(after(1 + tenth / 10))) for tenth in range(100))
    assert reports / 10 < 250


def test_same_plan_means_the_same_drones() -> None:
    plan = FleetPlan(20, DEFAULT_AREA, seed=7)
    assert plan.generate(NOON) == plan.generate(NOON)
    assert {drone.drone_id for drone in plan.generate(NOON)}.isdisjoint(
        drone.drone_id for drone in replace(plan, seed=8).generate(NOON)
    )


def test_plan_mixes_designs() -> None:
    designs = [drone.design for drone in FleetPlan(20, DEFAULT_AREA, heavy_lifters=2).generate(NOON)]
    assert [designs.count(design) for design in (HEAVY_LIFTER, COURIER, CARRIER)] == [2, 8, 10]
