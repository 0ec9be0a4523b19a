"""Publishes what transactions have committed: in order, with confirms, and again after whatever went wrong.

The rows are in the database; the relay holds the same messages in memory so that the usual path needs no query. A
confirmed message's row is deleted together with a later batch. What a crash, an outage or a full memory left behind is
read from the table by the sweeper.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import aio_pika
import asyncpg
import structlog
from aio_pika import Exchange
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError

from shared_runtime import outbox
from shared_runtime.broker import connect
from shared_runtime.database import Database
from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.metrics import CONFIRMED, UNROUTABLE
from shared_runtime.outbox import Outgoing
from shared_runtime.supervision import Pause, Supervisor, was_cancelled

log = structlog.get_logger(__name__)

MAX_ROUND = 100
"""AMQP messages that may be unconfirmed at a time."""
MAX_IN_MEMORY = 2_000
"""AMQP messages that wait in memory; what comes beyond stays in the table until these are out."""
CONFIRM_TIMEOUT_S = 30.0
WATCH_INTERVAL_S = 1.0
FLUSH_INTERVAL_S = 0.5
SWEEP_INTERVAL_S = 2.0
LEFT_BEHIND_AFTER_S = 10.0
"""A row of this age belongs to a process that died, or to a commit whose answer was lost."""
SWEEP_LIMIT = 500


class BrokerUnavailable(Exception):
    """The broker is out of reach, or does not confirm in time."""


class Relay:
    """The one publisher of a process."""

    LOOPS = ("relay", "outbox-flush", "outbox-sweep")

    def __init__(self, database: Database, broker_url: str, name: str) -> None:
        self._database = database
        self._broker_url = broker_url
        self._name = name
        self._pending: deque[Outgoing] = deque()
        self._confirmed: list[UUID] = []
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._behind = False
        self._left_in_table = 0
        self._refused: dict[UUID, Outgoing] = {}

    @property
    def is_connected(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    @property
    def refused_routes(self) -> set[str]:
        """Where messages go that the broker returned or refused at their last attempt."""
        return {f"{message.exchange}/{message.routing_key}" for message in self._refused.values()}

    def start(self, supervisor: Supervisor) -> None:
        for name, loop in zip(self.LOOPS, (self._publish_loop, self._flush_loop, self._sweep_loop), strict=True):
            supervisor.start(name, loop)

    def enqueue(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages whose transaction has just committed."""
        if self._behind or len(self._pending) + len(messages) > MAX_IN_MEMORY:
            # Later messages must not overtake those that stay in the table.
            self._behind = True
            self._left_in_table += 1
        else:
            self._pending.extend(messages)
        self._drained.clear()
        self._wake.set()

    def look_for_leftovers(self) -> None:
        """A commit may have succeeded although its answer was lost: read the table soon."""
        self._behind = True
        self._left_in_table += 1
        self._drained.clear()
        self._wake.set()

    def take_confirmed(self) -> list[UUID]:
        """The confirmed messages whose rows the caller's transaction is to delete."""
        confirmed, self._confirmed = self._confirmed, []
        return confirmed

    def put_back(self, confirmed: list[UUID]) -> None:
        """The caller's transaction failed: the rows are still there."""
        self._confirmed.extend(confirmed)

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is published and its rows deleted, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        with suppress(DatabaseUnavailable, asyncpg.PostgresError):
            await self._flush()

    async def close(self) -> None:
        """Close the connection to the broker."""
        connection, self._connection, self._channel = self._connection, None, None
        self._exchanges.clear()
        if connection is not None and not connection.is_closed:
            with suppress(Exception):  # it may be broken already, and there is nothing left to do with it
                async with asyncio.timeout(5):
                    await connection.close()

    async def _publish_loop(self) -> None:
        pause = Pause()
        try:
            while True:
                try:
                    await self._ensure_connected()
                    if await self._has_work():
                        await self._publish_round(self._next_round())
                    pause.reset()
                except BrokerUnavailable as error:
                    await self.close()
                    pause_s = pause.next_s()
                    log.warning("broker_unavailable", error=str(error), pending=len(self._pending), pause_s=pause_s)
                    await asyncio.sleep(pause_s)
        finally:
            await self.close()

    async def _has_work(self) -> bool:
        """Whether there is something to publish; waits a while for it, so that a lost connection is noticed."""
        if not self._pending and self._behind:
            await self._read_table(older_than_s=0)
        if not self._pending and not self._behind:
            if not self._refused:
                self._drained.set()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_INTERVAL_S):
                    await self._wake.wait()
        return bool(self._pending)

    async def _read_table(self, older_than_s: float) -> None:
        known = {*self._confirmed, *self._refused, *(message.id for message in self._pending)}
        left_before = self._left_in_table
        async with self._database.transaction() as connection:
            messages = await outbox.oldest(connection, older_than_s=older_than_s, limit=SWEEP_LIMIT, but=known)
        if messages and older_than_s:
            log.warning("outbox_left_behind", messages=len(messages))
        known = {message.id for message in self._pending}
        self._pending.extend(message for message in messages if message.id not in known)
        if not older_than_s and len(messages) < SWEEP_LIMIT and self._left_in_table == left_before:
            self._behind = False
        if self._pending:
            self._drained.clear()
            self._wake.set()

    def _next_round(self) -> list[Outgoing]:
        """The messages that may be under way together: none that could overtake another of its session."""
        messages: list[Outgoing] = []
        sessions: set[str] = set()
        for message in self._pending:
            if len(messages) >= MAX_ROUND or not sessions.isdisjoint(message.sessions):
                break
            messages.append(message)
            sessions |= message.sessions
        return messages

    async def _publish_round(self, messages: list[Outgoing]) -> None:
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                results = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        except TimeoutError:
            raise BrokerUnavailable(f"no confirm within {CONFIRM_TIMEOUT_S} s") from None
        except asyncio.CancelledError:
            if was_cancelled():
                raise
            raise BrokerUnavailable("the connection broke") from None
        broken = next((one for one in results if one is not None and not isinstance(one, DeliveryError)), None)
        if broken is not None:
            raise BrokerUnavailable(f"{type(broken).__name__}: {broken}")
        for message, result in zip(messages, results, strict=True):
            self._pending.popleft()
            if result is None:
                self._confirmed.append(message.id)
                self._refused.pop(message.id, None)
            else:
                self._set_aside(message)
        CONFIRMED.inc(sum(result is None for result in results))

    def _set_aside(self, message: Outgoing) -> None:
        """The broker returned or refused it: no queue is bound, or the queue is full. It is tried again later."""
        if message.id not in self._refused:
            log.error("message_refused_by_broker", exchange=message.exchange, routing_key=message.routing_key)
        UNROUTABLE.labels(message.exchange).inc()
        self._refused[message.id] = message

    async def _publish(self, message: Outgoing) -> None:
        properties = message.properties
        amqp_message = aio_pika.Message(
            message.body,
            headers=properties.headers,
            content_type=properties.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            correlation_id=properties.correlation_id,
            message_id=properties.message_id,
            type=properties.type,
            app_id=self._name,
        )
        await self._exchange(message.exchange).publish(amqp_message, message.routing_key, mandatory=True)

    def _exchange(self, name: str) -> AbstractExchange:
        if self._channel is None:
            raise ConnectionError("the connection was closed")
        if name not in self._exchanges:
            self._exchanges[name] = Exchange(self._channel, name)
        return self._exchanges[name]

    async def _ensure_connected(self) -> None:
        if not self.is_connected:
            await self.close()
            try:
                self._connection = await connect(self._broker_url, f"{self._name} publisher")
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            except Exception as error:
                raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
            except asyncio.CancelledError:
                if was_cancelled():
                    raise
                raise BrokerUnavailable("the connection broke") from None

    async def _flush_loop(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        confirmed = self.take_confirmed()
        if not confirmed:
            return
        try:
            async with self._database.transaction() as connection:
                await outbox.delete(connection, confirmed)
        except BaseException:
            self.put_back(confirmed)
            raise

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            waiting = {message.id for message in self._pending}
            self._pending.extend(message for message in self._refused.values() if message.id not in waiting)
            if self._pending:
                self._wake.set()
            if not self._behind:
                await self._read_table(older_than_s=LEFT_BEHIND_AFTER_S)
