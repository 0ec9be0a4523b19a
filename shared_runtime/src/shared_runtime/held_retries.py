"""Tries held messages again when they are due, session by session, in order."""

import asyncio
from datetime import datetime

import asyncpg

from shared_runtime import held
from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.held import HeldMessage
from shared_runtime.messages import SubscriptionSource
from shared_runtime.metrics import FAILED
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Job, Processor, Source
from shared_runtime.retry import next_attempt_at

POLL_INTERVAL_S = 0.2
SESSIONS_PER_POLL = 100


class HeldSource(Source):
    """The head of one held session: removed when it is handled or dead-lettered, postponed when it fails again."""

    def __init__(self, subscription: SubscriptionSource, session_id: str, error: BaseException | None = None) -> None:
        self.name = subscription.name
        self._subscription = subscription
        self._session_id = session_id
        self._error = error
        self._head: HeldMessage | None = None
        self.goes_on = False
        """Whether the head is dealt with, so that the next of the session may be tried."""

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        self.goes_on = False
        self._head = await held.head(connection, self.name, self._session_id)
        if self._head is None or self._head.due_at > now:
            self._head = None
            return []
        job = self._subscription.job_for(self._head.envelope, now)
        job.error = job.error or self._error
        return [job]

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        if self._head is None:
            return []
        (job,) = jobs
        attempts = self._head.attempts + 1
        first_failed_at = self._head.first_failed_at or now
        outgoing: list[Outgoing] = []
        if job.error is not None:
            FAILED.labels(self.name, job.envelope.type, type(job.error).__name__).inc()
            due_at = next_attempt_at(job.error, attempts=attempts, first_failed_at=first_failed_at, now=now)
            if due_at is not None:
                await held.postpone(connection, self._head, job.error, due_at, now)
                return []
            outgoing.append(
                self._subscription.set_aside(
                    job.envelope, job.error, now, attempts=attempts, first_failed_at=first_failed_at
                )
            )
        await held.remove(connection, self._head.position)
        self.goes_on = True
        return outgoing


class HeldRetries:
    """The loop over all sessions of a service that have held messages."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        consumer = processor.consumer
        self._sources = {one.name: SubscriptionSource(consumer, one) for one in consumer.subscriptions}

    async def run(self) -> None:
        """Look for due sessions for ever."""
        while True:
            async with self._processor.database.transaction() as connection:
                sessions = await held.due_sessions(connection, limit=SESSIONS_PER_POLL)
            for subscription, session_id in sessions:
                if subscription in self._sources:
                    await self._retry(self._sources[subscription], session_id)
            if len(sessions) < SESSIONS_PER_POLL:
                await asyncio.sleep(POLL_INTERVAL_S)

    async def _retry(self, subscription: SubscriptionSource, session_id: str) -> None:
        goes_on = True
        while goes_on:
            source = HeldSource(subscription, session_id)
            try:
                await self._processor.run([], source)
            except DatabaseUnavailable:
                raise
            except Exception as error:
                source = HeldSource(subscription, session_id, error)
                await self._processor.run([], source)
            goes_on = source.goes_on
