"""From the first answer to the take-off: the join of package and drone, and other times that the owner asks for."""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from delivery.domain.delivery import Delivery, Outcome, Rules, TrackingEventKind, replace, tracked
from delivery.domain.ending import NOT_SCHEDULED_IN_TIME, fail
from delivery.domain.estimates import estimate_dropoff, estimate_pickup
from shared_contracts.delivery.v1 import (
    DeliveryFailureReason,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import DeliveryStage
from shared_contracts.drone_scheduler.v1 import DroneScheduled, DroneSchedulingFailed, DroneSchedulingFailureReason
from shared_contracts.ingestion.v1 import DeliveryRescheduleRequested
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageRejectionReason

BEFORE_PICKUP = frozenset(
    {DeliveryStage.PENDING, DeliveryStage.CREATED, DeliveryStage.RESCHEDULED, DeliveryStage.HEADED_TO_PICKUP}
)
"""Until the package is on board, the delivery fails when the package service or the scheduler withdraws its part."""


def decide_package_ready(
    delivery: Delivery | None, ready: PackageReady, *, now: datetime, rules: Rules
) -> Outcome | None:
    """Take the package, and schedule the delivery if its drone is booked already."""
    known = delivery or _pending(ready.delivery_id, ready.owner_id, now)
    if known.stage is not DeliveryStage.PENDING or known.package_id is not None:
        return None
    answered = replace(
        known,
        package_id=ready.package_id,
        package_size=ready.package.size,
        package_weight_kg=ready.package.weight_kg,
        package_tag=ready.package.tag,
        confirmation_required=ready.confirmation_required,
    )
    if answered.plan is not None:
        return _schedule(answered, now)
    # The drone may be found as late as the deadline: the delivery stands in line at the scheduler.
    return Outcome(replace(answered, deadline=ready.deadline, due_at=ready.deadline + rules.drone_answer_grace))


def decide_drone_scheduled(
    delivery: Delivery | None, booking: DroneScheduled, *, now: datetime, rules: Rules
) -> Outcome | None:
    """Take the drone, and schedule the delivery if its package is there already."""
    known = delivery or _pending(booking.delivery_id, booking.owner_id, now)
    if known.stage is not DeliveryStage.PENDING or known.drone_id is not None:
        return None
    answered = replace(
        known,
        drone_id=booking.drone_id,
        drone_latitude=booking.drone_location.latitude,
        drone_longitude=booking.drone_location.longitude,
        drone_altitude_m=booking.drone_location.altitude_m,
        cruise_speed_mps=booking.cruise_speed_mps,
        pickup_latitude=booking.pickup.latitude,
        pickup_longitude=booking.pickup.longitude,
        pickup_altitude_m=booking.pickup.altitude_m,
        dropoff_latitude=booking.dropoff.latitude,
        dropoff_longitude=booking.dropoff.longitude,
        dropoff_altitude_m=booking.dropoff.altitude_m,
        pickup_time=booking.pickup_time,
        deadline=booking.deadline,
        expedited=booking.expedited,
    )
    if answered.package_id is not None:
        return _schedule(answered, now)
    # A package is registered in an instant, and until it is, a drone is held that others wait for.
    return Outcome(replace(answered, due_at=min(now + rules.package_answer_timeout, booking.deadline)))


def decide_package_rejected(delivery: Delivery | None, refusal: PackageRejected, *, now: datetime) -> Outcome | None:
    """End the delivery whose package cannot be shipped."""
    known = delivery or _pending(refusal.delivery_id, refusal.owner_id, now)
    if known.stage not in BEFORE_PICKUP:
        return None
    return fail(known, _why_package_rejected(refusal.reason), refusal.description, now)


def decide_drone_scheduling_failed(
    delivery: Delivery | None, refusal: DroneSchedulingFailed, *, now: datetime
) -> Outcome | None:
    """End the delivery that no drone will fly, also one whose booked drone was grounded before the pickup."""
    known = delivery or _pending(refusal.delivery_id, refusal.owner_id, now)
    if known.stage not in BEFORE_PICKUP:
        return None
    return fail(known, _why_no_drone(refusal.reason), refusal.description, now)


def decide_reschedule(
    delivery: Delivery | None, request: DeliveryRescheduleRequested, *, now: datetime, rules: Rules
) -> Outcome | None:
    """Give the delivery other times, refuse them, or keep them until package and drone are there.

    Of several requests that come before the join the last one counts.
    """
    known = delivery or replace(
        _pending(request.delivery_id, request.owner_id, now), due_at=request.deadline + rules.drone_answer_grace
    )
    match known.stage:
        case DeliveryStage.PENDING:
            kept = replace(known, kept_pickup_time=request.pickup_time, kept_deadline=request.deadline)
            return Outcome(kept)
        case DeliveryStage.CREATED | DeliveryStage.RESCHEDULED:
            return _reschedule(known, request.pickup_time, request.deadline, now)
        case DeliveryStage.HEADED_TO_PICKUP | DeliveryStage.HEADED_TO_DROPOFF:
            return _refuse(known, RefusalReason.PICKUP_UNDER_WAY, request.pickup_time, request.deadline, now)
        case DeliveryStage.COMPLETED | DeliveryStage.CANCELLED | DeliveryStage.FAILED:
            return _refuse(known, RefusalReason.ALREADY_ENDED, request.pickup_time, request.deadline, now)
        case _:
            assert_never(known.stage)


def _pending(delivery_id: UUID, owner_id: str, now: datetime) -> Delivery:
    return Delivery(delivery_id, owner_id, DeliveryStage.PENDING, created_at=now)


def _schedule(delivery: Delivery, now: datetime) -> Outcome:
    plan = delivery.plan
    if plan is None or plan.deadline <= now:
        return fail(delivery, *NOT_SCHEDULED_IN_TIME, now)
    scheduled = replace(
        delivery,
        stage=DeliveryStage.CREATED,
        scheduled_at=now,
        due_at=plan.deadline,
        kept_pickup_time=None,
        kept_deadline=None,
    )
    fact = DeliveryScheduled(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=now,
        drone_id=plan.drone_id,
        pickup_eta=estimate_pickup(scheduled, plan, now),
        dropoff_eta=estimate_dropoff(scheduled, plan, now),
    )
    outcome = tracked(scheduled, TrackingEventKind.STAGE_ENTERED, now, fact)
    pickup_time, deadline = delivery.kept_pickup_time, delivery.kept_deadline
    if pickup_time is None or deadline is None:
        return outcome
    return outcome.then(lambda joined: _reschedule(joined, pickup_time, deadline, now))


def _reschedule(delivery: Delivery, pickup_time: datetime, deadline: datetime, now: datetime) -> Outcome:
    rescheduled = replace(
        delivery, stage=DeliveryStage.RESCHEDULED, pickup_time=pickup_time, deadline=deadline, due_at=deadline
    )
    plan = rescheduled.plan
    if plan is None or estimate_dropoff(rescheduled, plan, now) >= deadline:
        return _refuse(delivery, RefusalReason.SCHEDULE_IMPOSSIBLE, pickup_time, deadline, now)
    fact = DeliveryRescheduled(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=now,
        pickup_time=pickup_time,
        deadline=deadline,
        pickup_eta=estimate_pickup(rescheduled, plan, now),
        dropoff_eta=estimate_dropoff(rescheduled, plan, now),
        sequence=rescheduled.tracking_events + 1,
    )
    return tracked(rescheduled, TrackingEventKind.STAGE_ENTERED, now, fact)


def _refuse(
    delivery: Delivery, reason: RefusalReason, pickup_time: datetime, deadline: datetime, now: datetime
) -> Outcome:
    refusal = DeliveryRescheduleRefused(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=now,
        reason=reason,
        stage=delivery.stage,
        pickup_time=pickup_time,
        deadline=deadline,
    )
    return tracked(delivery, TrackingEventKind.RESCHEDULE_REFUSED, now, refusal, detail=reason)


def _why_package_rejected(reason: PackageRejectionReason) -> DeliveryFailureReason:
    match reason:
        case PackageRejectionReason.TOO_HEAVY:
            return DeliveryFailureReason.PACKAGE_TOO_HEAVY
        case PackageRejectionReason.TAG_NOT_ALLOWED:
            return DeliveryFailureReason.PACKAGE_TAG_NOT_ALLOWED
        case PackageRejectionReason.REQUEST_EXPIRED:
            return DeliveryFailureReason.REQUEST_EXPIRED
        case _:
            assert_never(reason)


def _why_no_drone(reason: DroneSchedulingFailureReason) -> DeliveryFailureReason:
    match reason:
        case DroneSchedulingFailureReason.NO_DRONE_AVAILABLE:
            return DeliveryFailureReason.NO_DRONE_AVAILABLE
        case DroneSchedulingFailureReason.NO_SUITABLE_DRONE:
            return DeliveryFailureReason.NO_SUITABLE_DRONE
        case DroneSchedulingFailureReason.REQUEST_EXPIRED:
            return DeliveryFailureReason.REQUEST_EXPIRED
        case DroneSchedulingFailureReason.DRONE_GROUNDED:
            return DeliveryFailureReason.DRONE_GROUNDED
        case _:
            assert_never(reason)
