"""What HTTP clients are shown."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from delivery.domain.clocks import seen_at
from delivery.domain.delivery import Delivery, TrackingEvent, TrackingEventKind, location_of
from delivery.domain.ending import flight_until
from delivery.domain.estimates import estimate
from delivery.domain.notifying import NotifyMeRequest
from shared_contracts.delivery.v1 import DeliveryFailureReason, NotificationChannel
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    DeliveryStage,
    FlightSummary,
    Location,
    PackageDescription,
)

COARSE_DIGITS = 2
"""Decimals of a degree that the public is told: a hundredth is about 1.1 km."""


class View(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class FailureView(View):
    reason: DeliveryFailureReason
    description: str
    """One sentence for people."""


class DeliveryView(View):
    """Everything that the owner and the fleet may know. What is null is not known yet or did not happen."""

    delivery_id: UUID
    owner_id: str
    stage: DeliveryStage
    created_at: datetime
    """When this service first heard of the delivery."""
    package_id: UUID | None
    package: PackageDescription | None
    confirmation_required: ConfirmationType | None
    drone_id: UUID | None
    drone_location: Location | None
    """Where the drone was when it was booked."""
    cruise_speed_mps: float | None
    pickup: Location | None
    dropoff: Location | None
    pickup_time: datetime | None
    """The package cannot be picked up earlier."""
    deadline: datetime | None
    """The delivery fails when the package is not handed over before."""
    expedited: bool | None
    pickup_eta: datetime | None
    dropoff_eta: datetime | None
    last_location: Location | None
    last_observed_at: datetime | None
    distance_flown_m: float
    scheduled_at: datetime | None
    departed_at: datetime | None
    picked_up_at: datetime | None
    arrived_at: datetime | None
    """When the drone landed at the drop-off. From then on the handover can be confirmed."""
    ended_at: datetime | None
    confirmation: ConfirmationRecord | None
    failure: FailureView | None
    flight: FlightSummary | None
    """What was flown, when the delivery has ended and its drone had left."""
    package_withdrawn_at: datetime | None
    drone_released_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery, now: datetime) -> "DeliveryView":
        estimated = estimate(delivery, now)
        plan = delivery.plan
        return cls(
            delivery_id=delivery.delivery_id,
            owner_id=delivery.owner_id,
            stage=delivery.stage,
            created_at=delivery.created_at,
            package_id=delivery.package_id,
            package=_package(delivery),
            confirmation_required=delivery.confirmation_required,
            drone_id=delivery.drone_id,
            drone_location=plan and plan.drone_location,
            cruise_speed_mps=delivery.cruise_speed_mps,
            pickup=plan and plan.pickup,
            dropoff=plan and plan.dropoff,
            pickup_time=delivery.pickup_time,
            deadline=delivery.deadline,
            expedited=delivery.expedited,
            pickup_eta=estimated.pickup_eta,
            dropoff_eta=estimated.dropoff_eta,
            last_location=delivery.last_location,
            last_observed_at=_last_seen_at(delivery, now),
            distance_flown_m=delivery.distance_flown_m,
            scheduled_at=delivery.scheduled_at,
            departed_at=delivery.departed_at,
            picked_up_at=delivery.picked_up_at,
            arrived_at=delivery.arrived_at,
            ended_at=delivery.ended_at,
            confirmation=_confirmation(delivery),
            failure=_failure(delivery),
            flight=flight_until(delivery, delivery.ended_at) if delivery.ended_at else None,
            package_withdrawn_at=delivery.package_withdrawn_at,
            drone_released_at=delivery.drone_released_at,
        )


class DeliveriesView(View):
    """Deliveries, the longest known first."""

    deliveries: list[DeliveryView]
    next: str | None
    """The `cursor` of the next page, null on the last one."""


class PublicView(View):
    """What anybody may know who has the id: no person, no exact place, no exact time."""

    delivery_id: UUID
    stage: DeliveryStage
    pickup_eta: datetime | None
    """To the minute."""
    dropoff_eta: datetime | None
    """To the minute."""
    area: Location | None
    """Where the drone is, to a hundredth of a degree."""

    @classmethod
    def of(cls, delivery: Delivery, now: datetime) -> "PublicView":
        estimated = estimate(delivery, now)
        exact = delivery.last_location
        return cls(
            delivery_id=delivery.delivery_id,
            stage=delivery.stage,
            pickup_eta=_to_the_minute(estimated.pickup_eta),
            dropoff_eta=_to_the_minute(estimated.dropoff_eta),
            area=exact
            and Location(
                latitude=round(exact.latitude, COARSE_DIGITS), longitude=round(exact.longitude, COARSE_DIGITS)
            ),
        )


class OwnerView(View):
    """Whose delivery it is."""

    delivery_id: UUID
    owner_id: str
    deliveries: int
    """How many deliveries the owner has or had."""
    under_way: int
    """How many of them have not ended."""


class StatusView(View):
    """Where a delivery stands."""

    delivery_id: UUID
    stage: DeliveryStage
    is_at_dropoff: bool
    """Whether the drone has landed and the handover can be confirmed."""
    last_known_location: Location | None
    observed_at: datetime | None
    """When the drone was there."""
    pickup_eta: datetime | None
    """The true time once the package is on board."""
    dropoff_eta: datetime | None
    """The true time once the drone has landed."""

    @classmethod
    def of(cls, delivery: Delivery, now: datetime) -> "StatusView":
        estimated = estimate(delivery, now)
        return cls(
            delivery_id=delivery.delivery_id,
            stage=delivery.stage,
            is_at_dropoff=delivery.arrived_at is not None and not delivery.stage.is_terminal,
            last_known_location=delivery.last_location,
            observed_at=_last_seen_at(delivery, now),
            pickup_eta=estimated.pickup_eta,
            dropoff_eta=estimated.dropoff_eta,
        )


class TrackingEventView(View):
    sequence: int
    kind: TrackingEventKind
    stage: DeliveryStage
    """The stage after the event."""
    occurred_at: datetime
    location: Location | None
    detail: str
    """A reason code, or empty."""

    @classmethod
    def of(cls, event: TrackingEvent) -> "TrackingEventView":
        return cls(
            sequence=event.sequence,
            kind=event.kind,
            stage=event.stage,
            occurred_at=event.occurred_at,
            location=location_of(event.latitude, event.longitude, event.altitude_m),
            detail=event.detail,
        )


class TrackingHistoryView(View):
    """A delivery's history in the order in which it was learnt.

    Every change of stage, every refusal, the landing, and of the positions in between at most one per ten seconds.
    """

    events: list[TrackingEventView]
    next: int | None
    """The `cursor` of the next page, null on the last one."""


class ConfirmationView(View):
    type: ConfirmationType
    confirmed_at: datetime
    location: Location | None
    reference: str | None
    """Where the proof is kept."""


class ConfirmationsView(View):
    """How the handover is to be confirmed, and how it was."""

    required: ConfirmationType | None
    confirmations: list[ConfirmationView]

    @classmethod
    def of(cls, delivery: Delivery) -> "ConfirmationsView":
        record = _confirmation(delivery)
        given = [ConfirmationView(**dict(record), reference=delivery.confirmation_reference)] if record else []
        return cls(required=delivery.confirmation_required, confirmations=given)


class NotifyMeRequestView(View):
    request_id: UUID
    delivery_id: UUID
    channel: NotificationChannel
    stages: list[DeliveryStage]
    created_at: datetime

    @classmethod
    def of(cls, request: NotifyMeRequest) -> "NotifyMeRequestView":
        return cls(
            request_id=request.request_id,
            delivery_id=request.delivery_id,
            channel=request.channel,
            stages=[stage for stage in DeliveryStage if stage in request.stage_set],
            created_at=request.created_at,
        )


class NotifyMeRequestsView(View):
    requests: list[NotifyMeRequestView]

    @classmethod
    def of(cls, requests: Iterable[NotifyMeRequest]) -> "NotifyMeRequestsView":
        return cls(requests=[NotifyMeRequestView.of(request) for request in requests])


class MonthView(View):
    """An owner's deliveries of one month (UTC), by when they were first heard of."""

    owner_id: str
    month: str
    """As in `2026-03`."""
    stages: dict[DeliveryStage, int]
    on_time_share: float | None
    distance_flown_m: float


class SummaryView(View):
    stages: dict[DeliveryStage, int]
    """How many deliveries are in each stage."""
    on_time_share: float | None
    """Of the deliveries that had package and drone and came to their end or their deadline, the share that was handed
    over before the deadline; null when there is none."""
    distance_flown_m: float
    months: list[MonthView]
    """By month, then owner."""
    next: str | None
    """The `cursor` of the next page of months, null on the last one."""


class TelemetryAccepted(View):
    accepted: int
    """How many reports are on their way to the topic."""


def _last_seen_at(delivery: Delivery, now: datetime) -> datetime | None:
    if delivery.last_observed_at is None:
        return None
    return seen_at(delivery.last_observed_at, delivery, delivery.ended_at or now)


def _package(delivery: Delivery) -> PackageDescription | None:
    if delivery.package_size is None or delivery.package_weight_kg is None:
        return None
    return PackageDescription(
        size=delivery.package_size, weight_kg=delivery.package_weight_kg, tag=delivery.package_tag or ""
    )


def _confirmation(delivery: Delivery) -> ConfirmationRecord | None:
    if delivery.confirmation_type is None or delivery.ended_at is None:
        return None
    return ConfirmationRecord(
        type=delivery.confirmation_type, confirmed_at=delivery.ended_at, location=delivery.confirmation_location
    )


def _failure(delivery: Delivery) -> FailureView | None:
    if delivery.failure_reason is None:
        return None
    return FailureView(reason=delivery.failure_reason, description=delivery.failure_description or "")


def _to_the_minute(moment: datetime | None) -> datetime | None:
    return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0) if moment else None
