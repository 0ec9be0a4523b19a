"""Runs handlers: many messages in one transaction, their states loaded with one statement per table, saved with one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog
from opentelemetry.trace import SpanKind
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.stop import stop_base

from shared_runtime import outbox, replays
from shared_runtime.consumer import HANDLER_TIMEOUT_S, Consumer, Loader, Registration
from shared_runtime.context import Step, current_step
from shared_runtime.database import LOCK_TIMEOUT_S, Database
from shared_runtime.envelope import NO_SESSION, Envelope, is_name, new_id, utc_now
from shared_runtime.errors import DatabaseUnavailable, SubscriptionPaused, TransientError, is_conflict, text_of
from shared_runtime.metrics import BATCH_SECONDS, BATCH_SIZE, PUBLISHED, series
from shared_runtime.outbox import Outgoing, Routed, routed
from shared_runtime.relay import Relay
from shared_runtime.retry import Follows
from shared_runtime.store import Key
from shared_runtime.supervision import was_cancelled
from shared_runtime.tracing import Tracing
from shared_runtime.unit_of_work import Publication, States, UnitOfWork
from shared_runtime.writes import Write

log = structlog.get_logger(__name__)

E = TypeVar("E", bound=BaseException)

CONFLICT_ATTEMPTS = 5
BATCH_PATIENCE_S = 5.0
"""When the handlers of a batch take longer than this together, the batch is divided: the database ends a transaction in
which nothing happens for too long, see `shared_runtime.database`."""


class BatchTooSlow(Exception):
    """The handlers of a batch take too long together."""


class HandlerTooSlow(TransientError):
    """A handler took so long, without waiting for anything, that the database may have ended the transaction."""

    def __init__(self, job: "Job", took_s: float) -> None:
        super().__init__(f"the handler took {took_s:.0f} s, at most {HANDLER_TIMEOUT_S:.0f} s are given")
        self.job = job


class Ending(Enum):
    """What the transaction did with a job."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"
    HELD = "held"
    """It is tried again later."""
    DEAD_LETTERED = "dead-lettered"
    REFUSED = "refused"
    """Its handler raised, and who gave the job is told."""


class Job:
    """One message on its way through a transaction, and what came of it."""

    __slots__ = ("attempts", "ending", "envelope", "error", "message", "registration", "result", "took_s")

    def __init__(
        self,
        envelope: Envelope,
        registration: Registration | None = None,
        message: Any = None,
        error: BaseException | None = None,
        attempts: int = 1,
    ) -> None:
        self.envelope = envelope
        self.registration = registration
        self.message = message
        self.error = error
        self.attempts = attempts
        self.ending: Ending | None = None
        self.result: Any = None
        self.took_s = 0.0
        """How long its handler took, the last time it ran; infinity when the database refused it."""


class Source:
    """What a source of work does in the transaction before and after the handlers."""

    name = "local"

    async def admit(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Job]:
        """The jobs whose handlers are to run."""
        return jobs

    async def settle(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> list[Outgoing]:
        """Deal with the jobs whose `error` is set. Returns what is to be published for them."""
        return []

    async def follow_up(self, connection: asyncpg.Connection, jobs: list[Job], now: datetime) -> None:
        """Look after the jobs once their states are saved."""

    def holds_followers(self, error: BaseException) -> bool:
        """Whether later jobs of the same session must wait for the one that failed so."""
        return False

    def committed(self, jobs: Sequence[Job], now: datetime) -> None:
        """The transaction has committed, with an `ending` for each of the jobs."""


class Processor:
    """Runs batches of jobs, each batch in a transaction of its own."""

    def __init__(self, consumer: Consumer, database: Database, relay: Relay, tracing: Tracing) -> None:
        self.consumer = consumer
        self.database = database
        self.relay = relay
        self.tracing = tracing
        self.source = f"/services/{consumer.service}"
        self.counted_attempt = asyncio.Lock()
        """Held during an attempt that is counted because the process may die of it: only one message is to blame."""
        self.has_held = asyncio.Event()
        """Set when a message was held. The loop over held sessions clears it before it looks."""

    def envelope_for(self, kind: str, *, correlation_id: str = "", traceparent: str | None = None) -> Envelope:
        """Attributes for work that came by no message: a command, a due row, a tick."""
        return Envelope(
            specversion="1.0",
            id=new_id(),
            source=self.source,
            type=kind,
            time=utc_now(),
            session_id=NO_SESSION,
            correlation_id=correlation_id if is_name(correlation_id) else "",
            traceparent=traceparent,
            data=msgspec.Raw(b"null"),
        )

    async def run(self, jobs: Sequence[Job], source: Source, *, patience_s: float | None = None) -> None:
        """Run the jobs in one transaction, again when it got into the way of another.

        Not again at once when it has waited for a lock as long as one may: it would wait as long once more.

        A handler's exception is left in its job's `error`, beside a transaction that commits. Raises
        DatabaseUnavailable when the database is out of reach, BatchTooSlow when the handlers take longer together than
        `patience_s` (BATCH_PATIENCE_S when it is not given), and whatever the database refuses.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_conflict),
            stop=stop_after_attempt(CONFLICT_ATTEMPTS) | _WaitedForLock(),
            wait=wait_random_exponential(multiplier=0.01, max=0.25),
            reraise=True,
        ):
            with attempt:
                await self._transact(list(jobs), source, BATCH_PATIENCE_S if patience_s is None else patience_s)

    async def run_isolating(
        self, jobs: Sequence[Job], source: Source, alone: Callable[[Job, BaseException], Awaitable[None]]
    ) -> None:
        """Run the jobs; when the database refuses the batch, halve it until the one that is refused stands alone.

        A batch that cannot have a lock is not halved: each of its jobs is run alone at once. A transaction takes some
        milliseconds, and each half that is to have the lock, too, would wait for it half a second.

        Order is kept. Raises DatabaseUnavailable when the database is out of reach.
        """
        try:
            await self.run(jobs, source)
        except DatabaseUnavailable:
            raise
        except HandlerTooSlow as error:
            # Known already, and not to be run again to find out.
            place = jobs.index(error.job)
            if jobs[:place]:
                await self.run_isolating(jobs[:place], source, alone)
            await alone(error.job, error)
            if jobs[place + 1 :]:
                await self.run_isolating(jobs[place + 1 :], source, alone)
        except Exception as error:
            if len(jobs) == 1:
                await alone(jobs[0], error)
                return
            if not isinstance(error, SubscriptionPaused):
                log.warning("batch_refused", source=source.name, jobs=len(jobs), error=text_of(error))
            size = 1 if isinstance(error, asyncpg.LockNotAvailableError) else (len(jobs) + 1) // 2
            for first in range(0, len(jobs), size):
                await self.run_isolating(jobs[first : first + size], source, alone)

    async def _transact(self, jobs: list[Job], source: Source, patience_s: float) -> None:
        started = asyncio.get_running_loop().time()
        given = [job.error for job in jobs]
        outgoing: list[Outgoing] = []
        is_behind = False

        def hand_over() -> None:
            self.relay.enqueue(outgoing, is_behind=is_behind)

        try:
            with self.relay.confirmed_rows() as confirmed, self.relay.committing(outgoing):
                async with self.database.transaction(hand_over) as connection:
                    now = utc_now()
                    admitted = await source.admit(connection, jobs, now)
                    states = await self._load(connection, [job for job in admitted if job.error is None])
                    events = await self._handle(admitted, states, now, source, patience_s)
                    writes = self._writes(states)
                    outgoing += [*outbox.pack(events), *await source.settle(connection, admitted, now)]
                    is_behind = await outbox.save(connection, writes, outgoing, self.relay.owner, confirmed)
                    await source.follow_up(connection, admitted, now)
        except BaseException as error:
            # What the handlers said was about states that are not saved: the next transaction asks them again.
            for job, before in zip(jobs, given, strict=True):
                job.error, job.ending, job.result = before, None, None
            if isinstance(error, DatabaseUnavailable | asyncio.CancelledError):
                self.relay.look_for_late_commit()
            raise
        for kind, count in Counter(event.envelope.type for event in events).items():
            series(PUBLISHED, kind).inc(count)
        everything = jobs or admitted
        series(BATCH_SIZE, source.name).observe(len(everything))
        series(BATCH_SECONDS, source.name).observe(asyncio.get_running_loop().time() - started)
        source.committed(everything, utc_now())

    async def _load(self, connection: asyncpg.Connection, jobs: list[Job]) -> States:
        states = States()
        keys: dict[type, set[Any]] = {}
        batches: dict[Loader, list[Any]] = {}
        for job in jobs:
            assert job.registration is not None  # noqa: S101 - a job without an error has one
            for load in job.registration.loads:
                key = load.key(job.message)
                if key is not None:
                    keys.setdefault(load.state, set()).add(key)
            for loader in job.registration.loaders:
                batches.setdefault(loader, []).append(job.message)
        # In the order of the stores, as every batch does, so that two batches cannot wait for each other.
        for state, store in self.consumer.store_of.items():
            if state in keys:
                states.declare(state, keys[state])
                for value in await store.load(connection, keys[state]):
                    states.add_loaded(state, store.key_of(value), value)
        for loader, messages in batches.items():
            self._add(states, await loader(connection, messages))
        return states

    def _add(self, states: States, values: Iterable[Any]) -> None:
        for value in values:
            key_of = self.consumer.key_of.get(type(value))
            states.add_loaded(type(value), key_of(value) if key_of else value.key, value)

    async def _handle(
        self, jobs: list[Job], states: States, now: datetime, source: Source, patience_s: float
    ) -> list[Routed]:
        events: list[Routed] = []
        held_sessions: set[str] = set()
        clock = asyncio.get_running_loop()
        end = clock.time() + patience_s
        for number, job in enumerate(jobs):
            if clock.time() > end:
                raise BatchTooSlow(f"{number} of {len(jobs)} handlers took {patience_s} s")
            if job.error is None and job.envelope.session_id in held_sessions:
                job.error = Follows()
            if job.error is None:
                began_at_s = clock.time()
                events += await self._call(job, states, now)
                job.took_s = clock.time() - began_at_s
                if job.error is None and job.took_s > HANDLER_TIMEOUT_S:
                    raise HandlerTooSlow(job, job.took_s)
            if job.error is not None:
                job.ending = Ending.REFUSED
                if source.holds_followers(job.error):
                    held_sessions.add(job.envelope.session_id)
        return events

    async def _call(self, job: Job, states: States, now: datetime) -> list[Routed]:
        """Run the handler. Its exception is left in the job's `error`, and nothing of what it did counts then."""
        assert job.registration is not None  # noqa: S101 - a job without an error has one
        envelope = job.envelope
        work = UnitOfWork(states, self.consumer.key_of, envelope, now)
        name = job.registration.handler.__name__
        step = current_step.set(Step(None, envelope))
        try:
            attributes = partial(_attributes, envelope)
            with self.tracing.span(name, envelope.traceparent, SpanKind.CONSUMER, attributes) as traceparent:
                current_step.set(Step(traceparent, envelope))
                result = await job.registration.call(job.message, work)
                events = [self.routed(one, envelope, traceparent, now) for one in work.publications]
                events += self._replayed(work, traceparent)
        except Exception as error:
            job.error = _without_own_frame(error)
        except asyncio.CancelledError as error:
            if was_cancelled():
                raise
            job.error = RuntimeError("something that the handler waited for was cancelled")
            job.error.__cause__ = _without_own_frame(error)
        else:
            work.accept()
            job.result, job.ending = result, Ending.HANDLED
            return events
        finally:
            current_step.reset(step)
        return []

    def routed(self, publication: Publication, cause: Envelope, traceparent: str | None, now: datetime) -> Routed:
        """The event of a message that the handler of `cause` recorded, see outbox.routed."""
        return routed(
            publication,
            cause=cause,
            source=self.source,
            traceparent=traceparent,
            now=now,
            partitions=self.consumer.partitions,
        )

    def _replayed(self, work: UnitOfWork, traceparent: str | None) -> list[Routed]:
        events = [Routed(replays.EXCHANGE, queue, envelope) for queue, envelope in work.replays]
        for queue, discarded in work.discards:
            event = self.routed(Publication(discarded), work.envelope, traceparent, work.now)
            events.append(msgspec.structs.replace(event, routing_key=queue))
        return events

    def _writes(self, states: States) -> list[Write]:
        writes = list[Write]()
        for state, store in self.consumer.store_of.items():
            changed = states.changed.get(state)
            if changed:
                ordered = [changed[key] for key in sorted(changed, key=_rank)]
                writes += store.writes(ordered, states.known.get(state, {}))
        return writes


class _WaitedForLock(stop_base):
    """Whether the last attempt ended at a lock for which it has waited, and not at one that it would not wait for."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        waited_s = retry_state.seconds_since_start or 0.0
        return isinstance(error, asyncpg.LockNotAvailableError) and waited_s >= LOCK_TIMEOUT_S


def _without_own_frame(error: E) -> E:
    """The error without the frame that caught it, which holds the job that is to hold the error.

    Garbage is looked for seldom (`shared_runtime.serve`), and each such cycle would keep its message until then.
    """
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


def _rank(key: Key) -> Any:
    """By what the keys of one store are put in order, the same in every process."""
    # The number of a UUID is at hand. Its text would be made for each state that is saved.
    return key.int if isinstance(key, UUID) else str(key)


def _attributes(envelope: Envelope) -> dict[str, str]:
    attributes = {
        "messaging.message.id": str(envelope.id),
        "messaging.message.conversation_id": envelope.correlation_id,
        "cloudevents.event_type": envelope.type,
    }
    return attributes if envelope.session_id == NO_SESSION else attributes | {"session.id": envelope.session_id}
