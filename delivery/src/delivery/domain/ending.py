"""How a delivery ends, once: completed, cancelled or failed; and what is told of an end that is past."""

from datetime import datetime
from typing import assert_never

from delivery.domain.delivery import Delivery, Outcome, TrackingEventKind, replace, tracked
from shared_contracts.delivery.v1 import (
    DeliveryCancellationCause,
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
    RefusalReason,
)
from shared_contracts.domain_types import ConfirmationRecord, ConfirmationType, DeliveryStage, FlightSummary, Location
from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested

NOT_SCHEDULED_IN_TIME = (
    DeliveryFailureReason.NOT_SCHEDULED_IN_TIME,
    "Package and drone were not both ready in time.",
)
DEADLINE_PASSED = (
    DeliveryFailureReason.DEADLINE_PASSED,
    "The package was not handed over before the deadline.",
)


def fail(delivery: Delivery, reason: DeliveryFailureReason, description: str, now: datetime) -> Outcome:
    """The delivery will not happen."""
    failed = replace(delivery, failure_reason=reason, failure_description=description)
    return _end(failed, DeliveryStage.FAILED, now, detail=reason)


def complete(
    delivery: Delivery,
    confirmation: ConfirmationType,
    confirmed_at: datetime,
    location: Location | None,
    reference: str | None = None,
) -> Outcome:
    """The package is in the recipient's hands."""
    confirmed = replace(
        delivery,
        confirmation_type=confirmation,
        confirmation_latitude=location.latitude if location else None,
        confirmation_longitude=location.longitude if location else None,
        confirmation_altitude_m=location.altitude_m if location else None,
        confirmation_reference=reference,
    )
    return _end(confirmed, DeliveryStage.COMPLETED, confirmed_at, detail=confirmation)


def decide_cancellation(
    delivery: Delivery | None, request: DeliveryCancellationRequested, *, now: datetime
) -> Outcome | None:
    """End the delivery because somebody asked for it, refuse, or tell again how it ended.

    A request for a delivery that is not known yet leaves a tombstone, which wins over whatever comes later.
    """
    known = delivery or Delivery(request.delivery_id, request.owner_id, DeliveryStage.PENDING, created_at=now)
    match request.reason:
        case CancellationReason.CUSTOMER_REQUEST:
            return _decide_wish_to_cancel(known, now)
        case CancellationReason.NO_OUTCOME_IN_TIME:
            return _decide_missing_outcome(known, now)
        case _:
            assert_never(request.reason)


def _decide_wish_to_cancel(delivery: Delivery, now: datetime) -> Outcome | None:
    match delivery.stage:
        case DeliveryStage.PENDING | DeliveryStage.CREATED | DeliveryStage.RESCHEDULED | DeliveryStage.HEADED_TO_PICKUP:
            return _end(delivery, DeliveryStage.CANCELLED, now, detail=DeliveryCancellationCause.CUSTOMER_REQUEST)
        case DeliveryStage.HEADED_TO_DROPOFF:
            return _refuse(delivery, RefusalReason.PACKAGE_ON_BOARD, now)
        case DeliveryStage.COMPLETED | DeliveryStage.FAILED:
            return _refuse(delivery, RefusalReason.ALREADY_ENDED, now)
        case DeliveryStage.CANCELLED:
            return None
        case _:
            assert_never(delivery.stage)


def _decide_missing_outcome(delivery: Delivery, now: datetime) -> Outcome | None:
    if delivery.stage.is_terminal:
        # Whoever asks missed the event. The same facts again: who has acted on them finds nothing left to do.
        return Outcome(delivery, (terminal_event(delivery),))
    if delivery.stage is DeliveryStage.PENDING:
        return fail(delivery, *NOT_SCHEDULED_IN_TIME, now)
    if delivery.deadline is not None and delivery.deadline > now:
        # Rescheduled to a later deadline than the asker knows of, which this service keeps by itself.
        return None
    return fail(delivery, *DEADLINE_PASSED, now)


def decide_deadline(delivery: Delivery, *, now: datetime) -> Outcome | None:
    """End what has waited too long: for its package or drone, or for the handover."""
    if delivery.due_at is None or delivery.due_at > now:
        return None
    overdue = NOT_SCHEDULED_IN_TIME if delivery.stage is DeliveryStage.PENDING else DEADLINE_PASSED
    return fail(delivery, *overdue, now)


def decide_package_withdrawn(delivery: Delivery | None, *, now: datetime) -> Outcome | None:
    """Note that the package service has undone its part."""
    if delivery is None or delivery.package_withdrawn_at is not None:
        return None
    return tracked(replace(delivery, package_withdrawn_at=now), TrackingEventKind.PACKAGE_WITHDRAWN, now)


def decide_drone_released(delivery: Delivery | None, *, now: datetime) -> Outcome | None:
    """Note that the scheduler has undone its part."""
    if delivery is None or delivery.drone_released_at is not None:
        return None
    return tracked(replace(delivery, drone_released_at=now), TrackingEventKind.DRONE_RELEASED, now)


def terminal_event(delivery: Delivery) -> DeliveryCompleted | DeliveryCancelled | DeliveryFailed:
    """How the delivery ended, made of its state alone, so that telling it again tells the same.

    Raises ValueError when the delivery has not ended, or its state does not say how.
    """
    match delivery:
        case Delivery(stage=DeliveryStage.CANCELLED, ended_at=datetime() as ended_at):
            return DeliveryCancelled(
                delivery_id=delivery.delivery_id,
                owner_id=delivery.owner_id,
                occurred_at=ended_at,
                reason=DeliveryCancellationCause.CUSTOMER_REQUEST,
                flight=flight_until(delivery, ended_at),
            )
        case Delivery(stage=DeliveryStage.FAILED, ended_at=datetime() as ended_at, failure_reason=str() as reason):
            return DeliveryFailed(
                delivery_id=delivery.delivery_id,
                owner_id=delivery.owner_id,
                occurred_at=ended_at,
                reason=reason,
                description=delivery.failure_description or "",
                flight=flight_until(delivery, ended_at),
            )
        case Delivery(stage=DeliveryStage.COMPLETED, ended_at=datetime() as ended_at, confirmation_type=str() as proof):
            flight = flight_until(delivery, ended_at)
            if flight is not None:
                return DeliveryCompleted(
                    delivery_id=delivery.delivery_id,
                    owner_id=delivery.owner_id,
                    occurred_at=ended_at,
                    confirmation=ConfirmationRecord(
                        type=proof, confirmed_at=ended_at, location=delivery.confirmation_location
                    ),
                    flight=flight,
                )
    raise ValueError(f"delivery {delivery.delivery_id} has not ended, or does not say how")


def flight_until(delivery: Delivery, ended_at: datetime) -> FlightSummary | None:
    """What the drone flew for the delivery until then, None when it had not left."""
    location = delivery.last_location
    if delivery.drone_id is None or delivery.departed_at is None or location is None:
        return None
    return FlightSummary(
        drone_id=delivery.drone_id,
        departed_at=delivery.departed_at,
        ended_at=ended_at,
        distance_m=delivery.distance_flown_m,
        last_location=location,
        last_observed_at=delivery.last_observed_at,
    )


def _end(delivery: Delivery, stage: DeliveryStage, now: datetime, *, detail: str) -> Outcome:
    # Another process's clock may be behind the one that saw the drone leave.
    ended_at = max(now, delivery.departed_at or now)
    ended = replace(delivery, stage=stage, ended_at=ended_at, due_at=None)
    return tracked(ended, TrackingEventKind.STAGE_ENTERED, ended_at, terminal_event(ended), detail=detail)


def _refuse(delivery: Delivery, reason: RefusalReason, now: datetime) -> Outcome:
    refusal = DeliveryCancellationRefused(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=now,
        reason=reason,
        stage=delivery.stage,
    )
    return tracked(delivery, TrackingEventKind.CANCELLATION_REFUSED, now, refusal, detail=reason)
