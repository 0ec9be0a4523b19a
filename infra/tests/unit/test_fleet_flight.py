"""A drone that flies 10 m/s, with pickup 1 km and drop-off 3 km east of it: 100 s to the pickup, 200 s on board."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import pi
from uuid import UUID

import pytest

from fleet_simulator.flight import (
    Design,
    Drone,
    Order,
    Phase,
    Rules,
    advance,
    change_order,
    departure,
    park,
    take_order,
)
from fleet_simulator.geography import distance_m, place_at
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOME = Location(latitude=48.85, longitude=2.35, altitude_m=40)
PICKUP = place_at(HOME, pi / 2, 1_000)
DROPOFF = place_at(PICKUP, pi / 2, 2_000)
RULES = Rules(loading_s=30, early_s=20)
DRONE = Drone(UUID(int=1), Design(payload_kg=2, range_m=10_000, cruise_speed_mps=10), HOME, 100, NOON)
ORDER = Order(UUID(int=2), PICKUP, DROPOFF, NOON, ConfirmationType.PICTURE)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def booked(order: Order = ORDER, *, drone: Drone = DRONE, rules: Rules = RULES) -> Drone:
    return take_order(drone, order, DeliveryStage.CREATED, has_arrived=False, now=NOON, rules=rules)


def at(seconds: float, drone: Drone | None = None, rules: Rules = RULES) -> Drone:
    *_, current = advance(drone or booked(), after(seconds), rules)
    return current


def test_phases_follow_each_other_when_time_passes() -> None:
    states = list(advance(booked(), after(1_000), RULES))
    assert [state.phase for state in states] == [
        Phase.TO_PICKUP,
        Phase.LOADING,
        Phase.TO_DROPOFF,
        Phase.AT_DROPOFF,
        Phase.AT_DROPOFF,
    ]
    moments = [state.observed_at for state in states]
    expected = [NOON, after(100), after(130), after(330), after(1_000)]
    assert moments == [pytest.approx(moment, abs=timedelta(seconds=0.01)) for moment in expected]


def test_position_is_on_the_way_when_flying() -> None:
    halfway = at(50)
    assert halfway.phase is Phase.TO_PICKUP
    assert distance_m(HOME, halfway.location) == pytest.approx(500, abs=1)
    assert distance_m(halfway.location, PICKUP) == pytest.approx(500, abs=1)


def test_many_small_steps_end_where_one_big_step_ends() -> None:
    drone = booked()
    for step in range(1, 2_801):
        *_, drone = advance(drone, after(step / 10), RULES)
    whole = at(280)
    assert distance_m(drone.location, whole.location) < 0.01
    assert drone.battery_percent == pytest.approx(whole.battery_percent)
    assert (drone.phase, drone.observed_at) == (whole.phase, whole.observed_at)


def test_drone_climbs_cruises_and_descends() -> None:
    assert at(0).location.altitude_m == pytest.approx(40)
    assert at(5).location.altitude_m == pytest.approx(100, abs=1)
    assert at(50).location.altitude_m == pytest.approx(160)
    assert at(100.5).location.altitude_m == pytest.approx(PICKUP.altitude_m)


def test_speed_factor_shortens_flight_and_loading() -> None:
    tenfold = replace(RULES, speed_factor=10)
    states = list(advance(booked(rules=tenfold), after(60), tenfold))
    assert states[3].phase is Phase.AT_DROPOFF
    assert states[3].observed_at == pytest.approx(after(33), abs=timedelta(seconds=0.01))


def test_battery_drains_with_the_way_and_not_with_time() -> None:
    landed = at(10_000)
    assert landed.battery_percent == pytest.approx(70, abs=0.1)
    assert at(20_000, landed).battery_percent == landed.battery_percent


def test_battery_is_never_below_empty() -> None:
    weak = booked(drone=replace(DRONE, battery_percent=5))
    assert at(10_000, weak).battery_percent == 0


def test_drone_leaves_so_as_to_be_at_the_pickup_a_little_early() -> None:
    drone = booked(replace(ORDER, pickup_time=after(600)))
    assert departure(drone, RULES) == pytest.approx(after(480), abs=timedelta(seconds=0.1))
    assert at(479, drone).phase is Phase.WAITING
    assert at(481, drone).phase is Phase.TO_PICKUP
    assert at(581, drone).phase is Phase.LOADING
    assert at(629, drone).phase is Phase.LOADING
    assert at(631, drone).phase is Phase.TO_DROPOFF


def test_package_is_not_taken_before_the_pickup_time_when_the_drone_is_early() -> None:
    order = replace(ORDER, pickup_time=after(600))
    early = take_order(
        replace(DRONE, location=PICKUP), order, DeliveryStage.HEADED_TO_PICKUP, has_arrived=False, now=NOON, rules=RULES
    )
    assert at(629, early).phase is Phase.LOADING
    assert at(631, early).phase is Phase.TO_DROPOFF


def test_new_times_count_until_the_drone_leaves() -> None:
    later = replace(ORDER, pickup_time=after(600))
    waiting = booked(later)
    sooner = change_order(waiting, ORDER)
    assert at(1, sooner).phase is Phase.TO_PICKUP
    flying = at(50)
    assert change_order(flying, later) == flying


def test_parked_drone_charges_until_full() -> None:
    parked = replace(DRONE, battery_percent=50)
    assert at(450, parked).battery_percent == pytest.approx(75)
    assert at(5_000, parked).battery_percent == 100


def test_drone_with_a_low_battery_is_not_ready_until_it_is_charged() -> None:
    landed = park(replace(at(1_000), battery_percent=20), after(1_000), RULES)
    assert not landed.is_charged
    assert not at(1_000 + 1_000, landed).is_charged
    assert at(1_000 + 1_100, landed).is_charged


def test_drone_lands_where_it_is_when_its_delivery_has_ended() -> None:
    landed = park(at(50), after(60), RULES)
    assert landed.phase is Phase.PARKED
    assert landed.order is None
    assert landed.leg is None
    assert distance_m(HOME, landed.location) == pytest.approx(600, abs=1)
    assert landed.location.altitude_m == PICKUP.altitude_m


@pytest.mark.parametrize(
    ("stage", "has_arrived", "phase"),
    [
        (DeliveryStage.CREATED, False, Phase.WAITING),
        (DeliveryStage.RESCHEDULED, False, Phase.WAITING),
        (DeliveryStage.HEADED_TO_PICKUP, False, Phase.TO_PICKUP),
        (DeliveryStage.HEADED_TO_DROPOFF, False, Phase.TO_DROPOFF),
        (DeliveryStage.HEADED_TO_DROPOFF, True, Phase.AT_DROPOFF),
    ],
)
def test_flight_goes_on_where_the_delivery_stands(stage: DeliveryStage, has_arrived: bool, phase: Phase) -> None:
    drone = take_order(DRONE, ORDER, stage, has_arrived=has_arrived, now=after(5), rules=RULES)
    assert drone.phase is phase
    assert drone.location == HOME
    assert at(10_000, drone).phase is Phase.AT_DROPOFF


def test_time_never_runs_backwards() -> None:
    assert at(-100).observed_at == NOON
