"""DeliveryCancellationRefused: the cancellation came too late."""

from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.domain_types import DeliveryStage
from shared_contracts.ingestion.v1 import DeliveryCancellationRequested, DeliveryRequested
from shared_runtime.envelope import new_id

from .conftest import Owner
from .stories import Story, at, written


async def test_reason_is_told_when_the_cancellation_is_refused(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.cancellation_refused())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["is_ended"]) == ("HeadedToDropoff", False)
    assert (status["cancellation"]["state"], status["cancellation"]["refusal_reason"]) == (
        "Refused",
        "package_on_board",
    )
    assert status["cancellation"]["answered_at"] == written(at(13))


async def test_owner_can_try_again_when_refused(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.cancellation_refused())
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.mailbox.wait_for(
        story.delivery_id, DeliveryRequested, DeliveryCancellationRequested, DeliveryCancellationRequested
    )
    assert (await owner.status(story.delivery_id))["cancellation"]["state"] == "Requested"


async def test_nothing_changes_when_heard_twice(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    envelope = await owner.hear(story.cancellation_refused())
    before = await owner.status(story.delivery_id)
    await owner.hear_again(envelope, then=story.cancellation_refused())
    assert await owner.status(story.delivery_id) == before


async def test_stage_is_told_when_heard_before_the_events_that_led_to_it(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancellation_refused(), story.headed_to_pickup(), story.scheduled())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["cancellation"]) == ("HeadedToDropoff", None)


async def test_outcome_stays_when_heard_after_the_end(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.completed(), story.cancellation_refused())
    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["cancellation"]["refusal_reason"]) == ("Completed", "package_on_board")


async def test_nothing_is_due_when_it_tells_of_an_end_that_was_not_heard_of(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.cancellation_refused(DeliveryStage.FAILED, RefusalReason.ALREADY_ENDED))
    due_at = await owner.database.fetchval(
        "SELECT due_at FROM delivery_progress WHERE delivery_id = $1", story.delivery_id
    )
    assert ((await owner.status(story.delivery_id))["stage"], due_at) == ("Failed", None)


async def test_set_aside_when_no_such_request_was_accepted(owner: Owner) -> None:
    await owner.hear(Story(new_id(), owner.name).cancellation_refused())
    assert (await owner.dead_letter())["deadletter_reason"] == "unknown_delivery"
    assert await owner.rows() == 0
