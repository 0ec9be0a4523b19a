"""How a drone flies: phases, positions and charge as functions of time. Pure; the clock is passed in.

A drone waits until it is time to leave, flies to the pickup, takes the package on board (never before the agreed pickup
time), flies to the drop-off and waits there until its delivery has ended. It flies straight along the great circle at
its cruise speed times the speed factor, and charges whenever it is parked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from fleet_simulator.geography import distance_m, place_between
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location

CLIMB_SHARE = 0.1
"""The share of a leg in which a drone climbs, and in which it descends."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all drones. Periods are those of the drones' world: the speed factor shortens them."""

    speed_factor: float = 1.0
    """How many seconds of the drones' world pass in one second."""
    cruise_altitude_m: float = 120.0
    """Above the higher end of the leg."""
    early_s: float = 120.0
    """How long before the agreed time a drone is at the pickup, if there is time for that."""
    loading_s: float = 30.0
    """How long taking the package on board takes."""
    full_charge_s: float = 1_800.0
    """How long charging an empty battery takes."""
    low_battery_percent: float = 25.0
    """A drone that lands with less charge is not ready for a delivery."""
    charged_percent: float = 80.0
    """The charge at which it is ready again."""

    def real(self, period_s: float) -> timedelta:
        """How long a period of the drones' world takes."""
        return timedelta(seconds=period_s / self.speed_factor)

    def simulated_s(self, period: timedelta) -> float:
        """How many seconds pass in the drones' world meanwhile."""
        return period.total_seconds() * self.speed_factor


@dataclass(frozen=True, slots=True)
class Design:
    """What does not change in flight."""

    payload_kg: float
    """The heaviest package that the drone can carry."""
    range_m: float
    """How far it flies on a full battery."""
    cruise_speed_mps: float


@dataclass(frozen=True, slots=True)
class Order:
    """The delivery that a drone is to fly."""

    delivery_id: UUID
    pickup: Location
    dropoff: Location
    pickup_time: datetime
    """The package cannot be picked up earlier."""
    confirmation_required: ConfirmationType


class Phase(StrEnum):
    """What a drone is doing."""

    PARKED = "Parked"
    """On the ground, without a delivery."""
    WAITING = "Waiting"
    """On the ground, booked, not yet time to leave."""
    TO_PICKUP = "ToPickup"
    LOADING = "Loading"
    """On the ground at the pickup."""
    TO_DROPOFF = "ToDropoff"
    AT_DROPOFF = "AtDropoff"
    """On the ground at the drop-off, until the delivery has ended."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A straight flight, and the charge at its begin."""

    start: Location
    end: Location
    departs_at: datetime
    arrives_at: datetime
    battery_percent: float

    def share_at(self, moment: datetime) -> float:
        """How much of the way is flown, from 0 to 1."""
        if moment >= self.arrives_at:
            return 1.0
        return max(0.0, (moment - self.departs_at) / (self.arrives_at - self.departs_at))


@dataclass(frozen=True, slots=True)
class Drone:
    """One drone at one moment."""

    drone_id: UUID
    design: Design
    location: Location
    battery_percent: float
    observed_at: datetime
    """The moment that all this is true of."""
    phase: Phase = Phase.PARKED
    is_charged: bool = True
    """False from landing with a low battery until it is charged."""
    order: Order | None = None
    leg: Leg | None = None
    ready_at: datetime | None = None
    """While loading: when the package is on board."""

    @property
    def is_airborne(self) -> bool:
        return self.phase in {Phase.TO_PICKUP, Phase.TO_DROPOFF}

    @property
    def is_under_way(self) -> bool:
        """Whether it has left for its delivery."""
        return self.phase not in {Phase.PARKED, Phase.WAITING}


def advance(drone: Drone, now: datetime, rules: Rules) -> Iterator[Drone]:
    """The drone just after each change of phase until now, and at last as it is now."""
    while (change_at := next_change(drone, rules)) is not None and change_at <= now:
        drone = _change_phase(observe(drone, change_at, rules), rules)
        yield drone
    yield observe(drone, now, rules)


def next_change(drone: Drone, rules: Rules) -> datetime | None:
    """When the drone enters its next phase by itself, None when others decide on that."""
    match drone.phase:
        case Phase.PARKED | Phase.AT_DROPOFF:
            return None
        case Phase.WAITING:
            return max(departure(drone, rules), drone.observed_at)
        case Phase.LOADING:
            return drone.ready_at
        case Phase.TO_PICKUP | Phase.TO_DROPOFF:
            return drone.leg.arrives_at if drone.leg else None
        case _:
            assert_never(drone.phase)


def departure(drone: Drone, rules: Rules) -> datetime:
    """When the drone leaves so as to be at the pickup a little before the agreed time."""
    order = _order_of(drone)
    return order.pickup_time - _flight_time(drone, order.pickup, rules) - rules.real(rules.early_s)


def observe(drone: Drone, moment: datetime, rules: Rules) -> Drone:
    """The drone at a later moment of the same phase."""
    if moment <= drone.observed_at:
        return drone
    match drone.phase:
        case Phase.PARKED | Phase.WAITING:
            return _charged(drone, moment, rules)
        case Phase.LOADING | Phase.AT_DROPOFF:
            return replace(drone, observed_at=moment)
        case Phase.TO_PICKUP | Phase.TO_DROPOFF:
            return _flown(drone, moment, rules)
        case _:
            assert_never(drone.phase)


def take_order(
    drone: Drone, order: Order, stage: DeliveryStage, *, has_arrived: bool, now: datetime, rules: Rules
) -> Drone:
    """Begin the delivery, or go on with it where it stands, from where the drone is."""
    assigned = replace(drone, order=order, observed_at=max(drone.observed_at, now))
    if has_arrived:
        return replace(assigned, phase=Phase.AT_DROPOFF)
    if stage is DeliveryStage.HEADED_TO_DROPOFF:
        return _depart(assigned, Phase.TO_DROPOFF, order.dropoff, rules)
    if stage is DeliveryStage.HEADED_TO_PICKUP:
        return _depart(assigned, Phase.TO_PICKUP, order.pickup, rules)
    return replace(assigned, phase=Phase.WAITING)


def change_order(drone: Drone, order: Order) -> Drone:
    """The delivery has other times, which count until the drone leaves."""
    return replace(drone, order=order) if drone.phase is Phase.WAITING else drone


def park(drone: Drone, now: datetime, rules: Rules) -> Drone:
    """The delivery has ended, well or not: the drone lands where it is and charges."""
    landed = observe(drone, now, rules)
    location = landed.location
    if drone.is_airborne:
        location = location.model_copy(update={"altitude_m": _order_of(drone).pickup.altitude_m})
    is_charged = landed.battery_percent >= rules.low_battery_percent
    return replace(
        landed, phase=Phase.PARKED, location=location, is_charged=is_charged, order=None, leg=None, ready_at=None
    )


def _change_phase(drone: Drone, rules: Rules) -> Drone:
    order = _order_of(drone)
    match drone.phase:
        case Phase.WAITING:
            return _depart(drone, Phase.TO_PICKUP, order.pickup, rules)
        case Phase.TO_PICKUP:
            ready_at = max(drone.observed_at, order.pickup_time) + rules.real(rules.loading_s)
            return replace(drone, phase=Phase.LOADING, leg=None, ready_at=ready_at)
        case Phase.LOADING:
            return replace(_depart(drone, Phase.TO_DROPOFF, order.dropoff, rules), ready_at=None)
        case Phase.TO_DROPOFF:
            return replace(drone, phase=Phase.AT_DROPOFF, leg=None)
        case Phase.PARKED | Phase.AT_DROPOFF:
            return drone
        case _:
            assert_never(drone.phase)


def _depart(drone: Drone, phase: Phase, end: Location, rules: Rules) -> Drone:
    arrives_at = drone.observed_at + _flight_time(drone, end, rules)
    return replace(
        drone, phase=phase, leg=Leg(drone.location, end, drone.observed_at, arrives_at, drone.battery_percent)
    )


def _flight_time(drone: Drone, end: Location, rules: Rules) -> timedelta:
    return rules.real(distance_m(drone.location, end) / drone.design.cruise_speed_mps)


def _flown(drone: Drone, moment: datetime, rules: Rules) -> Drone:
    leg = drone.leg
    if leg is None:
        return replace(drone, observed_at=moment)
    share = leg.share_at(moment)
    used_percent = 100 * share * distance_m(leg.start, leg.end) / drone.design.range_m
    return replace(
        drone,
        observed_at=moment,
        location=place_between(leg.start, leg.end, share, _altitude_m(leg, share, rules)),
        # The scheduler plans with a reserve, so a drone lands before its battery is empty.
        battery_percent=max(0.0, leg.battery_percent - used_percent),
    )


def _altitude_m(leg: Leg, share: float, rules: Rules) -> float:
    cruise_m = max(leg.start.altitude_m, leg.end.altitude_m) + rules.cruise_altitude_m
    if share < CLIMB_SHARE:
        return leg.start.altitude_m + (cruise_m - leg.start.altitude_m) * share / CLIMB_SHARE
    if share > 1 - CLIMB_SHARE:
        return leg.end.altitude_m + (cruise_m - leg.end.altitude_m) * (1 - share) / CLIMB_SHARE
    return cruise_m


def _charged(drone: Drone, moment: datetime, rules: Rules) -> Drone:
    gained_percent = 100 * rules.simulated_s(moment - drone.observed_at) / rules.full_charge_s
    battery_percent = min(100.0, drone.battery_percent + gained_percent)
    is_charged = drone.is_charged or battery_percent >= rules.charged_percent
    return replace(drone, observed_at=moment, battery_percent=battery_percent, is_charged=is_charged)


def _order_of(drone: Drone) -> Order:
    if drone.order is None:
        raise ValueError(f"drone {drone.drone_id} is {drone.phase} and has no delivery")
    return drone.order
