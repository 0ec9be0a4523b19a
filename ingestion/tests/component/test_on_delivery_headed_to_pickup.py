"""DeliveryHeadedToPickup: the drone left."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, written


async def test_departure_is_told_when_the_drone_left(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.scheduled(), story.headed_to_pickup())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["pickup_eta"]) == ("HeadedToPickup", written(at(11)))
    assert status["headed_to_pickup_at"] == written(at(5))


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.headed_to_pickup())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.headed_to_pickup())
    assert await owner.status(story.delivery_id) == before


async def test_stage_stays_when_heard_after_the_package_was_picked_up(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.headed_to_dropoff(), story.headed_to_pickup())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["headed_to_pickup_at"]) == ("HeadedToDropoff", written(at(5)))


async def test_outcome_stays_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancelled(), story.headed_to_pickup())
    assert (await owner.status(story.delivery_id))["stage"] == "Cancelled"


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).headed_to_pickup())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
