"""Bookings: what a delivery asked for, and which drone it holds."""

from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from drone_scheduler.domain.fleet import Errand, errand_of
from shared_contracts.domain_types import Location
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailureReason
from shared_contracts.ingestion.v1 import DeliveryRequested

T = TypeVar("T")


class BookingStatus(StrEnum):
    """What became of a delivery's wish for a drone."""

    WAITING = "Waiting"
    """In line: no suitable drone was free."""
    BOOKED = "Booked"
    """Holds a drone that has not left for the pickup."""
    IN_FLIGHT = "InFlight"
    """Holds a drone that flies for it."""
    COMPLETED = "Completed"
    """The delivery was made, the drone is free again."""
    RELEASED = "Released"
    """The delivery failed or was cancelled while it held a drone, which is free again."""
    REFUSED = "Refused"
    """No drone will fly it, and the delivery service was told so."""
    WITHDRAWN = "Withdrawn"
    """The delivery ended before a drone was booked, perhaps before its request came."""


class Booking(Struct, frozen=True):
    """One delivery's wish for a drone. What was asked for is None when the delivery ended before its request came."""

    delivery_id: UUID
    owner_id: str
    status: BookingStatus
    drone_id: UUID | None = None
    """The drone that is or was held."""
    failure_reason: DroneSchedulingFailureReason | None = None
    expedited: bool = False
    requested_at: datetime | None = None
    """The place in line."""
    weight_kg: float | None = None
    distance_m: float | None = None
    """From the pickup to the drop-off."""
    pickup_latitude: float | None = None
    pickup_longitude: float | None = None
    pickup_altitude_m: float | None = None
    dropoff_latitude: float | None = None
    dropoff_longitude: float | None = None
    dropoff_altitude_m: float | None = None
    pickup_time: datetime | None = None
    deadline: datetime | None = None
    due_at: datetime | None = None
    """When waiting ends. None when it does not wait."""
    ended_at: datetime | None = None
    flown_distance_m: float | None = None
    """What was flown for the delivery, from its flight summary. Utilization is the sum of these."""
    flown_duration_s: float | None = None

    @property
    def holds_drone(self) -> bool:
        return self.status in {BookingStatus.BOOKED, BookingStatus.IN_FLIGHT}

    @property
    def errand(self) -> Errand:
        """What the delivery asks of a drone. Raises ValueError when its request never came."""
        return Errand(
            delivery_id=self.delivery_id,
            expedited=self.expedited,
            weight_kg=asked(self.weight_kg),
            pickup_latitude=asked(self.pickup_latitude),
            pickup_longitude=asked(self.pickup_longitude),
            distance_m=asked(self.distance_m),
        )

    @property
    def pickup(self) -> Location:
        """Raises ValueError when the request never came."""
        return Location(
            latitude=asked(self.pickup_latitude),
            longitude=asked(self.pickup_longitude),
            altitude_m=asked(self.pickup_altitude_m),
        )

    @property
    def dropoff(self) -> Location:
        """Raises ValueError when the request never came."""
        return Location(
            latitude=asked(self.dropoff_latitude),
            longitude=asked(self.dropoff_longitude),
            altitude_m=asked(self.dropoff_altitude_m),
        )


def waiting_for(request: DeliveryRequested, requested_at: datetime) -> Booking:
    """The request as it joins the line, where its place is by `requested_at`."""
    errand = errand_of(request)
    return Booking(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        status=BookingStatus.WAITING,
        expedited=request.expedited,
        requested_at=requested_at,
        weight_kg=errand.weight_kg,
        distance_m=errand.distance_m,
        pickup_latitude=request.pickup.latitude,
        pickup_longitude=request.pickup.longitude,
        pickup_altitude_m=request.pickup.altitude_m,
        dropoff_latitude=request.dropoff.latitude,
        dropoff_longitude=request.dropoff.longitude,
        dropoff_altitude_m=request.dropoff.altitude_m,
        pickup_time=request.pickup_time,
        deadline=request.deadline,
        due_at=request.deadline,
    )


def asked(value: T | None) -> T:
    """A value that every request brings. Raises ValueError when the request never came."""
    if value is None:
        raise ValueError("The delivery ended before its request came: nothing is known of what it asked for.")
    return value
