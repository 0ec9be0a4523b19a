"""What an owner can ask over HTTP, and whether it is accepted. Pure; the clock and new identifiers are passed in.

A decision takes what is stored and the command, and gives what is to be stored and published, or why it is refused.
"""

from datetime import UTC, datetime
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from ingestion.domain import limits
from ingestion.domain.progress import Cancellation, ChangeState, DeliveryProgress, DeliveryRequest, Reschedule
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location, PackageDescription
from shared_contracts.ingestion.v1 import (
    CancellationReason,
    DeliveryCancellationRequested,
    DeliveryRequested,
    DeliveryRescheduleRequested,
)

IngestionMessage = DeliveryRequested | DeliveryRescheduleRequested | DeliveryCancellationRequested


class IdempotentAnswer(Struct, frozen=True):
    """The answer that a caller's idempotency key stands for. Only acceptances are kept: a refusal had no effect."""

    key: UUID
    """Digest of caller and key, so that one caller's keys are nothing to another."""
    fingerprint: str
    """Digest of the operation and its validated body."""
    delivery_id: UUID
    accepted_at: datetime
    expires_at: datetime


class Idempotency(Struct, frozen=True):
    """The caller's key for this operation, and what tells the operation from another one."""

    key: UUID
    fingerprint: str


class SubmitDelivery(Struct, frozen=True):
    """POST: the owner asks for a delivery."""

    delivery_id: UUID
    owner_id: str
    pickup: Location
    dropoff: Location
    pickup_time: datetime
    deadline: datetime
    expedited: bool
    confirmation_required: ConfirmationType
    package: PackageDescription
    idempotency: Idempotency | None = None


class RescheduleDelivery(Struct, frozen=True):
    """PATCH: the owner asks for other times."""

    delivery_id: UUID
    owner_id: str
    pickup_time: datetime
    deadline: datetime
    idempotency: Idempotency | None = None


class CancelDelivery(Struct, frozen=True):
    """DELETE: the owner asks that the delivery be cancelled."""

    delivery_id: UUID
    owner_id: str
    idempotency: Idempotency | None = None


Command = SubmitDelivery | RescheduleDelivery | CancelDelivery


class Acceptance(Struct, frozen=True):
    """The command is durable; what comes of it is told by the status."""

    delivery_id: UUID
    accepted_at: datetime
    is_replay: bool = False
    """Whether this is the stored answer to an earlier request with the same idempotency key."""


class RefusalKind(StrEnum):
    """Why a command has no effect."""

    INVALID = "invalid"
    KEY_REUSED = "key_reused"
    UNKNOWN_DELIVERY = "unknown_delivery"
    DELIVERY_ENDED = "delivery_ended"
    CANCELLATION_PENDING = "cancellation_pending"


class FieldError(Struct, frozen=True):
    """What is wrong with one field of the body."""

    field: str
    code: str
    message: str


class Refusal(Struct, frozen=True):
    """The command has no effect: nothing is stored, nothing is published."""

    kind: RefusalKind
    errors: tuple[FieldError, ...] = ()
    stage: DeliveryStage | None = None


State = DeliveryRequest | DeliveryProgress | Cancellation | Reschedule | IdempotentAnswer


class Accepted(Struct, frozen=True):
    """What is stored and published for a command, and the answer to it."""

    acceptance: Acceptance
    states: tuple[State, ...] = ()
    message: IngestionMessage | None = None


def decide_submission(
    command: SubmitDelivery, answered: IdempotentAnswer | None, *, now: datetime
) -> Accepted | Refusal:
    """Accept the delivery, or say which fields are impossible.

    The stored answer comes first: a deadline that has passed since must not turn a repeated request into a refusal.
    """
    earlier = decide_replay(command, answered, now)
    if earlier is not None:
        return earlier
    errors = (*errors_of_times(command.pickup_time, command.deadline, now), *errors_of_places(command))
    if errors:
        return Refusal(RefusalKind.INVALID, errors)
    pickup_time, deadline = command.pickup_time.astimezone(UTC), command.deadline.astimezone(UTC)
    request = DeliveryRequest(
        delivery_id=command.delivery_id,
        owner_id=command.owner_id,
        accepted_at=now,
        pickup_latitude=command.pickup.latitude,
        pickup_longitude=command.pickup.longitude,
        pickup_altitude_m=command.pickup.altitude_m,
        dropoff_latitude=command.dropoff.latitude,
        dropoff_longitude=command.dropoff.longitude,
        dropoff_altitude_m=command.dropoff.altitude_m,
        pickup_time=pickup_time,
        deadline=deadline,
        expedited=command.expedited,
        confirmation_required=command.confirmation_required,
        package_size=command.package.size,
        package_weight_kg=command.package.weight_kg,
        package_tag=command.package.tag,
    )
    progress = DeliveryProgress(
        delivery_id=command.delivery_id,
        owner_id=command.owner_id,
        pickup_time=pickup_time,
        deadline=deadline,
        due_at=deadline + limits.OUTCOME_GRACE,
    )
    message = DeliveryRequested(
        delivery_id=command.delivery_id,
        owner_id=command.owner_id,
        pickup=command.pickup,
        dropoff=command.dropoff,
        pickup_time=pickup_time,
        deadline=deadline,
        expedited=command.expedited,
        confirmation_required=command.confirmation_required,
        package=command.package,
    )
    return accept(command, now, (request, progress), message)


def decide_cancellation(
    command: CancelDelivery,
    answered: IdempotentAnswer | None,
    progress: DeliveryProgress | None,
    cancellation: Cancellation | None,
    *,
    now: datetime,
) -> Accepted | Refusal:
    """Ask delivery to cancel, once as long as it has not answered. A refused cancellation may be tried again."""
    refusal = decide_replay(command, answered, now) or refusal_of(command, progress)
    if refusal is not None:
        return refusal
    if cancellation is not None and cancellation.state is ChangeState.REQUESTED:
        return accept(command, now, since=cancellation.requested_at)
    return accept(
        command,
        now,
        (Cancellation(command.delivery_id, ChangeState.REQUESTED, requested_at=now),),
        DeliveryCancellationRequested(
            delivery_id=command.delivery_id, owner_id=command.owner_id, reason=CancellationReason.CUSTOMER_REQUEST
        ),
    )


def decide_rescheduling(
    command: RescheduleDelivery,
    answered: IdempotentAnswer | None,
    progress: DeliveryProgress | None,
    cancellation: Cancellation | None,
    reschedule: Reschedule | None,
    *,
    now: datetime,
) -> Accepted | Refusal:
    """Ask delivery for the new times, once as long as they are pending or agreed. Refused times may be tried again."""
    refusal = decide_replay(command, answered, now) or refusal_of(command, progress)
    if refusal is not None:
        return refusal
    if cancellation is not None and cancellation.state is ChangeState.REQUESTED:
        return Refusal(RefusalKind.CANCELLATION_PENDING)
    errors = errors_of_times(command.pickup_time, command.deadline, now)
    if errors:
        return Refusal(RefusalKind.INVALID, errors)
    pickup_time, deadline = command.pickup_time.astimezone(UTC), command.deadline.astimezone(UTC)
    if reschedule is not None and (reschedule.pickup_time, reschedule.deadline) == (pickup_time, deadline):
        match reschedule.state:
            case ChangeState.REQUESTED | ChangeState.ACCEPTED:
                return accept(command, now, since=reschedule.requested_at)
            case ChangeState.REFUSED:
                pass
            case unknown:
                assert_never(unknown)
    return accept(
        command,
        now,
        (Reschedule(command.delivery_id, ChangeState.REQUESTED, pickup_time, deadline, requested_at=now),),
        DeliveryRescheduleRequested(
            delivery_id=command.delivery_id, owner_id=command.owner_id, pickup_time=pickup_time, deadline=deadline
        ),
    )


def decide_replay(command: Command, answered: IdempotentAnswer | None, now: datetime) -> Accepted | Refusal | None:
    """The stored answer when the key is known, a refusal when it was used for something else, None when it is new.

    Source: draft-ietf-httpapi-idempotency-key-header, sections 2.6 and 2.7.
    """
    if command.idempotency is None or answered is None or answered.expires_at <= now:
        return None
    if answered.fingerprint != command.idempotency.fingerprint:
        return Refusal(RefusalKind.KEY_REUSED)
    return Accepted(Acceptance(answered.delivery_id, answered.accepted_at, is_replay=True))


def accept(
    command: Command,
    now: datetime,
    states: tuple[State, ...] = (),
    message: IngestionMessage | None = None,
    *,
    since: datetime | None = None,
) -> Accepted:
    """The acceptance, remembered under the caller's idempotency key when there is one.

    `since` is when the same wish was accepted before, for a command that has nothing to add to it.
    """
    accepted_at = since or now
    acceptance = Acceptance(command.delivery_id, accepted_at)
    if command.idempotency is not None:
        answer = IdempotentAnswer(
            key=command.idempotency.key,
            fingerprint=command.idempotency.fingerprint,
            delivery_id=command.delivery_id,
            accepted_at=accepted_at,
            expires_at=now + limits.IDEMPOTENCY_KEY_LIFETIME,
        )
        states = (*states, answer)
    return Accepted(acceptance, states, message)


def refusal_of(command: CancelDelivery | RescheduleDelivery, progress: DeliveryProgress | None) -> Refusal | None:
    """Why the delivery cannot be changed any more. Somebody else's delivery is as unknown as one that never was."""
    if progress is None or progress.owner_id != command.owner_id:
        return Refusal(RefusalKind.UNKNOWN_DELIVERY)
    if progress.stage.is_terminal:
        return Refusal(RefusalKind.DELIVERY_ENDED, stage=progress.stage)
    return None


def errors_of_times(pickup_time: datetime, deadline: datetime, now: datetime) -> tuple[FieldError, ...]:
    """What is impossible about the times, by `limits`."""
    errors = []
    if pickup_time - now > limits.PICKUP_AHEAD_MAX:
        message = f"must be at most {limits.PICKUP_AHEAD_MAX.days} days ahead"
        errors.append(FieldError("pickup_time", "too_far_ahead", message))
    if deadline <= now:
        errors.append(FieldError("deadline", "in_the_past", "must be in the future"))
    if deadline <= pickup_time:
        errors.append(FieldError("deadline", "not_after_pickup_time", "must be after pickup_time"))
    elif deadline - pickup_time > limits.DELIVERY_WINDOW_MAX:
        message = f"must be at most {limits.DELIVERY_WINDOW_MAX.days} days after pickup_time"
        errors.append(FieldError("deadline", "too_long_after_pickup_time", message))
    return tuple(errors)


def errors_of_places(command: SubmitDelivery) -> tuple[FieldError, ...]:
    """A delivery goes somewhere."""
    if ground_distance_m(command.pickup, command.dropoff) < limits.DISTANCE_MIN_M:
        return (FieldError("dropoff", "same_as_pickup", "must be another place than pickup"),)
    return ()


def ground_distance_m(start: Location, end: Location) -> float:
    """Metres along the great circle, by the haversine formula. It knows that meridians meet at the poles and that
    180 degrees east is 180 degrees west."""
    start_latitude, end_latitude = radians(start.latitude), radians(end.latitude)
    across = sin((end_latitude - start_latitude) / 2) ** 2
    along = sin(radians(end.longitude - start.longitude) / 2) ** 2
    chord = across + cos(start_latitude) * cos(end_latitude) * along
    return 2 * _EARTH_RADIUS_M * asin(sqrt(min(1.0, chord)))


_EARTH_RADIUS_M = 6_371_008.8
