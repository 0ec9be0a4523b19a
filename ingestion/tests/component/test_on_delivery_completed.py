"""DeliveryCompleted: the package was handed over."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, written


async def test_end_is_told_and_nothing_is_due_when_completed(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(*story.all_the_way())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["is_ended"], status["ended_at"]) == ("Completed", True, written(at(19)))
    assert (status["reason"], status["outcome_overdue"]) == (None, False)
    assert await owner.database.fetchval(
        "SELECT due_at IS NULL FROM delivery_progress WHERE delivery_id = $1", story.delivery_id
    )


async def test_client_need_not_ask_again_when_completed(owner: Owner) -> None:
    story = await owner.new_story()
    before = await owner.send("GET", f"/{story.delivery_id}")
    await owner.hear(story.completed())
    after = await owner.send("GET", f"/{story.delivery_id}")
    assert ("Retry-After" in before.headers, "Retry-After" in after.headers) == (True, False)


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.completed())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.completed())
    assert await owner.status(story.delivery_id) == before


async def test_status_ends_the_same_when_events_come_backwards(owner: Owner) -> None:
    one, other = await owner.new_story(), await owner.new_story()
    await owner.hear(*one.all_the_way())
    await owner.hear(*reversed(other.all_the_way()))
    left, right = await owner.status(one.delivery_id), await owner.status(other.delivery_id)
    assert left == right | {"delivery_id": left["delivery_id"], "accepted_at": left["accepted_at"]}


async def test_first_end_stays_when_heard_after_another(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.failed(), story.completed())
    assert (await owner.status(story.delivery_id))["stage"] == "Failed"


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).completed())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
