"""Two processes of the service share one database and one set of queues."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest_asyncio
from delivery_journeys import Journey, now
from delivery_stories import ANNA

from delivery.api import router
from delivery.consumers import consumer
from shared_contracts.delivery.v1 import (
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryScheduled,
)
from shared_runtime import create_app
from shared_runtime.testing import eventually, running

FLOWN = (DeliveryScheduled, DeliveryHeadedToPickup, DeliveryHeadedToDropoff)


@pytest_asyncio.fixture(scope="module")
async def other_client(settings, client) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to a second process, which waits for the queues of the first one and has everything else."""
    async with running(create_app(consumer, settings, routers=[router], title="Delivery")) as other_client:
        yield other_client


async def test_a_deadline_ends_each_delivery_once(world, other_client) -> None:
    journeys = [Journey() for _ in range(50)]
    await world.tells(*(journey.package_ready() for journey in journeys))
    ids = [journey.delivery_id for journey in journeys]
    await world.database.execute("UPDATE delivery SET due_at = now() WHERE delivery_id = ANY($1)", ids)
    for journey in journeys:
        await world.events.wait_for(journey.delivery_id, DeliveryFailed)
    # Both processes have looked for due rows again by then.
    late = Journey(deadline=now() + timedelta(seconds=1))
    await world.tells(late.drone_scheduled())
    await world.events.wait_for(late.delivery_id, DeliveryFailed)
    assert [len(await world.heard(delivery_id)) for delivery_id in ids] == [1] * len(ids)


async def test_a_handover_is_confirmed_once(world, client, other_client) -> None:
    journey = await world.scheduled()
    await world.tells(journey.landed())
    answers = await asyncio.gather(
        *(
            one.post(f"{journey.path}/confirmations", json={"type": "Picture"}, headers={"X-Subject": ANNA})
            for one in (client, other_client) * 5
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    await world.events.wait_for(journey.delivery_id, *FLOWN, DeliveryCompleted)


async def test_confirmation_and_cancellation_at_once_have_one_end(world, other_client) -> None:
    journeys = [await world.scheduled() for _ in range(10)]
    # They travel through different queues, so either may be handled first.
    await world.tells(*(message for one in journeys for message in (one.landed(), one.cancellation())))

    async def confirm(journey: Journey) -> int:
        path = f"{journey.path}/confirmations"
        return (await other_client.post(path, json={"type": "Picture"}, headers={"X-Subject": ANNA})).status_code

    confirmed = [await confirm(journey) for journey in journeys]
    for journey, status in zip(journeys, confirmed, strict=True):
        stage = (await world.row(journey.delivery_id))["stage"]
        assert (stage, status) in {("Completed", 201), ("Cancelled", 409)}

        async def has_ended(journey: Journey = journey) -> bool:
            ends = {"delivery_completed", "delivery_cancelled"}
            return sum(event.split(".")[2] in ends for event in await world.heard(journey.delivery_id)) == 1

        await eventually(has_ended)
