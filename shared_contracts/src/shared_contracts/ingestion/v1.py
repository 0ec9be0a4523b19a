"""Messages that the ingestion service publishes, version 1."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from shared_contracts.domain_types import ConfirmationType, Location, OwnerId, PackageDescription
from shared_contracts.message import DeliveryMessage, Topic


class DeliveryRequested(DeliveryMessage):
    """A customer asked for a delivery and was answered 202. It expires at the deadline."""

    message_type: ClassVar[str] = "dronedelivery.ingestion.delivery_requested.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY_REQUESTS

    owner_id: OwnerId
    pickup: Location
    dropoff: Location
    pickup_time: AwareDatetime
    """The earliest moment at which the package can be picked up."""
    deadline: AwareDatetime
    """The package is to be handed over before this moment, or the delivery fails."""
    expedited: bool = False
    """Expedited requests are given drones before others."""
    confirmation_required: ConfirmationType = ConfirmationType.NONE
    package: PackageDescription


class DeliveryRescheduleRequested(DeliveryMessage):
    """The owner asks for another pickup time and deadline."""

    message_type: ClassVar[str] = "dronedelivery.ingestion.delivery_reschedule_requested.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    pickup_time: AwareDatetime
    deadline: AwareDatetime


class CancellationReason(StrEnum):
    CUSTOMER_REQUEST = "customer_request"
    NO_OUTCOME_IN_TIME = "no_outcome_in_time"
    """Ingestion heard of no terminal stage although the deadline is past."""


class DeliveryCancellationRequested(DeliveryMessage):
    """Somebody asks that the delivery be ended."""

    message_type: ClassVar[str] = "dronedelivery.ingestion.delivery_cancellation_requested.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    reason: CancellationReason
