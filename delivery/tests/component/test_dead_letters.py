"""What delivery cannot read is set aside with its reason and its bytes, and its neighbours do not suffer."""

import pytest
from delivery_journeys import Journey, now

from shared_contracts.delivery.v1 import DeliveryScheduled
from shared_contracts.message import Topic
from shared_contracts.topology import Subscription, subscriptions_of
from shared_runtime.envelope import JSON, headers_of
from shared_runtime.testing import envelope_of, eventually

ANSWERS, TELEMETRY = subscriptions_of("delivery")
CASES = (
    "malformed",
    "malformed, no attributes",
    "too_large",
    "unknown_type",
    "unsupported_version",
    "invalid_payload",
)


def case(subscription: Subscription, name: str) -> tuple[bytes, dict]:
    message = Journey().package_ready() if subscription is ANSWERS else Journey().leaving()
    envelope = envelope_of(message)
    headers, body = headers_of(envelope), bytes(envelope.data)
    newer = headers | {"cloudEvents_type": envelope.type.replace(".v1", ".v2")}
    return {
        "malformed": (b'{"delivery_id": ', headers),
        "malformed, no attributes": (body, {}),
        "too_large": (b'{"a": "' + b"x" * (1024 * 1024) + b'"}', headers),
        "unknown_type": (body, headers | {"cloudEvents_type": "somebody.else.v1"}),
        "unsupported_version": (body, newer),
        "invalid_payload": (b'{"drone_id": 7}', headers),
    }[name]


@pytest.mark.parametrize("subscription", [ANSWERS, TELEMETRY], ids=lambda one: one.name)
@pytest.mark.parametrize("name", CASES)
async def test_set_aside_with_its_reason_and_its_bytes(world, subscription, name) -> None:
    body, headers = case(subscription, name)
    await world.broker.publish_raw("", subscription.queue(0), body, JSON, headers)
    letter = await eventually(lambda: world.broker.take(subscription.dead_letter_queue))
    assert letter.headers["deadletter_reason"] == name.partition(",")[0]
    assert letter.body == body
    assert await world.broker.depth(subscription.dead_letter_queue) == 0
    neighbour = await world.scheduled()
    await world.events.wait_for(neighbour.delivery_id, DeliveryScheduled)


async def test_a_late_answer_is_still_an_answer(world) -> None:
    journey = Journey()
    for message in journey.answers:
        envelope = await world.broker.publish(message, expires_at=now())
        await world.has_handled(envelope)
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled)
    assert await world.broker.depth(f"{ANSWERS.name}.dead-letters") == 0
    assert ANSWERS.topic is Topic.DELIVERY
