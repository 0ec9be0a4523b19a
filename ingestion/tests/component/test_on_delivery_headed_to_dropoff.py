"""DeliveryHeadedToDropoff: the package is on board."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, written


async def test_pickup_is_told_when_the_package_is_on_board(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.scheduled(), story.headed_to_pickup(), story.headed_to_dropoff())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["dropoff_eta"]) == ("HeadedToDropoff", written(at(19)))
    assert status["headed_to_dropoff_at"] == written(at(11))


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.headed_to_dropoff())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.headed_to_dropoff())
    assert await owner.status(story.delivery_id) == before


async def test_status_ends_the_same_when_it_overtakes_all_before_it(owner: Owner) -> None:
    one, other = await owner.new_story(), await owner.new_story()
    await owner.hear(one.scheduled(), one.headed_to_pickup(), one.headed_to_dropoff())
    await owner.hear(other.headed_to_dropoff(), other.headed_to_pickup(), other.scheduled())
    left, right = await owner.status(one.delivery_id), await owner.status(other.delivery_id)
    assert left == right | {"delivery_id": left["delivery_id"], "accepted_at": left["accepted_at"]}


async def test_outcome_stays_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.completed(), story.headed_to_dropoff())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["ended_at"]) == ("Completed", written(at(19)))


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).headed_to_dropoff())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
