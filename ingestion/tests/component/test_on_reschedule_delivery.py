"""PATCH: other times are asked for once, and hold when delivery agrees."""

import asyncio

import httpx
import pytest

from shared_contracts.ingestion.v1 import (
    DeliveryCancellationRequested,
    DeliveryRequested,
    DeliveryRescheduleRequested,
)
from shared_runtime.envelope import new_id

from .conftest import PATH, Owner
from .stories import at, other_times, written
from .test_on_submit_delivery import problem


async def test_delivery_is_asked_when_the_owner_wants_other_times(owner: Owner) -> None:
    delivery_id = await owner.submit()

    answer = await owner.send("PATCH", f"/{delivery_id}", json=other_times())

    assert (answer.status_code, answer.headers["Location"]) == (202, f"{PATH}/{delivery_id}")
    _, message = await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryRescheduleRequested)
    assert (message.owner_id, message.pickup_time, message.deadline) == (owner.name, at(30), at(90))
    status = await owner.status(delivery_id)
    assert (status["reschedule"]["state"], status["reschedule"]["deadline"]) == ("Requested", written(at(90)))
    assert status["deadline"] == written(at(60))


@pytest.mark.parametrize("key", [None, "later"])
async def test_delivery_is_asked_once_when_the_same_times_are_sent_twice(owner: Owner, key: str | None) -> None:
    delivery_id = await owner.submit()

    answers = [await owner.send("PATCH", f"/{delivery_id}", json=other_times(), key=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryRescheduleRequested)


async def test_delivery_is_asked_once_when_the_same_times_are_sent_at_once(
    owner: Owner, other_client: httpx.AsyncClient
) -> None:
    delivery_id = await owner.submit()
    headers = {"X-Subject": owner.name}

    answers = await asyncio.gather(
        *(
            client.patch(f"{PATH}/{delivery_id}", json=other_times(), headers=headers)
            for _ in range(6)
            for client in (owner.client, other_client)
        )
    )

    assert {answer.status_code for answer in answers} == {202}
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryRescheduleRequested)


async def test_delivery_is_asked_again_when_the_times_are_others(owner: Owner) -> None:
    delivery_id = await owner.submit()
    await owner.send("PATCH", f"/{delivery_id}", json=other_times(deadline=90))
    await owner.send("PATCH", f"/{delivery_id}", json=other_times(deadline=95))

    await owner.mailbox.wait_for(
        delivery_id, DeliveryRequested, DeliveryRescheduleRequested, DeliveryRescheduleRequested
    )
    assert (await owner.status(delivery_id))["reschedule"]["deadline"] == written(at(95))


async def test_refused_when_the_key_comes_with_other_times(owner: Owner) -> None:
    delivery_id = await owner.submit()
    await owner.send("PATCH", f"/{delivery_id}", json=other_times(deadline=90), key="later")
    other = await owner.send("PATCH", f"/{delivery_id}", json=other_times(deadline=95), key="later")

    assert (other.status_code, problem(other)) == (422, "idempotency-key-reused")
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryRescheduleRequested)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.pickup_time"),
        ({"deadline": written(at(90))}, "body.pickup_time"),
        (other_times() | {"package": {"size": "Large", "weight_kg": 9}}, "body.package"),
        (other_times(pickup=30, deadline=20), "body.deadline"),
        (other_times(pickup=-90, deadline=-30), "body.deadline"),
        (other_times() | {"deadline": "2030-01-01T10:00:00"}, "body.deadline"),
    ],
)
async def test_nothing_is_left_behind_when_the_body_is_bad(owner: Owner, body: dict[str, str], field: str) -> None:
    delivery_id = await owner.submit()

    answer = await owner.send("PATCH", f"/{delivery_id}", json=body)

    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert (await owner.status(delivery_id))["reschedule"] is None
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested)


async def test_refused_when_the_delivery_has_ended(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.hear(story.failed())

    answer = await owner.send("PATCH", f"/{story.delivery_id}", json=other_times())

    assert (answer.status_code, problem(answer), answer.json()["stage"]) == (409, "delivery-ended", "Failed")
    assert (await owner.status(story.delivery_id))["reschedule"] is None


async def test_refused_when_a_cancellation_is_pending(owner: Owner) -> None:
    delivery_id = await owner.submit()
    await owner.send("DELETE", f"/{delivery_id}")

    answer = await owner.send("PATCH", f"/{delivery_id}", json=other_times())

    assert (answer.status_code, problem(answer)) == (409, "cancellation-pending")
    await owner.mailbox.wait_for(delivery_id, DeliveryRequested, DeliveryCancellationRequested)


async def test_unknown_when_the_delivery_is_somebody_elses_or_none(owner: Owner) -> None:
    delivery_id = await owner.submit()
    theirs = await owner.send("PATCH", f"/{delivery_id}", json=other_times(), headers={"X-Subject": "mallory"})
    nobodys = await owner.send("PATCH", f"/{new_id()}", json=other_times())

    assert [(answer.status_code, problem(answer)) for answer in (theirs, nobodys)] == [
        (404, "delivery-request-unknown"),
        (404, "delivery-request-unknown"),
    ]
