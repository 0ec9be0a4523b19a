"""One delivery, told with few words: what the tests vary is what they name."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ingestion.domain.commands import (
    Accepted,
    CancelDelivery,
    Idempotency,
    IdempotentAnswer,
    Refusal,
    RescheduleDelivery,
    SubmitDelivery,
    decide_submission,
)
from ingestion.domain.progress import DeliveryProgress
from shared_contracts.delivery.v1 import (
    DeliveryCancellationCause,
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import (
    ConfirmationRecord,
    ConfirmationType,
    DeliveryStage,
    FlightSummary,
    Location,
    PackageDescription,
    PackageSize,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DELIVERY = UUID(int=1)
DRONE = UUID(int=2)
OWNER = "alice"
KEY = Idempotency(key=UUID(int=3), fingerprint="post of this body")

OPERA = Location(latitude=48.8719, longitude=2.3316, altitude_m=40)
LOUVRE = Location(latitude=48.8606, longitude=2.3376, altitude_m=35)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def after(count: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + minutes(count)


def submission(**changes: Any) -> SubmitDelivery:
    command = SubmitDelivery(
        delivery_id=DELIVERY,
        owner_id=OWNER,
        pickup=OPERA,
        dropoff=LOUVRE,
        pickup_time=after(10),
        deadline=after(60),
        expedited=False,
        confirmation_required=ConfirmationType.PICTURE,
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="books"),
    )
    return replace(command, **changes)


def cancellation_wish(**changes: Any) -> CancelDelivery:
    return replace(CancelDelivery(DELIVERY, OWNER), **changes)


def reschedule_wish(**changes: Any) -> RescheduleDelivery:
    return replace(RescheduleDelivery(DELIVERY, OWNER, pickup_time=after(30), deadline=after(90)), **changes)


def accepted(decision: Accepted | Refusal) -> Accepted:
    assert isinstance(decision, Accepted), decision
    return decision


def refused(decision: Accepted | Refusal) -> Refusal:
    assert isinstance(decision, Refusal), decision
    return decision


def stored(decision: Accepted, kind: type[Any]) -> Any:
    (state,) = [state for state in decision.states if isinstance(state, kind)]
    return state


def answer_to(decision: Accepted) -> IdempotentAnswer:
    state = stored(decision, IdempotentAnswer)
    assert isinstance(state, IdempotentAnswer)
    return state


def pending() -> DeliveryProgress:
    """The progress of a delivery that was accepted at NOW, of which nothing has been heard."""
    progress = stored(accepted(decide_submission(submission(), None, now=NOW)), DeliveryProgress)
    assert isinstance(progress, DeliveryProgress)
    return progress


def at_stage(stage: DeliveryStage) -> DeliveryProgress:
    return replace(pending(), stage=stage, due_at=None if stage.is_terminal else pending().due_at)


def _event(occurred_after: float) -> dict[str, Any]:
    return {"delivery_id": DELIVERY, "owner_id": OWNER, "occurred_at": after(occurred_after)}


def scheduled() -> DeliveryScheduled:
    return DeliveryScheduled(**_event(1), drone_id=DRONE, pickup_eta=after(12), dropoff_eta=after(20))


def rescheduled(
    at: float = 2, pickup: float = 30, deadline: float = 90, sequence: int | None = None
) -> DeliveryRescheduled:
    """Picked up when it may be at the earliest, and flown in 8 minutes."""
    return DeliveryRescheduled(
        **_event(at),
        pickup_time=after(pickup),
        deadline=after(deadline),
        pickup_eta=after(pickup),
        dropoff_eta=after(pickup + 8),
        sequence=sequence,
    )


def headed_to_pickup() -> DeliveryHeadedToPickup:
    return DeliveryHeadedToPickup(**_event(5), drone_id=DRONE, pickup_eta=after(11))


def headed_to_dropoff() -> DeliveryHeadedToDropoff:
    return DeliveryHeadedToDropoff(**_event(11), drone_id=DRONE, dropoff_eta=after(19))


def flight() -> FlightSummary:
    return FlightSummary(
        drone_id=DRONE, departed_at=after(5), ended_at=after(19), distance_m=2_500, last_location=LOUVRE
    )


def completed() -> DeliveryCompleted:
    confirmation = ConfirmationRecord(type=ConfirmationType.PICTURE, confirmed_at=after(19), location=LOUVRE)
    return DeliveryCompleted(**_event(19), confirmation=confirmation, flight=flight())


def cancelled() -> DeliveryCancelled:
    return DeliveryCancelled(**_event(6), reason=DeliveryCancellationCause.CUSTOMER_REQUEST, flight=None)


def failed() -> DeliveryFailed:
    return DeliveryFailed(
        **_event(7),
        reason=DeliveryFailureReason.NO_DRONE_AVAILABLE,
        description="No drone became free before the deadline.",
        flight=None,
    )


def cancellation_refused(
    stage: DeliveryStage = DeliveryStage.HEADED_TO_DROPOFF, reason: RefusalReason = RefusalReason.PACKAGE_ON_BOARD
) -> DeliveryCancellationRefused:
    return DeliveryCancellationRefused(**_event(13), reason=reason, stage=stage)


def reschedule_refused(pickup: float = 30, deadline: float = 90) -> DeliveryRescheduleRefused:
    return DeliveryRescheduleRefused(
        **_event(6),
        reason=RefusalReason.PICKUP_UNDER_WAY,
        stage=DeliveryStage.HEADED_TO_PICKUP,
        pickup_time=after(pickup),
        deadline=after(deadline),
    )
