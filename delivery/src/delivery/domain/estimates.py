"""Distances on the globe and times of arrival.

The ellipsoid is taken as a sphere of the mean radius, which is off by at most 0.5 %, and drones as flying level at
cruise speed, so an estimate counts neither climb nor wind.
"""

from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from typing import assert_never

from msgspec import Struct

from delivery.domain.clocks import seen_at
from delivery.domain.delivery import Delivery, FlightPlan
from shared_contracts.domain_types import DeliveryStage, Location

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius (2a + b) / 3 of WGS 84, in metres."""


class Estimate(Struct, frozen=True):
    """When the drone is, or was, at the pickup and at the drop-off; None when nobody can tell or it will not happen."""

    pickup_eta: datetime | None
    dropoff_eta: datetime | None


def distance_m(start: Location, end: Location) -> float:
    """Metres along the great circle between two places (haversine formula), altitude left out."""
    start_latitude, end_latitude = radians(start.latitude), radians(end.latitude)
    half_latitude = (end_latitude - start_latitude) / 2
    half_longitude = radians(end.longitude - start.longitude) / 2
    haversine = sin(half_latitude) ** 2 + cos(start_latitude) * cos(end_latitude) * sin(half_longitude) ** 2
    # Rounding can push antipodes a hair above 1, where asin has no value.
    return 2 * EARTH_RADIUS_M * asin(sqrt(min(haversine, 1.0)))


def flight_time(start: Location, end: Location, speed_mps: float) -> timedelta:
    """How long a drone needs at that speed, in metres per second."""
    return timedelta(seconds=distance_m(start, end) / speed_mps)


def estimate_pickup(delivery: Delivery, plan: FlightPlan, now: datetime) -> datetime:
    """When a drone that has not picked up the package yet will have it, never before the agreed pickup time."""
    if delivery.departed_at is None or delivery.last_location is None or delivery.last_observed_at is None:
        arrival = now + flight_time(plan.drone_location, plan.pickup, plan.cruise_speed_mps)
    else:
        left_at = seen_at(delivery.last_observed_at, delivery, now)
        arrival = left_at + flight_time(delivery.last_location, plan.pickup, plan.cruise_speed_mps)
    return max(arrival, plan.pickup_time, now)


def estimate_dropoff(delivery: Delivery, plan: FlightPlan, now: datetime) -> datetime:
    """When the drone will be at the drop-off, by the legs that are left to fly."""
    if delivery.picked_up_at is None:
        start, left_at = plan.pickup, estimate_pickup(delivery, plan, now)
    elif delivery.last_location is None or delivery.last_observed_at is None:
        start, left_at = plan.pickup, delivery.picked_up_at
    else:
        start, left_at = delivery.last_location, seen_at(delivery.last_observed_at, delivery, now)
    return max(left_at + flight_time(start, plan.dropoff, plan.cruise_speed_mps), now)


def estimate(delivery: Delivery, now: datetime) -> Estimate:
    """Estimated times, replaced by the true ones once the drone has been there."""
    plan = delivery.plan
    if plan is None:
        return Estimate(None, None)
    match delivery.stage:
        case DeliveryStage.PENDING | DeliveryStage.CANCELLED | DeliveryStage.FAILED:
            return Estimate(delivery.picked_up_at, delivery.arrived_at)
        case DeliveryStage.CREATED | DeliveryStage.RESCHEDULED | DeliveryStage.HEADED_TO_PICKUP:
            return Estimate(estimate_pickup(delivery, plan, now), estimate_dropoff(delivery, plan, now))
        case DeliveryStage.HEADED_TO_DROPOFF:
            return Estimate(delivery.picked_up_at, delivery.arrived_at or estimate_dropoff(delivery, plan, now))
        case DeliveryStage.COMPLETED:
            return Estimate(delivery.picked_up_at, delivery.arrived_at)
        case _:
            assert_never(delivery.stage)
