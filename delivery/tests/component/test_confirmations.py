"""The recipient confirms the handover over HTTP."""

import asyncio

import pytest
from delivery_journeys import Journey
from delivery_stories import ANNA, DROPOFF

from shared_contracts.delivery.v1 import (
    DeliveryCompleted,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryScheduled,
)
from shared_contracts.domain_types import ConfirmationType, Location

AS_ANNA = {"X-Subject": ANNA}
AS_FLEET = {"X-Subject": "drone-operations", "X-Roles": "fleet"}
FLOWN = (DeliveryScheduled, DeliveryHeadedToPickup, DeliveryHeadedToDropoff)


async def landed(world, confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Journey:
    journey = await world.scheduled(confirmation)
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    return journey


@pytest.mark.parametrize("required", [ConfirmationType.FINGERPRINT, ConfirmationType.PICTURE, ConfirmationType.VOICE])
async def test_completed_when_the_type_is_the_one_asked_for(client, world, required) -> None:
    journey = await landed(world, required)
    body = {"type": required, "reference": "proofs/1", "location": {"latitude": 0.001, "longitude": 0.09}}
    answer = await client.post(f"{journey.path}/confirmations", json=body, headers=AS_ANNA)
    assert answer.status_code == 201, answer.text
    *_, fact = await world.events.wait_for(journey.delivery_id, *FLOWN, DeliveryCompleted)
    assert (fact.confirmation.type, fact.confirmation.location) == (required, Location(latitude=0.001, longitude=0.09))
    seen = (await client.get(f"{journey.path}/confirmations", headers=AS_ANNA)).json()
    assert seen == {"required": required, "confirmations": [answer.json()]}
    assert answer.json()["reference"] == "proofs/1"


async def test_the_fleet_may_confirm_and_the_place_is_the_drones(client, world) -> None:
    journey = await landed(world)
    answer = await client.post(f"{journey.path}/confirmations", json={"type": "Picture"}, headers=AS_FLEET)
    assert Location(**answer.json()["location"]) == DROPOFF


async def test_refused_when_the_type_is_wrong_and_nothing_changes(client, world) -> None:
    journey = await landed(world)
    before = await world.row(journey.delivery_id)
    for wrong in ("FingerPrint", "Voice", "None"):
        refused = await client.post(f"{journey.path}/confirmations", json={"type": wrong}, headers=AS_ANNA)
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"].endswith("/wrong-confirmation-type")
        assert refused.json()["required"] == "Picture"
    assert await world.row(journey.delivery_id) == before
    assert (await client.get(f"{journey.path}/confirmations", headers=AS_ANNA)).json()["confirmations"] == []


async def test_refused_when_the_drone_is_not_there(client, world) -> None:
    journey = await world.scheduled()
    for report in (None, journey.leaving(), journey.on_board()):
        await world.tells(*([report] if report else []))
        refused = await client.post(f"{journey.path}/confirmations", json={"type": "Picture"}, headers=AS_ANNA)
        assert refused.status_code == 409
        assert refused.json()["type"].endswith("/drone-not-at-dropoff")


async def test_refused_when_the_delivery_was_cancelled(client, world) -> None:
    journey = await world.scheduled()
    await world.tells(journey.cancellation())
    refused = await client.post(f"{journey.path}/confirmations", json={"type": "Picture"}, headers=AS_ANNA)
    assert (refused.status_code, refused.json()["stage"]) == (409, "Cancelled")


async def test_completed_once_when_confirmed_many_times_at_once(client, world) -> None:
    journey = await landed(world)
    body = {"type": "Picture"}
    answers = await asyncio.gather(
        *(client.post(f"{journey.path}/confirmations", json=body, headers=AS_ANNA) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.text for answer in answers}) == 1
    await world.events.wait_for(journey.delivery_id, *FLOWN, DeliveryCompleted)


async def test_somebody_elses_delivery_is_not_there(client, world) -> None:
    journey = await landed(world)
    path = f"{journey.path}/confirmations"
    assert (await client.post(path, json={"type": "Picture"}, headers={"X-Subject": "ben"})).status_code == 404
    assert (await client.post(path, json={"type": "Picture"})).status_code == 401
    assert (await world.row(journey.delivery_id))["stage"] == "HeadedToDropoff"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"type": "Smile"},
        {"type": "Picture", "location": {"latitude": 91, "longitude": 0}},
        {"type": "Picture", "location": {"latitude": 1}},
        {"type": "Picture", "location": {"latitude": "1", "longitude": 1}},
        {"type": "Picture", "location": {"latitude": True, "longitude": 1}},
        {"type": "Picture", "location": {"latitude": 1, "longitude": 1, "altitude": 30}},
        {"type": "Picture", "reference": "x" * 257},
        {"type": "Picture", "reference": "a\x00b"},
        {"type": "Picture", "blob": "AAAA"},
    ],
)
async def test_bad_bodies_are_refused_and_leave_nothing(client, world, body) -> None:
    journey = await landed(world)
    refused = await client.post(f"{journey.path}/confirmations", json=body, headers=AS_ANNA)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"]
    assert (await world.row(journey.delivery_id))["stage"] == "HeadedToDropoff"


async def test_malformed_requests_are_refused(client, world) -> None:
    path = f"{(await landed(world)).path}/confirmations"
    as_json = AS_ANNA | {"Content-Type": "application/json"}
    assert (await client.post(path, content=b"{", headers=as_json)).status_code == 400
    assert (await client.post(path, content=b"type=Picture", headers=AS_ANNA)).status_code == 415
    assert (await client.post(path, content=b" " * 300_000, headers=as_json)).status_code == 413
    assert (await client.put(path, json={"type": "Picture"}, headers=AS_ANNA)).status_code == 405
