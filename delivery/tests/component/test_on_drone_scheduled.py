from datetime import timedelta

from delivery_journeys import Journey, now

from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryFailed, DeliveryFailureReason, DeliveryScheduled
from shared_contracts.message import Topic


async def test_scheduled_when_the_package_was_ready_before(world) -> None:
    journey = Journey()
    await world.tells(journey.package_ready(), journey.drone_scheduled())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryScheduled)
    assert 90 < (fact.pickup_eta - fact.occurred_at).total_seconds() < 110
    assert (await world.row(journey.delivery_id))["due_at"] == journey.deadline


async def test_scheduled_once_when_it_comes_twice(world) -> None:
    journey = Journey()
    first, _ = await world.tells(journey.drone_scheduled(), journey.package_ready())
    before = await world.row(journey.delivery_id)
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.drone_scheduled())
    assert await world.row(journey.delivery_id) == before
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled)


async def test_scheduled_when_the_package_comes_later(world) -> None:
    journey = Journey()
    await world.tells(journey.drone_scheduled(), journey.package_ready())
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled)


async def test_nothing_happens_when_the_delivery_was_cancelled(world) -> None:
    journey = Journey()
    await world.tells(journey.cancellation())
    before = await world.row(journey.delivery_id)
    await world.tells(journey.drone_scheduled())
    assert await world.row(journey.delivery_id) == before
    await world.events.wait_for(journey.delivery_id, DeliveryCancelled)


async def test_failed_when_the_package_never_comes(world) -> None:
    journey = Journey(deadline=now() + timedelta(seconds=1))
    await world.tells(journey.drone_scheduled())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert fact.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME
    await world.tells(journey.drone_released())
    assert (await world.row(journey.delivery_id))["drone_released_at"] is not None
