"""What came over AMQP as JSON and back: a header may hold what JSON does not have."""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

PROPERTIES = (
    "content_type",
    "content_encoding",
    "message_id",
    "correlation_id",
    "type",
    "app_id",
    "user_id",
    "reply_to",
    "expiration",
    "priority",
    "timestamp",
)


def properties_of(message: AbstractIncomingMessage) -> dict[str, Any]:
    """The AMQP properties that the message has, and the exchange and key it was published with."""
    found = {name: getattr(message, name) for name in PROPERTIES}
    found |= {"exchange": message.exchange, "routing_key": message.routing_key}
    return {name: value for name, value in found.items() if value is not None}


def to_json(table: Mapping[str, Any]) -> str:
    """The table as JSON text, from which `from_json` makes the same table again."""
    return json.dumps({name: _tagged(value) for name, value in table.items()})


def from_json(text: str) -> dict[str, Any]:
    """The table that `to_json` was given."""
    table: dict[str, Any] = json.loads(text)
    return {name: _untagged(value) for name, value in table.items()}


def _tagged(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {"$table": {str(name): _tagged(one) for name, one in value.items()}}
    if isinstance(value, list | tuple):
        return [_tagged(one) for one in value]
    for tag, (kind, written, _) in _TAGS.items():
        if isinstance(value, kind):
            return {tag: written(value)}
    # aio-pika knows no other; what a later version adds is at least legible.
    return {"$text": str(value)}


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(one) for one in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "$table":
        return {name: _untagged(one) for name, one in content.items()}
    return _TAGS[tag][2](content) if tag in _TAGS else content


def _instant(moment: datetime) -> str:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


_TAGS: dict[str, tuple[Any, Callable[[Any], str], Callable[[str], Any]]] = {
    "$float": (float, repr, float),
    "$bytes": ((bytes, bytearray), lambda value: base64.b64encode(bytes(value)).decode(), base64.b64decode),
    "$timestamp": (datetime, _instant, datetime.fromisoformat),
    "$decimal": (Decimal, str, Decimal),
}
