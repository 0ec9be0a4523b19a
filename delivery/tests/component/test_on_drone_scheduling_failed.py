from delivery_journeys import Journey

from shared_contracts.delivery.v1 import (
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToPickup,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
)
from shared_contracts.message import Topic


async def test_failed_with_the_reason(world) -> None:
    journey = Journey()
    await world.tells(journey.no_drone())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert fact.reason is DeliveryFailureReason.NO_DRONE_AVAILABLE


async def test_failed_once_when_it_comes_twice(world) -> None:
    journey = Journey()
    (first,) = await world.tells(journey.no_drone())
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.no_drone(), journey.reschedule())
    await world.events.wait_for(journey.delivery_id, DeliveryFailed, DeliveryRescheduleRefused)


async def test_failed_once_when_the_package_comes_before_or_after(world) -> None:
    before, after = Journey(), Journey()
    await world.tells(before.package_ready(), before.no_drone())
    await world.tells(after.no_drone(), after.package_ready(), after.reschedule())
    await world.events.wait_for(before.delivery_id, DeliveryFailed)
    await world.events.wait_for(after.delivery_id, DeliveryFailed, DeliveryRescheduleRefused)


async def test_nothing_happens_when_the_delivery_has_failed_already(world) -> None:
    journey = Journey()
    await world.tells(journey.package_rejected())
    before = await world.row(journey.delivery_id)
    await world.tells(journey.no_drone())
    assert await world.row(journey.delivery_id) == before


async def test_failed_with_the_flight_when_the_drone_is_grounded_on_its_way(world) -> None:
    journey = await world.scheduled()
    await world.tells(journey.leaving())
    await world.tells(journey.no_drone(), journey.package_withdrawn(), journey.drone_released())
    *_, fact = await world.events.wait_for(
        journey.delivery_id, DeliveryScheduled, DeliveryHeadedToPickup, DeliveryFailed
    )
    assert fact.flight.drone_id == journey.drone_id
    row = await world.row(journey.delivery_id)
    assert None not in (row["package_withdrawn_at"], row["drone_released_at"])
