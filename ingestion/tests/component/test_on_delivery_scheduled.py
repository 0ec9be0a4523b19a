"""DeliveryScheduled: package and drone are there."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import DRONE, Story, at, written


async def test_drone_and_arrival_times_are_told_when_scheduled(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.scheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["drone_id"]) == ("Created", str(DRONE))
    assert (status["pickup_eta"], status["dropoff_eta"]) == (written(at(12)), written(at(20)))
    assert (status["scheduled_at"], status["is_ended"]) == (written(at(1)), False)


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.scheduled())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.scheduled())
    assert await owner.status(story.delivery_id) == before


async def test_stage_stays_when_heard_after_the_drone_left(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.headed_to_pickup(), story.scheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["pickup_eta"]) == ("HeadedToPickup", written(at(11)))
    assert (status["scheduled_at"], status["dropoff_eta"]) == (written(at(1)), written(at(20)))


async def test_outcome_stays_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.failed(), story.scheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Failed", "no_drone_available")


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    stray = Story(new_id(), owner.name)
    await owner.hear(stray.scheduled())
    letter = await owner.dead_letter()
    assert (letter["deadletter_reason"], letter["cloudEvents_sessionid"]) == (
        "unknown_delivery",
        str(stray.delivery_id),
    )
    assert await owner.rows() == 0
