"""Tries held messages again when they are due, session by session, in order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import asyncpg

from shared_runtime import held
from shared_runtime.errors import DatabaseUnavailable, SubscriptionPaused
from shared_runtime.held import HeldMessage
from shared_runtime.messages import SubscriptionSource, crash_of
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Ending, Job, Processor, Source
from shared_runtime.retry import pause_before_next_attempt_s

POLL_INTERVAL_S = 0.2
WHILE_EMPTY_S = 1.0
"""Between two looks while nothing is held. What this process holds ends it; another one may hold something and die."""
SESSIONS_PER_POLL = 100
MESSAGES_PER_TURN = 100
"""Of one session, before the others have theirs: one that waited for support may have thousands, and get more."""
LEASE_S = 30.0
"""When the process dies during an attempt, the next one is this much later."""
WHILE_PAUSED_S = 1.0
"""A message that may not be dead-lettered at the moment is tried again after this time."""


class HeldSource(Source):
    """The head of one held session: removed when it is handled, postponed when it fails again, and parked when it is
    dead-lettered."""

    def __init__(self, subscription: SubscriptionSource, head: HeldMessage, error: BaseException | None) -> None:
        self.name = subscription.name
        self._subscription = subscription
        self._head = head
        self._error = error
        self.goes_on = False
        """Whether the head is dealt with, so that the next of the session may be tried."""

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        self.goes_on = False
        if not await held.lock(connection, self._head):
            return []
        job = self._subscription.reader.job_for(self._head.envelope, now)
        job.error = job.error or self._error
        return [job]

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        for job in jobs:
            attempts = self._head.attempts + 1
            first_failed_at = self._head.first_failed_at or now
            if job.error is not None:
                pause_s = pause_before_next_attempt_s(
                    job.error, attempts=attempts, first_failed_at=first_failed_at, now=now
                )
                if pause_s is not None:
                    await held.postpone(connection, self._head, job.error, pause_s, now)
                    job.ending = Ending.HELD
                    continue
                self._subscription.limit.require(1)
                job.ending = Ending.DEAD_LETTERED
                outgoing.append(
                    self._subscription.set_aside(
                        job.envelope,
                        job.error,
                        now,
                        attempts=attempts,
                        first_failed_at=first_failed_at,
                        is_parked=self._subscription.is_ordered,
                    )
                )
                if self._subscription.is_ordered:
                    await held.park(connection, self._head, job.error, now)
                    continue
            await held.remove(connection, self._head.position)
            self.goes_on = True
        return [*outgoing, *self._subscription.outcomes(jobs, now)]

    def committed(self, jobs: Sequence[Job], now: datetime) -> None:
        self._subscription.count(jobs, now)


class HeldRetries:
    """The loop over all sessions of a service that have held messages."""

    def __init__(self, processor: Processor, sources: Sequence[SubscriptionSource]) -> None:
        self._processor = processor
        self._sources = {source.name: source for source in sources}
        self._is_stopping = False
        self._unfinished: int | None = None
        """The position of a message whose attempt began and has no result, because of an outage for example."""

    async def finish(self, timeout_s: float) -> None:
        """Begin no more attempts, and wait for the end of the one in hand: it would count as one that never ended."""
        self._is_stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._processor.counted_attempt:
                pass

    async def run(self) -> None:
        """Look for due sessions for ever."""
        clock = asyncio.get_running_loop()
        while True:
            started = clock.time()
            sessions = await self._look()
            look_s = clock.time() - started
            attempts = sum([await self._retry(self._sources[name], session_id) for name, session_id in sessions or ()])
            if attempts < SESSIONS_PER_POLL:
                # A long table takes long to look through: leave the database most of its time for other things.
                await self._rest(max(POLL_INTERVAL_S, 5 * look_s), is_empty=sessions is None)

    async def _look(self) -> list[tuple[str, str]] | None:
        """Subscription and session of those that are due. None when nothing is held at all."""
        self._processor.has_held.clear()
        if self._unfinished is not None:
            async with self._processor.database.transaction() as connection:
                await held.end(connection, self._unfinished)
            self._unfinished = None
        async with self._processor.database.connection() as connection:
            if await held.is_empty(connection, self._sources):
                return None
            return await held.due_sessions(connection, self._sources, limit=SESSIONS_PER_POLL)

    async def _rest(self, pause_s: float, *, is_empty: bool) -> None:
        if not is_empty:
            await asyncio.sleep(pause_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(WHILE_EMPTY_S, pause_s)):
                await self._processor.has_held.wait()

    async def _retry(self, subscription: SubscriptionSource, session_id: str) -> int:
        """Try the messages of the session until one has to wait, or others have waited. Returns how many were tried."""
        attempts = 0
        goes_on = True
        while goes_on and attempts < MESSAGES_PER_TURN and not self._is_stopping:
            async with self._processor.counted_attempt:
                head = await self._begin(subscription, session_id)
                goes_on = head is not None and await self._attempt(subscription, head, crash_of(head.begun))
            attempts += head is not None
        return attempts

    async def _begin(self, subscription: SubscriptionSource, session_id: str) -> HeldMessage | None:
        """The session's head, when it is due and nobody else tries it."""
        async with self._processor.database.transaction() as connection:
            head = await held.head(connection, subscription.name, session_id)
            if head is None or head.is_parked or head.pause_s > 0:
                return None
            # Committed before the attempt, so that one that kills the process is counted.
            self._unfinished = head.position
            await held.begin(connection, head, LEASE_S)
            return head

    async def _attempt(self, subscription: SubscriptionSource, head: HeldMessage, error: BaseException | None) -> bool:
        source = HeldSource(subscription, head, error)
        try:
            try:
                await self._processor.run([], source)
            except (DatabaseUnavailable, SubscriptionPaused):
                raise
            except Exception as refusal:
                source = HeldSource(subscription, head, refusal)
                await self._processor.run([], source)
        except SubscriptionPaused:
            async with self._processor.database.transaction() as connection:
                await held.give_back(connection, head, WHILE_PAUSED_S)
            self._unfinished = None
            return False
        self._unfinished = None
        return source.goes_on
