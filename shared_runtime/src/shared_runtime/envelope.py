"""CloudEvents 1.0 on AMQP 0-9-1: one event as a plain message (binary mode), several as one JSON batch.

Sources: CloudEvents 1.0.2 specification, AMQP protocol binding (attribute prefix `cloudEvents_`), JSON event format
(section 4, batch), and the extensions for distributed tracing.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import uuid_utils.compat

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
HEADER_PREFIX = "cloudEvents_"
NO_SESSION = "-"
"""Stands for the session of work that came by no message."""
MAX_DATA_BYTES = 512 * 1024
"""The data of one event. Consumers refuse AMQP messages of twice this size, so attributes have room beside it."""
ATTRIBUTES_BYTES = 512
"""What the attributes of an event take beside its data, about."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
SessionId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")]
# The attributes of an event travel as AMQP headers, which have to fit into one frame of 128 KiB together, and as AMQP
# properties, which end at 255 bytes. What is longer could be read from a batch, and then never be published again.
Name = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[\x20-\x7e]*$")]
Text = Annotated[str, msgspec.Meta(max_length=1024)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


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
    source: Text
    type: Name
    time: Instant
    session_id: SessionId
    """The ordering key: up to 128 printable ASCII characters."""
    correlation_id: Name
    """The whole flow that the event belongs to."""
    causation_id: Name | None = None
    """The message that led to this one."""
    expires_at: Instant | None = None
    """From then on the message is refused, with a reason."""
    traceparent: Text | None = None
    """W3C trace context of the step that published the event."""
    attempt_epoch: Count = 0
    """How many times support has replayed the message."""
    specversion: Literal["1.0"]
    subject: Text | None = None
    data: msgspec.Raw

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Undecodable(msgspec.Struct, frozen=True):
    """A message, or one element of a batch, that could not be read."""

    body: bytes
    content_type: str
    headers: Mapping[str, Any]
    error: str
    message_id: str = ""
    """The name that its publisher gave it, empty when there is none."""


class Incoming(msgspec.Struct, frozen=True):
    """What is read of an AMQP message: enough to decode it, or to set it aside as it came."""

    body: bytes
    content_type: str
    headers: Mapping[str, Any]
    message_id: str = ""
    """The name that its publisher gave it, empty when there is none."""


_batch_decoder = msgspec.json.Decoder(list[Envelope])
_elements_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_envelope_decoder = msgspec.json.Decoder(Envelope)
_json_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_NO_DATA = msgspec.Raw(b"null")
_session_ids = re.compile(r"[\x20-\x7e]{1,128}")
_names = re.compile(r"[\x20-\x7e]{0,255}")


def decode(incoming: Incoming) -> list[Envelope | Undecodable]:
    """The events of a message in their order. What cannot be read is returned as it came, beside its neighbours.

    Raises nothing, whatever the bytes are.
    """
    media_type = incoming.content_type.partition(";")[0].strip().lower()
    try:
        if media_type == BATCH:
            return list(_batch_decoder.decode(incoming.body))
        if media_type == STRUCTURED:
            return [_envelope_decoder.decode(incoming.body)]
        return [_decode_binary(incoming)]
    # Decoders do not only raise their own errors: deep nesting is a RecursionError, a long number a ValueError.
    except Exception as error:
        return _decode_elements(incoming) if media_type == BATCH else [_undecodable(incoming, error)]


def _decode_binary(incoming: Incoming) -> Envelope:
    _json_decoder.decode(incoming.body)
    return envelope_of_headers(incoming.headers, incoming.body)


def _decode_elements(incoming: Incoming) -> list[Envelope | Undecodable]:
    try:
        elements = _elements_decoder.decode(incoming.body)
    except Exception as error:
        return [_undecodable(incoming, error)]
    name = incoming.message_id
    return [
        event
        for position, element in enumerate(elements)
        for event in decode(Incoming(bytes(element), STRUCTURED, incoming.headers, name and f"{name}/{position}"))
    ]


def _undecodable(incoming: Incoming, error: Exception) -> Undecodable:
    text = f"{type(error).__name__}: {error}"
    return Undecodable(incoming.body, incoming.content_type, incoming.headers, text, incoming.message_id)


def headers_of(envelope: Envelope) -> dict[str, Any]:
    """The attributes as AMQP headers, for binary mode."""
    attributes: dict[str, Any] = _json_decoder.decode(_encoder.encode(msgspec.structs.replace(envelope, data=_NO_DATA)))
    del attributes["data"]
    return {HEADER_PREFIX + name: value for name, value in attributes.items()}


def envelope_of_headers(headers: Mapping[str, Any], data: bytes) -> Envelope:
    """The event of a message in binary mode.

    Raises msgspec.ValidationError when attributes are missing or ill-formed.
    """
    attributes: dict[str, Any] = {
        name.removeprefix(HEADER_PREFIX): value for name, value in headers.items() if name.startswith(HEADER_PREFIX)
    }
    return msgspec.convert(attributes | {"data": msgspec.Raw(data)}, Envelope, strict=False)


def encode_batch(envelopes: Iterable[Envelope]) -> bytes:
    """The events as one CloudEvents JSON batch."""
    return _encoder.encode(list(envelopes))


def is_session_id(text: str) -> bool:
    """Whether the text can be an ordering key."""
    return _session_ids.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether the text can be a type or a correlation id."""
    return _names.fullmatch(text) is not None


def utc_now() -> datetime:
    return datetime.now(UTC)
