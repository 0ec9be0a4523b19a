"""What the delivery service would say about a delivery, and what an owner would send."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared_contracts.delivery.v1 import (
    DeliveryCancellationCause,
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    DeliveryStage,
    FlightSummary,
    Location,
)

DRONE = UUID("01900000-0000-7000-8000-000000000001")
BEGIN = datetime.now(UTC).replace(microsecond=0)


def at(minutes: float) -> datetime:
    """So many minutes after the tests began."""
    return BEGIN + timedelta(minutes=minutes)


def written(moment: datetime) -> str:
    """The moment as JSON bodies have it."""
    return moment.isoformat().replace("+00:00", "Z")


def new_delivery(**changes: Any) -> dict[str, Any]:
    """The body of a valid POST, but for the changes."""
    return {
        "pickup": {"latitude": 48.8719, "longitude": 2.3316, "altitude_m": 40.0},
        "dropoff": {"latitude": 48.8606, "longitude": 2.3376, "altitude_m": 35.0},
        "pickup_time": written(at(10)),
        "deadline": written(at(60)),
        "expedited": True,
        "confirmation_required": "Picture",
        "package": {"size": "Small", "weight_kg": 1.5, "tag": "books"},
    } | changes


def other_times(pickup: float = 30, deadline: float = 90) -> dict[str, str]:
    """The body of a valid PATCH."""
    return {"pickup_time": written(at(pickup)), "deadline": written(at(deadline))}


class Story:
    """The events of one delivery."""

    def __init__(self, delivery_id: UUID, owner_id: str) -> None:
        self.delivery_id = delivery_id
        self.owner_id = owner_id

    def _event(self, minutes: float) -> dict[str, Any]:
        return {"delivery_id": self.delivery_id, "owner_id": self.owner_id, "occurred_at": at(minutes)}

    def scheduled(self) -> DeliveryScheduled:
        return DeliveryScheduled(**self._event(1), drone_id=DRONE, pickup_eta=at(12), dropoff_eta=at(20))

    def rescheduled(self, minutes: float = 2, pickup: float = 30, deadline: float = 90) -> DeliveryRescheduled:
        return DeliveryRescheduled(
            **self._event(minutes),
            pickup_time=at(pickup),
            deadline=at(deadline),
            pickup_eta=at(pickup),
            dropoff_eta=at(pickup + 8),
        )

    def headed_to_pickup(self) -> DeliveryHeadedToPickup:
        return DeliveryHeadedToPickup(**self._event(5), drone_id=DRONE, pickup_eta=at(11))

    def headed_to_dropoff(self) -> DeliveryHeadedToDropoff:
        return DeliveryHeadedToDropoff(**self._event(11), drone_id=DRONE, dropoff_eta=at(19))

    def completed(self) -> DeliveryCompleted:
        place = Location(latitude=48.8606, longitude=2.3376)
        return DeliveryCompleted(
            **self._event(19),
            confirmation=ConfirmationRecord(type=ConfirmationType.PICTURE, confirmed_at=at(19), location=place),
            flight=FlightSummary(
                drone_id=DRONE, departed_at=at(5), ended_at=at(19), distance_m=2_500, last_location=place
            ),
        )

    def cancelled(self) -> DeliveryCancelled:
        return DeliveryCancelled(**self._event(6), reason=DeliveryCancellationCause.CUSTOMER_REQUEST, flight=None)

    def failed(self) -> DeliveryFailed:
        return DeliveryFailed(
            **self._event(7),
            reason=DeliveryFailureReason.NO_DRONE_AVAILABLE,
            description="No drone became free before the deadline.",
            flight=None,
        )

    def cancellation_refused(
        self,
        stage: DeliveryStage = DeliveryStage.HEADED_TO_DROPOFF,
        reason: RefusalReason = RefusalReason.PACKAGE_ON_BOARD,
    ) -> DeliveryCancellationRefused:
        return DeliveryCancellationRefused(**self._event(13), reason=reason, stage=stage)

    def reschedule_refused(self, pickup: float = 30, deadline: float = 90) -> DeliveryRescheduleRefused:
        return DeliveryRescheduleRefused(
            **self._event(6),
            reason=RefusalReason.PICKUP_UNDER_WAY,
            stage=DeliveryStage.HEADED_TO_PICKUP,
            pickup_time=at(pickup),
            deadline=at(deadline),
        )

    def all_the_way(self) -> list[DeliveryEvent]:
        """A delivery that is flown."""
        return [self.scheduled(), self.headed_to_pickup(), self.headed_to_dropoff(), self.completed()]
