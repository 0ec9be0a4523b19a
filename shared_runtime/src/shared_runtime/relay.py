"""Publishes what transactions have committed: in order, with confirms, and again after whatever went wrong.

The rows are in the database; the relay holds the same messages in memory so that the usual path needs no query. A
confirmed message's row is deleted together with a later batch. What a crash, an outage or a full memory left behind is
read from the table.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

import asyncpg
import structlog

from shared_runtime import outbox
from shared_runtime.backlog import Backlog, Fate
from shared_runtime.broker import BrokerUnavailable
from shared_runtime.database import Database
from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.metrics import CONFIRMED, UNROUTABLE
from shared_runtime.outbox import Outgoing
from shared_runtime.publisher import Publisher
from shared_runtime.supervision import Pause, Supervisor

log = structlog.get_logger(__name__)

MAX_ROUND = 100
"""AMQP messages that may be unconfirmed at a time."""
MAX_IN_MEMORY = 2_000
"""AMQP messages that wait in memory; what comes beyond stays in the table until these are out. When all of them wait
for routes that the broker refuses, nothing is published on any route: which rows may go before them is not known."""
MAX_BYTES_IN_MEMORY = 64 * 1024 * 1024
READ_LIMIT = 200
"""Rows that are read from the table at a time."""
WATCH_INTERVAL_S = 1.0
FLUSH_INTERVAL_S = 0.5
SWEEP_INTERVAL_S = 2.0
LEFT_BEHIND_AFTER_S = 10.0
"""A row of this age belongs to a process that died, or to a commit whose answer was lost."""


class Relay:
    """The one publisher of a process."""

    LOOPS = ("relay", "outbox-flush", "outbox-sweep")

    def __init__(self, database: Database, broker_url: str, name: str) -> None:
        self._database = database
        self.owner = _new_owner()
        """Tells this process's rows from those of others, also from those of the one before it."""
        self._publisher = Publisher(broker_url, name)
        self._backlog = Backlog(max_messages=MAX_IN_MEMORY, max_bytes=MAX_BYTES_IN_MEMORY)
        self._confirmed: list[UUID] = []
        self._being_deleted: set[UUID] = set()
        self._committing: dict[int, Sequence[Outgoing]] = {}
        """The messages of transactions that are not answered, by the list that holds them."""
        self._wake = asyncio.Event()
        # What an earlier process left goes out before anything new.
        self._is_behind = True
        """Whether the table may hold messages of this process that are not in memory."""
        self._times_behind = 0
        self.is_full_of_refused = False
        """Whether what waits for refused routes fills the memory, so that nothing is published on any route."""
        self._one_by_one = 0
        """How many messages to publish alone, to find the one that made the broker close the channel."""

    @property
    def is_connected(self) -> bool:
        return self._publisher.is_connected

    @property
    def refused_routes(self) -> dict[str, str]:
        """Exchange and routing key of messages that the broker refused at their last attempt, and what it said."""
        return {f"{exchange}/{key}": reason for (exchange, key), reason in self._backlog.refused.items()}

    def start(self, supervisor: Supervisor) -> None:
        for name, loop in zip(self.LOOPS, (self._publish_loop, self._flush_loop, self._sweep_loop), strict=True):
            supervisor.start(name, loop)

    def enqueue(self, messages: Sequence[Outgoing], *, is_behind: bool = False) -> None:
        """Publish messages whose transaction has just committed.

        `is_behind` says that another process has unconfirmed ones of the same sessions. It may be dead: all that is in
        the table is published then, in order. When it lives, some messages go out twice, which an inbox knows.
        """
        self._committing.pop(id(messages), None)
        if not messages:
            return
        is_behind |= self._may_overtake(messages)
        if is_behind or self._is_behind or len(messages) > self._backlog.room:
            # Later messages must not overtake those that stay in the table.
            self.look_for_leftovers()
        else:
            self._backlog.add(messages)
            self._wake.set()

    def look_for_leftovers(self) -> None:
        """The table holds messages that are not in memory, or may do so."""
        self._is_behind = True
        self._times_behind += 1
        self._wake.set()

    def look_for_late_commit(self) -> None:
        """A commit was not answered. Its messages, which are not in memory, may be in the table, or be there soon."""
        # They are somebody else's from now on: however late they come, what follows in their sessions waits for them.
        self.owner = _new_owner()
        self.look_for_leftovers()

    @contextmanager
    def committing(self, messages: Sequence[Outgoing]) -> Iterator[None]:
        """Inside the block a transaction adds these messages to the table, and hands them over when it has committed.

        Its answer may be late. Another transaction of the same sessions that commits after it, and is answered before
        it, leaves its own messages in the table, too.
        """
        self._committing[id(messages)] = messages
        try:
            yield
        finally:
            self._committing.pop(id(messages), None)

    def _may_overtake(self, messages: Sequence[Outgoing]) -> bool:
        if not self._committing:
            return False
        sessions = {session for message in messages for session in message.sessions}
        return any(not sessions.isdisjoint(one.sessions) for others in self._committing.values() for one in others)

    @contextmanager
    def confirmed_rows(self) -> Iterator[list[UUID]]:
        """The confirmed messages, whose rows a transaction inside the block is to delete.

        When the block raises they are still there, and somebody else's to delete.
        """
        confirmed, self._confirmed = self._confirmed, []
        self._being_deleted.update(confirmed)
        try:
            yield confirmed
        except BaseException:
            self._confirmed.extend(confirmed)
            raise
        finally:
            self._being_deleted.difference_update(confirmed)

    async def drain(self, timeout_s: float) -> None:
        """Wait until what can be published is, and its rows are deleted, or the time is up."""
        with suppress(TimeoutError, DatabaseUnavailable, asyncpg.PostgresError):
            async with asyncio.timeout(timeout_s):
                while self._is_behind or self._backlog.waiting:
                    await asyncio.sleep(0.01)
                await self._flush()

    async def _publish_loop(self) -> None:
        pause = Pause()
        try:
            while True:
                try:
                    await self._publisher.ensure_connected()
                    await self._work()
                    pause.reset()
                except (BrokerUnavailable, DatabaseUnavailable) as error:
                    pause_s = pause.next_s()
                    log.warning("relay_waits", error=str(error), pending=self._backlog.waiting, pause_s=pause_s)
                    await asyncio.sleep(pause_s)
        finally:
            await self._publisher.close()

    async def _work(self) -> None:
        """Publish something; wait a while for it when there is nothing."""
        if self._is_behind and not self._backlog.waiting and self._backlog.room:
            await self._read_table(older_than_s=0)
        messages = self._backlog.next_round(1 if self._one_by_one else MAX_ROUND)
        self._look_for_room(is_all_parked=not messages)
        if messages:
            await self._publish_round(messages)
        elif not self._is_behind or not self._backlog.room:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await self._wake.wait()

    def _look_for_room(self, *, is_all_parked: bool) -> None:
        was_full = self.is_full_of_refused
        # While they are tried again they are not parked, and still in the way.
        self.is_full_of_refused = not self._backlog.room and (was_full or is_all_parked)
        if self.is_full_of_refused and not was_full:
            log.error("refused_messages_fill_memory", routes=sorted(self.refused_routes), parked=self._backlog.parked)

    async def _publish_round(self, messages: list[Outgoing]) -> None:
        refused_before = self.refused_routes
        outcomes = await self._publisher.publish(messages)
        confirmed = self._backlog.settle(outcomes)
        self._confirmed.extend(confirmed)
        CONFIRMED.inc(len(confirmed))
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome.fate is Fate.REFUSED:
                UNROUTABLE.labels(message.exchange).inc()
        for route in self.refused_routes.keys() - refused_before:
            log.error("broker_refuses_messages", route=route, reason=self.refused_routes[route])
        for route in refused_before.keys() - self.refused_routes:
            log.info("broker_takes_messages_again", route=route)
        self._one_by_one = max(0, self._one_by_one - len(messages))
        unknown = [outcome.reason for outcome in outcomes if outcome.fate is Fate.UNKNOWN]
        if unknown and self._publisher.has_lost_its_channel:
            # The broker objects to one of these messages.
            self._one_by_one = len(unknown)
        elif unknown:
            await self._publisher.close()
            raise BrokerUnavailable(unknown[0])

    async def _read_table(self, older_than_s: float) -> None:
        times_behind = self._times_behind
        limit = min(READ_LIMIT, self._backlog.room)
        known = {*self._confirmed, *self._being_deleted, *self._backlog.ids}
        async with self._database.transaction() as connection:
            messages = await outbox.oldest(connection, older_than_s=older_than_s, limit=limit, but=known)
        if messages and older_than_s:
            log.warning("outbox_left_behind", messages=len(messages))
        self._backlog.add(messages)
        if not older_than_s and len(messages) < limit and self._times_behind == times_behind:
            self._is_behind = False
        self._wake.set()

    async def _flush_loop(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        with self.confirmed_rows() as rows:
            if rows:
                async with self._database.transaction() as connection:
                    await outbox.delete(connection, rows)

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            if self._backlog.parked:
                self._backlog.reopen()
                self._wake.set()
            if not self._is_behind and self._backlog.room:
                await self._read_table(older_than_s=LEFT_BEHIND_AFTER_S)


def _new_owner() -> int:
    return secrets.randbits(62)
