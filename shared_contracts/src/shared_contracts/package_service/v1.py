"""Messages that the package service publishes, version 1."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from shared_contracts.domain_types import ConfirmationType, Explanation, OwnerId, PackageDescription
from shared_contracts.message import DeliveryMessage, Topic


class PackageReady(DeliveryMessage):
    """The package is registered and may be shipped."""

    message_type: ClassVar[str] = "dronedelivery.package_service.package_ready.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    package_id: UUID
    """The package, the same as the delivery: there is one package per delivery."""
    package: PackageDescription
    """The package as the customer described it."""
    confirmation_required: ConfirmationType
    """How the handover of this package is to be confirmed."""
    deadline: AwareDatetime
    """The deadline of the request: until then the drone scheduler may still find a drone."""


class PackageRejectionReason(StrEnum):
    """Why a package cannot be shipped."""

    TOO_HEAVY = "too_heavy"
    """The weight is above the limit of the package's size."""
    TAG_NOT_ALLOWED = "tag_not_allowed"
    """The handling tag is forbidden or not one of the known ones."""
    REQUEST_EXPIRED = "request_expired"
    """The request reached the package service after its deadline."""


class PackageRejected(DeliveryMessage):
    """The package cannot be shipped."""

    message_type: ClassVar[str] = "dronedelivery.package_service.package_rejected.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    owner_id: OwnerId
    """The subject of the caller who asked for the delivery."""
    reason: PackageRejectionReason
    """Why the package cannot be shipped."""
    description: Explanation
    """One sentence for people."""


class PackageWithdrawn(DeliveryMessage):
    """Compensation: the package of a failed or cancelled delivery will not be shipped."""

    message_type: ClassVar[str] = "dronedelivery.package_service.package_withdrawn.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY

    package_id: UUID
    """The package, the same as the delivery: there is one package per delivery."""
