"""What the package service cannot process is set aside with its reason and its bytes, and nothing else suffers."""

import json

import pytest
from package_examples import a_cancellation, a_request

from shared_contracts.package_service.v1 import PackageReady
from shared_contracts.topology import Subscription, subscriptions_of
from shared_runtime.envelope import BATCH, JSON, encode_batch, headers_of
from shared_runtime.partition import partition_of
from shared_runtime.testing import PARTITIONS, envelope_of, eventually

REQUESTS, EVENTS = subscriptions_of("package-service")
MESSAGES = {REQUESTS.name: a_request, EVENTS.name: lambda: a_cancellation(a_request())}


def cases(subscription: Subscription):
    envelope = envelope_of(MESSAGES[subscription.name]())
    headers = headers_of(envelope)
    body = bytes(envelope.data)
    newer = headers | {"cloudEvents_type": envelope.type.replace(".v1", ".v2")}
    return {
        "malformed": (b'{"delivery_id": ', JSON, headers),
        "malformed, no attributes": (body, JSON, {}),
        "malformed, not UTF-8": (b"\xff\xfe", JSON, headers),
        "too_large": (b'{"a": "' + b"x" * (1024 * 1024) + b'"}', JSON, headers),
        "unknown_type": (body, JSON, headers | {"cloudEvents_type": "somebody.else.v1"}),
        "unsupported_version": (body, JSON, newer),
        "invalid_payload": (b'{"delivery_id": "no identifier"}', JSON, headers),
    }


@pytest.mark.parametrize("subscription", [REQUESTS, EVENTS], ids=lambda one: one.name)
@pytest.mark.parametrize("case", list(cases(REQUESTS)))
async def test_set_aside_with_its_reason_and_its_bytes(broker, answers, settled, subscription, case) -> None:
    body, content_type, headers = cases(subscription)[case]
    await broker.publish_raw("", subscription.queue(0), body, content_type, headers)
    letter = await eventually(lambda: broker.take(subscription.dead_letter_queue))
    assert letter.headers["deadletter_reason"] == case.partition(",")[0]
    assert letter.headers["deadletter_subscription"] == subscription.name
    assert letter.body == body
    assert await broker.depth(subscription.dead_letter_queue) == 0
    neighbour = a_request()
    await broker.publish(neighbour)
    await answers.wait_for(neighbour.delivery_id, PackageReady)


async def test_the_good_events_of_a_batch_are_handled_when_one_is_bad(broker, answers) -> None:
    first, last = a_request(), a_request()
    good = [json.loads(encode_batch([envelope_of(request)]))[0] for request in (first, last)]
    bad = good[0] | {"id": "01a1ff42-86e6-76ff-a599-e448d0e758d7", "data": {"delivery_id": 3}}
    no_event = {"id": "no event"}
    queue = REQUESTS.queue(partition_of(str(first.delivery_id), PARTITIONS))
    body = json.dumps([good[0], bad, no_event, good[1]]).encode()
    await broker.publish_raw("", queue, body, BATCH, {})
    for request in (first, last):
        await answers.wait_for(request.delivery_id, PackageReady)
    letters = [await eventually(lambda: broker.take(REQUESTS.dead_letter_queue)) for _ in range(2)]
    bodies = {letter.headers["deadletter_reason"]: json.loads(letter.body) for letter in letters}
    assert bodies == {"invalid_payload": {"delivery_id": 3}, "malformed": no_event}
