"""DeliveryRescheduled: other times hold."""

from shared_contracts.ingestion.v1 import DeliveryRequested, DeliveryRescheduleRequested
from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, other_times, written


async def test_wish_is_told_accepted_when_the_new_times_hold(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("PATCH", f"/{story.delivery_id}", json=other_times())
    await owner.mailbox.wait_for(story.delivery_id, DeliveryRequested, DeliveryRescheduleRequested)
    await owner.hear(story.scheduled(), story.rescheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["reschedule"]["state"]) == ("Rescheduled", "Accepted")
    assert (status["pickup_time"], status["deadline"]) == (written(at(30)), written(at(90)))
    assert (status["pickup_eta"], status["dropoff_eta"]) == (written(at(30)), written(at(38)))
    assert status["requested"]["pickup_time"] == written(at(10))


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    envelope = await owner.hear(story.rescheduled())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.rescheduled())
    assert await owner.status(story.delivery_id) == before


async def test_newer_times_stay_when_an_older_change_is_heard_later(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.rescheduled(minutes=3, deadline=120), story.rescheduled(minutes=2, deadline=90))
    assert (await owner.status(story.delivery_id))["deadline"] == written(at(120))


async def test_arrival_times_of_the_flight_stay_when_heard_after_the_departure(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.headed_to_pickup(), story.rescheduled())
    status = await owner.status(story.delivery_id)
    assert (status["pickup_eta"], status["dropoff_eta"]) == (written(at(11)), written(at(38)))


async def test_nothing_is_due_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancelled(), story.rescheduled())
    due_at = await owner.database.fetchval(
        "SELECT due_at FROM delivery_progress WHERE delivery_id = $1", story.delivery_id
    )
    assert ((await owner.status(story.delivery_id))["stage"], due_at) == ("Cancelled", None)


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).rescheduled())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
