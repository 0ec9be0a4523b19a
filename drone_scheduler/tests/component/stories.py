"""What customers, drones and the delivery service would say."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, radians
from typing import Any
from uuid import UUID

from shared_contracts.delivery.v1 import (
    DeliveryCancellationCause,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
)
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    FlightSummary,
    Location,
    PackageDescription,
    PackageSize,
)
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_runtime.envelope import new_id, utc_now


@dataclass(frozen=True)
class Town:
    """A place that no drone of another town can reach."""

    latitude: float
    longitude: float

    def at(self, east_m: float) -> Location:
        """So many metres east of the town hall."""
        longitude = self.longitude + east_m / (111_195 * cos(radians(self.latitude)))
        return Location(latitude=self.latitude, longitude=longitude, altitude_m=30)

    def request(self, *, weight_kg: float = 1.0, minutes: float = 60, **changes: Any) -> DeliveryRequested:
        """From the town hall one kilometre to the east."""
        now = utc_now()
        asked = DeliveryRequested(
            delivery_id=new_id(),
            owner_id="alice",
            pickup=self.at(0),
            dropoff=self.at(1_000),
            pickup_time=now,
            deadline=now + timedelta(minutes=minutes),
            package=PackageDescription(size=PackageSize.SMALL, weight_kg=weight_kg),
        )
        return asked.model_copy(update=changes)


def flight(
    drone_id: UUID,
    last_location: Location,
    *,
    ended_at: datetime | None = None,
    last_observed_at: datetime | None = None,
) -> FlightSummary:
    """2.5 km flown in 5 minutes."""
    end = ended_at or utc_now()
    return FlightSummary(
        drone_id=drone_id,
        departed_at=end - timedelta(minutes=5),
        ended_at=end,
        distance_m=2_500,
        last_location=last_location,
        last_observed_at=last_observed_at,
    )


def completed(request: DeliveryRequested, flown: FlightSummary) -> DeliveryCompleted:
    return DeliveryCompleted(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        confirmation=ConfirmationRecord(type=ConfirmationType.NONE, confirmed_at=utc_now()),
        flight=flown,
    )


def cancelled(request: DeliveryRequested, flown: FlightSummary | None = None) -> DeliveryCancelled:
    return DeliveryCancelled(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        reason=DeliveryCancellationCause.CUSTOMER_REQUEST,
        flight=flown,
    )


def failed(request: DeliveryRequested, flown: FlightSummary | None = None) -> DeliveryFailed:
    return DeliveryFailed(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        reason=DeliveryFailureReason.PACKAGE_TAG_NOT_ALLOWED,
        description="The tag is forbidden.",
        flight=flown,
    )


def headed_to_pickup(request: DeliveryRequested, drone_id: UUID) -> DeliveryHeadedToPickup:
    return DeliveryHeadedToPickup(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        drone_id=drone_id,
        pickup_eta=utc_now() + timedelta(minutes=5),
    )


def rescheduled(request: DeliveryRequested, *, minutes: float) -> DeliveryRescheduled:
    """The same delivery, so much later."""
    later = timedelta(minutes=minutes)
    return DeliveryRescheduled(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        pickup_time=request.pickup_time + later,
        deadline=request.deadline + later,
        pickup_eta=request.pickup_time + later,
        dropoff_eta=request.pickup_time + later + timedelta(minutes=5),
    )


def report(drone_id: UUID, location: Location, **changes: Any) -> DroneTelemetryReported:
    """Idle, with half a charge."""
    idle = DroneTelemetryReported(
        drone_id=drone_id,
        delivery_id=None,
        activity=DroneActivity.IDLE,
        location=location,
        speed_mps=0,
        battery_percent=50,
        observed_at=utc_now(),
    )
    return idle.model_copy(update=changes)
