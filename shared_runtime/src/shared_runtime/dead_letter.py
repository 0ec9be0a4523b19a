"""Messages that cannot be processed, on their way to the dead-letter queue of their subscription."""

import hashlib
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID, uuid5

from shared_runtime.envelope import JSON, Envelope, Undecodable, headers_of, new_id
from shared_runtime.errors import DeadLetterReason, PermanentError, text_of
from shared_runtime.outbox import Outgoing, Properties
from shared_runtime.retry import is_transient

RUNTIME = "shared_runtime"
LIBRARIES = {"asyncpg", "msgspec", "opentelemetry", "pydantic", "tenacity"}
"""Packages that the runtime calls and that are not a service's own."""
EXCHANGE = "dead-letters"
_NAMESPACE = UUID("6f0c1f5e-7c3a-4a39-9a52-3f2f0d1c8b74")
PREFIX = "deadletter_"
MAX_PROPERTY_BYTES = 255
MAX_DESCRIPTION_CHARACTERS = 1_000
MAX_STACK_CHARACTERS = 8_000
MAX_HEADER_CHARACTERS = 2_000
MAX_HEADERS_CHARACTERS = 20_000
"""All headers of a message have to fit into one AMQP frame of 128 KiB: with the description and the stack, and four
bytes per character, this is as much of the original ones as does."""


def reason_and_description_of(error: BaseException) -> tuple[str, str]:
    """The stable code for support, and the sentence for people."""
    if isinstance(error, PermanentError):
        return error.reason, error.description
    exhausted = is_transient(error)
    return DeadLetterReason.RETRIES_EXHAUSTED if exhausted else DeadLetterReason.HANDLER_FAILED, text_of(error)


def fingerprint_of(reason: str, error: BaseException | None) -> str:
    """The same for failures of the same cause: the reason, the exception's type, and where it happened.

    Where is the innermost function of the handler's own package, or the constraint that the database named.
    """
    if error is None:
        return _digest(reason)
    where = getattr(error, "constraint_name", None) or _own_function(error)
    return _digest(f"{type(error).__name__}|{where}|{reason}")


def _own_function(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    # What the runtime calls is a handler or a loader, or else a library.
    called = {_package(callee) for caller, callee in pairwise(frames) if _package(caller) == RUNTIME}
    own_packages = {RUNTIME} | (called - LIBRARIES - sys.stdlib_module_names)
    own = [frame for frame in frames if _package(frame) in own_packages] or frames
    return f"{Path(own[-1].f_code.co_filename).name}:{own[-1].f_code.co_qualname}" if own else ""


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


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
    is_parked: bool = False,
) -> Outgoing:
    """The dead letter: body and attributes as they came, and beside them why the message was set aside.

    `is_parked` says that the rest of its session waits for it.
    """
    identifier = failure_id = new_id()
    if isinstance(message, Envelope):
        body, content_type = bytes(message.data), JSON
        headers = headers_of(message)
        message_id, session = str(message.id), message.session_id
    else:
        body, content_type = message.body, _short(message.content_type)
        headers = _as_they_came(message.headers)
        failure_id = _id_of_undecodable(message, subscription) or failure_id
        message_id, session = str(failure_id), ""
    headers |= {
        PREFIX + "id": str(failure_id),
        PREFIX + "service": service,
        PREFIX + "subscription": subscription,
        PREFIX + "reason": reason,
        PREFIX + "description": _printable(description)[:MAX_DESCRIPTION_CHARACTERS],
        PREFIX + "exception_type": type(error).__name__ if error else "",
        PREFIX + "stack": _stack(error)[-MAX_STACK_CHARACTERS:],
        PREFIX + "fingerprint": fingerprint_of(reason, error),
        PREFIX + "attempts": attempts,
        PREFIX + "first_failed_at": (first_failed_at or now).isoformat(),
        PREFIX + "last_failed_at": now.isoformat(),
        PREFIX + "parked": is_parked,
    }
    return Outgoing(
        identifier,
        EXCHANGE,
        subscription,
        Properties(content_type, message_id, headers),
        body,
        frozenset({session}) if session else frozenset(),
    )


def _id_of_undecodable(message: Undecodable, subscription: str) -> UUID | None:
    """The same when the message is delivered once more: there is no inbox for what is no event.

    None for one without a name, which nothing tells from another with the same bytes.
    """
    if not message.message_id:
        return None
    return uuid5(_NAMESPACE, f"{subscription}/{message.message_id}/{hashlib.sha256(message.body).hexdigest()}")


def _stack(error: BaseException | None) -> str:
    return _printable("".join(traceback.format_exception(error))) if error else ""


def _as_they_came(headers: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    room = MAX_HEADERS_CHARACTERS
    is_cut = False
    for name, value in headers.items():
        text = _printable(str(value))
        room -= len(name) + min(len(text), MAX_HEADER_CHARACTERS)
        if room < 0:
            is_cut = True
            break
        is_cut |= len(text) > MAX_HEADER_CHARACTERS
        kept[name] = value if isinstance(value, int | float | None) else text[:MAX_HEADER_CHARACTERS]
    return kept | ({PREFIX + "headers_cut": True} if is_cut else {})


def _short(text: str) -> str:
    """As much of the text as a property takes. It is longer than what came when bytes had to be replaced."""
    return _printable(text).encode()[:MAX_PROPERTY_BYTES].decode(errors="ignore")


def _printable(text: str) -> str:
    """The text without what UTF-8 does not encode."""
    return text.encode(errors="replace").decode()
