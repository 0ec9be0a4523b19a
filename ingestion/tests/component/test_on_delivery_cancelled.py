"""DeliveryCancelled: the delivery was called off."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, written


async def test_wish_is_told_accepted_when_cancelled(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.scheduled(), story.cancelled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Cancelled", "customer_request")
    assert (status["cancellation"]["state"], status["cancellation"]["answered_at"]) == ("Accepted", written(at(6)))


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.cancelled())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.cancelled())
    assert await owner.status(story.delivery_id) == before


async def test_stage_stays_cancelled_when_the_schedule_is_heard_later(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancelled(), story.scheduled())
    assert (await owner.status(story.delivery_id))["stage"] == "Cancelled"


async def test_first_end_stays_when_heard_after_another(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.completed(), story.cancelled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Completed", None)


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).cancelled())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
