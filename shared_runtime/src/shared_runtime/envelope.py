"""CloudEvents 1.0 on AMQP 0-9-1: one event as a plain message (binary mode), several as one JSON batch.

Sources: CloudEvents 1.0.2 specification, AMQP protocol binding (attribute prefix `cloudEvents_`), JSON event format
(section 4, batch), and the extensions for distributed tracing.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import uuid_utils.compat

JSON = "application/json"
BATCH = "application/cloudevents-batch+json"
HEADER_PREFIX = "cloudEvents_"


Instant = Annotated[datetime, msgspec.Meta(tz=True)]
SessionId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")]


def new_id() -> UUID:
    """A time-ordered identifier (UUID version 7), so that indexes grow at one end."""
    return uuid_utils.compat.uuid7()


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=lambda name: name.replace("_", "")
):
    """One CloudEvent: its attributes, and its data as the bytes that the publisher wrote.

    On the wire the attributes have no underscores, as CloudEvents asks: `sessionid`, `correlationid`, `expiresat`.
    """

    id: UUID
    source: str
    type: str
    time: Instant
    session_id: SessionId
    """The ordering key: up to 128 printable ASCII characters."""
    correlation_id: str
    """The whole flow that the event belongs to."""
    causation_id: str | None = None
    """The message that led to this one."""
    expires_at: Instant | None = None
    """From then on the message is refused, with a reason."""
    traceparent: str | None = None
    """W3C trace context of the step that published the event."""
    attempt_epoch: int = 0
    """How many times support has replayed the message."""
    specversion: Literal["1.0"]
    subject: str | None = None
    data: msgspec.Raw

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Undecodable(msgspec.Struct, frozen=True):
    """A message, or one element of a batch, that could not be read."""

    body: bytes
    content_type: str
    headers: Mapping[str, Any]
    error: str


class Incoming(msgspec.Struct, frozen=True):
    """What is read of an AMQP message: enough to decode it, or to set it aside as it came."""

    body: bytes
    content_type: str
    headers: Mapping[str, Any]
    delivery_count: int = 0
    """How many times the broker has delivered the message before."""


_batch_decoder = msgspec.json.Decoder(list[Envelope])
_elements_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_envelope_decoder = msgspec.json.Decoder(Envelope)
_json_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode(incoming: Incoming) -> list[Envelope | Undecodable]:
    """The events of a message in their order. What cannot be read is returned as it came, beside its neighbours."""
    if incoming.content_type != BATCH:
        return [_decode_plain(incoming)]
    try:
        events: list[Envelope] = _batch_decoder.decode(incoming.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_elements(incoming)
    return list(events)


def _decode_elements(incoming: Incoming) -> list[Envelope | Undecodable]:
    try:
        elements = _elements_decoder.decode(incoming.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return [Undecodable(incoming.body, incoming.content_type, incoming.headers, str(error))]
    decoded: list[Envelope | Undecodable] = []
    for element in elements:
        try:
            decoded.append(_envelope_decoder.decode(element))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            decoded.append(Undecodable(bytes(element), "application/cloudevents+json", incoming.headers, str(error)))
    return decoded


def _decode_plain(incoming: Incoming) -> Envelope | Undecodable:
    attributes: dict[str, Any] = {
        name.removeprefix(HEADER_PREFIX): value
        for name, value in incoming.headers.items()
        if name.startswith(HEADER_PREFIX)
    }
    try:
        _json_decoder.decode(incoming.body)
        return msgspec.convert(attributes | {"data": msgspec.Raw(incoming.body)}, Envelope, strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        return Undecodable(incoming.body, incoming.content_type, incoming.headers, str(error))


def headers_of(envelope: Envelope) -> dict[str, Any]:
    """The attributes as AMQP headers, for binary mode."""
    attributes: dict[str, Any] = msgspec.json.decode(_encoder.encode(envelope))
    del attributes["data"]
    return {HEADER_PREFIX + name: value for name, value in attributes.items()}


def encode_batch(envelopes: Iterable[Envelope]) -> bytes:
    """The events as one CloudEvents JSON batch."""
    return _encoder.encode(list(envelopes))


def utc_now() -> datetime:
    return datetime.now(UTC)
