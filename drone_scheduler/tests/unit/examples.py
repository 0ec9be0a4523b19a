"""A town, its drones and deliveries, told with few words: what the tests vary is what they name."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace

from drone_scheduler.domain.bookings import Booking, BookingStatus, waiting_for
from drone_scheduler.domain.decisions import Decision
from drone_scheduler.domain.fleet import Drone, DroneStatus
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

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DELIVERY, OTHER_DELIVERY = UUID(int=1), UUID(int=2)
DRONE, OTHER_DRONE = UUID(int=101), UUID(int=102)
OWNER = "alice"

OPERA = Location(latitude=48.8719, longitude=2.3316, altitude_m=40)
LOUVRE = Location(latitude=48.8606, longitude=2.3376, altitude_m=35)
"""1.3 km from the opera."""
VERSAILLES = Location(latitude=48.8049, longitude=2.1204, altitude_m=130)
"""17 km from the opera."""

T = TypeVar("T")


def after(minutes: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=minutes)


def request(delivery_id: UUID = DELIVERY, *, weight_kg: float = 1.0, **changes: Any) -> DeliveryRequested:
    """From the opera to the Louvre within the hour."""
    asked = DeliveryRequested(
        delivery_id=delivery_id,
        owner_id=OWNER,
        pickup=OPERA,
        dropoff=LOUVRE,
        pickup_time=NOW,
        deadline=after(60),
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=weight_kg),
    )
    return asked.model_copy(update=changes)


def drone(drone_id: UUID = DRONE, *, at: Location = OPERA, **changes: Any) -> Drone:
    """Free and charged, at the opera; carries 5 kg over 20 km."""
    free = Drone(
        drone_id=drone_id,
        status=DroneStatus.FREE,
        payload_kg=5.0,
        range_m=20_000.0,
        cruise_speed_mps=15.0,
        latitude=at.latitude,
        longitude=at.longitude,
        altitude_m=at.altitude_m,
        battery_percent=100.0,
        observed_at=NOW,
    )
    return replace(free, **changes)


def held_drone(status: DroneStatus = DroneStatus.BOOKED, **changes: Any) -> Drone:
    """Held by DELIVERY."""
    held: dict[str, Any] = {"status": status, "delivery_id": DELIVERY}
    return drone(**held | changes)


def waiting(delivery_id: UUID = DELIVERY, *, since: datetime = NOW, **changes: Any) -> Booking:
    return waiting_for(request(delivery_id, **changes), since)


def booked(delivery_id: UUID = DELIVERY, drone_id: UUID = DRONE) -> Booking:
    return replace(waiting(delivery_id), status=BookingStatus.BOOKED, drone_id=drone_id, due_at=None)


def flight(
    *, ended_at: datetime, last_location: Location = LOUVRE, last_observed_at: datetime | None = None
) -> FlightSummary:
    """2.5 km flown in 5 minutes."""
    return FlightSummary(
        drone_id=DRONE,
        departed_at=ended_at - timedelta(minutes=5),
        ended_at=ended_at,
        distance_m=2_500,
        last_location=last_location,
        last_observed_at=last_observed_at,
    )


def completed(delivery_id: UUID = DELIVERY, *, minutes: float = 10) -> DeliveryCompleted:
    return DeliveryCompleted(
        delivery_id=delivery_id,
        owner_id=OWNER,
        occurred_at=after(minutes),
        confirmation=ConfirmationRecord(type=ConfirmationType.NONE, confirmed_at=after(minutes)),
        flight=flight(ended_at=after(minutes)),
    )


def cancelled(delivery_id: UUID = DELIVERY, *, flown: FlightSummary | None = None) -> DeliveryCancelled:
    return DeliveryCancelled(
        delivery_id=delivery_id,
        owner_id=OWNER,
        occurred_at=after(1),
        reason=DeliveryCancellationCause.CUSTOMER_REQUEST,
        flight=flown,
    )


def failed(delivery_id: UUID = DELIVERY) -> DeliveryFailed:
    return DeliveryFailed(
        delivery_id=delivery_id,
        owner_id=OWNER,
        occurred_at=after(1),
        reason=DeliveryFailureReason.PACKAGE_TOO_HEAVY,
        description="Too heavy.",
        flight=None,
    )


def headed_to_pickup(delivery_id: UUID = DELIVERY, drone_id: UUID = DRONE) -> DeliveryHeadedToPickup:
    return DeliveryHeadedToPickup(
        delivery_id=delivery_id, owner_id=OWNER, occurred_at=after(1), drone_id=drone_id, pickup_eta=after(2)
    )


def rescheduled(delivery_id: UUID = DELIVERY) -> DeliveryRescheduled:
    """An hour later than first asked for."""
    return DeliveryRescheduled(
        delivery_id=delivery_id,
        owner_id=OWNER,
        occurred_at=after(1),
        pickup_time=after(60),
        deadline=after(120),
        pickup_eta=after(60),
        dropoff_eta=after(65),
    )


def report(drone_id: UUID = DRONE, **changes: Any) -> DroneTelemetryReported:
    """Idle at the Louvre with half a charge, a minute after NOW."""
    idle = DroneTelemetryReported(
        drone_id=drone_id,
        delivery_id=None,
        activity=DroneActivity.IDLE,
        location=LOUVRE,
        speed_mps=0,
        battery_percent=50,
        observed_at=after(1),
    )
    return idle.model_copy(update=changes)


def state(decision: Decision, kind: type[T]) -> T:
    """The one state of this kind that the decision changes."""
    (found,) = [state for state in decision.states if isinstance(state, kind)]
    return found


def message(decision: Decision, kind: type[T]) -> T:
    """The one message that the decision sends."""
    (found,) = decision.messages
    assert isinstance(found, kind)
    return found
