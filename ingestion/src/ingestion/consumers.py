"""What ingestion reacts to: commands from HTTP, delivery-events, and the moment when an outcome is due."""

from collections.abc import Iterable, Sequence

import asyncpg

from ingestion.domain import limits
from ingestion.domain.commands import (
    Acceptance,
    Accepted,
    CancelDelivery,
    Command,
    IdempotentAnswer,
    Refusal,
    RescheduleDelivery,
    SubmitDelivery,
    decide_cancellation,
    decide_rescheduling,
    decide_submission,
)
from ingestion.domain.progress import (
    Cancellation,
    DeliveryProgress,
    DeliveryRequest,
    Reschedule,
    decide_cancellation_refused,
    decide_cancelled,
    decide_completed,
    decide_failed,
    decide_headed_to_dropoff,
    decide_headed_to_pickup,
    decide_inquiry,
    decide_refused,
    decide_reschedule_accepted,
    decide_reschedule_refused,
    decide_rescheduled,
    decide_scheduled,
)
from ingestion.tables import (
    CancellationRow,
    DeliveryProgressRow,
    DeliveryRequestRow,
    IdempotentAnswerRow,
    RescheduleRow,
)
from shared_contracts.delivery.v1 import (
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
)
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.topology import subscriptions_of
from shared_runtime import Consumer, PermanentError, RowStore, Tick, UnitOfWork, loaded_by

# States are locked in this order: the key before the delivery, the delivery before the wishes for it.
consumer = Consumer(
    "ingestion",
    subscriptions_of("ingestion"),
    stores=[
        RowStore(IdempotentAnswer, IdempotentAnswerRow),
        RowStore(DeliveryRequest, DeliveryRequestRow),
        RowStore(DeliveryProgress, DeliveryProgressRow),
        RowStore(Cancellation, CancellationRow),
        RowStore(Reschedule, RescheduleRow),
    ],
)

by_key = loaded_by(IdempotentAnswer, lambda command: command.idempotency and command.idempotency.key)
progress_by_delivery = loaded_by(DeliveryProgress, lambda command: command.delivery_id)
cancellation_by_delivery = loaded_by(Cancellation, lambda command: command.delivery_id)
reschedule_by_delivery = loaded_by(Reschedule, lambda command: command.delivery_id)


@consumer.handles(SubmitDelivery, loads=[by_key])
def on_submit_delivery(command: SubmitDelivery, work: UnitOfWork) -> Acceptance | Refusal:
    """Accept a delivery: stored and on its way when the caller is answered."""
    return record(work, decide_submission(command, answered(command, work), now=work.now))


@consumer.handles(CancelDelivery, loads=[by_key, progress_by_delivery, cancellation_by_delivery])
def on_cancel_delivery(command: CancelDelivery, work: UnitOfWork) -> Acceptance | Refusal:
    """Ask delivery to cancel."""
    progress = work.get(DeliveryProgress, command.delivery_id)
    cancellation = work.get(Cancellation, command.delivery_id)
    return record(work, decide_cancellation(command, answered(command, work), progress, cancellation, now=work.now))


@consumer.handles(
    RescheduleDelivery, loads=[by_key, progress_by_delivery, cancellation_by_delivery, reschedule_by_delivery]
)
def on_reschedule_delivery(command: RescheduleDelivery, work: UnitOfWork) -> Acceptance | Refusal:
    """Ask delivery for other times."""
    progress = work.get(DeliveryProgress, command.delivery_id)
    cancellation = work.get(Cancellation, command.delivery_id)
    reschedule = work.get(Reschedule, command.delivery_id)
    earlier = answered(command, work)
    return record(work, decide_rescheduling(command, earlier, progress, cancellation, reschedule, now=work.now))


@consumer.handles(DeliveryScheduled, loads=[DeliveryProgress])
def on_delivery_scheduled(event: DeliveryScheduled, work: UnitOfWork) -> None:
    """Package and drone are there, and their arrival times known."""
    progress = progress_of(event, work)
    keep(work, progress, decide_scheduled(progress, event))


@consumer.handles(DeliveryRescheduled, loads=[DeliveryProgress, Reschedule])
def on_delivery_rescheduled(event: DeliveryRescheduled, work: UnitOfWork) -> None:
    """Other times hold, and the wish that led to them came true."""
    progress, reschedule = progress_of(event, work), work.get(Reschedule, event.delivery_id)
    keep(work, progress, decide_rescheduled(progress, event))
    keep(work, reschedule, decide_reschedule_accepted(reschedule, event))


@consumer.handles(DeliveryHeadedToPickup, loads=[DeliveryProgress])
def on_delivery_headed_to_pickup(event: DeliveryHeadedToPickup, work: UnitOfWork) -> None:
    """The drone left for the pickup."""
    progress = progress_of(event, work)
    keep(work, progress, decide_headed_to_pickup(progress, event))


@consumer.handles(DeliveryHeadedToDropoff, loads=[DeliveryProgress])
def on_delivery_headed_to_dropoff(event: DeliveryHeadedToDropoff, work: UnitOfWork) -> None:
    """The package is on board."""
    progress = progress_of(event, work)
    keep(work, progress, decide_headed_to_dropoff(progress, event))


@consumer.handles(DeliveryCompleted, loads=[DeliveryProgress])
def on_delivery_completed(event: DeliveryCompleted, work: UnitOfWork) -> None:
    """The package was handed over; nothing is due any more."""
    progress = progress_of(event, work)
    keep(work, progress, decide_completed(progress, event))


@consumer.handles(DeliveryCancelled, loads=[DeliveryProgress])
def on_delivery_cancelled(event: DeliveryCancelled, work: UnitOfWork) -> None:
    """The delivery was called off; nothing is due any more."""
    progress = progress_of(event, work)
    keep(work, progress, decide_cancelled(progress, event))


@consumer.handles(DeliveryFailed, loads=[DeliveryProgress])
def on_delivery_failed(event: DeliveryFailed, work: UnitOfWork) -> None:
    """The delivery will not happen, and the owner is told why."""
    progress = progress_of(event, work)
    keep(work, progress, decide_failed(progress, event))


@consumer.handles(DeliveryCancellationRefused, loads=[DeliveryProgress, Cancellation])
def on_delivery_cancellation_refused(event: DeliveryCancellationRefused, work: UnitOfWork) -> None:
    """The cancellation came too late, and the owner is told why."""
    progress, cancellation = progress_of(event, work), work.get(Cancellation, event.delivery_id)
    keep(work, progress, decide_refused(progress, event))
    keep(work, cancellation, decide_cancellation_refused(cancellation, event))


@consumer.handles(DeliveryRescheduleRefused, loads=[DeliveryProgress, Reschedule])
def on_delivery_reschedule_refused(event: DeliveryRescheduleRefused, work: UnitOfWork) -> None:
    """The earlier times still hold, and the owner is told why."""
    progress, reschedule = progress_of(event, work), work.get(Reschedule, event.delivery_id)
    keep(work, progress, decide_refused(progress, event))
    keep(work, reschedule, decide_reschedule_refused(reschedule, event))


@consumer.when_due(DeliveryProgress, "due_at")
def on_outcome_due(progress: DeliveryProgress, work: UnitOfWork) -> None:
    """No outcome was heard of in time: ask delivery to end it, and ask again later."""
    asked, inquiry = decide_inquiry(progress, now=work.now)
    work.put(asked)
    if inquiry is not None:
        work.publish(inquiry)


async def forget_expired_answers(connection: asyncpg.Connection, _: Sequence[Tick]) -> Iterable[object]:
    """Remove a batch of answers whose keys have expired, passing over those that somebody is using just now."""
    await connection.execute(
        """
        DELETE FROM idempotent_answer WHERE key = ANY(ARRAY(
            SELECT key FROM idempotent_answer WHERE expires_at <= now() ORDER BY expires_at LIMIT $1
            FOR UPDATE SKIP LOCKED
        ))
        """,
        limits.PRUNE_BATCH_ROWS,
    )
    return ()


@consumer.every(limits.PRUNE_INTERVAL_S, loads=[forget_expired_answers])
def on_prune_tick(_: Tick, __: UnitOfWork) -> None:
    """Idempotency keys live for a day; the statement above has removed those that were older."""


def answered(command: Command, work: UnitOfWork) -> IdempotentAnswer | None:
    """What the caller's idempotency key stands for already."""
    return work.get(IdempotentAnswer, command.idempotency.key) if command.idempotency else None


def progress_of(event: DeliveryEvent, work: UnitOfWork) -> DeliveryProgress:
    """The delivery that an event is about.

    Raises PermanentError when ingestion never accepted it. A row made up from the event would lack what was asked for,
    and no event can be earlier than the row, so this is a fault for support to see: a database restored from the past.
    """
    progress = work.get(DeliveryProgress, event.delivery_id)
    if progress is None:
        raise PermanentError(f"No request was accepted for delivery {event.delivery_id}.", reason="unknown_delivery")
    return progress


def keep(work: UnitOfWork, before: object, after: object) -> None:
    """Store a state that an event has changed; most duplicates and late events change nothing."""
    if after != before:
        work.put(after)


def record(work: UnitOfWork, decision: Accepted | Refusal) -> Acceptance | Refusal:
    """Store and publish what was decided."""
    if isinstance(decision, Refusal):
        return decision
    for state in decision.states:
        work.put(state)
    if decision.message is not None:
        expires_at = decision.message.deadline if isinstance(decision.message, DeliveryRequested) else None
        work.publish(decision.message, expires_at=expires_at)
    return decision.acceptance
