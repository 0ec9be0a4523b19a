"""DeliveryRescheduleRefused: the earlier times still hold."""

from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, other_times, written


async def test_reason_is_told_and_times_stay_when_the_reschedule_is_refused(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("PATCH", f"/{story.delivery_id}", json=other_times())
    await owner.hear(story.reschedule_refused())
    status = await owner.status(story.delivery_id)
    assert (status["reschedule"]["state"], status["reschedule"]["refusal_reason"]) == ("Refused", "pickup_under_way")
    assert (status["pickup_time"], status["deadline"]) == (written(at(10)), written(at(60)))


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("PATCH", f"/{story.delivery_id}", json=other_times())
    envelope = await owner.hear(story.reschedule_refused())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.reschedule_refused())
    assert await owner.status(story.delivery_id) == before


async def test_wish_stays_pending_when_an_earlier_one_is_refused(owner: Owner) -> None:
    story = await owner.new_story()
    for times in (other_times(pickup=20), other_times()):
        await owner.send("PATCH", f"/{story.delivery_id}", json=times)
    await owner.hear(story.reschedule_refused(pickup=20))
    assert (await owner.status(story.delivery_id))["reschedule"]["state"] == "Requested"
    await owner.hear(story.rescheduled())
    assert (await owner.status(story.delivery_id))["reschedule"]["state"] == "Accepted"


async def test_stage_is_told_when_heard_before_the_events_that_led_to_it(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.reschedule_refused(), story.scheduled())
    assert (await owner.status(story.delivery_id))["stage"] == "HeadedToPickup"


async def test_outcome_stays_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancelled(), story.reschedule_refused())
    assert (await owner.status(story.delivery_id))["stage"] == "Cancelled"


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).reschedule_refused())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
