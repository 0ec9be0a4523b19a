"""From the events of a queue to handled, held or dead-lettered ones: nothing is dropped, nothing is handled twice."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import pydantic
import structlog

from shared_runtime import held, inbox
from shared_runtime.consumer import Consumer, Registration, Subscription
from shared_runtime.dead_letter import dead_letter
from shared_runtime.envelope import Envelope, Undecodable, utc_now
from shared_runtime.errors import DeadLetterReason, PermanentError
from shared_runtime.metrics import DEAD_LETTERED, DUPLICATES, FAILED, HANDLED, LATENCY, RECEIVED, RETRIED
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Job, Processor, Source
from shared_runtime.retry import Follows, is_transient, next_attempt_at

log = structlog.get_logger(__name__)

MAX_CRASHES = 3
"""A message during which the process died this often is dead-lettered."""


class SubscriptionSource(Source):
    """Events of one subscription: admitted by the inbox, set aside when their handler fails."""

    def __init__(self, consumer: Consumer, subscription: Subscription) -> None:
        self.name = subscription.name
        self.service = consumer.service
        self._known = {message.message_type: message for message in subscription.messages}
        self._registrations = consumer.registrations

    def job_for(self, envelope: Envelope, now: datetime) -> Job:
        """Read the event's data. What cannot be handled has its `error` set."""
        model = self._known.get(envelope.type)
        if model is None:
            return Job(envelope, error=self._unknown(envelope.type))
        registration: Registration = self._registrations[model]
        if envelope.is_expired(now) and not registration.even_expired:
            description = f"expired at {envelope.expires_at}, read at {now}"
            return Job(envelope, error=PermanentError(description, reason=DeadLetterReason.EXPIRED))
        try:
            message = model.model_validate_json(bytes(envelope.data))
        except pydantic.ValidationError as error:
            description = _without_values(error)
            return Job(envelope, error=PermanentError(description, reason=DeadLetterReason.INVALID_PAYLOAD))
        return Job(envelope, registration, message)

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        once = {(job.envelope.id, job.envelope.attempt_epoch): job for job in reversed(jobs)}
        sessions = {job.envelope.session_id for job in jobs}
        fresh, waiting = await inbox.admit(connection, self.name, list(once), list(sessions), now)
        unique = [job for job in jobs if once[job.envelope.id, job.envelope.attempt_epoch] is job]
        admitted = [job for job in unique if (job.envelope.id, job.envelope.attempt_epoch) in fresh]
        if len(admitted) < len(jobs):
            DUPLICATES.labels(self.name).inc(len(jobs) - len(admitted))
        for job in admitted:
            if job.error is None and job.envelope.session_id in waiting:
                job.error = Follows()
        return admitted

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        rows: list[held.HeldMessage] = []
        for job in jobs:
            if job.error is None:
                continue
            if not isinstance(job.error, Follows):
                FAILED.labels(self.name, job.envelope.type, type(job.error).__name__).inc()
            due_at = next_attempt_at(job.error, attempts=1, first_failed_at=now, now=now)
            if due_at is None:
                outgoing.append(self.set_aside(job.envelope, job.error, now))
            else:
                rows.append(held.HeldMessage.of(self.name, job.envelope, job.error, due_at, now))
                RETRIED.labels(self.name, job.envelope.type).inc()
        if rows:
            await held.insert(connection, rows)
        return outgoing

    def holds_followers(self, error: BaseException) -> bool:
        return not isinstance(error, PermanentError)

    def set_aside(
        self,
        message: Envelope | Undecodable,
        error: BaseException,
        now: datetime,
        *,
        attempts: int = 1,
        first_failed_at: datetime | None = None,
    ) -> Outgoing:
        """The dead letter for a message that failed for good."""
        permanent = isinstance(error, PermanentError)
        transient = not permanent and is_transient(error)
        if permanent:
            reason, description = error.reason, error.description  # type: ignore[attr-defined]
        else:
            reason = DeadLetterReason.RETRIES_EXHAUSTED if transient else DeadLetterReason.HANDLER_FAILED
            description = f"{type(error).__name__}: {error}"
        DEAD_LETTERED.labels(self.name, reason).inc()
        identity: dict[str, Any] = {}
        if isinstance(message, Envelope):
            identity = {
                "message_id": str(message.id),
                "type": message.type,
                "session_id": message.session_id,
                "correlation_id": message.correlation_id,
            }
        log.error(
            "message_dead_lettered", subscription=self.name, reason=reason, error=type(error).__name__, **identity
        )
        return dead_letter(
            message,
            service=self.service,
            subscription=self.name,
            reason=reason,
            description=description,
            now=now,
            error=error,
            attempts=attempts,
            first_failed_at=first_failed_at,
        )

    def _unknown(self, kind: str) -> PermanentError:
        name, _, _version = kind.rpartition(".")
        if name and any(known.rpartition(".")[0] == name for known in self._known):
            return PermanentError(f"{kind} is not handled here", reason=DeadLetterReason.UNSUPPORTED_VERSION)
        return PermanentError(f"{kind} is not known here", reason=DeadLetterReason.UNKNOWN_TYPE)


class UndecodableSource(Source):
    """What is no CloudEvent goes to the dead letters as it came."""

    def __init__(self, subscription: SubscriptionSource, undecodable: Undecodable, error: PermanentError) -> None:
        self.name = subscription.name
        self._subscription = subscription
        self._undecodable = undecodable
        self._error = error

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        return [self._subscription.set_aside(self._undecodable, self._error, now)]


class MessageProcessor:
    """Handles the events of one subscription completely."""

    def __init__(self, processor: Processor, subscription: Subscription) -> None:
        self._processor = processor
        self._source = SubscriptionSource(processor.consumer, subscription)

    async def process(self, received: Sequence[Envelope]) -> None:
        """Return when each event is handled, held for a later attempt, or dead-lettered, and that is committed.

        Raises DatabaseUnavailable when the database is out of reach; the events can be given again.
        """
        now = utc_now()
        name = self._source.name
        jobs = [self._source.job_for(envelope, now) for envelope in received]
        await self._processor.run_isolating(jobs, self._source, self._refused)
        committed = utc_now()
        latency = LATENCY.labels(name)
        for job in jobs:
            latency.observe((committed - job.envelope.time).total_seconds())
        for kind, count in Counter(job.envelope.type for job in jobs if job.registration is not None).items():
            RECEIVED.labels(name, kind).inc(count)
        for kind, count in Counter(job.envelope.type for job in jobs if job.registration and not job.error).items():
            HANDLED.labels(name, kind).inc(count)

    async def process_undecodable(self, undecodable: Undecodable, reason: DeadLetterReason) -> None:
        """Dead-letter what is no event."""
        error = PermanentError(undecodable.error, reason=reason)
        await self._processor.run([], UndecodableSource(self._source, undecodable, error))

    async def process_suspect(self, envelope: Envelope) -> None:
        """Handle an event that the broker has delivered several times already: the process may have died of it."""
        async with self._processor.database.transaction() as connection:
            attempts = await held.count_suspect(connection, self._source.name, envelope.id)
        if attempts > MAX_CRASHES:
            description = f"the process died {attempts - 1} times while it handled this message"
            error = PermanentError(description, reason=DeadLetterReason.CRASHES_CONSUMER)
            await self._processor.run_isolating([Job(envelope, error=error)], self._source, self._refused)
        else:
            await self.process([envelope])
        async with self._processor.database.transaction() as connection:
            await held.clear_suspect(connection, self._source.name, envelope.id)

    async def _refused(self, job: Job, error: BaseException) -> None:
        """The database refused what this one job wanted to save: hold or dead-letter it without running it."""
        await self._processor.run([Job(job.envelope, job.registration, job.message, error=error)], self._source)


def _without_values(error: pydantic.ValidationError) -> str:
    """Where and why the data does not fit, without the data itself, which may be personal."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
