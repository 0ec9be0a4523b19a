"""Messages as the package service gets them."""

from shared_contracts.delivery.v1 import (
    DeliveryCancellationCause,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
)
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    FlightSummary,
    Location,
    PackageDescription,
    PackageSize,
)
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_runtime.envelope import new_id, utc_now

ZURICH = Location(latitude=47.37, longitude=8.54)


def a_request(**changes: object) -> DeliveryRequested:
    """A request that the package service accepts, but for the changes."""
    now = utc_now()
    fields: dict[str, object] = {
        "delivery_id": new_id(),
        "owner_id": "alice",
        "pickup": Location(latitude=47.37, longitude=8.54),
        "dropoff": Location(latitude=47.40, longitude=8.50),
        "pickup_time": now,
        "deadline": now.replace(year=now.year + 1),
        "package": PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="fragile"),
    }
    return DeliveryRequested.model_validate(fields | changes)


def a_cancellation(request: DeliveryRequested) -> DeliveryCancelled:
    return DeliveryCancelled(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        reason=DeliveryCancellationCause.CUSTOMER_REQUEST,
        flight=None,
    )


def a_failure(request: DeliveryRequested) -> DeliveryFailed:
    return DeliveryFailed(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        reason=DeliveryFailureReason.NO_DRONE_AVAILABLE,
        description="no drone became free in time",
        flight=None,
    )


def a_completion(request: DeliveryRequested) -> DeliveryCompleted:
    now = utc_now()
    return DeliveryCompleted(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=now,
        confirmation=ConfirmationRecord(type=ConfirmationType.NONE, confirmed_at=now),
        flight=FlightSummary(
            drone_id=new_id(), departed_at=now, ended_at=now, distance_m=4_500.0, last_location=ZURICH
        ),
    )
