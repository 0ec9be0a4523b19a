"""What a lane makes of a delivery before anybody handles it."""

from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage, HeadersType
from examples import an_envelope

from shared_runtime.envelope import JSON, Envelope, Undecodable, headers_of
from shared_runtime.lane import MAX_MESSAGE_BYTES, SUSPECT_AFTER_DELIVERIES, _deliveries, _is_ordinary, _read


class Delivery:
    """As much of a message as a lane looks at."""

    def __init__(
        self, body: bytes = b"{}", headers: HeadersType | None = None, content_type: str | None = JSON
    ) -> None:
        self.body = body
        self.headers = headers or {}
        self.content_type = content_type
        self.message_id = None


def a_delivery(*arguments: Any, **more: Any) -> AbstractIncomingMessage:
    return cast("AbstractIncomingMessage", Delivery(*arguments, **more))


@pytest.mark.parametrize(
    ("headers", "deliveries"),
    [
        ({}, 0),
        # RabbitMQ 3.10 to 4.2 count every return to the queue here.
        ({"x-delivery-count": 4}, 4),
        # From 4.3 only what looks like a failure, and all beside it.
        ({"x-delivery-count": 0, "x-acquired-count": 5}, 5),
        ({"x-acquired-count": 2}, 2),
        ({"x-delivery-count": "7"}, 0),
    ],
)
def test_deliveries_are_counted_by_every_version_of_the_broker(headers: dict[str, Any], deliveries: int) -> None:
    assert _deliveries(a_delivery(headers=headers)) == deliveries


def test_an_event_that_was_delivered_often_is_handled_alone() -> None:
    envelope = an_envelope()
    often, seldom = SUSPECT_AFTER_DELIVERIES, SUSPECT_AFTER_DELIVERIES - 1
    assert not _is_ordinary((a_delivery(headers={"x-delivery-count": often}), envelope))
    assert _is_ordinary((a_delivery(headers={"x-delivery-count": seldom}), envelope))


def test_what_is_no_event_is_handled_alone() -> None:
    assert not _is_ordinary((a_delivery(), Undecodable(b"", JSON, {}, "no JSON")))


def test_a_message_over_the_limit_is_not_read() -> None:
    body = b'"' + b"x" * MAX_MESSAGE_BYTES + b'"'
    (read,) = _read(a_delivery(body, headers_of(an_envelope())))
    assert isinstance(read, Undecodable)
    assert read.body is body
    assert str(MAX_MESSAGE_BYTES) in read.error


def test_a_message_without_a_content_type_is_read_as_one_event() -> None:
    (read,) = _read(a_delivery(headers=headers_of(an_envelope()), content_type=None))
    assert isinstance(read, Envelope)
