"""Owners who ask to be told are told."""

import asyncio

import pytest
from delivery_journeys import Journey
from delivery_stories import ANNA

from shared_contracts.delivery.v1 import NotificationChannel, NotificationRequested
from shared_contracts.domain_types import ConfirmationType, DeliveryStage

AS_ANNA = {"X-Subject": ANNA}
WISH = {"channel": "Sms", "stages": ["HeadedToPickup", "Completed"]}


async def test_told_of_the_stages_asked_for(client, world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    path = f"{journey.path}/notifymerequests"
    made = await client.post(path, json=WISH, headers=AS_ANNA)
    assert made.status_code == 201
    assert made.json()["stages"] == WISH["stages"]
    assert (await client.get(made.headers["Location"], headers=AS_ANNA)).json() == made.json()
    assert (await client.get(path, headers=AS_ANNA)).json() == {"requests": [made.json()]}
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    first, last = await world.notifications.wait_for(journey.delivery_id, NotificationRequested, NotificationRequested)
    assert (first.stage, last.stage) == (DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.COMPLETED)
    assert str(first.request_id) == made.json()["request_id"]
    assert (first.owner_id, first.channel) == (ANNA, NotificationChannel.SMS)


async def test_told_when_the_delivery_ends_by_its_deadline_or_by_confirmation(client, world) -> None:
    waiting = Journey()
    await world.tells(waiting.package_ready())
    answer = await client.post(
        f"{waiting.path}/notifymerequests", json={"channel": "Web", "stages": ["Failed"]}, headers=AS_ANNA
    )
    assert answer.status_code == 201
    await world.database.execute("UPDATE delivery SET due_at = now() WHERE delivery_id = $1", waiting.delivery_id)
    (told,) = await world.notifications.wait_for(waiting.delivery_id, NotificationRequested)
    assert told.stage is DeliveryStage.FAILED
    confirmed = await world.scheduled()
    await client.post(f"{confirmed.path}/notifymerequests", json=WISH, headers=AS_ANNA)
    await world.tells(confirmed.landed())
    await client.post(f"{confirmed.path}/confirmations", json={"type": "Picture"}, headers=AS_ANNA)
    *_, told = await world.notifications.wait_for(confirmed.delivery_id, NotificationRequested, NotificationRequested)
    assert told.stage is DeliveryStage.COMPLETED


async def test_not_told_when_the_wish_was_taken_back(client, world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    kept = await client.post(
        f"{journey.path}/notifymerequests", json={"channel": "Email", "stages": ["Completed"]}, headers=AS_ANNA
    )
    path = (await client.post(f"{journey.path}/notifymerequests", json=WISH, headers=AS_ANNA)).headers["Location"]
    assert (await client.delete(path, headers=AS_ANNA)).status_code == 204
    assert (await client.delete(path, headers=AS_ANNA)).status_code == 404
    assert (await client.get(path, headers=AS_ANNA)).status_code == 404
    again = await client.post(f"{journey.path}/notifymerequests", json=WISH, headers=AS_ANNA)
    assert (again.status_code, again.headers["Location"]) == (201, path)
    assert (await client.delete(path, headers=AS_ANNA)).status_code == 204
    await world.tells(journey.landed())
    (told,) = await world.notifications.wait_for(journey.delivery_id, NotificationRequested)
    assert str(told.request_id) == kept.json()["request_id"]


async def test_told_once_when_the_same_was_asked_for_many_times(client, world) -> None:
    journey = await world.scheduled()
    path = f"{journey.path}/notifymerequests"
    wishes = [WISH, WISH | {"stages": ["Completed", "HeadedToPickup", "Completed"]}] * 3
    answers = await asyncio.gather(*(client.post(path, json=wish, headers=AS_ANNA) for wish in wishes))
    answers.append(await client.post(path, json=WISH, headers=AS_ANNA))
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [201]
    assert len({answer.text for answer in answers}) == 1
    await world.tells(journey.leaving())
    await world.notifications.wait_for(journey.delivery_id, NotificationRequested)


async def test_refused_when_the_delivery_has_ended_or_is_somebody_elses(client, world) -> None:
    journey = await world.scheduled()
    path = f"{journey.path}/notifymerequests"
    made = await client.post(path, json=WISH, headers=AS_ANNA)
    assert (await client.post(path, json=WISH, headers={"X-Subject": "ben"})).status_code == 404
    assert (await client.delete(made.headers["Location"], headers={"X-Subject": "ben"})).status_code == 404
    assert (await client.post(path, json=WISH)).status_code == 401
    assert (await client.post(f"{Journey().path}/notifymerequests", json=WISH, headers=AS_ANNA)).status_code == 404
    await world.tells(journey.cancellation())
    refused = await client.post(path, json=WISH | {"channel": "Web"}, headers=AS_ANNA)
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/delivery-already-ended")


async def test_refused_when_there_are_too_many(client, world) -> None:
    journey = await world.scheduled()
    path = f"{journey.path}/notifymerequests"
    stages = [stage for stage in DeliveryStage if stage is not DeliveryStage.PENDING]
    wishes = [{"channel": channel, "stages": [stage]} for channel in NotificationChannel for stage in stages]
    answers = [await client.post(path, json=wish, headers=AS_ANNA) for wish in wishes]
    assert [answer.status_code for answer in answers] == [201] * 20 + [409]
    assert answers[-1].json()["type"].endswith("/too-many-notifyme-requests")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"channel": "Pigeon", "stages": ["Completed"]},
        {"channel": "Sms", "stages": []},
        {"channel": "Sms", "stages": ["Pending"]},
        {"channel": "Sms", "stages": ["Flying"]},
        {"channel": "Sms", "stages": ["Completed"] * 20},
        {"channel": "Sms", "stages": ["Completed"], "address": "+4930123456"},
    ],
)
async def test_bad_bodies_are_refused_and_leave_nothing(client, world, body) -> None:
    journey = await world.scheduled()
    path = f"{journey.path}/notifymerequests"
    refused = await client.post(path, json=body, headers=AS_ANNA)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await client.get(path, headers=AS_ANNA)).json() == {"requests": []}
