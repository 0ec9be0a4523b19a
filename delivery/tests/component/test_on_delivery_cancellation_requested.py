from delivery_journeys import Journey

from shared_contracts.delivery.v1 import (
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.message import Topic


async def test_cancelled_when_the_drone_has_not_left(world) -> None:
    journey = await world.scheduled()
    await world.tells(journey.cancellation())
    *_, fact = await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryCancelled)
    assert fact.flight is None


async def test_cancelled_once_when_it_comes_twice(world) -> None:
    journey = Journey()
    (first,) = await world.tells(journey.cancellation())
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.cancellation(), journey.reschedule())
    await world.events.wait_for(journey.delivery_id, DeliveryCancelled, DeliveryRescheduleRefused)


async def test_cancelled_when_it_overtakes_the_answers(world) -> None:
    journey = Journey()
    await world.tells(journey.cancellation(), *journey.answers)
    await world.events.wait_for(journey.delivery_id, DeliveryCancelled)
    assert (await world.row(journey.delivery_id))["stage"] == "Cancelled"


async def test_refused_when_the_package_is_on_board_or_the_delivery_completed(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    await world.tells(journey.on_board())
    await world.tells(journey.cancellation())
    await world.tells(journey.landed())
    await world.tells(journey.cancellation())
    *_, on_board, _, ended = await world.events.wait_for(
        journey.delivery_id,
        DeliveryScheduled,
        DeliveryHeadedToPickup,
        DeliveryHeadedToDropoff,
        DeliveryCancellationRefused,
        DeliveryCompleted,
        DeliveryCancellationRefused,
    )
    assert (on_board.reason, ended.reason) == (RefusalReason.PACKAGE_ON_BOARD, RefusalReason.ALREADY_ENDED)


async def test_both_parts_are_undone_when_it_is_cancelled(world) -> None:
    journey = await world.scheduled()
    await world.tells(journey.cancellation(), journey.drone_released(), journey.package_withdrawn())
    assert await world.history(journey.delivery_id) == [
        ("StageEntered", "Created"),
        ("StageEntered", "Cancelled"),
        ("DroneReleased", "Cancelled"),
        ("PackageWithdrawn", "Cancelled"),
    ]


async def test_failed_when_ingestion_heard_of_no_outcome(world) -> None:
    journey = Journey()
    await world.tells(journey.no_outcome())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert fact.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME


async def test_the_same_end_is_told_again_when_ingestion_missed_it(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    before = await world.row(journey.delivery_id)
    await world.tells(journey.no_outcome())
    *_, first, again = await world.events.wait_for(
        journey.delivery_id,
        DeliveryScheduled,
        DeliveryHeadedToPickup,
        DeliveryHeadedToDropoff,
        DeliveryCompleted,
        DeliveryCompleted,
    )
    assert first == again
    assert await world.row(journey.delivery_id) == before
