"""A message that cannot be processed, from its parked session to the repair, with real processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from local_stack.stack import LocalStack
from shared_contracts.domain_types import Location, PackageDescription, PackageSize
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.package_service.v1 import PackageReady
from shared_runtime.envelope import headers_of, new_id, utc_now
from shared_runtime.testing import PARTITIONS, Broker, Mailbox, envelope_of, eventually

SUPPORT = {"X-Subject": "sam", "X-Roles": "support"}
LETTERS = "/api/v1/deadletters"
WHY = {"why": "the size was misspelt"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory):
    with LocalStack(tmp_path_factory.mktemp("support"), ["package_service", "dead_letters"]) as stack:
        yield stack


@pytest.fixture
async def broker(stack: LocalStack) -> AsyncIterator[Broker]:
    async with Broker.connected(stack.broker_url("admin")) as broker:
        yield broker


@pytest.fixture
async def support(stack: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url("dead_letters"), headers=SUPPORT) as client:
        yield client


def a_request() -> DeliveryRequested:
    now = utc_now()
    return DeliveryRequested(
        delivery_id=new_id(),
        owner_id="alice",
        pickup=Location(latitude=47.37, longitude=8.54),
        dropoff=Location(latitude=47.40, longitude=8.50),
        pickup_time=now,
        deadline=now + timedelta(hours=2),
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="fragile"),
    )


async def first_of(client: httpx.AsyncClient, **chosen: str) -> dict[str, Any]:
    """The first dead letter that is like that, once there is one."""

    async def look() -> list[dict[str, Any]]:
        return (await client.get(LETTERS, params=chosen)).json()["items"]

    return (await eventually(look))[0]


async def waiting_in(client: httpx.AsyncClient, dead_letter_id: str) -> list[dict[str, Any]]:
    story = (await client.get(f"{LETTERS}/{dead_letter_id}/story")).json()
    assert story["silent_services"] == []
    return story["waiting"]


async def broken_head_and_follower(broker: Broker) -> DeliveryRequested:
    """Two requests of one session in the package service's queue, the first of which it cannot read."""
    request = a_request()
    head = envelope_of(request)
    data = json.loads(bytes(head.data))
    data["package"]["size"] = "Smal"
    await broker.publish_envelope(msgspec.structs.replace(head, data=msgspec.Raw(json.dumps(data))), str(request.topic))
    await broker.publish(request)
    return request


async def parked(support: httpx.AsyncClient, request: DeliveryRequested) -> dict[str, Any]:
    """The dead letter of the head, once the follower waits behind it."""
    letter = await first_of(
        support, session_id=str(request.delivery_id), subscription="package-service.delivery-requests"
    )
    assert (letter["reason"], letter["is_parked"]) == ("invalid_payload", True)

    async def both_wait() -> bool:
        return [one["is_parked"] for one in await waiting_in(support, letter["dead_letter_id"])] == [True, False]

    await eventually(both_wait)
    return letter


async def test_the_session_goes_on_in_order_when_the_mended_head_is_replayed(stack, broker, support) -> None:
    answers = await Mailbox.of(broker, [f"delivery.delivery.{partition}" for partition in range(PARTITIONS)])
    request = await broken_head_and_follower(broker)
    letter = await parked(support, request)
    path = f"{LETTERS}/{letter['dead_letter_id']}"
    assert await answers.of_session(request.delivery_id) == []
    body = (await support.get(f"{path}/body")).text.replace('"Smal"', '"Small"')
    assert (await support.put(f"{path}/body", json={"body": body, "if_version": 0, **WHY})).status_code == 200
    assert (await support.post(f"{path}/replay", json=WHY)).status_code == 200
    # Once: the follower asks for the same and changes nothing.
    await answers.wait_for(request.delivery_id, PackageReady)
    assert await first_of(support, session_id=str(request.delivery_id), state="resolved")
    assert await waiting_in(support, letter["dead_letter_id"]) == []
    again = await support.post(f"{path}/replay", json=WHY)
    assert (again.status_code, again.json()["state"]) == (409, "resolved")
    story = (await support.get(f"{path}/story")).json()
    assert [one["kind"] for one in story["events"]] == ["failed", "edited", "replayed", "handled"]


async def test_the_session_goes_on_without_the_head_when_it_is_discarded(stack, broker, support) -> None:
    answers = await Mailbox.of(broker, [f"delivery.delivery.{partition}" for partition in range(PARTITIONS)])
    request = await broken_head_and_follower(broker)
    letter = await parked(support, request)
    path = f"{LETTERS}/{letter['dead_letter_id']}"
    assert (await support.post(f"{path}/discard", json={"why": "there is a second one"})).status_code == 200
    await answers.wait_for(request.delivery_id, PackageReady)
    assert await waiting_in(support, letter["dead_letter_id"]) == []


async def test_a_replay_that_fails_again_comes_back_and_stays_parked(stack, broker, support) -> None:
    request = await broken_head_and_follower(broker)
    letter = await parked(support, request)
    path = f"{LETTERS}/{letter['dead_letter_id']}"
    assert (await support.post(f"{path}/replay", json=WHY)).status_code == 200

    async def is_back() -> bool:
        found = (await support.get(path)).json()
        return (found["state"], found["failures"], found["attempt_epoch"]) == ("open", 2, 1)

    await eventually(is_back)
    assert [one["is_parked"] for one in await waiting_in(support, letter["dead_letter_id"])] == [True, False]


async def test_a_group_is_replayed_in_bulk_after_the_mending(stack, broker, support) -> None:

    requests = [a_request() for _ in range(12)]
    for request in requests:
        envelope = envelope_of(request)
        await broker.publish_raw(
            "dead-letters",
            "package-service.delivery-requests",
            bytes(envelope.data),
            "application/json",
            {**headers_of(envelope), "deadletter_reason": "handler_failed", "deadletter_fingerprint": "the-same"},
        )

    async def all_known() -> bool:
        groups = (await support.get(f"{LETTERS}/groups", params={"fingerprint": "the-same"})).json()["items"]
        return bool(groups) and groups[0]["count"] == len(requests)

    await eventually(all_known)
    answers = await Mailbox.of(broker, [f"delivery.delivery.{partition}" for partition in range(PARTITIONS)])
    body = {"filter": {"fingerprint": "the-same"}, "canary": 2, "rate_per_s": 100, "why": "the constraint is gone"}
    started = await support.post("/api/v1/bulkreplays", json=body)
    assert started.status_code == 201

    async def is_finished() -> bool:
        bulk = (await support.get(started.headers["location"])).json()
        return (bulk["state"], bulk["handled"]) == ("finished", len(requests))

    await eventually(is_finished)
    await asyncio.gather(*(answers.wait_for(request.delivery_id, PackageReady) for request in requests))
