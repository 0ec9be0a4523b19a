"""What handlers need beyond rows by their key."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from dead_letters.contents import Content
from dead_letters.domain.bulk import STEP_MAX, BulkReplay, Counts, decide_step
from dead_letters.domain.dead_letter import DeadLetter, dead_letter_id_of, epoch_of_replay, replay_id_of
from dead_letters.domain.states import Form, ItemState
from dead_letters.stores import BULK_ITEMS, BULK_REPLAYS, DEAD_LETTERS, REPLAYS
from dead_letters.wire import from_json
from shared_runtime import Tick
from shared_runtime.envelope import Envelope, utc_now
from shared_runtime.replays import ReplayHandled

STEP_BYTES = 16 * 1024 * 1024
"""Bodies in memory for one step of a bulk replay."""
SKIPPED_AT_ONCE = 50
"""Items beyond those that may be replayed, in case that some are not open any more."""

_CONTENTS = """
SELECT dead_letter_id, version, body, content_type, headers
FROM dead_letter JOIN version USING (dead_letter_id, version) JOIN original USING (dead_letter_id)
WHERE dead_letter_id = ANY($1::uuid[])
"""
_KNOWN = "SELECT message_id FROM dead_letter WHERE dead_letter_id = ANY($1::uuid[])"
_UNANSWERED_ITEMS = """
SELECT dead_letter_id, bulk_item_id FROM replay
WHERE dead_letter_id = ANY($1::uuid[]) AND state = 'sent' AND bulk_item_id IS NOT NULL
"""
# Another process that is at a bulk replay at this moment goes on with it.
_AT_WORK = """
SELECT bulk_replay_id FROM bulk_replay WHERE state = 'running' OR sent > 0
ORDER BY bulk_replay_id FOR UPDATE SKIP LOCKED
"""
_COUNTS = """
SELECT bulk_replay_id, state, count(*) FROM bulk_item WHERE bulk_replay_id = ANY($1::uuid[]) GROUP BY 1, 2
"""
_NEXT = """
SELECT bulk_item_id FROM (
    SELECT bulk_item_id, position, sum(coalesce(body_bytes, 0)) OVER (ORDER BY position) - coalesce(body_bytes, 0)
               AS bytes_before
    FROM (
        SELECT * FROM bulk_item WHERE bulk_replay_id = $1 AND state = 'waiting' ORDER BY position LIMIT $2
    ) AS item
    LEFT JOIN dead_letter USING (dead_letter_id)
) AS next
WHERE bytes_before < $3 ORDER BY position
"""


class Taken(Struct, frozen=True):
    """The events of what was no event that have a dead letter of their own."""

    key: UUID
    """The dead letter that they are inside of."""
    message_ids: frozenset[UUID]


class UnansweredItems(Struct, frozen=True):
    """The items of bulk replays that wait for an answer to a dead letter's replay."""

    key: UUID
    """The dead letter."""
    bulk_item_ids: frozenset[UUID]


class AtWork(Struct, frozen=True):
    """The bulk replays that this process looks after in this step."""

    key: str
    bulk_replay_ids: tuple[UUID, ...]


AT_WORK = "bulk replays at work"


class Progress(Struct, frozen=True):
    """How far a bulk replay is, and its next items in their order."""

    key: UUID
    counts: Counts
    next_item_ids: tuple[UUID, ...]


async def load_dead_letters(connection: asyncpg.Connection, commands: Sequence[Any]) -> Iterable[object]:
    """The dead letters of commands that name many, all of which exist."""
    return await DEAD_LETTERS.load(connection, {one for command in commands for one in command.dead_letter_ids})


async def load_contents(connection: asyncpg.Connection, commands: Sequence[Any]) -> Iterable[object]:
    """The bytes of each command's dead letter, and what is known of the events inside."""
    letters = await DEAD_LETTERS.load(connection, {command.dead_letter_id for command in commands})
    return await _contents(connection, letters)


async def load_unanswered_items(connection: asyncpg.Connection, commands: Sequence[Any]) -> Iterable[object]:
    """The items of bulk replays that wait for the commands' dead letters."""
    found: dict[UUID, set[UUID]] = {command.dead_letter_id: set() for command in commands}
    for dead_letter_id, bulk_item_id in await connection.fetch(_UNANSWERED_ITEMS, list(found)):
        found[dead_letter_id].add(bulk_item_id)
    items = await BULK_ITEMS.load(connection, {one for ids in found.values() for one in ids})
    return [*items, *(UnansweredItems(key, frozenset(ids)) for key, ids in found.items())]


async def load_answered(connection: asyncpg.Connection, answers: Sequence[ReplayHandled]) -> Iterable[object]:
    """What the answers are about: replays, their dead letters, and their items of bulk replays."""
    replays = await REPLAYS.load(connection, {replay_key(one) for one in answers})
    items = await BULK_ITEMS.load(connection, {one.bulk_item_id for one in replays if one.bulk_item_id})
    letters = await DEAD_LETTERS.load(connection, {one.dead_letter_id for one in replays})
    return [*items, *letters]


async def load_next_items(connection: asyncpg.Connection, _: Sequence[Tick]) -> Iterable[object]:
    """Bulk replays that no other process is at, their next items, and the dead letters of these with their bytes."""
    keys = [record[0] for record in await connection.fetch(_AT_WORK)]
    bulks = await BULK_REPLAYS.load(connection, keys)
    counts = await _counts(connection, keys)
    next_ids = {
        one.bulk_replay_id: await _next_items(connection, one, counts.get(one.bulk_replay_id, Counts()))
        for one in bulks
    }
    items = await BULK_ITEMS.load(connection, {one for ids in next_ids.values() for one in ids})
    letters = await DEAD_LETTERS.load(connection, {one.dead_letter_id for one in items})
    progress = [Progress(key, counts.get(key, Counts()), next_ids[key]) for key in next_ids]
    contents = await _contents(connection, letters)
    return [AtWork(AT_WORK, tuple(next_ids)), *bulks, *items, *letters, *progress, *contents]


def replay_key(answer: ReplayHandled) -> UUID:
    """The replay that was answered."""
    return replay_id_of(answer.subscription, answer.message_id, answer.attempt_epoch)


async def _next_items(connection: asyncpg.Connection, bulk: BulkReplay, counts: Counts) -> tuple[UUID, ...]:
    _, allowed = decide_step(bulk, counts, utc_now())
    if not allowed:
        return ()
    limit = min(STEP_MAX, allowed + SKIPPED_AT_ONCE)
    return tuple(record[0] for record in await connection.fetch(_NEXT, bulk.bulk_replay_id, limit, STEP_BYTES))


async def _counts(connection: asyncpg.Connection, keys: Sequence[UUID]) -> dict[UUID, Counts]:
    found: dict[UUID, dict[str, int]] = {}
    for key, state, count in await connection.fetch(_COUNTS, keys):
        found.setdefault(key, {})[ItemState(state).value] = count
    return {key: Counts(**by_state) for key, by_state in found.items()}


async def _contents(connection: asyncpg.Connection, letters: Sequence[DeadLetter]) -> list[object]:
    """The bytes, the replays that the events inside have in the epoch of the next replay, and what is known of them."""
    records = await connection.fetch(_CONTENTS, [one.dead_letter_id for one in letters])
    contents = {
        record["dead_letter_id"]: Content(
            record["dead_letter_id"],
            record["version"],
            record["body"],
            record["content_type"],
            from_json(record["headers"]),
        )
        for record in records
    }
    events = {one.dead_letter_id: contents[one.dead_letter_id].events() for one in letters}
    replay_ids = {
        replay_id_of(one.subscription, event.id, epoch_of_replay(one, event.attempt_epoch))
        for one in letters
        for event in events[one.dead_letter_id]
    }
    replays = await REPLAYS.load(connection, replay_ids)
    taken = [
        Taken(one.dead_letter_id, await _taken(connection, one, events[one.dead_letter_id]))
        for one in letters
        if one.form is Form.UNDECODABLE
    ]
    return [*contents.values(), *replays, *taken]


async def _taken(connection: asyncpg.Connection, letter: DeadLetter, events: Sequence[Envelope]) -> frozenset[UUID]:
    letter_ids = [dead_letter_id_of(letter.subscription, event.id) for event in events]
    return frozenset(record[0] for record in await connection.fetch(_KNOWN, letter_ids))
