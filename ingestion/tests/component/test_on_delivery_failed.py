"""DeliveryFailed: the delivery will not happen."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, other_times, written


async def test_reason_is_told_when_failed(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.failed())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Failed", "no_drone_available")
    assert (status["description"], status["ended_at"]) == (
        "No drone became free before the deadline.",
        written(at(7)),
    )


async def test_pending_wishes_are_told_refused_when_failed(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("PATCH", f"/{story.delivery_id}", json=other_times())
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.failed())
    status = await owner.status(story.delivery_id)
    assert [(status[wish]["state"], status[wish]["refusal_reason"]) for wish in ("reschedule", "cancellation")] == [
        ("Refused", "already_ended"),
        ("Refused", "already_ended"),
    ]


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.failed())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.failed())
    assert await owner.status(story.delivery_id) == before


async def test_stage_stays_failed_when_earlier_events_are_heard_later(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.failed(), story.headed_to_pickup(), story.scheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Failed", "no_drone_available")


async def test_first_end_stays_when_heard_after_another(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancelled(), story.failed())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reason"]) == ("Cancelled", "customer_request")


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).failed())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
