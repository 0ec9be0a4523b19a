"""Messages that wait in the database for their next attempt, and behind each the later ones of its session.

A session whose head was dead-lettered is parked: nothing of it is tried until the head is replayed or discarded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
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
    pause_s: float
    """Until its next attempt. The database alone keeps the moment: the clocks of processes differ."""
    is_parked: bool = False

    @classmethod
    def of(
        cls, subscription: str, envelope: Envelope, error: BaseException, pause_s: float, now: datetime
    ) -> "HeldMessage":
        follows = isinstance(error, Follows)
        return cls(
            subscription=subscription,
            envelope=envelope,
            attempts=0 if follows else 1,
            first_failed_at=None if follows else now,
            error=text_of(error)[:MAX_ERROR_CHARACTERS],
            pause_s=pause_s,
        )

    @classmethod
    def parked(
        cls,
        subscription: str,
        envelope: Envelope,
        error: BaseException,
        *,
        attempts: int,
        now: datetime,
    ) -> "HeldMessage":
        """A message that was dead-lettered, in its place in the session."""
        return cls(
            subscription=subscription,
            envelope=envelope,
            attempts=attempts,
            first_failed_at=now,
            error=text_of(error)[:MAX_ERROR_CHARACTERS],
            pause_s=0.0,
            is_parked=True,
        )


# The data is kept apart from the attributes, byte for byte: inside a document it would lose the white space around it.
_INSERT = """
INSERT INTO held_message
    (subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error, due_at, is_parked)
SELECT subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error,
       now() + make_interval(secs => pause_s), is_parked
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::integer[], $7::timestamptz[], $8::text[],
            $9::float8[], $10::boolean[])
     WITH ORDINALITY AS message
         (subscription, session_id, message_id, attributes, data, attempts, first_failed_at, error, pause_s, is_parked,
          position)
ORDER BY message.position
"""
_ANY = "SELECT EXISTS (SELECT FROM held_message WHERE subscription = ANY($1::text[]))"
# A session is due when its head is: the followers wait for it however long ago they came.
_DUE_SESSIONS = """
SELECT subscription, session_id FROM (
    SELECT DISTINCT ON (subscription, session_id) subscription, session_id, due_at, is_parked
    FROM held_message WHERE subscription = ANY($1::text[]) ORDER BY subscription, session_id, position
) AS head
WHERE due_at <= now() AND NOT is_parked ORDER BY due_at LIMIT $2
"""
_HEAD = """
SELECT position, subscription, attributes, data, attempts, begun, first_failed_at, error,
       extract(epoch FROM due_at - now())::float8 AS pause_s, is_parked
FROM held_message
WHERE subscription = $1 AND session_id = $2 ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_LOCK = "SELECT attempts, attributes FROM held_message WHERE position = $1 AND NOT is_parked FOR UPDATE"
_FIRST = """
SELECT min(position) FROM held_message WHERE subscription = $1 AND session_id = $2
"""
_BEGIN = """
UPDATE held_message SET begun = begun + 1, due_at = now() + make_interval(secs => $2) WHERE position = $1
"""
_GIVE_BACK = """
UPDATE held_message SET begun = greatest(begun - 1, 0), due_at = now() + make_interval(secs => $2) WHERE position = $1
"""
_PARK = """
UPDATE held_message
SET attempts = $2, begun = 0, first_failed_at = coalesce(first_failed_at, $3), error = $4, is_parked = true
WHERE position = $1
"""
# The replay has the place of the message that it replaces, and a history of its own.
_UNPARK = """
UPDATE held_message
SET attributes = replay.attributes, data = replay.data, attempts = 0, begun = 0, first_failed_at = NULL,
    error = '', due_at = now(), is_parked = false
FROM unnest($2::uuid[], $3::text[], $4::bytea[]) AS replay (message_id, attributes, data)
WHERE held_message.message_id = replay.message_id AND subscription = $1 AND is_parked
RETURNING held_message.message_id
"""
_DISCARD = """
DELETE FROM held_message WHERE message_id = ANY($2::uuid[]) AND subscription = $1 AND is_parked
"""
_OF_SESSION = """
SELECT position, subscription, message_id, attributes, attempts, first_failed_at, error, due_at, is_parked
FROM held_message WHERE session_id = $1 ORDER BY subscription, position LIMIT $2
"""
_END = "UPDATE held_message SET begun = greatest(begun - 1, 0) WHERE position = $1"
_POSTPONE = """
UPDATE held_message
SET attempts = $2, begun = 0, first_failed_at = coalesce(first_failed_at, $3), error = $4,
    due_at = now() + make_interval(secs => $5)
WHERE position = $1
"""
_SUSPECT = """
INSERT INTO crash_suspect (subscription, message_id, attempts, last_attempt_at) VALUES ($1, $2, 1, now())
ON CONFLICT (subscription, message_id) DO UPDATE
SET attempts = crash_suspect.attempts + 1, last_attempt_at = excluded.last_attempt_at
RETURNING attempts
"""
_GIVE_BACK_SUSPECT = """
UPDATE crash_suspect SET attempts = attempts - 1 WHERE subscription = $1 AND message_id = $2
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
        [message.pause_s for message in messages],
        [message.is_parked for message in messages],
    )


async def is_empty(connection: asyncpg.Connection, subscriptions: Iterable[str]) -> bool:
    """Whether nothing of these subscriptions is held, parked messages included."""
    return not await connection.fetchval(_ANY, list(subscriptions))


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
        pause_s=record["pause_s"],
        is_parked=record["is_parked"],
    )


async def lock(connection: asyncpg.Connection, message: HeldMessage) -> bool:
    """Wait for whoever looks at the message at the moment. Returns whether it is still as it was.

    Another process deals with it when the attempt that began here takes longer than its lease to get this far.
    """
    record = await connection.fetchrow(_LOCK, message.position)
    # What is dead-lettered keeps its row, and a replay takes it over: the position alone does not tell the message.
    return (
        record is not None
        and record["attempts"] == message.attempts
        and _without_data(record["attributes"]).attempt_epoch == message.envelope.attempt_epoch
    )


async def begin(connection: asyncpg.Connection, message: HeldMessage, lease_s: float) -> None:
    """Note that an attempt begins. Nobody else tries within `lease_s`, unless it ends earlier."""
    await connection.execute(_BEGIN, message.position, lease_s)


async def end(connection: asyncpg.Connection, position: int) -> None:
    """An attempt ended without a result, and the process lives."""
    await connection.execute(_END, position)


async def remove(connection: asyncpg.Connection, position: int) -> None:
    """The message is dealt with."""
    await connection.execute("DELETE FROM held_message WHERE position = $1", position)


async def postpone(
    connection: asyncpg.Connection, message: HeldMessage, error: BaseException, pause_s: float, now: datetime
) -> None:
    """The attempt failed; the next one is after the pause."""
    description = text_of(error)[:MAX_ERROR_CHARACTERS]
    await connection.execute(_POSTPONE, message.position, message.attempts + 1, now, description, pause_s)


async def give_back(connection: asyncpg.Connection, message: HeldMessage, pause_s: float) -> None:
    """The attempt that began shall not count, and the next one be after the pause."""
    await connection.execute(_GIVE_BACK, message.position, pause_s)


async def park(connection: asyncpg.Connection, message: HeldMessage, error: BaseException, now: datetime) -> None:
    """The message is dead-lettered; its session waits for support."""
    description = text_of(error)[:MAX_ERROR_CHARACTERS]
    await connection.execute(_PARK, message.position, message.attempts + 1, now, description)


async def unpark(connection: asyncpg.Connection, subscription: str, replays: Sequence[Envelope]) -> set[UUID]:
    """Put the replays in the places of the parked messages with their ids. Returns the ids that were parked."""
    records = await connection.fetch(
        _UNPARK,
        subscription,
        [replay.id for replay in replays],
        [msgspec.json.encode(headers_of(replay)).decode() for replay in replays],
        [bytes(replay.data) for replay in replays],
    )
    return {record[0] for record in records}


async def discard(connection: asyncpg.Connection, subscription: str, message_ids: Sequence[UUID]) -> None:
    """Remove parked messages: their sessions go on without them."""
    await connection.execute(_DISCARD, subscription, message_ids)


async def of_session(connection: asyncpg.Connection, session_id: str, *, limit: int) -> list[dict[str, Any]]:
    """What waits of one session, by subscription and in order, without the data, which may be personal."""
    records = await connection.fetch(_OF_SESSION, session_id, limit)
    found = []
    for record in records:
        columns = dict(record)
        envelope = _without_data(columns.pop("attributes"))
        found.append(columns | {"type": envelope.type, "attempt_epoch": envelope.attempt_epoch})
    return found


def _without_data(attributes: str) -> Envelope:
    # Not read by the database: its JSON has no NUL, and an attribute may.
    return envelope_of_headers(msgspec.json.decode(attributes), b"null")


async def count(connection: asyncpg.Connection) -> tuple[int, int]:
    """How many messages are held, and how many of them wait for support."""
    record = await connection.fetchrow("SELECT count(*), count(*) FILTER (WHERE is_parked) FROM held_message")
    assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return record[0], record[1]


async def count_suspect(connection: asyncpg.Connection, subscription: str, message_id: UUID) -> int:
    """Note that an attempt begins which may kill the process. Returns how many began and did not end."""
    attempts: int = await connection.fetchval(_SUSPECT, subscription, message_id)
    return attempts


async def give_back_suspect(connection: asyncpg.Connection, subscription: str, message_id: UUID) -> None:
    """The attempt that began shall not count: the process lives, and the message waits."""
    await connection.execute(_GIVE_BACK_SUSPECT, subscription, message_id)


async def clear_suspect(connection: asyncpg.Connection, subscription: str, message_id: UUID) -> None:
    """The attempt ended, well or not."""
    await connection.execute(
        "DELETE FROM crash_suspect WHERE subscription = $1 AND message_id = $2", subscription, message_id
    )
