"""From an AMQP message of a dead-letter queue to what is stored. Anything can be in there, and all of it is kept."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from aio_pika.abc import AbstractIncomingMessage
from msgspec import Struct

from dead_letters.contents import digest_of
from dead_letters.domain.dead_letter import (
    NAMESPACE,
    ORIGINAL,
    Failure,
    Origin,
    Version,
    dead_letter_id_of,
    version_id_of,
)
from dead_letters.domain.states import Form
from dead_letters.wire import properties_of, to_json
from shared_runtime.consumer import Subscription
from shared_runtime.dead_letter import PREFIX, fingerprint_of
from shared_runtime.envelope import (
    BATCH,
    JSON,
    STRUCTURED,
    Envelope,
    Incoming,
    Undecodable,
    decode,
    headers_of,
)

CODE_CHARACTERS_MAX = 200
"""Of what an index holds: reasons, types."""
DESCRIPTION_CHARACTERS_MAX = 1_000
STACK_CHARACTERS_MAX = 8_000
COUNT_MAX = 2**31 - 1
UNKNOWN = "unknown"


class Arrival(Struct, frozen=True):
    """One dead letter of a message."""

    failure: Failure
    origin: Origin
    original: Version
    headers: str
    properties: str


def read_arrivals(message: AbstractIncomingMessage, subscription: Subscription, now: datetime) -> list[Arrival]:
    """Read the message: one arrival, or one for each element of a batch. Raises nothing, whatever it holds."""
    headers = message.headers or {}
    content_type = message.content_type or ""
    found = decode(Incoming(message.body, content_type, headers))
    if not found:
        found = [Undecodable(message.body, content_type, headers, "the batch is empty")]
    properties = to_json(properties_of(message))
    given = _given_id(headers)
    if len(found) == 1 and content_type.partition(";")[0].strip().lower() not in {BATCH, STRUCTURED}:
        failure_id = given or _made_up_id(found[0], message, subscription)
        piece = _Piece(failure_id, message.body, content_type, headers)
        return [_arrival(found[0], piece, subscription, properties, now)]
    arrivals = []
    for position, one in enumerate(found):
        own_id = given if len(found) == 1 else given and uuid5(given, str(position))
        piece = _piece(one, own_id or _made_up_id(one, message, subscription, position), headers)
        arrivals.append(_arrival(one, piece, subscription, properties, now))
    return arrivals


class _Piece(Struct, frozen=True):
    """What becomes a dead letter of its own."""

    failure_id: UUID
    body: bytes
    content_type: str
    headers: Mapping[str, Any]


def _piece(one: Envelope | Undecodable, failure_id: UUID, headers: Mapping[str, Any]) -> _Piece:
    """An element of a batch: an event as if it had come alone, anything else as it stands in the batch."""
    if isinstance(one, Envelope):
        return _Piece(failure_id, bytes(one.data), JSON, {**headers, **headers_of(one)})
    return _Piece(failure_id, one.body, one.content_type, headers)


def _arrival(
    one: Envelope | Undecodable, piece: _Piece, subscription: Subscription, properties: str, now: datetime
) -> Arrival:
    event = one if isinstance(one, Envelope) else None
    dead_letter_id = piece.failure_id if event is None else dead_letter_id_of(subscription.name, event.id)
    original = Version(
        version_id=version_id_of(dead_letter_id, ORIGINAL),
        dead_letter_id=dead_letter_id,
        version=ORIGINAL,
        body=piece.body,
        body_bytes=len(piece.body),
        sha256=digest_of(piece.body),
        content_type=_text(piece.content_type, 255),
        expires_at=_moment(event.expires_at) if event else None,
        actor=None,
        why=None,
        created_at=now,
    )
    return Arrival(
        failure=_failure(piece.failure_id, dead_letter_id, event, piece.headers, now),
        origin=_origin(event, subscription, len(piece.body)),
        original=original,
        headers=to_json(piece.headers),
        properties=properties,
    )


def _given_id(headers: Mapping[str, Any]) -> UUID | None:
    """The identifier that the service gave. What the broker itself set aside has none."""
    try:
        return UUID(str(headers.get(PREFIX + "id")))
    except ValueError:
        return None


def _made_up_id(
    one: Envelope | Undecodable, message: AbstractIncomingMessage, subscription: Subscription, position: int = 0
) -> UUID:
    """An identifier that a redelivery of the same has again."""
    if isinstance(one, Envelope):
        name = f"{one.id}/{one.attempt_epoch}"
    else:
        name = f"{message.message_id or digest_of(message.body)}/{position}"
    return uuid5(NAMESPACE, f"{subscription.dead_letter_queue}/{name}")


def _origin(event: Envelope | None, subscription: Subscription, body_bytes: int) -> Origin:
    service = subscription.name.partition(".")[0]
    if event is None:
        return Origin(service, subscription.name, Form.UNDECODABLE, body_bytes=body_bytes)
    return Origin(
        service=service,
        subscription=subscription.name,
        form=Form.EVENT,
        message_id=event.id,
        message_type=_text(event.type, 255),
        session_id=event.session_id,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        event_source=_text(event.source, 1_024),
        event_time=_moment(event.time),
        expires_at=_moment(event.expires_at),
        body_bytes=body_bytes,
    )


def _failure(
    failure_id: UUID, dead_letter_id: UUID, event: Envelope | None, headers: Mapping[str, Any], now: datetime
) -> Failure:
    reason, description = _reason_of(headers)
    exception_type = _text(headers.get(PREFIX + "exception_type", ""), CODE_CHARACTERS_MAX)
    given = headers.get(PREFIX + "fingerprint")
    last = _instant(headers.get(PREFIX + "last_failed_at"), _died_at(headers, now))
    return Failure(
        failure_id=failure_id,
        dead_letter_id=dead_letter_id,
        attempt_epoch=event.attempt_epoch if event else 0,
        reason=reason,
        description=description,
        exception_type=exception_type,
        stack=_text(headers.get(PREFIX + "stack", ""), STACK_CHARACTERS_MAX),
        fingerprint=_text(given, CODE_CHARACTERS_MAX) if given else fingerprint_of(reason, None),
        attempts=_count(headers.get(PREFIX + "attempts"), headers.get("x-delivery-count")),
        is_parked=headers.get(PREFIX + "parked") is True,
        first_failed_at=min(last, _instant(headers.get(PREFIX + "first_failed_at"), last)),
        last_failed_at=last,
        arrived_at=now,
    )


def _reason_of(headers: Mapping[str, Any]) -> tuple[str, str]:
    given = headers.get(PREFIX + "reason")
    if given:
        description = _text(headers.get(PREFIX + "description", ""), DESCRIPTION_CHARACTERS_MAX)
        return _text(given, CODE_CHARACTERS_MAX), description
    death = _death(headers)
    if death:
        reason = _text(death.get("reason", UNKNOWN), CODE_CHARACTERS_MAX)
        queue = _text(death.get("queue", UNKNOWN), CODE_CHARACTERS_MAX)
        return reason, f"the broker set it aside from {queue}: {reason}"
    return UNKNOWN, "it came without a reason"


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The last time that the broker itself dead-lettered the message."""
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, Mapping) else {}


def _died_at(headers: Mapping[str, Any], now: datetime) -> datetime:
    died_at = _death(headers).get("time")
    return _aware(died_at) if isinstance(died_at, datetime) else now


def _instant(value: Any, default: datetime) -> datetime:
    try:
        return _aware(datetime.fromisoformat(value)) if isinstance(value, str) else default
    except ValueError:
        return default


def _moment(moment: datetime | None) -> datetime | None:
    return None if moment is None else _aware(moment)


def _aware(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def _count(*values: Any) -> int:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool):
            return max(1, min(value, COUNT_MAX))
    return 1


def _text(value: Any, length_max: int) -> str:
    """What a text column takes: no NUL, and nothing that UTF-8 does not encode."""
    text = value if isinstance(value, str) else str(value)
    return text.replace("\x00", "\\0").encode(errors="replace").decode()[:length_max]
