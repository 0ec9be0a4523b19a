"""From the take-off to the handover: what telemetry and the recipient's confirmation make of a delivery."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import assert_never

from delivery.domain.clocks import is_late, seen_at
from delivery.domain.delivery import Delivery, FlightPlan, Outcome, Rules, TrackingEventKind, replace, tracked
from delivery.domain.ending import DEADLINE_PASSED, complete, fail
from delivery.domain.estimates import distance_m, estimate_dropoff, estimate_pickup
from shared_contracts.delivery.v1 import DeliveryHeadedToDropoff, DeliveryHeadedToPickup
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported

BEFORE_TAKE_OFF = frozenset({DeliveryStage.CREATED, DeliveryStage.RESCHEDULED})
UNDER_WAY = BEFORE_TAKE_OFF | {DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.HEADED_TO_DROPOFF}
"""The stages in which the telemetry of the booked drone counts."""

Step = Callable[[Delivery], Outcome]


def decide_telemetry(
    delivery: Delivery | None, report: DroneTelemetryReported, *, now: datetime, rules: Rules
) -> Outcome | None:
    """Move the delivery to where its drone is.

    Reports of another drone, reports after the end and late ones change nothing. When reports were lost, the stages
    that they would have told of are entered now, in their order: a stage is never left out, and none is entered twice.
    """
    if delivery is None or delivery.stage not in UNDER_WAY:
        return None
    plan = delivery.plan
    if plan is None or plan.drone_id != report.drone_id:
        return None
    late = is_late(report.observed_at, delivery.last_observed_at, now)
    seen = seen_at(report.observed_at, delivery, now)
    outcome = Outcome(_moved(delivery, report.location, report.observed_at))
    if seen >= plan.deadline:
        return None if late else outcome.then(lambda overdue: fail(overdue, *DEADLINE_PASSED, now))
    for step in _steps(report.activity, plan, seen):
        outcome = outcome.then(step)
    if outcome.tracking:
        # Whoever is further than we knew is not behind, whatever the clocks say: no clock can stop a delivery.
        return outcome.then(lambda further: Outcome(replace(further, position_kept_at=report.observed_at)))
    return None if late else outcome.then(partial(_keep_position, report.observed_at, seen, rules))


def _moved(delivery: Delivery, location: Location, observed_at: datetime) -> Delivery:
    flown_m = 0.0
    if delivery.departed_at is not None and delivery.last_location is not None:
        flown_m = distance_m(delivery.last_location, location)
    return replace(
        delivery,
        last_latitude=location.latitude,
        last_longitude=location.longitude,
        last_altitude_m=location.altitude_m,
        last_observed_at=observed_at,
        distance_flown_m=delivery.distance_flown_m + flown_m,
    )


def _steps(activity: DroneActivity, plan: FlightPlan, at: datetime) -> tuple[Step, ...]:
    """What must have happened by now for the drone to be doing this."""
    head_to_pickup = partial(_head_to_pickup, plan=plan, at=at)
    head_to_dropoff = partial(_head_to_dropoff, plan=plan, at=at)
    match activity:
        case DroneActivity.IDLE | DroneActivity.CHARGING:
            return ()
        case DroneActivity.HEADING_TO_PICKUP:
            return (head_to_pickup,)
        case DroneActivity.HEADING_TO_DROPOFF:
            return (head_to_pickup, head_to_dropoff)
        case DroneActivity.AT_DROPOFF:
            return (head_to_pickup, head_to_dropoff, partial(_arrive, at=at))
        case _:
            assert_never(activity)


def _head_to_pickup(delivery: Delivery, plan: FlightPlan, at: datetime) -> Outcome:
    if delivery.stage not in BEFORE_TAKE_OFF:
        return Outcome(delivery)
    departed = replace(delivery, stage=DeliveryStage.HEADED_TO_PICKUP, departed_at=at)
    fact = DeliveryHeadedToPickup(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=at,
        drone_id=plan.drone_id,
        pickup_eta=estimate_pickup(departed, plan, at),
    )
    return tracked(departed, TrackingEventKind.STAGE_ENTERED, at, fact)


def _head_to_dropoff(delivery: Delivery, plan: FlightPlan, at: datetime) -> Outcome:
    if delivery.stage is not DeliveryStage.HEADED_TO_PICKUP:
        return Outcome(delivery)
    loaded = replace(delivery, stage=DeliveryStage.HEADED_TO_DROPOFF, picked_up_at=at)
    fact = DeliveryHeadedToDropoff(
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        occurred_at=at,
        drone_id=plan.drone_id,
        dropoff_eta=estimate_dropoff(loaded, plan, at),
    )
    return tracked(loaded, TrackingEventKind.STAGE_ENTERED, at, fact)


def _arrive(delivery: Delivery, at: datetime) -> Outcome:
    if delivery.arrived_at is not None:
        return Outcome(delivery)
    arrived = replace(delivery, arrived_at=at)
    outcome = tracked(arrived, TrackingEventKind.ARRIVED_AT_DROPOFF, at)
    if delivery.confirmation_required is not ConfirmationType.NONE:
        return outcome
    return outcome.then(lambda landed: complete(landed, ConfirmationType.NONE, at, landed.last_location))


def _keep_position(observed_at: datetime, seen: datetime, rules: Rules, delivery: Delivery) -> Outcome:
    kept_at = delivery.position_kept_at
    # A drone that sets its clock back has the same interval to wait, and not until its clock is where it was.
    if kept_at is not None and abs(observed_at - kept_at) < rules.position_interval:
        return Outcome(delivery)
    return tracked(replace(delivery, position_kept_at=observed_at), TrackingEventKind.POSITION_REPORTED, seen)


class ConfirmationRefusal(StrEnum):
    WRONG_TYPE = "wrong_type"
    NOT_AT_DROPOFF = "not_at_dropoff"
    DEADLINE_PASSED = "deadline_passed"
    ALREADY_ENDED = "already_ended"


def decide_confirmation(
    delivery: Delivery,
    confirmation: ConfirmationType,
    *,
    location: Location | None,
    reference: str | None,
    now: datetime,
) -> Outcome | ConfirmationRefusal | None:
    """Complete the delivery on the recipient's confirmation, or say why not; None when it is confirmed already.

    `location` is where it was confirmed, the drone's place when it is left out; `reference` names where the proof is.
    """
    if confirmation is not (delivery.confirmation_required or confirmation):
        return ConfirmationRefusal.WRONG_TYPE
    match delivery.stage:
        case DeliveryStage.COMPLETED:
            return None
        case DeliveryStage.CANCELLED | DeliveryStage.FAILED:
            return ConfirmationRefusal.ALREADY_ENDED
        case (
            DeliveryStage.PENDING
            | DeliveryStage.CREATED
            | DeliveryStage.RESCHEDULED
            | DeliveryStage.HEADED_TO_PICKUP
            | DeliveryStage.HEADED_TO_DROPOFF
        ):
            if delivery.arrived_at is None:
                return ConfirmationRefusal.NOT_AT_DROPOFF
            if delivery.deadline is None or delivery.deadline <= now:
                return ConfirmationRefusal.DEADLINE_PASSED
            return complete(delivery, confirmation, now, location or delivery.last_location, reference)
        case _:
            assert_never(delivery.stage)
