"""What has been handled already, kept in the handler's transaction, so that an effect happens once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

# One statement answers three questions: how many messages are new, which ones unless all are, and which sessions wait
# for an earlier message of theirs. Usually nothing is held, and one look at the table is enough.
_ADMIT = """
WITH fresh AS (
    INSERT INTO inbox (subscription, message_id, attempt_epoch, received_at)
    SELECT $1, message_id, attempt_epoch, $4
    FROM unnest($2::uuid[], $3::integer[]) AS message (message_id, attempt_epoch)
    ORDER BY message_id
    ON CONFLICT DO NOTHING
    RETURNING message_id, attempt_epoch
)
SELECT count(*) AS fresh, NULL::uuid AS message_id, NULL::integer AS attempt_epoch, NULL AS held_session FROM fresh
UNION ALL
SELECT NULL, message_id, attempt_epoch, NULL FROM fresh WHERE (SELECT count(*) FROM fresh) < cardinality($2)
UNION ALL
SELECT DISTINCT NULL::bigint, NULL::uuid, NULL::integer, session_id FROM held_message
WHERE subscription = $1 AND session_id = ANY($5::text[])
AND (SELECT EXISTS (SELECT FROM held_message WHERE subscription = $1))
"""
_HELD_SESSIONS = """
SELECT DISTINCT session_id FROM held_message WHERE subscription = $1 AND session_id = ANY($2::text[])
"""
_PRUNE = """
DELETE FROM inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM inbox WHERE received_at < now() - make_interval(secs => $1) LIMIT $2
))
"""


async def admit(
    connection: asyncpg.Connection,
    subscription: str,
    messages: Sequence[tuple[UUID, int]],
    sessions: Sequence[str],
    now: datetime,
) -> tuple[set[tuple[UUID, int]], set[str]]:
    """The messages, by id and attempt epoch, that were never handled, and those of the sessions that are held."""
    records = await connection.fetch(
        _ADMIT, subscription, [one[0] for one in messages], [one[1] for one in messages], now, sessions
    )
    count = next(record[0] for record in records if record[0] is not None)
    held_sessions = {record[3] for record in records if record[3] is not None}
    fresh = set(messages)
    if count < len(messages):
        fresh = {(record[1], record[2]) for record in records if record[1] is not None}
        # The statement may have waited for the transaction of another process that had the same message, and it does
        # not see what has been committed since it began: that the message is held now.
        held_sessions = {record[0] for record in await connection.fetch(_HELD_SESSIONS, subscription, sessions)}
    return fresh, held_sessions


async def prune(connection: asyncpg.Connection, *, older_than_s: float, limit: int) -> int:
    """Forget messages that were handled long ago. Returns how many."""
    status: str = await connection.execute(_PRUNE, older_than_s, limit)
    return int(status.rsplit(maxsplit=1)[-1])
