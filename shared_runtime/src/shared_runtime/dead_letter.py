"""Messages that cannot be processed, on their way to the dead-letter queue of their subscription."""

import hashlib
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

from shared_runtime.envelope import JSON, Envelope, Undecodable, headers_of, new_id
from shared_runtime.outbox import Outgoing, Properties

EXCHANGE = "dead-letters"
PREFIX = "deadletter_"
MAX_STACK_CHARACTERS = 8_000


def fingerprint_of(reason: str, error: BaseException | None) -> str:
    """The same for failures of the same cause: the exception's type and the innermost frame of the suite's own code."""
    if error is None:
        return _digest(reason)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename and frame.name != "<module>"]
    where = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else ""
    return _digest(f"{type(error).__name__}|{where}|{reason}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dead_letter(
    message: Envelope | Undecodable,
    *,
    service: str,
    subscription: str,
    reason: str,
    description: str,
    now: datetime,
    error: BaseException | None = None,
    attempts: int = 1,
    first_failed_at: datetime | None = None,
) -> Outgoing:
    """The dead letter: body and attributes as they came, and beside them why the message was set aside."""
    identifier = new_id()
    if isinstance(message, Envelope):
        body, content_type = bytes(message.data), JSON
        headers = headers_of(message)
        message_id, session = str(message.id), message.session_id
    else:
        body, content_type = message.body, message.content_type
        headers = {key: _as_header(value) for key, value in message.headers.items()}
        message_id, session = str(identifier), ""
    headers |= {
        PREFIX + "id": str(identifier),
        PREFIX + "service": service,
        PREFIX + "subscription": subscription,
        PREFIX + "reason": reason,
        PREFIX + "description": description[:1_000],
        PREFIX + "exception_type": type(error).__name__ if error else "",
        PREFIX + "stack": "".join(traceback.format_exception(error))[-MAX_STACK_CHARACTERS:] if error else "",
        PREFIX + "fingerprint": fingerprint_of(reason, error),
        PREFIX + "attempts": attempts,
        PREFIX + "first_failed_at": (first_failed_at or now).isoformat(),
        PREFIX + "last_failed_at": now.isoformat(),
    }
    return Outgoing(
        identifier,
        EXCHANGE,
        subscription,
        Properties(content_type, message_id, headers),
        body,
        frozenset({session}) if session else frozenset(),
    )


def _as_header(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
