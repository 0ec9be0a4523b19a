"""Messages that the delivery service publishes, version 1. It is the one writer of a delivery's terminal stage."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from shared_contracts.domain_types import ConfirmationRecord, DeliveryStage, FlightSummary, OwnerId
from shared_contracts.message import DeliveryMessage, Topic


class DeliveryEvent(DeliveryMessage):
    """Something that became of a delivery."""

    topic: ClassVar[Topic] = Topic.DELIVERY_EVENTS

    owner_id: OwnerId
    occurred_at: AwareDatetime


class DeliveryScheduled(DeliveryEvent):
    """Package and drone are both there."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_scheduled.v1"

    drone_id: UUID
    pickup_eta: AwareDatetime
    dropoff_eta: AwareDatetime


class DeliveryRescheduled(DeliveryEvent):
    """The delivery has another pickup time and deadline."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_rescheduled.v1"

    pickup_time: AwareDatetime
    deadline: AwareDatetime


class DeliveryHeadedToPickup(DeliveryEvent):
    """The drone left for the pickup."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_headed_to_pickup.v1"

    drone_id: UUID
    pickup_eta: AwareDatetime


class DeliveryHeadedToDropoff(DeliveryEvent):
    """The drone has the package and left for the drop-off."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_headed_to_dropoff.v1"

    drone_id: UUID
    dropoff_eta: AwareDatetime


class DeliveryCompleted(DeliveryEvent):
    """The package was handed over and the handover confirmed as asked for."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_completed.v1"

    confirmation: ConfirmationRecord
    flight: FlightSummary


class DeliveryCancellationCause(StrEnum):
    CUSTOMER_REQUEST = "customer_request"


class DeliveryCancelled(DeliveryEvent):
    """The delivery was cancelled before the handover to the drone. Others compensate."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_cancelled.v1"

    reason: DeliveryCancellationCause
    flight: FlightSummary | None
    """What was flown until then, None when the drone had not left."""


class DeliveryFailureReason(StrEnum):
    PACKAGE_TOO_HEAVY = "package_too_heavy"
    PACKAGE_TAG_NOT_ALLOWED = "package_tag_not_allowed"
    REQUEST_EXPIRED = "request_expired"
    NO_DRONE_AVAILABLE = "no_drone_available"
    NO_SUITABLE_DRONE = "no_suitable_drone"
    DRONE_GROUNDED = "drone_grounded"
    NOT_SCHEDULED_IN_TIME = "not_scheduled_in_time"
    """The package or the drone did not answer before the join deadline."""
    DEADLINE_PASSED = "deadline_passed"
    """The package was not handed over before the deadline."""


class DeliveryFailed(DeliveryEvent):
    """The delivery will not happen. Others compensate."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_failed.v1"

    reason: DeliveryFailureReason
    description: str
    """One sentence for people."""
    flight: FlightSummary | None
    """What was flown until then, None when the drone had not left."""


class RefusalReason(StrEnum):
    PACKAGE_ON_BOARD = "package_on_board"
    """Cancelling is possible only until the package is handed to the drone."""
    PICKUP_UNDER_WAY = "pickup_under_way"
    """Rescheduling is possible only before the drone leaves for the pickup."""
    ALREADY_ENDED = "already_ended"
    """The delivery had reached a terminal stage."""
    SCHEDULE_IMPOSSIBLE = "schedule_impossible"
    """The drone cannot keep the new times."""


class DeliveryCancellationRefused(DeliveryEvent):
    """The cancellation came too late. The delivery goes on as it was."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_cancellation_refused.v1"

    reason: RefusalReason
    stage: DeliveryStage


class DeliveryRescheduleRefused(DeliveryEvent):
    """The new times were refused. The delivery goes on as it was."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_reschedule_refused.v1"

    reason: RefusalReason
    stage: DeliveryStage


class NotificationChannel(StrEnum):
    EMAIL = "Email"
    SMS = "Sms"
    WEB = "Web"


class NotificationRequested(DeliveryEvent):
    """The owner asked to be told of this stage. It carries no address: the notifier knows where the owner is reached."""

    message_type: ClassVar[str] = "dronedelivery.delivery.notification_requested.v1"

    request_id: UUID
    """The notify-me request that led to this notification."""
    channel: NotificationChannel
    stage: DeliveryStage
