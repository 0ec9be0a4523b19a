"""Messages that wait in the database for their next attempt, and behind each the later ones of its session."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from shared_runtime.envelope import Envelope, envelope_of_headers, headers_of
from shared_runtime.errors import text_of
from shared_runtime.retry import Follows

MAX_ERROR_CHARACTERS = 1_000


class HeldMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One row of held_message."""

    position: int = 0
    subscription: str
    envelope: Envelope
    attempts: int
    begun: int = 0
    """Attempts that began and did not end: the process died meanwhile."""
    first_failed_at: datetime | None
    error: str
    due_at: datetime

    @classmethod
    def of(
        cls, subscription: str, envelope: Envelope, error: BaseException, due_at: datetime, now: datetime
    ) -> "HeldMessage":
        follows = isinstance(error, Follows)
        return cls(
            subscription=subscription,
            envelope=envelope,
            attempts=0 if follows else 1,
            first_failed_at=None if follows else now,
            error=text_of(error)[:MAX_ERROR_CHARACTERS],
            due_at=due_at,
        )


# The data is kept apart from the attributes, byte for byte: inside a document it would lose the white space around it.
_INSERT = """
INSERT INTO held_message
    (subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error, due_at)
SELECT subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error, due_at
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::integer[], $7::timestamptz[], $8::text[],
            $9::timestamptz[])
     WITH ORDINALITY AS message
         (subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error, due_at, position)
ORDER BY message.position
"""
# A session is due when its head is: the followers wait for it however long ago they came.
_DUE_SESSIONS = """
SELECT subscription, session_id FROM (
    SELECT DISTINCT ON (subscription, session_id) subscription, session_id, due_at
    FROM held_message WHERE subscription = ANY($1::text[]) ORDER BY subscription, session_id, position
) AS head
WHERE due_at <= now() ORDER BY due_at LIMIT $2
"""
_HEAD = """
SELECT position, subscription, attributes, data, attempts, begun, first_failed_at, error, due_at FROM held_message
WHERE subscription = $1 AND session_id = $2 ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_LOCK = "SELECT position FROM held_message WHERE position = $1 FOR UPDATE"
_FIRST = """
SELECT min(position) FROM held_message WHERE subscription = $1 AND session_id = $2
"""
_BEGIN = """
UPDATE held_message SET begun = begun + 1, due_at = $2 WHERE position = $1
"""
_END = "UPDATE held_message SET begun = greatest(begun - 1, 0) WHERE position = $1"
_POSTPONE = """
UPDATE held_message
SET attempts = $2, begun = 0, first_failed_at = coalesce(first_failed_at, $3), error = $4, due_at = $5
WHERE position = $1
"""
_SUSPECT = """
INSERT INTO crash_suspect (subscription, message_id, attempts, last_attempt_at) VALUES ($1, $2, 1, now())
ON CONFLICT (subscription, message_id) DO UPDATE
SET attempts = crash_suspect.attempts + 1, last_attempt_at = excluded.last_attempt_at
RETURNING attempts
"""


async def insert(connection: asyncpg.Connection, messages: Sequence[HeldMessage]) -> None:
    """Add the messages behind those of their sessions."""
    await connection.execute(
        _INSERT,
        [message.subscription for message in messages],
        [message.envelope.session_id for message in messages],
        [message.envelope.id for message in messages],
        [msgspec.json.encode(headers_of(message.envelope)).decode() for message in messages],
        [bytes(message.envelope.data) for message in messages],
        [message.attempts for message in messages],
        [message.first_failed_at for message in messages],
        [message.error for message in messages],
        [message.due_at for message in messages],
    )


async def due_sessions(
    connection: asyncpg.Connection, subscriptions: Iterable[str], *, limit: int
) -> list[tuple[str, str]]:
    """Subscription and session of those whose head may be tried now."""
    return [(record[0], record[1]) for record in await connection.fetch(_DUE_SESSIONS, list(subscriptions), limit)]


async def head(connection: asyncpg.Connection, subscription: str, session_id: str) -> HeldMessage | None:
    """The first message of the session, locked. None when there is none, or another process has it in hand."""
    record = await connection.fetchrow(_HEAD, subscription, session_id)
    if record is None or record["position"] != await connection.fetchval(_FIRST, subscription, session_id):
        return None
    return HeldMessage(
        position=record["position"],
        subscription=record["subscription"],
        envelope=envelope_of_headers(msgspec.json.decode(record["attributes"]), record["data"]),
        attempts=record["attempts"],
        begun=record["begun"],
        first_failed_at=record["first_failed_at"],
        error=record["error"],
        due_at=record["due_at"],
    )


async def lock(connection: asyncpg.Connection, message: HeldMessage) -> bool:
    """Wait for whoever looks at the message at the moment. Returns whether it is still there."""
    return await connection.fetchval(_LOCK, message.position) is not None


async def begin(connection: asyncpg.Connection, message: HeldMessage, until: datetime) -> None:
    """Note that an attempt begins. Nobody else tries before `until`, unless it ends earlier."""
    await connection.execute(_BEGIN, message.position, until)


async def end(connection: asyncpg.Connection, position: int) -> None:
    """An attempt ended without a result, and the process lives."""
    await connection.execute(_END, position)


async def remove(connection: asyncpg.Connection, position: int) -> None:
    """The message is dealt with."""
    await connection.execute("DELETE FROM held_message WHERE position = $1", position)


async def postpone(
    connection: asyncpg.Connection, message: HeldMessage, error: BaseException, due_at: datetime, now: datetime
) -> None:
    """The attempt failed; the next one is at `due_at`."""
    description = text_of(error)[:MAX_ERROR_CHARACTERS]
    await connection.execute(_POSTPONE, message.position, message.attempts + 1, now, description, due_at)


async def count(connection: asyncpg.Connection) -> int:
    """How many messages are held."""
    number: int = await connection.fetchval("SELECT count(*) FROM held_message")
    return number


async def count_suspect(connection: asyncpg.Connection, subscription: str, message_id: UUID) -> int:
    """Note that an attempt begins which may kill the process. Returns how many began and did not end."""
    attempts: int = await connection.fetchval(_SUSPECT, subscription, message_id)
    return attempts


async def clear_suspect(connection: asyncpg.Connection, subscription: str, message_id: UUID) -> None:
    """The attempt ended, well or not."""
    await connection.execute(
        "DELETE FROM crash_suspect WHERE subscription = $1 AND message_id = $2", subscription, message_id
    )
