"""DELETE: delivery is asked once, and decides."""

import asyncio

import httpx
import pytest

from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested, DeliveryRequested
from shared_runtime.envelope import new_id

from .conftest import PATH, Owner
from .test_on_submit_delivery import problem


async def test_delivery_is_asked_when_the_owner_cancels(owner: Owner) -> None:
    delivery_id = await owner.submit()

    answer = await owner.send("DELETE", f"/{delivery_id}")

    assert (answer.status_code, answer.headers["Location"]) == (202, f"{PATH}/{delivery_id}")
    assert "Retry-After" in answer.headers
    _, message = await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)
    assert (message.owner_id, message.reason) == (owner.name, CancellationReason.CUSTOMER_REQUEST)
    status = await owner.status(delivery_id)
    assert (status["stage"], status["cancellation"]["state"]) == ("Pending", "Requested")


@pytest.mark.parametrize("key", [None, "cancel"])
async def test_delivery_is_asked_once_when_cancelled_twice(owner: Owner, key: str | None) -> None:
    delivery_id = await owner.submit()

    answers = [await owner.send("DELETE", f"/{delivery_id}", key=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)


@pytest.mark.parametrize("key", [None, "cancel"])
async def test_delivery_is_asked_once_when_cancelled_many_times_at_once(
    owner: Owner, other_client: httpx.AsyncClient, key: str | None
) -> None:
    delivery_id = await owner.submit()
    headers = {"X-Subject": owner.name} | ({"Idempotency-Key": key} if key else {})

    answers = await asyncio.gather(
        *(
            client.delete(f"{PATH}/{delivery_id}", headers=headers)
            for _ in range(6)
            for client in (owner.client, other_client)
        )
    )

    assert {answer.status_code for answer in answers} == {202}
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)


async def test_same_answer_when_the_delivery_was_cancelled_meanwhile(owner: Owner) -> None:
    story = await owner.new_story()
    first = await owner.send("DELETE", f"/{story.delivery_id}", key="cancel")
    await owner.hear(story.cancelled())

    again = await owner.send("DELETE", f"/{story.delivery_id}", key="cancel")

    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.content == first.content


async def test_refused_when_the_delivery_has_ended(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.completed())

    answer = await owner.send("DELETE", f"/{story.delivery_id}")

    assert (answer.status_code, problem(answer), answer.json()["stage"]) == (409, "delivery-ended", "Completed")
    assert (await owner.status(story.delivery_id))["cancellation"] is None
    await owner.mailbox.wait_for(story.delivery_id, DeliveryRequested)


async def test_unknown_when_the_delivery_is_somebody_elses_or_none(owner: Owner) -> None:
    delivery_id = await owner.submit()
    theirs = await owner.send("DELETE", f"/{delivery_id}", headers={"X-Subject": "mallory"})
    nobodys = await owner.send("DELETE", f"/{new_id()}")

    assert (theirs.status_code, problem(theirs)) == (404, "delivery-request-unknown")
    assert (nobodys.status_code, problem(nobodys)) == (404, "delivery-request-unknown")
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested)


async def test_refused_when_the_path_names_no_delivery(owner: Owner) -> None:
    answer = await owner.send("DELETE", "/all")

    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
