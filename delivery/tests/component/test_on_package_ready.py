from delivery_journeys import Journey

from shared_contracts.delivery.v1 import (
    DeliveryCancelled,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
)
from shared_contracts.message import Topic


async def test_scheduled_when_the_drone_was_booked_before(world) -> None:
    journey = Journey()
    await world.tells(journey.drone_scheduled(), journey.package_ready())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryScheduled)
    assert (fact.owner_id, fact.drone_id) == (journey.owner_id, journey.drone_id)
    row = await world.row(journey.delivery_id)
    assert (row["stage"], row["package_id"]) == ("Created", journey.delivery_id)
    assert await world.history(journey.delivery_id) == [("StageEntered", "Created")]


async def test_nothing_changes_when_it_comes_twice(world) -> None:
    journey = Journey()
    (first,) = await world.tells(journey.package_ready())
    before = await world.row(journey.delivery_id)
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.package_ready())
    assert await world.row(journey.delivery_id) == before
    await world.tells(journey.drone_scheduled())
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled)


async def test_scheduled_when_the_drone_comes_later(world) -> None:
    journey = Journey()
    await world.tells(journey.package_ready(), journey.drone_scheduled())
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled)


async def test_nothing_happens_when_the_delivery_was_cancelled(world) -> None:
    journey = Journey()
    await world.tells(journey.cancellation(), journey.package_ready(), journey.reschedule())
    await world.events.wait_for(journey.delivery_id, DeliveryCancelled, DeliveryRescheduleRefused)
    assert (await world.row(journey.delivery_id))["package_id"] is None


async def test_package_is_withdrawn_when_no_drone_flies(world) -> None:
    journey = Journey()
    await world.tells(journey.package_ready(), journey.no_drone(), journey.package_withdrawn())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert fact.reason is DeliveryFailureReason.NO_DRONE_AVAILABLE
    assert (await world.row(journey.delivery_id))["package_withdrawn_at"] is not None
