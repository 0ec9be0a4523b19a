"""Messages that the delivery service publishes, version 1. It is the one writer of a delivery's terminal stage."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from shared_contracts.domain_types import ConfirmationRecord, DeliveryStage, Explanation, FlightSummary, OwnerId
from shared_contracts.message import DeliveryMessage, Topic


class DeliveryEvent(DeliveryMessage):
    """Something that became of a delivery."""

    topic: ClassVar[Topic] = Topic.DELIVERY_EVENTS

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    occurred_at: AwareDatetime
    """When the delivery service recorded the change."""


class DeliveryScheduled(DeliveryEvent):
    """Package and drone are both there."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_scheduled.v1"

    drone_id: UUID
    """The drone that is booked for the delivery."""
    pickup_eta: AwareDatetime
    """When the drone is expected at the pickup."""
    dropoff_eta: AwareDatetime
    """When the drone is expected at the drop-off."""


class DeliveryRescheduled(DeliveryEvent):
    """The delivery has another pickup time and deadline."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_rescheduled.v1"

    pickup_time: AwareDatetime
    """The earliest moment at which the package can now be picked up."""
    deadline: AwareDatetime
    """The package is now to be handed over before this moment, or the delivery fails."""
    pickup_eta: AwareDatetime
    """When the drone is now expected at the pickup."""
    dropoff_eta: AwareDatetime
    """When the drone is now expected at the drop-off."""
    sequence: Annotated[int | None, Field(ge=1)] = None
    """The place of the change in the delivery's history: of two changes the greater holds, whatever clocks say."""


class DeliveryHeadedToPickup(DeliveryEvent):
    """The drone left for the pickup."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_headed_to_pickup.v1"

    drone_id: UUID
    """The drone that flies the delivery."""
    pickup_eta: AwareDatetime
    """When the drone is expected at the pickup."""


class DeliveryHeadedToDropoff(DeliveryEvent):
    """The drone has the package and left for the drop-off."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_headed_to_dropoff.v1"

    drone_id: UUID
    """The drone that flies the delivery."""
    dropoff_eta: AwareDatetime
    """When the drone is expected at the drop-off."""


class DeliveryCompleted(DeliveryEvent):
    """The package was handed over and the handover confirmed as asked for."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_completed.v1"

    confirmation: ConfirmationRecord
    """The proof of the handover."""
    flight: FlightSummary
    """What was flown, for utilization."""


class DeliveryCancellationCause(StrEnum):
    """Why a delivery was cancelled."""

    CUSTOMER_REQUEST = "customer_request"
    """The owner asked for it."""


class DeliveryCancelled(DeliveryEvent):
    """The delivery was cancelled before the handover to the drone. Others compensate."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_cancelled.v1"

    reason: DeliveryCancellationCause
    """Why the delivery was cancelled."""
    flight: FlightSummary | None
    """What was flown until then, null when the drone had not left."""


class DeliveryFailureReason(StrEnum):
    """Why a delivery will not happen."""

    PACKAGE_TOO_HEAVY = "package_too_heavy"
    """The weight is above the limit of the package's size."""
    PACKAGE_TAG_NOT_ALLOWED = "package_tag_not_allowed"
    """The handling tag is forbidden or not one of the known ones."""
    REQUEST_EXPIRED = "request_expired"
    """The request reached the package service or the drone scheduler after its deadline."""
    NO_DRONE_AVAILABLE = "no_drone_available"
    """Suitable drones exist, but none became free before the deadline."""
    NO_SUITABLE_DRONE = "no_suitable_drone"
    """No drone of the fleet can carry this weight over this distance."""
    DRONE_GROUNDED = "drone_grounded"
    """The booked drone was grounded before it took off."""
    NOT_SCHEDULED_IN_TIME = "not_scheduled_in_time"
    """The package or the drone did not answer before the join deadline."""
    DEADLINE_PASSED = "deadline_passed"
    """The package was not handed over before the deadline."""


class DeliveryFailed(DeliveryEvent):
    """The delivery will not happen. Others compensate."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_failed.v1"

    reason: DeliveryFailureReason
    """Why the delivery will not happen."""
    description: Explanation
    """One sentence for people."""
    flight: FlightSummary | None
    """What was flown until then, null when the drone had not left."""


class RefusalReason(StrEnum):
    """Why a delivery goes on as it was although its owner asked for something else."""

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
    """Why the delivery cannot be cancelled."""
    stage: DeliveryStage
    """Where the delivery stood when the cancellation was refused."""


class DeliveryRescheduleRefused(DeliveryEvent):
    """The new times were refused. The delivery goes on as it was."""

    message_type: ClassVar[str] = "dronedelivery.delivery.delivery_reschedule_refused.v1"

    reason: RefusalReason
    """Why the delivery keeps its times."""
    stage: DeliveryStage
    """Where the delivery stood when the new times were refused."""
    pickup_time: AwareDatetime
    """The pickup time that was refused. It tells, with the deadline, which of several wishes this answers."""
    deadline: AwareDatetime
    """The deadline that was refused."""


class NotificationChannel(StrEnum):
    """How an owner is told of a stage."""

    EMAIL = "Email"
    """By e-mail."""
    SMS = "Sms"
    """By text message to a telephone."""
    WEB = "Web"
    """By a notice in the browser."""


class NotificationRequested(DeliveryEvent):
    """The owner asked to be told of this stage. It carries no address: the notifier knows where to reach the owner."""

    message_type: ClassVar[str] = "dronedelivery.delivery.notification_requested.v1"

    request_id: UUID
    """The notify-me request that led to this notification."""
    channel: NotificationChannel
    """How the owner asked to be told."""
    stage: DeliveryStage
    """The stage that the delivery has reached."""
