"""Rows that need attention at a moment of their own, and work that is done every so often."""

import asyncio
from datetime import datetime

import asyncpg
import structlog
from msgspec import Struct

from shared_runtime.consumer import DueColumn, Periodic, Tick
from shared_runtime.envelope import utc_now
from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.processor import Job, Processor, Source
from shared_runtime.store import Key, RowStore

log = structlog.get_logger(__name__)

POLL_INTERVAL_S = 0.25
ROWS_PER_POLL = 200
AFTER_FAILURE_S = 60.0
"""A row whose handler failed comes up again after this time."""


class DueSource(Source):
    """Due rows, locked and looked at again, because another process may have been quicker."""

    def __init__(self, due: DueColumn, store: RowStore[Struct], keys: list[Key], processor: Processor) -> None:
        self.name = f"due:{due.state.__name__}"
        self._due = due
        self._store = store
        self._keys = keys
        self._processor = processor
        quoted_key = f'"{store.key_columns[0]}"'
        self._postpone = (
            # The database looks for due rows by its own clock, so it says when this one comes up again.
            f'UPDATE {store.quoted_table} SET "{due.column}" = now() + make_interval(secs => $2) '  # noqa: S608 - names
            f'WHERE {quoted_key} = ANY($1) AND "{due.column}" <= $3 RETURNING {quoted_key}'
        )

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        states = await self._store.load(connection, self._keys)
        due = [state for state in states if (moment := getattr(state, self._due.column)) and moment <= now]
        kind = self._due.registration.handler.__name__
        return [
            Job(
                self._processor.envelope_for(kind, correlation_id=str(self._store.key_of(state))),
                self._due.registration,
                state,
            )
            for state in due
        ]

    async def follow_up(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> None:
        for job in jobs:
            if job.error is not None:
                log.error("due_row_failed", row=self.name, key=job.envelope.correlation_id, exc_info=job.error)
        await self.postpone(connection, [self._store.key_of(job.message) for job in jobs], now)

    async def postpone(self, connection: asyncpg.Connection, keys: list[Key], now: datetime) -> None:
        """Let those of the rows come up again later that are still due: their handler failed, or forgot to say when."""
        for record in await connection.fetch(self._postpone, keys, AFTER_FAILURE_S, now):
            log.error("due_row_postponed", row=self.name, key=str(record[0]), by_s=AFTER_FAILURE_S)


class Deadlines:
    """The loop over one due column."""

    def __init__(self, processor: Processor, due: DueColumn) -> None:
        self._processor = processor
        self._due = due
        store = processor.consumer.store_of[due.state]
        if not isinstance(store, RowStore):
            raise TypeError(f"{due.state.__name__} is kept by no RowStore")
        if len(store.key_columns) > 1:
            raise TypeError(f"{due.state.__name__} has a key of several columns: its rows cannot be due")
        self._store = store
        self._select = (
            f'SELECT "{store.key_columns[0]}" FROM {store.quoted_table} '  # noqa: S608 - names of the program
            f'WHERE "{due.column}" <= now() ORDER BY "{due.column}" LIMIT {ROWS_PER_POLL}'
        )

    async def run(self) -> None:
        """Poll for ever."""
        before: list[Key] = []
        while True:
            async with self._processor.database.connection() as connection:
                keys = [record[0] for record in await connection.fetch(self._select)]
            if keys:
                await self._handle(keys)
            # The same rows again are due by the clock of the database, and not yet by the one of this process.
            if len(keys) < ROWS_PER_POLL or keys == before:
                await asyncio.sleep(POLL_INTERVAL_S)
            before = keys

    async def _handle(self, keys: list[Key]) -> None:
        try:
            await self._processor.run([], self._source(keys))
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if len(keys) == 1:
                if isinstance(error, asyncpg.LockNotAvailableError):
                    # Nor could it be postponed. It is due at the next look, too.
                    log.warning("due_row_locked", row=self._due.state.__name__, key=str(keys[0]))
                    return
                log.exception("due_row_refused", row=self._due.state.__name__, key=str(keys[0]))
                async with self._processor.database.transaction() as connection:
                    await self._source(keys).postpone(connection, keys, utc_now())
                return
            for key in keys:
                await self._handle([key])

    def _source(self, keys: list[Key]) -> DueSource:
        return DueSource(self._due, self._store, keys, self._processor)


class Periodically:
    """The loop of one periodic handler."""

    def __init__(self, processor: Processor, periodic: Periodic) -> None:
        self._processor = processor
        self._periodic = periodic

    async def run(self) -> None:
        """Run the handler, pause, for ever."""
        registration = self._periodic.registration
        while True:
            job = Job(self._processor.envelope_for(registration.handler.__name__), registration, Tick())
            await self._processor.run([job], Source())
            if job.error is not None:
                raise job.error
            await asyncio.sleep(self._periodic.interval_s)
