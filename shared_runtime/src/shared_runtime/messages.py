"""From the events of a queue to handled, held or dead-lettered ones: nothing is dropped, nothing is handled twice."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import asyncpg
import structlog

from shared_runtime import held, inbox, outbox
from shared_runtime.consumer import Subscription
from shared_runtime.dead_letter import dead_letter, reason_and_description_of
from shared_runtime.dead_letter_limit import DeadLetterLimit
from shared_runtime.envelope import Envelope, Undecodable, utc_now
from shared_runtime.errors import DatabaseUnavailable, DeadLetterReason, PermanentError, SubscriptionPaused, text_of
from shared_runtime.metrics import DEAD_LETTERED, DUPLICATES, FAILED, HANDLED, LATENCY, RECEIVED, RETRIED, series
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Ending, Job, Processor, Source
from shared_runtime.reader import Reader
from shared_runtime.replays import DeadLetterDiscarded, ReplayHandled
from shared_runtime.retry import Follows, pause_before_next_attempt_s
from shared_runtime.unit_of_work import Publication

log = structlog.get_logger(__name__)

MAX_CRASHES = 3
"""A message during which the process died this often is dead-lettered."""


class SubscriptionSource(Source):
    """Events of one subscription: admitted by the inbox, set aside when their handler fails."""

    def __init__(self, processor: Processor, subscription: Subscription, limit: DeadLetterLimit) -> None:
        self.name = subscription.name
        self.subscription = subscription
        self.limit = limit
        self.is_ordered = subscription.is_ordered
        self.reader = Reader(processor.consumer, subscription)
        self._processor = processor

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        first = {_identity(job): job for job in reversed(jobs)}
        sessions = {job.envelope.session_id for job in jobs}
        fresh, waiting = await inbox.admit(connection, self.name, list(first), list(sessions), now)
        for job in jobs:
            if first[_identity(job)] is not job or _identity(job) not in fresh:
                job.ending = Ending.DUPLICATE
        await self._answer_support(connection, [job for job in jobs if job.ending is None], waiting)
        admitted = [job for job in jobs if job.ending is None]
        for job in jobs:
            if job.ending is not None:
                # Nobody handles it here, so it cannot fail here, whatever was found when it was read.
                job.error = None
        for job in admitted:
            if job.error is None and job.envelope.session_id in waiting:
                job.error = Follows()
        return admitted

    async def _answer_support(self, connection: asyncpg.Connection, jobs: list[Job], waiting: Container[str]) -> None:
        """Let parked sessions go on: with a replay in the place of the dead letter, or without it."""
        discards = [job for job in jobs if isinstance(job.message, DeadLetterDiscarded)]
        if discards:
            await held.discard(connection, self.name, [job.message.message_id for job in discards])
            for job in discards:
                job.ending = Ending.HANDLED
        replays = [job for job in jobs if job.envelope.attempt_epoch and job.envelope.session_id in waiting]
        if replays:
            parked = await held.unpark(connection, self.name, [job.envelope for job in replays])
            for job in replays:
                if job.envelope.id in parked:
                    job.ending = Ending.HELD

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        rows: list[held.HeldMessage] = []
        for job in jobs:
            if job.error is None:
                continue
            pause_s = pause_before_next_attempt_s(job.error, attempts=job.attempts, first_failed_at=now, now=now)
            if pause_s is not None:
                rows.append(held.HeldMessage.of(self.name, job.envelope, job.error, pause_s, now))
                job.ending = Ending.HELD
                continue
            if self.is_ordered:
                rows.append(held.HeldMessage.parked(self.name, job.envelope, job.error, attempts=job.attempts, now=now))
            outgoing.append(
                self.set_aside(job.envelope, job.error, now, attempts=job.attempts, is_parked=self.is_ordered)
            )
            job.ending = Ending.DEAD_LETTERED
        self.limit.require(len(outgoing))
        if rows:
            await held.insert(connection, rows)
        return [*outgoing, *self.outcomes(jobs, now)]

    def outcomes(self, jobs: Iterable[Job], now: datetime) -> list[Outgoing]:
        """Tell support which of its replays were handled. Those that failed again are dead letters again."""
        return outbox.pack(
            self._processor.routed(
                Publication(
                    ReplayHandled(
                        subscription=self.name,
                        session_id=job.envelope.session_id,
                        message_id=job.envelope.id,
                        attempt_epoch=job.envelope.attempt_epoch,
                    )
                ),
                job.envelope,
                job.envelope.traceparent,
                now,
            )
            for job in jobs
            if job.envelope.attempt_epoch and job.ending is Ending.HANDLED
        )

    def holds_followers(self, error: BaseException) -> bool:
        return self.is_ordered or not isinstance(error, PermanentError)

    def committed(self, jobs: Sequence[Job], now: datetime) -> None:
        for kind, received in Counter(self.reader.label_of(job.envelope) for job in jobs).items():
            series(RECEIVED, self.name, kind).inc(received)
        self.count(jobs, now)

    def count(self, jobs: Sequence[Job], now: datetime) -> None:
        """Show in figures, in log lines and to the limit of dead letters how the jobs ended."""
        self.limit.take(sum(job.ending is Ending.DEAD_LETTERED for job in jobs))
        handled = [job.envelope for job in jobs if job.ending is Ending.HANDLED]
        for kind, number in Counter(map(self.reader.label_of, handled)).items():
            series(HANDLED, self.name, kind).inc(number)
        latency = series(LATENCY, self.name)
        for envelope in handled:
            latency.observe((now - envelope.time).total_seconds())
        for job in jobs:
            if job.ending is not Ending.HANDLED or job.error is not None:
                self._count_trouble(job)

    def _count_trouble(self, job: Job) -> None:
        kind = self.reader.label_of(job.envelope)
        if job.error is not None and not isinstance(job.error, Follows):
            series(FAILED, self.name, kind, type(job.error).__name__).inc()
        match job.ending:
            case Ending.DUPLICATE:
                series(DUPLICATES, self.name).inc()
            case Ending.HELD:
                self._processor.has_held.set()
                series(RETRIED, self.name, kind).inc()
                self._tell("message_held", job.envelope, job.error)
            case Ending.DEAD_LETTERED:
                self.count_dead_letter(job.envelope, job.error)
            case Ending.HANDLED:
                pass
            case Ending.REFUSED | None:
                raise AssertionError(f"a message ended as {job.ending}")
            case _:
                assert_never(job.ending)

    def count_dead_letter(self, message: Envelope | Undecodable, error: BaseException | None) -> None:
        """Show in figures and a log line that a message was dead-lettered."""
        assert error is not None  # noqa: S101 - it is why
        series(DEAD_LETTERED, self.name, reason_and_description_of(error)[0]).inc()
        self._tell("message_dead_lettered", message, error)

    def _tell(self, event: str, message: Envelope | Undecodable, error: BaseException | None) -> None:
        if error is None or isinstance(error, Follows):
            return
        fields: dict[str, Any] = {"subscription": self.name, "reason": reason_and_description_of(error)[0]}
        if isinstance(message, Envelope):
            fields |= {
                "message_id": str(message.id),
                "message_type": message.type,
                "session_id": message.session_id,
                "correlation_id": message.correlation_id,
            }
        log.warning(event, error=text_of(error)[: held.MAX_ERROR_CHARACTERS], **fields)

    def set_aside(
        self,
        message: Envelope | Undecodable,
        error: BaseException,
        now: datetime,
        *,
        attempts: int = 1,
        first_failed_at: datetime | None = None,
        is_parked: bool = False,
    ) -> Outgoing:
        """The dead letter for a message that failed for good."""
        reason, description = reason_and_description_of(error)
        return dead_letter(
            message,
            service=self._processor.consumer.service,
            subscription=self.name,
            reason=reason,
            description=description,
            now=now,
            error=error,
            attempts=attempts,
            first_failed_at=first_failed_at,
            is_parked=is_parked,
        )


class UndecodableSource(Source):
    """What is no CloudEvent goes to the dead letters as it came."""

    def __init__(self, subscription: SubscriptionSource, undecodable: Undecodable, error: PermanentError) -> None:
        self.name = subscription.name
        self._subscription = subscription
        self._undecodable = undecodable
        self._error = error

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        self._subscription.limit.require(1)
        return [self._subscription.set_aside(self._undecodable, self._error, now)]

    def committed(self, jobs: Sequence[Job], now: datetime) -> None:
        self._subscription.limit.take(1)
        series(RECEIVED, self.name, "unknown").inc()
        self._subscription.count_dead_letter(self._undecodable, self._error)


class MessageProcessor:
    """Handles the events of one subscription completely."""

    def __init__(self, processor: Processor, source: SubscriptionSource) -> None:
        self._processor = processor
        self._source = source
        self._crashes: dict[UUID, int] = {}
        """Attempts at the suspects in hand that have not ended, by message: not counting the one of this process."""

    async def process(self, received: Sequence[Envelope]) -> float:
        """Return when each event is handled, held for a later attempt, or dead-lettered, and that is committed.

        Returns how many seconds their handlers took together, infinity when the database refused what one of them
        wanted to save.

        Raises DatabaseUnavailable when the database is out of reach, SubscriptionPaused when there are too many dead
        letters. Either way the events can be given again, also those of them that are dealt with already.
        """
        jobs = self._jobs_for(received)
        await self._processor.run_isolating(jobs, self._source, self._refused)
        return sum(job.took_s for job in jobs)

    async def process_at_once(self, received: Sequence[Envelope], *, patience_s: float) -> list[float]:
        """Deal with all of the events in one transaction, or with none of them. Returns the seconds each handler took.

        Raises what `process` raises, BatchTooSlow when their handlers take longer together than `patience_s`, and
        whatever the database refuses.
        """
        jobs = self._jobs_for(received)
        await self._processor.run(jobs, self._source, patience_s=patience_s)
        return [job.took_s for job in jobs]

    def _jobs_for(self, received: Sequence[Envelope]) -> list[Job]:
        now = utc_now()
        return [self._source.reader.job_for(envelope, now) for envelope in received]

    async def process_undecodable(self, undecodable: Undecodable, reason: DeadLetterReason) -> None:
        """Dead-letter what is no event."""
        error = PermanentError(undecodable.error, reason=reason)
        await self._processor.run([], UndecodableSource(self._source, undecodable, error))

    async def process_suspect(self, envelope: Envelope) -> None:
        """Handle an event that the broker has delivered several times already: the process may have died of it."""
        async with self._processor.counted_attempt:
            # An event that is given again after an outage is not counted again: the process has not died of it.
            if envelope.id not in self._crashes:
                async with self._processor.database.transaction() as connection:
                    attempts = await held.count_suspect(connection, self._source.name, envelope.id)
                self._crashes[envelope.id] = attempts - 1
            try:
                await self._handle_suspect(envelope, self._crashes[envelope.id])
            except SubscriptionPaused:
                # It may wait for long, and the process be stopped meanwhile, again and again.
                async with self._processor.database.transaction() as connection:
                    await held.give_back_suspect(connection, self._source.name, envelope.id)
                del self._crashes[envelope.id]
                raise
            async with self._processor.database.transaction() as connection:
                await held.clear_suspect(connection, self._source.name, envelope.id)
            del self._crashes[envelope.id]

    async def _handle_suspect(self, envelope: Envelope, crashes: int) -> None:
        crash = crash_of(crashes)
        if crash is None:
            await self.process([envelope])
        else:
            job = Job(envelope, error=crash, attempts=crashes)
            await self._processor.run_isolating([job], self._source, self._refused)

    async def _refused(self, job: Job, error: BaseException) -> None:
        """The database refused what this one job wanted to save: hold or dead-letter it without running it.

        Raises DatabaseUnavailable when another process has the same message in hand still: its inbox row is locked.
        """
        if isinstance(error, SubscriptionPaused):
            raise error
        job.error = error
        job.took_s = math.inf
        try:
            await self._processor.run([job], self._source)
        except asyncpg.LockNotAvailableError as locked:
            raise DatabaseUnavailable(text_of(locked)) from locked


def crash_of(attempts: int) -> PermanentError | None:
    """Why a message is not tried again after so many attempts that began and did not end, None when it is."""
    if attempts < MAX_CRASHES:
        return None
    description = f"the process died {attempts} times while it handled this message"
    return PermanentError(description, reason=DeadLetterReason.CRASHES_CONSUMER)


def _identity(job: Job) -> tuple[UUID, int]:
    return job.envelope.id, job.envelope.attempt_epoch
