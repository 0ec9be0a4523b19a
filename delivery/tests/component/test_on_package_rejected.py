from delivery_journeys import Journey

from shared_contracts.delivery.v1 import DeliveryFailed, DeliveryFailureReason, DeliveryRescheduleRefused
from shared_contracts.message import Topic


async def test_failed_with_the_reason(world) -> None:
    journey = Journey()
    await world.tells(journey.package_rejected())
    (fact,) = await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert fact.reason is DeliveryFailureReason.PACKAGE_TOO_HEAVY
    row = await world.row(journey.delivery_id)
    assert (row["stage"], row["failure_reason"], row["due_at"]) == ("Failed", "package_too_heavy", None)


async def test_failed_once_when_it_comes_twice(world) -> None:
    journey = Journey()
    (first,) = await world.tells(journey.package_rejected())
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.package_rejected(), journey.reschedule())
    await world.events.wait_for(journey.delivery_id, DeliveryFailed, DeliveryRescheduleRefused)


async def test_failed_once_when_the_drone_is_booked_before_or_after(world) -> None:
    before, after = Journey(), Journey()
    await world.tells(before.drone_scheduled(), before.package_rejected())
    await world.tells(after.package_rejected(), after.drone_scheduled(), after.reschedule())
    await world.events.wait_for(before.delivery_id, DeliveryFailed)
    await world.events.wait_for(after.delivery_id, DeliveryFailed, DeliveryRescheduleRefused)
    assert (await world.row(after.delivery_id))["drone_id"] is None


async def test_nothing_happens_when_the_delivery_has_failed_already(world) -> None:
    journey = Journey()
    await world.tells(journey.no_drone())
    before = await world.row(journey.delivery_id)
    await world.tells(journey.package_rejected())
    assert await world.row(journey.delivery_id) == before


async def test_drone_is_released_when_it_was_booked(world) -> None:
    journey = Journey()
    await world.tells(journey.drone_scheduled(), journey.package_rejected(), journey.drone_released())
    await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    assert await world.history(journey.delivery_id) == [("StageEntered", "Failed"), ("DroneReleased", "Failed")]
