"""The JSON that callers send and get. Unknown fields are refused, and nothing is converted: `"5"` is no number."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from ingestion.domain.commands import Acceptance
from ingestion.domain.progress import (
    Cancellation,
    ChangeState,
    DeliveryProgress,
    DeliveryRequest,
    Reschedule,
    cancellation_as_told,
    reschedule_as_told,
)
from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location, PackageDescription
from shared_runtime.http import Instant

STATUS_PATH = "/api/v1/deliveryrequests"

EXAMPLE_PLACE: JsonDict = {"latitude": 48.8719, "longitude": 2.3316, "altitude_m": 40.0}
EXAMPLE_TIMES: JsonDict = {"pickup_time": "2026-03-01T12:10:00+01:00", "deadline": "2026-03-01T13:00:00+01:00"}
EXAMPLE_REQUEST: JsonDict = {
    "pickup": EXAMPLE_PLACE,
    "dropoff": {"latitude": 48.8606, "longitude": 2.3376, "altitude_m": 35.0},
    **EXAMPLE_TIMES,
    "expedited": False,
    "confirmation_required": "Picture",
    "package": {"size": "Small", "weight_kg": 1.5, "tag": "books"},
}
EXAMPLE_ID = "019cb1f0-7a3e-7c55-9a10-2b7d1c6f5e01"

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_control_characters(value: str) -> str:
    if _CONTROL_CHARACTER.search(value):
        raise PydanticCustomError("control_character", "must not contain control characters")
    return value


_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Place(Location):
    """A place on the WGS 84 ellipsoid."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [EXAMPLE_PLACE]})


class Package(PackageDescription):
    """What is to be carried."""

    model_config = _STRICT

    tag: Annotated[str, Field(max_length=64), AfterValidator(_without_control_characters)] = ""
    """The handling tag that the customer put on the package, empty when there is none."""


class Times(BaseModel):
    """When to pick up, and until when to hand over."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [EXAMPLE_TIMES]})

    pickup_time: Instant
    """The earliest moment at which the package can be picked up."""
    deadline: Instant
    """The package is to be handed over before this moment, or the delivery fails."""


class NewDelivery(Times):
    """A delivery that is asked for."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [EXAMPLE_REQUEST]})

    pickup: Place
    dropoff: Place
    package: Package
    expedited: bool = False
    """Expedited requests are given drones before others."""
    confirmation_required: ConfirmationType = ConfirmationType.NONE
    """How the recipient is to confirm the handover."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class AcceptedDelivery(_Told):
    """What was asked for is durable. What comes of it is told by the status resource."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "delivery_id": EXAMPLE_ID,
                    "accepted_at": "2026-03-01T11:00:00Z",
                    "status_url": f"{STATUS_PATH}/{EXAMPLE_ID}",
                }
            ]
        }
    )

    delivery_id: UUID
    accepted_at: datetime
    status_url: str
    """The same as in the `Location` header."""


class ToldCancellation(_Told):
    """Where the wish to cancel stands."""

    state: ChangeState
    requested_at: datetime
    answered_at: datetime | None
    refusal_reason: RefusalReason | None


class ToldReschedule(ToldCancellation):
    """Where the wish for other times stands."""

    pickup_time: datetime
    deadline: datetime


class DeliveryStatus(_Told):
    """A delivery request, and what became of it as far as ingestion has heard."""

    delivery_id: UUID
    accepted_at: datetime
    stage: DeliveryStage
    is_ended: bool
    """Whether the stage is a last one: Completed, Cancelled or Failed."""
    reason: str | None
    """Reason code of a cancellation or failure."""
    description: str | None
    """One sentence for people, of a failure."""
    outcome_overdue: bool
    """Whether the deadline is past and no outcome has been heard of yet, so that ingestion is asking for it."""

    pickup_time: datetime
    """As agreed now; `requested` keeps what was asked for first."""
    deadline: datetime
    """As agreed now; `requested` keeps what was asked for first."""
    drone_id: UUID | None
    pickup_eta: datetime | None
    """When the drone is expected at the pickup, null when not known."""
    dropoff_eta: datetime | None
    """When the drone is expected at the drop-off, null when not known."""

    scheduled_at: datetime | None
    rescheduled_at: datetime | None
    headed_to_pickup_at: datetime | None
    headed_to_dropoff_at: datetime | None
    ended_at: datetime | None

    cancellation: ToldCancellation | None
    """The last wish to cancel, null when there was none."""
    reschedule: ToldReschedule | None
    """The last wish for other times, null when there was none."""
    requested: "RequestedDelivery"


class RequestedDelivery(_Told):
    """What was asked for."""

    pickup: Location
    dropoff: Location
    pickup_time: datetime
    deadline: datetime
    expedited: bool
    confirmation_required: ConfirmationType
    package: PackageDescription


class DeliveryPage(_Told):
    """Some of the caller's requests, newest first."""

    items: list[DeliveryStatus]
    next_cursor: str | None
    """`cursor` of the next page, null on the last one."""


def status_url(delivery_id: UUID) -> str:
    """Where the status of a delivery is told."""
    return f"{STATUS_PATH}/{delivery_id}"


def accepted_delivery(acceptance: Acceptance) -> AcceptedDelivery:
    return AcceptedDelivery(
        delivery_id=acceptance.delivery_id,
        accepted_at=acceptance.accepted_at,
        status_url=status_url(acceptance.delivery_id),
    )


def delivery_status(
    request: DeliveryRequest,
    progress: DeliveryProgress,
    cancellation: Cancellation | None,
    reschedule: Reschedule | None,
) -> DeliveryStatus:
    """The status as the owner is told it."""
    return DeliveryStatus(
        delivery_id=request.delivery_id,
        accepted_at=request.accepted_at,
        stage=progress.stage,
        is_ended=progress.stage.is_terminal,
        reason=progress.reason,
        description=progress.description,
        outcome_overdue=progress.outcome_inquiries > 0 and not progress.stage.is_terminal,
        pickup_time=progress.pickup_time,
        deadline=progress.deadline,
        drone_id=progress.drone_id,
        pickup_eta=progress.pickup_eta,
        dropoff_eta=progress.dropoff_eta,
        scheduled_at=progress.scheduled_at,
        rescheduled_at=progress.rescheduled_at,
        headed_to_pickup_at=progress.headed_to_pickup_at,
        headed_to_dropoff_at=progress.headed_to_dropoff_at,
        ended_at=progress.ended_at,
        cancellation=None if cancellation is None else _told_cancellation(cancellation_as_told(cancellation, progress)),
        reschedule=None if reschedule is None else _told_reschedule(reschedule_as_told(reschedule, progress)),
        requested=_requested_delivery(request),
    )


def _told_cancellation(cancellation: Cancellation) -> ToldCancellation:
    return ToldCancellation(
        state=cancellation.state,
        requested_at=cancellation.requested_at,
        answered_at=cancellation.answered_at,
        refusal_reason=cancellation.refusal_reason,
    )


def _told_reschedule(reschedule: Reschedule) -> ToldReschedule:
    return ToldReschedule(
        state=reschedule.state,
        requested_at=reschedule.requested_at,
        answered_at=reschedule.answered_at,
        refusal_reason=reschedule.refusal_reason,
        pickup_time=reschedule.pickup_time,
        deadline=reschedule.deadline,
    )


def _requested_delivery(request: DeliveryRequest) -> RequestedDelivery:
    return RequestedDelivery(
        pickup=Location(
            latitude=request.pickup_latitude,
            longitude=request.pickup_longitude,
            altitude_m=request.pickup_altitude_m,
        ),
        dropoff=Location(
            latitude=request.dropoff_latitude,
            longitude=request.dropoff_longitude,
            altitude_m=request.dropoff_altitude_m,
        ),
        pickup_time=request.pickup_time,
        deadline=request.deadline,
        expedited=request.expedited,
        confirmation_required=request.confirmation_required,
        package=PackageDescription(
            size=request.package_size, weight_kg=request.package_weight_kg, tag=request.package_tag
        ),
    )
