"""Ingestion keeps time too: an outcome that is not heard of is asked for until it is."""

from datetime import datetime
from uuid import UUID

from ingestion.domain import limits
from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested, DeliveryRequested
from shared_runtime.envelope import utc_now

from .conftest import Owner
from .stories import at


async def fall_due(owner: Owner, delivery_id: UUID) -> None:
    """Let the grace after the deadline be over."""
    await owner.database.execute("UPDATE delivery_progress SET due_at = now() WHERE delivery_id = $1", delivery_id)


async def due_at(owner: Owner, delivery_id: UUID) -> datetime | None:
    due: datetime | None = await owner.database.fetchval(
        "SELECT due_at FROM delivery_progress WHERE delivery_id = $1", delivery_id
    )
    return due


async def test_due_after_deadline_and_grace_when_accepted(owner: Owner) -> None:
    assert await due_at(owner, await owner.submit()) == at(60) + limits.OUTCOME_GRACE


async def test_delivery_is_asked_to_end_it_when_no_outcome_was_heard_of(owner: Owner) -> None:
    delivery_id = await owner.submit()
    await fall_due(owner, delivery_id)

    _, message = await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)

    assert (message.owner_id, message.reason) == (owner.name, CancellationReason.NO_OUTCOME_IN_TIME)
    status = await owner.status(delivery_id)
    assert (status["stage"], status["outcome_overdue"], status["cancellation"]) == ("Pending", True, None)
    due = await due_at(owner, delivery_id)
    assert due is not None
    assert due > utc_now() + limits.INQUIRY_PAUSE_FIRST / 2


async def test_asked_again_when_there_is_still_none(owner: Owner) -> None:
    delivery_id = await owner.submit()
    await fall_due(owner, delivery_id)
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)
    await fall_due(owner, delivery_id)

    await owner.mailbox.wait_for(
        delivery_id, DeliveryRequested, DeliveryCancellationRequested, DeliveryCancellationRequested
    )

    due = await due_at(owner, delivery_id)
    assert due is not None
    assert due > utc_now() + limits.INQUIRY_PAUSE_FIRST * 1.5


async def test_asked_after_the_new_deadline_when_rescheduled(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.scheduled(), story.rescheduled(deadline=90))

    assert await due_at(owner, story.delivery_id) == at(90) + limits.OUTCOME_GRACE


async def test_not_asked_when_the_outcome_came_first(owner: Owner) -> None:
    """Even if a due moment were left on an ended delivery."""
    story = await owner.new_story()
    await owner.hear(story.completed())
    await fall_due(owner, story.delivery_id)
    other = await owner.submit()
    await fall_due(owner, other)

    await owner.mailbox.wait_for(other, DeliveryRequested, DeliveryCancellationRequested)

    assert await due_at(owner, story.delivery_id) is None
    await owner.mailbox.wait_for(story.delivery_id, DeliveryRequested)
    assert (await owner.status(story.delivery_id))["outcome_overdue"] is False


async def test_no_longer_due_when_the_outcome_comes_after_all(owner: Owner) -> None:
    story = await owner.new_story()
    await fall_due(owner, story.delivery_id)
    await owner.mailbox.wait_for(story.delivery_id, DeliveryRequested, DeliveryCancellationRequested)

    await owner.hear(story.failed())

    status = await owner.status(story.delivery_id)
    assert (status["stage"], status["outcome_overdue"], await due_at(owner, story.delivery_id)) == (
        "Failed",
        False,
        None,
    )
