"""What the scheduler cannot process is set aside with its reason and its bytes, and its neighbours are processed."""

from typing import Any
from uuid import UUID

import pytest

from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailed
from shared_contracts.message import Message
from shared_contracts.topology import Subscription
from shared_runtime.envelope import JSON, headers_of, new_id
from shared_runtime.partition import partition_of
from shared_runtime.testing import PARTITIONS, envelope_of, eventually

from .conftest import OWN, Scheduler
from .stories import Town, cancelled, report

KINDS = ["malformed", "too_large", "unknown_type", "unsupported_version", "invalid_payload"]


def good_message(subscription: Subscription, town: Town, session: UUID) -> Message:
    request = town.request(delivery_id=session, weight_kg=900)
    drone_report = report(session, town.at(0))
    samples: list[Message] = [request, cancelled(request), drone_report]
    (sample,) = [one for one in samples if one.topic is subscription.topic]
    return sample


def spoilt(kind: str, message: Message) -> tuple[bytes, dict[str, Any]]:
    headers = headers_of(envelope_of(message))
    body = message.model_dump_json().encode()
    match kind:
        case "malformed":
            return b'{"delivery_id": ', headers
        case "too_large":
            return b'{"a": "' + b"x" * (1024 * 1024) + b'"}', headers
        case "unknown_type":
            return body, headers | {"cloudEvents_type": "somebody.else.v1"}
        case "unsupported_version":
            return body, headers | {"cloudEvents_type": message.message_type.replace(".v1", ".v2")}
        case _:
            return b'{"delivery_id": "no identifier"}', headers


@pytest.mark.parametrize("subscription", OWN, ids=lambda one: one.name)
@pytest.mark.parametrize("kind", KINDS)
async def test_set_aside_with_its_reason_and_its_bytes(
    scheduler: Scheduler, town: Town, subscription: Subscription, kind: str
) -> None:
    session = new_id()
    body, headers = spoilt(kind, good_message(subscription, town, session))
    before = await scheduler.everything()
    queue = subscription.queue(partition_of(str(session), PARTITIONS))
    await scheduler.broker.publish_raw("", queue, body, JSON, headers)

    async def has_come() -> Any:
        return await scheduler.broker.take(subscription.dead_letter_queue)

    letter = await eventually(has_come)
    assert letter.headers["deadletter_reason"] == kind
    assert letter.headers["deadletter_subscription"] == subscription.name
    assert letter.body == body
    assert await scheduler.everything() == before
    await scheduler.hear(good_message(subscription, town, session))


async def test_the_neighbours_in_the_queue_are_answered(scheduler: Scheduler, town: Town) -> None:
    (requests, *_) = OWN
    neighbour = town.request(weight_kg=900)
    queue = requests.queue(partition_of(str(neighbour.delivery_id), PARTITIONS))
    await scheduler.broker.publish_raw("", queue, b"{", JSON, headers_of(envelope_of(neighbour)))
    await scheduler.broker.publish(neighbour)
    await scheduler.mailbox.wait_for(neighbour.delivery_id, DroneSchedulingFailed)

    async def has_come() -> Any:
        return await scheduler.broker.take(requests.dead_letter_queue)

    await eventually(has_come)
