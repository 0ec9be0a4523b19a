"""Examples of what is on the wire: CloudEvents 1.0 on AMQP 0-9-1, one event in binary mode and several as a JSON batch.

Sources: CloudEvents 1.0.2, its AMQP protocol binding (prefix `cloudEvents_`) and its JSON event format (section 4).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zlib import crc32

from shared_contracts import example_messages
from shared_contracts.catalogue import MessageName
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Message
from shared_contracts.topology import PARTITIONS

JSON = "application/json"
BATCH = "application/cloudevents-batch+json"
HEADER_PREFIX = "cloudEvents_"
PERSISTENT = 2
"""The AMQP delivery mode of a message that survives a restart of the broker."""


@dataclass(frozen=True)
class _Event:
    """A message with the CloudEvents attributes that its publisher adds."""

    message: Message
    event_id: UUID
    time: datetime
    correlation_id: UUID
    causation_id: UUID
    expires_at: datetime
    traceparent: str

    @property
    def attributes(self) -> dict[str, str]:
        session_id = str(self.message.session_id)
        return {
            "specversion": "1.0",
            "id": str(self.event_id),
            "source": f"/services/{MessageName.parse(self.message.message_type).service}",
            "type": self.message.message_type,
            "time": _rfc3339(self.time),
            "subject": session_id,
            "sessionid": session_id,
            "correlationid": str(self.correlation_id),
            "causationid": str(self.causation_id),
            "expiresat": _rfc3339(self.expires_at),
            "traceparent": self.traceparent,
        }

    @property
    def routing_key(self) -> str:
        partition = crc32(str(self.message.session_id).encode()) % PARTITIONS
        return f"{self.message.message_type}.{partition}"

    @property
    def data(self) -> dict[str, Any]:
        return self.message.model_dump(mode="json")


def binary_mode() -> dict[str, Any]:
    """One event: its attributes are headers, its data is the body. Properties repeat what AMQP tools look at."""
    event = _event(1, example_messages.DELIVERY_ID)
    return {
        "exchange": str(event.message.topic),
        "routing_key": event.routing_key,
        "properties": {
            "message_id": str(event.event_id),
            "type": event.message.message_type,
            "content_type": JSON,
            "correlation_id": str(event.correlation_id),
            "delivery_mode": PERSISTENT,
        },
        "headers": {HEADER_PREFIX + name: value for name, value in event.attributes.items()},
        "body": event.data,
    }


def json_batch() -> dict[str, Any]:
    """The events of one commit that take the same route, in one AMQP message and in their order."""
    events = [_event(2, example_messages.DELIVERY_ID), _event(3, _delivery_of_the_same_partition())]
    (routing_key,) = {event.routing_key for event in events}
    return {
        "exchange": str(events[0].message.topic),
        "routing_key": routing_key,
        "properties": {
            "message_id": str(_identifier("e", 4)),
            "content_type": BATCH,
            "delivery_mode": PERSISTENT,
        },
        "headers": {},
        "body": [{**event.attributes, "data": event.data} for event in events],
    }


def _event(number: int, delivery_id: UUID) -> _Event:
    usual = next(
        example.message for example in example_messages.EXAMPLES if isinstance(example.message, DeliveryRequested)
    ).model_copy(update={"delivery_id": delivery_id})
    return _Event(
        message=usual,
        event_id=_identifier("e", number),
        time=example_messages.REQUESTED_AT + timedelta(milliseconds=number),
        correlation_id=delivery_id,
        causation_id=_identifier("c", number),
        expires_at=example_messages.DEADLINE,
        traceparent=f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{number}-01",
    )


def _identifier(kind: str, number: int) -> UUID:
    return UUID(f"019571f0-4c01-7000-8000-{kind}{number:011d}")


def _delivery_of_the_same_partition() -> UUID:
    partition = crc32(str(example_messages.DELIVERY_ID).encode()) % PARTITIONS
    others = (UUID(int=example_messages.OTHER_DELIVERY_ID.int + offset) for offset in range(1_000))
    return next(other for other in others if crc32(str(other).encode()) % PARTITIONS == partition)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
