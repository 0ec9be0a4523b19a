"""What delivery reacts to: answers about package and drone, wishes of the owner, telemetry, commands, deadlines."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from delivery.commands import AskToBeNotified, ConfirmHandover, ReportTelemetry, StopNotifying, Viewer
from delivery.domain.delivery import Delivery, Outcome, replace
from delivery.domain.ending import (
    decide_cancellation,
    decide_deadline,
    decide_drone_released,
    decide_package_withdrawn,
)
from delivery.domain.flying import ConfirmationRefusal, decide_confirmation, decide_telemetry
from delivery.domain.notifying import (
    NotificationRefusal,
    NotifyMeRequest,
    decide_notifications,
    decide_notify_me_request,
)
from delivery.domain.scheduling import (
    decide_drone_scheduled,
    decide_drone_scheduling_failed,
    decide_package_ready,
    decide_package_rejected,
    decide_reschedule,
)
from delivery.loaders import Wishes, load_wishes
from delivery.problems import (
    confirmation_problem,
    delivery_not_found,
    notification_problem,
    notify_me_request_not_found,
)
from delivery.settings import RuleSettings
from delivery.tables import DELIVERIES, NOTIFY_ME_REQUESTS, TRACKING_EVENTS
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailed
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryCancellationRequested, DeliveryRescheduleRequested
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageWithdrawn
from shared_contracts.topology import subscriptions_of
from shared_runtime import Consumer, UnitOfWork, loaded_by

consumer = Consumer("delivery", subscriptions_of("delivery"), stores=[DELIVERIES, TRACKING_EVENTS, NOTIFY_ME_REQUESTS])
rules = RuleSettings().rules

delivery_of_message = loaded_by(Delivery, lambda message: message.delivery_id)
wish_of_command = loaded_by(NotifyMeRequest, lambda command: command.request_id)

Handler = TypeVar("Handler", bound=Callable[[Any, UnitOfWork], None])


def reacts_to(message: type) -> Callable[[Handler], Handler]:
    """Register a handler that gets the delivery and the wishes to be told of it.

    Nothing expires here: a late answer is still an answer, and the decision looks at the clock.
    """
    return consumer.handles(message, loads=[delivery_of_message, load_wishes], even_expired=True)


@reacts_to(PackageReady)
def on_package_ready(ready: PackageReady, work: UnitOfWork) -> None:
    """The package may be shipped: with a drone the delivery is scheduled, without one it waits."""
    delivery = work.get(Delivery, ready.delivery_id)
    record(work, decide_package_ready(delivery, ready, now=work.now, rules=rules))


@reacts_to(PackageRejected)
def on_package_rejected(refusal: PackageRejected, work: UnitOfWork) -> None:
    """The package cannot be shipped: the delivery fails, and the scheduler lets go of the drone."""
    delivery = work.get(Delivery, refusal.delivery_id)
    record(work, decide_package_rejected(delivery, refusal, now=work.now))


@reacts_to(PackageWithdrawn)
def on_package_withdrawn(fact: PackageWithdrawn, work: UnitOfWork) -> None:
    """The package service has undone its part."""
    delivery = work.get(Delivery, fact.delivery_id)
    record(work, decide_package_withdrawn(delivery, now=work.now))


@reacts_to(DroneScheduled)
def on_drone_scheduled(booking: DroneScheduled, work: UnitOfWork) -> None:
    """A drone is booked: with its package the delivery is scheduled, without it waits."""
    delivery = work.get(Delivery, booking.delivery_id)
    record(work, decide_drone_scheduled(delivery, booking, now=work.now, rules=rules))


@reacts_to(DroneSchedulingFailed)
def on_drone_scheduling_failed(refusal: DroneSchedulingFailed, work: UnitOfWork) -> None:
    """No drone will fly: the delivery fails, and the package is withdrawn."""
    delivery = work.get(Delivery, refusal.delivery_id)
    record(work, decide_drone_scheduling_failed(delivery, refusal, now=work.now))


@reacts_to(DroneReleased)
def on_drone_released(fact: DroneReleased, work: UnitOfWork) -> None:
    """The scheduler has undone its part."""
    delivery = work.get(Delivery, fact.delivery_id)
    record(work, decide_drone_released(delivery, now=work.now))


@reacts_to(DeliveryRescheduleRequested)
def on_delivery_reschedule_requested(request: DeliveryRescheduleRequested, work: UnitOfWork) -> None:
    """The owner wants other times, which is possible until the drone leaves."""
    delivery = work.get(Delivery, request.delivery_id)
    record(work, decide_reschedule(delivery, request, now=work.now, rules=rules))


@reacts_to(DeliveryCancellationRequested)
def on_delivery_cancellation_requested(request: DeliveryCancellationRequested, work: UnitOfWork) -> None:
    """The delivery is to be ended, which is possible until the package is on board."""
    delivery = work.get(Delivery, request.delivery_id)
    record(work, decide_cancellation(delivery, request, now=work.now))


@reacts_to(DroneTelemetryReported)
def on_drone_telemetry_reported(report: DroneTelemetryReported, work: UnitOfWork) -> None:
    """The delivery is where its drone is."""
    if report.delivery_id is None:
        return
    delivery = work.get(Delivery, report.delivery_id)
    record(work, decide_telemetry(delivery, report, now=work.now, rules=rules))


@consumer.when_due(Delivery, "due_at", loads=[load_wishes])
def on_delivery_due(delivery: Delivery, work: UnitOfWork) -> None:
    """Package and drone, or the handover, were waited for long enough."""
    record(work, decide_deadline(delivery, now=work.now))


@consumer.handles(ReportTelemetry)
def on_report_telemetry(command: ReportTelemetry, work: UnitOfWork) -> None:
    """Pass the reports on to everybody who listens to drones, this service included."""
    for report in command.reports:
        work.publish(report)


@consumer.handles(ConfirmHandover, loads=[delivery_of_message, load_wishes])
def on_confirm_handover(command: ConfirmHandover, work: UnitOfWork) -> tuple[Delivery, bool]:
    """Complete the delivery. The answer is the completed delivery, and whether this confirmation completed it."""
    delivery = visible_delivery(command.viewer, command.delivery_id, work)
    decision = decide_confirmation(
        delivery, command.type, location=command.location, reference=command.reference, now=work.now
    )
    if isinstance(decision, ConfirmationRefusal):
        raise confirmation_problem(decision, delivery)
    record(work, decision)
    return (decision.delivery, True) if decision is not None else (delivery, False)


@consumer.handles(AskToBeNotified, loads=[delivery_of_message, wish_of_command, load_wishes])
def on_ask_to_be_notified(command: AskToBeNotified, work: UnitOfWork) -> tuple[NotifyMeRequest, bool]:
    """Note the wish. The answer is the request that stands for it, and whether it is a new one."""
    delivery = visible_delivery(command.viewer, command.delivery_id, work)
    earlier = work.get(NotifyMeRequest, command.request_id)
    wish = NotifyMeRequest(
        request_id=command.request_id,
        delivery_id=delivery.delivery_id,
        owner_id=delivery.owner_id,
        channel=command.channel,
        stages=",".join(command.stages),
        created_at=work.now,
    )
    decision = decide_notify_me_request(delivery, wish, earlier, len(wishes_for(delivery.delivery_id, work)))
    if isinstance(decision, NotificationRefusal):
        raise notification_problem(decision, delivery)
    if decision is not None:
        work.put(decision)
    return decision or earlier or wish, decision is not None


@consumer.handles(StopNotifying, loads=[delivery_of_message, wish_of_command])
def on_stop_notifying(command: StopNotifying, work: UnitOfWork) -> None:
    """Forget the wish."""
    visible_delivery(command.viewer, command.delivery_id, work)
    wish = work.get(NotifyMeRequest, command.request_id)
    if wish is None or wish.delivery_id != command.delivery_id or wish.withdrawn_at is not None:
        raise notify_me_request_not_found()
    work.put(replace(wish, withdrawn_at=work.now))


def record(work: UnitOfWork, outcome: Outcome | None) -> None:
    """Keep what was decided, and tell the others, then those who asked to be told."""
    if outcome is None:
        return
    delivery = outcome.delivery
    if delivery.traceparent is None and work.envelope.traceparent is not None:
        delivery = replace(delivery, traceparent=work.envelope.traceparent)
    work.put(delivery)
    for event in outcome.tracking:
        work.put(event)
    for message in (*outcome.messages, *decide_notifications(outcome, wishes_for(delivery.delivery_id, work))):
        work.publish(message, correlation_id=str(delivery.delivery_id), traceparent=delivery.traceparent)


def wishes_for(delivery_id: UUID, work: UnitOfWork) -> tuple[NotifyMeRequest, ...]:
    """The standing notify-me requests for the delivery."""
    wishes = work.get(Wishes, delivery_id)
    return wishes.requests if wishes is not None else ()


def visible_delivery(viewer: Viewer, delivery_id: UUID, work: UnitOfWork) -> Delivery:
    """The delivery, if the viewer may see it.

    Raises Problem (404) otherwise: that somebody else has a delivery of this id is nobody's business.
    """
    delivery = work.get(Delivery, delivery_id)
    if delivery is None or not viewer.may_see(delivery.owner_id):
        raise delivery_not_found(delivery_id)
    return delivery
