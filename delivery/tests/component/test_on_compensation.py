"""PackageWithdrawn and DroneReleased: the others have undone their parts."""

import pytest
from delivery_journeys import Journey

from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryScheduled
from shared_contracts.message import Topic

FACTS = {
    "package": (Journey.package_withdrawn, "package_withdrawn_at", "PackageWithdrawn"),
    "drone": (Journey.drone_released, "drone_released_at", "DroneReleased"),
}


@pytest.fixture(params=FACTS.values(), ids=FACTS)
def part(request):
    return request.param


async def test_noted_when_the_delivery_was_cancelled(world, part) -> None:
    fact, column, kind = part
    journey = await world.scheduled()
    await world.tells(journey.cancellation(), fact(journey))
    assert (await world.row(journey.delivery_id))[column] is not None
    assert (await world.history(journey.delivery_id))[-1] == (kind, "Cancelled")


async def test_nothing_changes_when_it_comes_twice(world, part) -> None:
    fact, _, kind = part
    journey = await world.scheduled()
    _, first = await world.tells(journey.cancellation(), fact(journey))
    before = await world.row(journey.delivery_id)
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(fact(journey))
    assert await world.row(journey.delivery_id) == before
    assert [one for one, _ in await world.history(journey.delivery_id)].count(kind) == 1


async def test_both_are_noted_in_either_order(world) -> None:
    for parts in (("package", "drone"), ("drone", "package")):
        journey = await world.scheduled()
        await world.tells(journey.cancellation(), *(FACTS[part][0](journey) for part in parts))
        row = await world.row(journey.delivery_id)
        assert None not in (row["package_withdrawn_at"], row["drone_released_at"])


async def test_the_end_stays_and_nothing_is_told(world, part) -> None:
    fact, _, _ = part
    journey = await world.scheduled()
    await world.tells(journey.cancellation(), fact(journey))
    assert (await world.row(journey.delivery_id))["stage"] == "Cancelled"
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryCancelled)


async def test_nothing_is_noted_when_the_delivery_is_unknown(world, part) -> None:
    fact, _, _ = part
    journey = Journey()
    await world.tells(fact(journey))
    assert await world.row(journey.delivery_id) == {}
