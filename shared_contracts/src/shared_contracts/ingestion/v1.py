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
    """The subject of the caller who asked for the delivery."""
    pickup: Location
    """Where the package is picked up."""
    dropoff: Location
    """Where the package is handed over."""
    pickup_time: AwareDatetime
    """The earliest moment at which the package can be picked up."""
    deadline: AwareDatetime
    """The package is to be handed over before this moment, or the delivery fails."""
    expedited: bool = False
    """Expedited requests are given drones before others."""
    confirmation_required: ConfirmationType = ConfirmationType.NONE
    """How the recipient is to confirm the handover."""
    package: PackageDescription
    """The package as the customer described it."""


class DeliveryRescheduleRequested(DeliveryMessage):
    """The owner asks for another pickup time and deadline."""

    message_type: ClassVar[str] = "dronedelivery.ingestion.delivery_reschedule_requested.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    pickup_time: AwareDatetime
    """The earliest moment at which the package could then be picked up."""
    deadline: AwareDatetime
    """The moment before which the package would then have to be handed over."""


class CancellationReason(StrEnum):
    """Why a delivery is to be ended."""

    CUSTOMER_REQUEST = "customer_request"
    """The owner asked for it."""
    NO_OUTCOME_IN_TIME = "no_outcome_in_time"
    """Ingestion heard of no terminal stage although the deadline is past."""


class DeliveryCancellationRequested(DeliveryMessage):
    """Somebody asks that the delivery be ended."""

    message_type: ClassVar[str] = "dronedelivery.ingestion.delivery_cancellation_requested.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    reason: CancellationReason
    """Why the delivery is to be ended."""
