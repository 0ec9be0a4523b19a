"""POST: accepted once, durable, and refused without a trace."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from ingestion.domain import limits
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_runtime.envelope import new_id
from shared_runtime.testing import eventually

from .conftest import OWN, PATH, Owner
from .stories import at, new_delivery, other_times, written


async def test_request_is_stored_and_published_when_accepted(owner: Owner) -> None:
    answer = await owner.send("POST", json=new_delivery())

    assert answer.status_code == 202
    delivery_id = answer.json()["delivery_id"]
    assert answer.headers["Location"] == answer.json()["status_url"] == f"{PATH}/{delivery_id}"
    assert int(answer.headers["Retry-After"]) == limits.POLL_AFTER_S
    (message,) = await owner.mailbox.wait_for(delivery_id, DeliveryRequested)
    assert (message.owner_id, message.pickup_time, message.deadline) == (owner.name, at(10), at(60))
    assert (message.expedited, message.confirmation_required) == (True, ConfirmationType.PICTURE)
    assert (message.pickup.latitude, message.dropoff.longitude) == (48.8719, 2.3376)
    assert (message.package.weight_kg, message.package.tag) == (1.5, "books")


async def test_message_expires_at_the_deadline_when_published(owner: Owner) -> None:
    delivery_id = await owner.submit()

    await owner.mailbox.wait_for(delivery_id, DeliveryRequested)

    (envelope,) = await owner.mailbox.of_session(delivery_id)
    assert (envelope.expires_at, envelope.correlation_id) == (at(60), str(delivery_id))


async def test_status_tells_what_was_asked_for_when_nothing_was_heard_yet(owner: Owner) -> None:
    body = new_delivery()
    answer = await owner.send("POST", json=body)

    status = (await owner.send("GET", answer.headers["Location"].removeprefix(PATH))).json()

    assert (status["stage"], status["is_ended"], status["outcome_overdue"]) == ("Pending", False, False)
    assert status["requested"] == body
    assert status["accepted_at"] == answer.json()["accepted_at"]


async def test_two_deliveries_when_sent_twice_without_a_key(owner: Owner) -> None:
    assert await owner.submit() != await owner.submit()


async def test_same_answer_and_one_delivery_when_sent_twice_with_a_key(owner: Owner) -> None:
    first = await owner.send("POST", json=new_delivery(), key='"order 1"')
    again = await owner.send("POST", json=new_delivery(), key='"order 1"')

    assert (first.status_code, again.status_code) == (202, 202)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.headers["Location"], again.content) == (first.headers["Location"], first.content)
    assert await owner.rows() == 2
    await owner.mailbox.wait_for(first.json()["delivery_id"], DeliveryRequested)


async def test_refused_when_the_key_comes_with_another_body(owner: Owner) -> None:
    await owner.send("POST", json=new_delivery(), key="order")
    other = await owner.send("POST", json=new_delivery(expedited=False), key="order")

    assert (other.status_code, problem(other)) == (422, "idempotency-key-reused")
    assert await owner.rows() == 2


async def test_refused_when_the_key_comes_with_another_operation(owner: Owner) -> None:
    created = await owner.send("POST", json=new_delivery(), key="order")
    path = f"/{created.json()['delivery_id']}"

    assert problem(await owner.send("DELETE", path, key="order")) == "idempotency-key-reused"
    assert problem(await owner.send("PATCH", path, json=other_times(), key="order")) == "idempotency-key-reused"


async def test_keys_are_apart_when_callers_are(owner: Owner) -> None:
    mine = await owner.send("POST", json=new_delivery(), key="order")
    theirs = await owner.send("POST", json=new_delivery(), key="order", headers={"X-Subject": f"{owner.name}-b"})

    assert mine.json()["delivery_id"] != theirs.json()["delivery_id"]


async def test_one_delivery_when_many_send_one_key_at_once(owner: Owner, other_client: httpx.AsyncClient) -> None:
    """Two processes, so that neither the batch nor the process is what keeps them apart."""
    headers = {"X-Subject": owner.name, "Idempotency-Key": "order"}

    answers = await asyncio.gather(
        *(
            client.post(PATH, json=new_delivery(), headers=headers)
            for _ in range(12)
            for client in (owner.client, other_client)
        )
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await owner.rows() == 2
    await owner.mailbox.wait_for(answers[0].json()["delivery_id"], DeliveryRequested)


async def test_one_body_wins_when_two_send_one_key_at_once(owner: Owner, other_client: httpx.AsyncClient) -> None:
    headers = {"X-Subject": owner.name, "Idempotency-Key": "order"}

    answers = await asyncio.gather(
        *(
            client.post(PATH, json=new_delivery(expedited=expedited), headers=headers)
            for _ in range(6)
            for client, expedited in ((owner.client, True), (other_client, False))
        )
    )

    assert {answer.status_code for answer in answers} == {202, 422}
    assert len({answer.json()["delivery_id"] for answer in answers if answer.status_code == 202}) == 1
    assert await owner.rows() == 2


async def test_replayed_when_the_deadline_has_passed_since(owner: Owner) -> None:
    now = datetime.now(UTC)
    body = new_delivery(pickup_time=written(now), deadline=written(now + timedelta(seconds=1)))
    first = await owner.send("POST", json=body, key="order")
    assert first.status_code == 202, first.text

    async def has_passed() -> bool:
        return problem(await owner.send("POST", json=body)) == "invalid-request"

    await eventually(has_passed)
    assert (await owner.send("POST", json=body, key="order")).content == first.content


async def test_accepted_anew_when_the_key_has_expired(owner: Owner) -> None:
    first = await owner.send("POST", json=new_delivery(), key="order")
    await owner.database.execute(
        "UPDATE idempotent_answer SET expires_at = now() WHERE delivery_id = $1", first.json()["delivery_id"]
    )

    again = await owner.send("POST", json=new_delivery(expedited=False), key="order")

    assert (again.status_code, again.json()["delivery_id"] != first.json()["delivery_id"]) == (202, True)


def problem(answer: httpx.Response) -> str | None:
    """The slug of the problem's type, None when it is none."""
    if answer.headers["Content-Type"] != "application/problem+json":
        return None
    body = answer.json()
    assert body["status"] == answer.status_code
    assert {"type", "title", "detail", "instance"} <= body.keys()
    kind: str = body["type"].removeprefix("https://drone-delivery.example/problems/")
    return kind


def body_with(**changes: Any) -> bytes:
    return json.dumps(new_delivery(**changes)).encode()


PLACE = new_delivery()["pickup"]
PACKAGE = new_delivery()["package"]

BAD_BODIES: dict[str, tuple[bytes, int, list[str]]] = {
    "empty": (b"", 400, []),
    "no JSON": (b"pickup=here", 400, []),
    "cut off": (body_with()[:-1], 400, []),
    "no UTF-8": (b'{"pickup": "\xff"}', 400, []),
    "an array": (b"[]", 422, ["body"]),
    "empty object": (
        b"{}",
        422,
        [f"body.{name}" for name in ("pickup_time", "deadline", "pickup", "dropoff", "package")],
    ),
    "latitude": (body_with(pickup=PLACE | {"latitude": 90.1}), 422, ["body.pickup.latitude"]),
    "longitude": (body_with(dropoff=PLACE | {"longitude": -180.1}), 422, ["body.dropoff.longitude"]),
    "no number": (body_with(pickup=PLACE | {"latitude": "48.8"}), 422, ["body.pickup.latitude"]),
    "not finite": (body_with(pickup=PLACE | {"latitude": float("nan")}), 422, ["body.pickup.latitude"]),
    "no zone": (body_with(pickup_time="2030-01-01T10:00:00"), 422, ["body.pickup_time"]),
    "no time": (body_with(deadline="soon"), 422, ["body.deadline"]),
    "weightless": (body_with(package=PACKAGE | {"weight_kg": 0}), 422, ["body.package.weight_kg"]),
    "negative weight": (body_with(package=PACKAGE | {"weight_kg": -2}), 422, ["body.package.weight_kg"]),
    "unknown size": (body_with(package=PACKAGE | {"size": "Huge"}), 422, ["body.package.size"]),
    "control character": (body_with(package=PACKAGE | {"tag": "a\x00b"}), 422, ["body.package.tag"]),
    "unknown field": (body_with(price=7), 422, ["body.price"]),
    "unknown field within": (body_with(package=PACKAGE | {"colour": "red"}), 422, ["body.package.colour"]),
    "owner in the body": (body_with(owner_id="mallory"), 422, ["body.owner_id"]),
    "deadline before pickup": (body_with(deadline=written(at(9))), 422, ["body.deadline"]),
    "deadline past": (body_with(pickup_time=written(at(-60)), deadline=written(at(-1))), 422, ["body.deadline"]),
    "before time began": (
        body_with(pickup_time="0001-01-01T00:00:00+23:59", deadline="0001-01-01T00:00:01+23:59"),
        422,
        ["body.deadline"],
    ),
    "after time ends": (
        body_with(pickup_time="9999-12-31T23:59:58-23:59", deadline="9999-12-31T23:59:59-23:59"),
        422,
        ["body.pickup_time"],
    ),
    "window too long": (body_with(deadline=written(at(10) + timedelta(days=8))), 422, ["body.deadline"]),
    "same place": (body_with(dropoff=PLACE), 422, ["body.dropoff"]),
    "too large": (body_with(package=PACKAGE | {"tag": "a" * limits.BODY_BYTES_MAX}), 413, []),
}


@pytest.mark.parametrize(("body", "status", "fields"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_nothing_is_left_behind_when_the_body_is_bad(
    owner: Owner, body: bytes, status: int, fields: list[str]
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await owner.send("POST", content=body, headers=headers, key="order")

    assert answer.status_code == status, answer.text
    assert problem(answer) == {400: "malformed-json", 413: "request-too-large", 422: "invalid-request"}[status]
    assert [error["field"] for error in answer.json().get("errors", [])] == fields
    await assert_nothing_left(owner)
    # The key of a request that was refused is still free.
    assert (await owner.send("POST", json=new_delivery(), key="order")).status_code == 202


async def assert_nothing_left(owner: Owner) -> None:
    """No row of the owner's, no answer kept, and no message before that of a later request."""
    assert await owner.rows() == 0
    later = await owner.submit()
    await owner.mailbox.wait_for(later, DeliveryRequested)
    assert owner.messages() == 1
    assert await owner.broker.depth(OWN.dead_letter_queue) == 0


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_refused_when_the_content_type_is_another(owner: Owner, content_type: str) -> None:
    answer = await owner.send("POST", content=body_with(), headers={"Content-Type": content_type})

    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")
    await assert_nothing_left(owner)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a b", "a, b"])
async def test_refused_when_the_key_is_none(owner: Owner, key: str) -> None:
    answer = await owner.send("POST", json=new_delivery(), key=key)

    assert (answer.status_code, problem(answer)) == (400, "idempotency-key-invalid")
    await assert_nothing_left(owner)


async def test_refused_when_the_caller_is_unknown(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json=new_delivery())

    assert (answer.status_code, problem(answer)) == (401, "caller-unknown")


async def test_neighbours_are_accepted_when_one_of_many_is_bad(owner: Owner) -> None:
    answers = await asyncio.gather(
        *(owner.send("POST", json=new_delivery(dropoff=PLACE) if n == 3 else new_delivery()) for n in range(8))
    )

    assert [answer.status_code for answer in answers] == [422 if n == 3 else 202 for n in range(8)]
    assert await owner.rows() == 14


async def test_limit_is_told_when_the_pickup_is_too_far_ahead(owner: Owner) -> None:
    far = at(0) + limits.PICKUP_AHEAD_MAX + timedelta(days=1)
    answer = await owner.send(
        "POST", json=new_delivery(pickup_time=written(far), deadline=written(far + timedelta(hours=1)))
    )

    assert answer.json()["errors"] == [{"field": "body.pickup_time", "message": "must be at most 30 days ahead"}]


async def test_unknown_when_there_is_no_such_request(owner: Owner) -> None:
    answer = await owner.send("GET", f"/{new_id()}")

    assert (answer.status_code, problem(answer)) == (404, "delivery-request-unknown")


async def test_unknown_when_the_request_is_somebody_elses(owner: Owner) -> None:
    delivery_id = await owner.submit()
    answer = await owner.send("GET", f"/{delivery_id}", headers={"X-Subject": "mallory"})

    assert (answer.status_code, problem(answer)) == (404, "delivery-request-unknown")
