"""Stores arrivals: a number of statements that does not depend on how many there are, in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg

from dead_letters.arrivals import Arrival
from dead_letters.domain.bulk import BulkItem, decide_item
from dead_letters.domain.dead_letter import DeadLetter, Failure, Replay, decide_answer, decide_arrival, replay_id_of
from dead_letters.domain.states import ReplayState
from dead_letters.stores import BULK_ITEMS, DEAD_LETTERS, REPLAYS, VERSIONS

# What was stored before is not returned: a redelivery changes nothing.
_ADD_FAILURES = """
INSERT INTO failure (failure_id, dead_letter_id, attempt_epoch, reason, description, exception_type, stack, fingerprint,
                     attempts, is_parked, first_failed_at, last_failed_at, arrived_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::integer[], $10::boolean[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[])
ON CONFLICT DO NOTHING RETURNING failure_id
"""
_ADD_ORIGINALS = """
INSERT INTO original (dead_letter_id, headers, properties)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""
_failure_values = attrgetter(
    "failure_id", "dead_letter_id", "attempt_epoch", "reason", "description", "exception_type", "stack", "fingerprint",
    "attempts", "is_parked", "first_failed_at", "last_failed_at", "arrived_at",
)  # fmt: skip


class _Batch:
    """What the arrivals of one transaction touch, as it is and as it becomes."""

    def __init__(self) -> None:
        self.replays: dict[UUID, Replay] = {}
        self.items: dict[UUID, BulkItem] = {}
        self.letters: dict[UUID, DeadLetter] = {}
        self.known: dict[type, Mapping[Any, Any]] = {}
        """What was loaded, as it was."""
        self.new: dict[UUID, Arrival] = {}
        self.changed: set[UUID] = set()

    async def load(self, connection: asyncpg.Connection, fresh: Sequence[Arrival]) -> None:
        replays = await REPLAYS.load(connection, {_replay_id(one) for one in fresh} - {None})
        self.replays = {one.replay_id: one for one in replays}
        items = await BULK_ITEMS.load(connection, {one.bulk_item_id for one in replays} - {None})
        self.items = {one.bulk_item_id: one for one in items}
        wanted = {one.failure.dead_letter_id for one in fresh} | {one.dead_letter_id for one in replays}
        self.letters = {one.dead_letter_id: one for one in await DEAD_LETTERS.load(connection, wanted)}
        self.known = {Replay: self.replays.copy(), BulkItem: self.items.copy(), DeadLetter: self.letters.copy()}

    def add(self, arrival: Arrival, now: datetime) -> None:
        failure: Failure = arrival.failure
        known = self.letters.get(failure.dead_letter_id)
        if known is None:
            self.new[failure.dead_letter_id] = arrival
        self._put(decide_arrival(known, failure, arrival.origin, now))
        replay = self.replays.get(_replay_id(arrival))  # type: ignore[arg-type]
        if replay is not None:
            self._answer(replay, failure, now)

    def _answer(self, replay: Replay, failure: Failure, now: datetime) -> None:
        decision = decide_answer(self.letters[replay.dead_letter_id], replay, ReplayState.FAILED, now)
        if decision is None:
            return
        letter, answered = decision
        self.replays[replay.replay_id] = answered
        self._put(letter)
        item = self.items.get(replay.bulk_item_id) if replay.bulk_item_id else None
        decided = item and decide_item(
            item, ReplayState.FAILED, is_last=not letter.unanswered, cause=_cause_of(failure)
        )
        if decided:
            self.items[decided.bulk_item_id] = decided

    def _put(self, letter: DeadLetter) -> None:
        self.letters[letter.dead_letter_id] = letter
        self.changed.add(letter.dead_letter_id)

    async def save(self, connection: asyncpg.Connection) -> None:
        if self.replays:
            await REPLAYS.save(connection, list(self.replays.values()), self.known[Replay])
        if self.items:
            await BULK_ITEMS.save(connection, list(self.items.values()), self.known[BulkItem])
        changed = [self.letters[key] for key in sorted(self.changed)]
        await DEAD_LETTERS.save(connection, changed, self.known[DeadLetter])
        if self.new:
            added = list(self.new.values())
            await VERSIONS.save(connection, [one.original for one in added], {})
            await connection.execute(
                _ADD_ORIGINALS,
                [one.failure.dead_letter_id for one in added],
                [one.headers for one in added],
                [one.properties for one in added],
            )


async def store(connection: asyncpg.Connection, arrivals: Sequence[Arrival], now: datetime) -> int:
    """Store those that are new, and say how many they are.

    Raises ConcurrencyConflict when another process stores one of the same dead letters: the same again succeeds then.
    """
    once = {one.failure.failure_id: one for one in arrivals}
    columns = zip(*(_failure_values(one.failure) for one in once.values()), strict=True)
    added = await connection.fetch(_ADD_FAILURES, *(list(column) for column in columns))
    fresh = [once[record[0]] for record in added]
    if fresh:
        # In the order of their arrival, which RETURNING does not promise.
        fresh_ids = {one.failure.failure_id for one in fresh}
        fresh = [one for key, one in once.items() if key in fresh_ids]
        batch = _Batch()
        await batch.load(connection, fresh)
        for arrival in fresh:
            batch.add(arrival, now)
        await batch.save(connection)
    return len(fresh)


def _cause_of(failure: Failure) -> str:
    kind, description = failure.exception_type, failure.description
    # Some exceptions name themselves in their text.
    parts = (failure.reason, "" if description.startswith(kind) else kind, description)
    return ": ".join(one for one in parts if one)


def _replay_id(arrival: Arrival) -> UUID | None:
    epoch, message_id = arrival.failure.attempt_epoch, arrival.origin.message_id
    if not epoch or message_id is None:
        return None
    return replay_id_of(arrival.origin.subscription, message_id, epoch)
