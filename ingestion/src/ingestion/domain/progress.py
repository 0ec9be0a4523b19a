"""What became of a delivery request: its states, how delivery-events move them, and when to ask for an outcome. Pure.

Delivery-events may come in any order and more than once: the stage never goes back, the first terminal stage stays,
and any order of the same events ends in the same status. The clock is passed in.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar, assert_never
from uuid import UUID

from msgspec import Struct

from ingestion.domain import limits
from shared_contracts.delivery.v1 import (
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, PackageSize
from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested

if TYPE_CHECKING:
    # mypy checks names and types of the changes, which msgspec's own signature leaves open.
    from dataclasses import replace as replace
else:
    from msgspec.structs import replace


class DeliveryRequest(Struct, frozen=True):
    """What the owner asked for. It never changes."""

    delivery_id: UUID
    owner_id: str
    accepted_at: datetime
    pickup_latitude: float
    pickup_longitude: float
    pickup_altitude_m: float
    dropoff_latitude: float
    dropoff_longitude: float
    dropoff_altitude_m: float
    pickup_time: datetime
    deadline: datetime
    expedited: bool
    confirmation_required: ConfirmationType
    package_size: PackageSize
    package_weight_kg: float
    package_tag: str


class DeliveryProgress(Struct, frozen=True):
    """What became of the request, as far as ingestion has heard. A row of its own, because every event writes it."""

    delivery_id: UUID
    owner_id: str
    pickup_time: datetime
    """As asked for, then as last rescheduled."""
    deadline: datetime
    due_at: datetime | None
    """When to ask for an outcome that has not been heard of, None once there is one."""
    outcome_inquiries: int = 0
    """How often the outcome has been asked for since it was due."""
    stage: DeliveryStage = DeliveryStage.PENDING
    reason: str | None = None
    """Reason code of a cancellation or failure."""
    description: str | None = None
    """One sentence for people, of a failure."""
    drone_id: UUID | None = None
    pickup_eta: datetime | None = None
    dropoff_eta: datetime | None = None
    scheduled_at: datetime | None = None
    rescheduled_at: datetime | None = None
    headed_to_pickup_at: datetime | None = None
    headed_to_dropoff_at: datetime | None = None
    ended_at: datetime | None = None
    rescheduled_sequence: int | None = None
    """The place in the delivery's history of the change that holds."""


class ChangeState(StrEnum):
    """Where the owner's wish for a change stands."""

    REQUESTED = "Requested"
    ACCEPTED = "Accepted"
    REFUSED = "Refused"


class Cancellation(Struct, frozen=True):
    """The owner's last wish to cancel a delivery."""

    delivery_id: UUID
    state: ChangeState
    requested_at: datetime
    answered_at: datetime | None = None
    refusal_reason: RefusalReason | None = None


class Reschedule(Struct, frozen=True):
    """The owner's last wish for other times."""

    delivery_id: UUID
    state: ChangeState
    pickup_time: datetime
    deadline: datetime
    requested_at: datetime
    answered_at: datetime | None = None
    refusal_reason: RefusalReason | None = None


def decide_scheduled(progress: DeliveryProgress, event: DeliveryScheduled) -> DeliveryProgress:
    """The arrival times of a schedule hold until it is changed or the drone is on its way."""
    is_superseded = progress.rescheduled_at is not None
    keeps_pickup_eta = is_superseded or progress.headed_to_pickup_at is not None
    keeps_dropoff_eta = is_superseded or progress.headed_to_dropoff_at is not None
    return replace(
        progress,
        stage=later_stage(progress.stage, DeliveryStage.CREATED),
        drone_id=event.drone_id,
        pickup_eta=progress.pickup_eta if keeps_pickup_eta else event.pickup_eta,
        dropoff_eta=progress.dropoff_eta if keeps_dropoff_eta else event.dropoff_eta,
        scheduled_at=event.occurred_at,
    )


def decide_rescheduled(progress: DeliveryProgress, event: DeliveryRescheduled) -> DeliveryProgress:
    """The new times hold, and an outcome is due accordingly. An older change does not undo a newer one.

    Nor does it undo the arrival times that the drone's departure has told since.
    """
    if _is_older(event, progress):
        return progress
    ended = progress.stage.is_terminal
    return replace(
        progress,
        stage=later_stage(progress.stage, DeliveryStage.RESCHEDULED),
        pickup_time=event.pickup_time,
        deadline=event.deadline,
        pickup_eta=event.pickup_eta if progress.headed_to_pickup_at is None else progress.pickup_eta,
        dropoff_eta=event.dropoff_eta if progress.headed_to_dropoff_at is None else progress.dropoff_eta,
        rescheduled_at=event.occurred_at,
        rescheduled_sequence=event.sequence,
        due_at=None if ended else event.deadline + limits.OUTCOME_GRACE,
        outcome_inquiries=progress.outcome_inquiries if ended else 0,
    )


def _is_older(event: DeliveryRescheduled, progress: DeliveryProgress) -> bool:
    """Whether a later change of the delivery is known.

    Two changes may have been recorded by processes whose clocks differ, so their numbers decide; the times do only for
    events of publishers that did not number them.
    """
    if progress.rescheduled_at is None:
        return False
    if event.sequence is None or progress.rescheduled_sequence is None:
        return event.occurred_at < progress.rescheduled_at
    return event.sequence < progress.rescheduled_sequence


def decide_headed_to_pickup(progress: DeliveryProgress, event: DeliveryHeadedToPickup) -> DeliveryProgress:
    return replace(
        progress,
        stage=later_stage(progress.stage, DeliveryStage.HEADED_TO_PICKUP),
        drone_id=event.drone_id,
        pickup_eta=event.pickup_eta,
        headed_to_pickup_at=event.occurred_at,
    )


def decide_headed_to_dropoff(progress: DeliveryProgress, event: DeliveryHeadedToDropoff) -> DeliveryProgress:
    return replace(
        progress,
        stage=later_stage(progress.stage, DeliveryStage.HEADED_TO_DROPOFF),
        drone_id=event.drone_id,
        dropoff_eta=event.dropoff_eta,
        headed_to_dropoff_at=event.occurred_at,
    )


def decide_completed(progress: DeliveryProgress, event: DeliveryCompleted) -> DeliveryProgress:
    return _end(progress, DeliveryStage.COMPLETED, event.occurred_at)


def decide_cancelled(progress: DeliveryProgress, event: DeliveryCancelled) -> DeliveryProgress:
    return _end(progress, DeliveryStage.CANCELLED, event.occurred_at, reason=event.reason)


def decide_failed(progress: DeliveryProgress, event: DeliveryFailed) -> DeliveryProgress:
    return _end(progress, DeliveryStage.FAILED, event.occurred_at, reason=event.reason, description=event.description)


def _end(
    progress: DeliveryProgress,
    stage: DeliveryStage,
    occurred_at: datetime,
    reason: str | None = None,
    description: str | None = None,
) -> DeliveryProgress:
    """The first terminal stage stays. The same one again completes what a refusal could only name."""
    if progress.stage.is_terminal and progress.stage is not stage:
        return progress
    return replace(progress, stage=stage, reason=reason, description=description, ended_at=occurred_at, due_at=None)


def decide_refused(
    progress: DeliveryProgress, event: DeliveryCancellationRefused | DeliveryRescheduleRefused
) -> DeliveryProgress:
    """A refusal also tells the stage. It ends an inquiry whose terminal event is late or set aside."""
    stage = later_stage(progress.stage, event.stage)
    return replace(progress, stage=stage, due_at=None if stage.is_terminal else progress.due_at)


def decide_cancellation_refused(
    cancellation: Cancellation | None, event: DeliveryCancellationRefused
) -> Cancellation | None:
    """Tell the owner. Without a pending wish of the owner's, the refused one was ingestion's own inquiry."""
    return _refused(cancellation, event)


def decide_reschedule_refused(reschedule: Reschedule | None, event: DeliveryRescheduleRefused) -> Reschedule | None:
    """Tell the owner that the earlier times still hold, if the refused times are the ones last wished for."""
    return _refused(reschedule, event) if _is_about(event, reschedule) else reschedule


Change = TypeVar("Change", Cancellation, Reschedule)


def _refused(change: Change | None, event: DeliveryCancellationRefused | DeliveryRescheduleRefused) -> Change | None:
    if change is None or change.state is not ChangeState.REQUESTED:
        return change
    return replace(change, state=ChangeState.REFUSED, answered_at=event.occurred_at, refusal_reason=event.reason)


def decide_reschedule_accepted(reschedule: Reschedule | None, event: DeliveryRescheduled) -> Reschedule | None:
    """The owner's wish came true, if these are the times last wished for."""
    if reschedule is None or reschedule.state is not ChangeState.REQUESTED or not _is_about(event, reschedule):
        return reschedule
    return replace(reschedule, state=ChangeState.ACCEPTED, answered_at=event.occurred_at)


def _is_about(event: DeliveryRescheduled | DeliveryRescheduleRefused, reschedule: Reschedule | None) -> bool:
    """Whether the event answers the last wish: earlier ones, which it replaced, are answered too."""
    if reschedule is None:
        return False
    return (event.pickup_time, event.deadline) == (reschedule.pickup_time, reschedule.deadline)


def later_stage(current: DeliveryStage, reported: DeliveryStage) -> DeliveryStage:
    """The stage never goes back, and the first terminal stage stays."""
    return reported if _rank(reported) > _rank(current) else current


def _rank(stage: DeliveryStage) -> int:
    match stage:
        case DeliveryStage.PENDING:
            return 0
        case DeliveryStage.CREATED:
            return 1
        case DeliveryStage.RESCHEDULED:
            return 2
        case DeliveryStage.HEADED_TO_PICKUP:
            return 3
        case DeliveryStage.HEADED_TO_DROPOFF:
            return 4
        case DeliveryStage.COMPLETED | DeliveryStage.CANCELLED | DeliveryStage.FAILED:
            return 5
        case unknown:
            assert_never(unknown)


def decide_inquiry(
    progress: DeliveryProgress, *, now: datetime
) -> tuple[DeliveryProgress, DeliveryCancellationRequested | None]:
    """Ask for an end when none has been heard of in time, and again after a growing pause until one has."""
    if progress.stage.is_terminal:
        return replace(progress, due_at=None), None
    asked = replace(
        progress,
        outcome_inquiries=progress.outcome_inquiries + 1,
        due_at=now + inquiry_pause(progress.outcome_inquiries),
    )
    return asked, DeliveryCancellationRequested(
        delivery_id=progress.delivery_id, owner_id=progress.owner_id, reason=CancellationReason.NO_OUTCOME_IN_TIME
    )


def inquiry_pause(inquiries: int) -> timedelta:
    """How long to wait after the inquiry that follows so many others."""
    # The exponent is bounded because a delivery that is asked after for years would overflow the timedelta.
    return min(limits.INQUIRY_PAUSE_FIRST * (1 << min(inquiries, 16)), limits.INQUIRY_PAUSE_MAX)


def cancellation_as_told(cancellation: Cancellation, progress: DeliveryProgress) -> Cancellation:
    """The cancellation in the light of the stage: the delivery's end answers a pending wish."""
    if cancellation.state is not ChangeState.REQUESTED:
        return cancellation
    if progress.stage is DeliveryStage.CANCELLED:
        return replace(cancellation, state=ChangeState.ACCEPTED, answered_at=progress.ended_at)
    return _overtaken(cancellation, progress)


def reschedule_as_told(reschedule: Reschedule, progress: DeliveryProgress) -> Reschedule:
    """The reschedule in the light of the stage: a delivery that has ended has no other times."""
    return _overtaken(reschedule, progress) if reschedule.state is ChangeState.REQUESTED else reschedule


def _overtaken(change: Change, progress: DeliveryProgress) -> Change:
    if not progress.stage.is_terminal:
        return change
    return replace(
        change,
        state=ChangeState.REFUSED,
        answered_at=progress.ended_at,
        refusal_reason=RefusalReason.ALREADY_ENDED,
    )
