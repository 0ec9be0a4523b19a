"""Drones: what each can carry, how far it flies, and when it may be booked."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never
from uuid import UUID

from msgspec import Struct

from drone_scheduler.domain.geography import great_circle_m
from shared_contracts.domain_types import Location
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryRequested

if TYPE_CHECKING:
    # mypy checks names and types of the changes, which msgspec's own signature leaves open.
    from dataclasses import replace as replace
else:
    from msgspec.structs import replace

RESERVE_PERCENT = 10.0
"""Charge that no flight plan may use: what is left for wind, detours and the landing."""
FULL_SHARE = (100 - RESERVE_PERCENT) / 100
"""The share of its range that a drone may be planned to fly on a full battery."""
CHARGE_BELOW_PERCENT = 25.0
"""A drone without a delivery and with less charge than this is not booked until it is charged."""
CHARGED_PERCENT = 80.0
"""The charge at which a charging drone may be booked again. The gap keeps it from going back and forth."""

FAST_AT_MOST = timedelta(seconds=5)
"""A drone that tells a time further in our future has a wrong clock, or we have."""
LATE_AT_MOST = timedelta(minutes=10)
"""How long a report may be under way while others overtake it. An older one is of a clock that was set back."""

FLYING = frozenset({DroneActivity.HEADING_TO_PICKUP, DroneActivity.HEADING_TO_DROPOFF, DroneActivity.AT_DROPOFF})


class DroneStatus(StrEnum):
    """Whether a drone may be booked, and if not, why."""

    FREE = "Free"
    """May be booked."""
    BOOKED = "Booked"
    """Held by a delivery, has not left for the pickup."""
    IN_FLIGHT = "InFlight"
    """Held by a delivery, has left for the pickup."""
    CHARGING = "Charging"
    """Without a delivery, its charge is too low to be booked."""
    GROUNDED = "Grounded"
    """Taken out of service by the fleet's staff."""
    GROUNDING = "Grounding"
    """As InFlight, and grounded as soon as its delivery ends."""


class Errand(Struct, frozen=True):
    """What a delivery asks of a drone."""

    delivery_id: UUID
    expedited: bool
    weight_kg: float
    pickup_latitude: float
    pickup_longitude: float
    distance_m: float
    """From the pickup to the drop-off."""


def errand_of(request: DeliveryRequested) -> Errand:
    """What the requested delivery asks of a drone."""
    pickup, dropoff = request.pickup, request.dropoff
    return Errand(
        delivery_id=request.delivery_id,
        expedited=request.expedited,
        weight_kg=request.package.weight_kg,
        pickup_latitude=pickup.latitude,
        pickup_longitude=pickup.longitude,
        distance_m=great_circle_m(pickup.latitude, pickup.longitude, dropoff.latitude, dropoff.longitude),
    )


class Drone(Struct, frozen=True):
    """One drone of the fleet."""

    drone_id: UUID
    status: DroneStatus
    payload_kg: float
    """The heaviest package that it can carry."""
    range_m: float
    """How far it flies on a full battery."""
    cruise_speed_mps: float
    latitude: float
    longitude: float
    altitude_m: float
    battery_percent: float
    observed_at: datetime
    """When we take position and charge to have been observed. Nothing is decided by it."""
    delivery_id: UUID | None = None
    """The delivery that holds the drone."""
    reported_at: datetime | None = None
    """When the drone made the last report that counted, as it told by its own clock; None before the first."""

    @property
    def location(self) -> Location:
        return Location(latitude=self.latitude, longitude=self.longitude, altitude_m=self.altitude_m)

    @property
    def usable_range_m(self) -> float:
        """How far it may be planned to fly on its present charge."""
        return self.range_m * (self.battery_percent - RESERVE_PERCENT) / 100

    def approach_m(self, errand: Errand) -> float:
        """How far the pickup is from the drone."""
        return great_circle_m(self.latitude, self.longitude, errand.pickup_latitude, errand.pickup_longitude)

    def suits(self, errand: Errand) -> bool:
        """Whether it can carry the package, and can fly to the pickup and on to the drop-off on its present charge."""
        return (
            errand.weight_kg <= self.payload_kg and self.approach_m(errand) + errand.distance_m <= self.usable_range_m
        )

    def could_ever_fly(self, errand: Errand) -> bool:
        """Whether it could do the errand on a full battery, waiting at the pickup."""
        return errand.weight_kg <= self.payload_kg and errand.distance_m <= self.range_m * FULL_SHARE


class Observation(Struct, frozen=True):
    """Where a drone was, and with how much charge. None: not observed."""

    observed_at: datetime
    location: Location | None = None
    battery_percent: float | None = None
    reported_at: datetime | None = None
    """The same moment by the drone's own clock, None when somebody else saw it."""


class DroneDesign(Struct, frozen=True):
    """What does not change in flight."""

    payload_kg: float
    range_m: float
    cruise_speed_mps: float


def decide_registration(
    drone: Drone | None,
    drone_id: UUID,
    design: DroneDesign,
    *,
    location: Location,
    battery_percent: float,
    now: datetime,
) -> Drone:
    """Take a drone into the fleet. One that is in the fleet takes over the design and keeps its place and charge.

    Otherwise a repeated registration would move a drone back to where it once started from.
    """
    if drone is not None:
        return replace(
            drone,
            payload_kg=design.payload_kg,
            range_m=design.range_m,
            cruise_speed_mps=design.cruise_speed_mps,
        )
    return Drone(
        drone_id=drone_id,
        status=_idle_status(battery_percent),
        payload_kg=design.payload_kg,
        range_m=design.range_m,
        cruise_speed_mps=design.cruise_speed_mps,
        latitude=location.latitude,
        longitude=location.longitude,
        altitude_m=location.altitude_m,
        battery_percent=battery_percent,
        observed_at=now,
    )


def is_late(reported_at: datetime, last_reported_at: datetime | None, now: datetime) -> bool:
    """Whether a drone made the report before its last one, by its own clock.

    The clocks of the processes that handle reports may be minutes apart, and so may those of the staff and of the
    delivery service: none of them has a say in the order of a drone's reports. Ours can only make a report count, it
    never silences one. And no time that a drone told once can silence it for long: a last time in our future is not
    believed, nor one that is further ahead than a report can be late.
    """
    if last_reported_at is None:
        return False
    return last_reported_at - LATE_AT_MOST <= reported_at < last_reported_at <= now + FAST_AT_MOST


def decide_observation(drone: Drone, observation: Observation) -> Drone:
    """Place and charge are as observed."""
    location = observation.location or drone.location
    battery_percent = drone.battery_percent if observation.battery_percent is None else observation.battery_percent
    return replace(
        drone,
        latitude=location.latitude,
        longitude=location.longitude,
        altitude_m=location.altitude_m,
        battery_percent=battery_percent,
        observed_at=observation.observed_at,
        reported_at=observation.reported_at or drone.reported_at,
        status=_status_with_charge(drone.status, battery_percent),
    )


def decide_telemetry(drone: Drone, report: DroneTelemetryReported, now: datetime) -> Drone:
    """Follow what the drone reports. A drone that flies for its delivery has taken off, however late it tells so."""
    flies_for_its_delivery = report.activity in FLYING and report.delivery_id == drone.delivery_id is not None
    known = take_off(drone) if flies_for_its_delivery else drone
    if is_late(report.observed_at, drone.reported_at, now):
        return known
    observed_at = min(report.observed_at, now)
    return decide_observation(
        known, Observation(observed_at, report.location, report.battery_percent, reported_at=report.observed_at)
    )


def take_off(drone: Drone) -> Drone:
    """The drone left for the pickup of its delivery."""
    return replace(drone, status=DroneStatus.IN_FLIGHT) if drone.status is DroneStatus.BOOKED else drone


def hold(drone: Drone, delivery_id: UUID) -> Drone:
    """The drone is booked for the delivery."""
    return replace(drone, status=DroneStatus.BOOKED, delivery_id=delivery_id)


def let_go(drone: Drone, observation: Observation | None) -> Drone:
    """The delivery of the drone ended: it is free where it is, or charges, or is grounded as was asked for.

    Where its flight ended is one of the drone's own reports, which it may have followed by others.
    """
    grounded = drone.status is DroneStatus.GROUNDING
    idle = replace(
        drone, delivery_id=None, status=DroneStatus.GROUNDED if grounded else _idle_status(drone.battery_percent)
    )
    if observation is None or _is_known(observation, drone):
        return idle
    return decide_observation(idle, observation)


def lift_grounding(drone: Drone) -> Drone:
    """The drone is in service again. One that was to be grounded after its flight flies on."""
    match drone.status:
        case DroneStatus.GROUNDED:
            return replace(drone, status=_idle_status(drone.battery_percent))
        case DroneStatus.GROUNDING:
            return replace(drone, status=DroneStatus.IN_FLIGHT)
        case DroneStatus.FREE | DroneStatus.BOOKED | DroneStatus.IN_FLIGHT | DroneStatus.CHARGING:
            return drone
        case _:
            assert_never(drone.status)


def _is_known(observation: Observation, drone: Drone) -> bool:
    return (
        observation.reported_at is not None
        and drone.reported_at is not None
        and observation.reported_at <= drone.reported_at
    )


def _idle_status(battery_percent: float) -> DroneStatus:
    return DroneStatus.CHARGING if battery_percent < CHARGE_BELOW_PERCENT else DroneStatus.FREE


def _status_with_charge(status: DroneStatus, battery_percent: float) -> DroneStatus:
    match status:
        case DroneStatus.FREE:
            return _idle_status(battery_percent)
        case DroneStatus.CHARGING:
            return DroneStatus.FREE if battery_percent >= CHARGED_PERCENT else status
        case DroneStatus.BOOKED | DroneStatus.IN_FLIGHT | DroneStatus.GROUNDED | DroneStatus.GROUNDING:
            return status
        case _:
            assert_never(status)
