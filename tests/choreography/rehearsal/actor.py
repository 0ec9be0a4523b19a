"""One service: its real handlers, with dictionaries for tables and a set for the inbox."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from rehearsal.statements import Connection, Tables
from shared_contracts.topology import PARTITIONS, Subscription
from shared_runtime import Consumer, Problem, Tick
from shared_runtime.consumer import Registration
from shared_runtime.envelope import NO_SESSION, Envelope, new_id
from shared_runtime.outbox import Routed, routed
from shared_runtime.processor import Job
from shared_runtime.reader import Reader
from shared_runtime.unit_of_work import Publication, States, UnitOfWork

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError(f"{coroutine} waits for something")


@dataclass(frozen=True)
class Sent:
    """An event, as it was published, and the message that it carries."""

    service: str
    message: Any
    event: Routed

    @property
    def name(self) -> str:
        return type(self.message).__name__

    @property
    def causation_id(self) -> str | None:
        return self.event.envelope.causation_id


@dataclass
class Step:
    """A transaction that has not been committed."""

    tables: Tables
    inbox: set[tuple[str, UUID]]
    sent: list[Sent] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    """The messages whose handlers ran."""


class Refused(Exception):
    """A handler has refused a command with a problem."""


class Actor:
    """A service in the rehearsal."""

    def __init__(self, consumer: Consumer, clock_is_ahead: timedelta) -> None:
        consumer.check()
        self.consumer = consumer
        self.name = consumer.service
        self.clock_is_ahead = clock_is_ahead
        self.tables: Tables = {store.state: {} for store in consumer.stores}
        self.inbox: set[tuple[str, UUID]] = set()
        self.handlers_run: set[object] = set()
        self.loaders_run: set[object] = set()
        self._readers = {one.name: Reader(consumer, one) for one in consumer.subscriptions}

    def now(self, now: datetime) -> datetime:
        """What its own clock shows."""
        return now + self.clock_is_ahead

    def messages(
        self, subscription: Subscription, envelopes: Sequence[Envelope], now: datetime, *, others_hold_rows: bool
    ) -> Step:
        """Handle a batch of messages, those not at all that the inbox knows."""
        step = self._step()
        reader = self._readers[subscription.name]
        jobs = [
            reader.job_for(envelope, self.now(now))
            for envelope in envelopes
            if self.admits(step.inbox, subscription.name, envelope.id)
        ]
        self._run(step, jobs, now, others_hold_rows=others_hold_rows)
        return step

    @staticmethod
    def admits(inbox: set[tuple[str, UUID]], subscription: str, message_id: UUID) -> bool:
        """Whether the message is a new one."""
        if (subscription, message_id) in inbox:
            return False
        inbox.add((subscription, message_id))
        return True

    def command(self, command: Any, now: datetime) -> Step:
        """Handle a command. Raises Refused."""
        step = self._step()
        job = Job(self._local(type(command).__name__, now), self.consumer.registrations[type(command)], command)
        try:
            self._run(step, [job], now)
        except Problem as problem:
            raise Refused(str(problem)) from None
        return step

    def overdue(self, now: datetime) -> list[tuple[Registration, Any]]:
        """Rows that need attention by now."""
        return [
            (due.registration, row)
            for due in self.consumer.due_columns
            for _, row in sorted(self.tables[due.state].items())
            if (moment := getattr(row, due.column)) is not None and moment <= self.now(now)
        ]

    def next_due(self) -> datetime | None:
        """The next moment, by the clock of the world, at which a row needs attention."""
        moments = [
            moment
            for due in self.consumer.due_columns
            for row in self.tables[due.state].values()
            if (moment := getattr(row, due.column)) is not None
        ]
        return min(moments) - self.clock_is_ahead if moments else None

    def due_rows(self, now: datetime) -> Step:
        """Handle all rows that need attention."""
        step = self._step()
        jobs = [
            Job(self._local(registration.handler.__name__, now), registration, row)
            for registration, row in self.overdue(now)
        ]
        self._run(step, jobs, now)
        return step

    def ticks(self, now: datetime, *, others_hold_rows: bool = False) -> Step:
        """Do what is done every so often."""
        step = self._step()
        for periodic in self.consumer.periodics:
            name = periodic.registration.handler.__name__
            job = Job(self._local(name, now), periodic.registration, Tick())
            self._run(step, [job], now, others_hold_rows=others_hold_rows)
        return step

    def commit(self, step: Step) -> None:
        self.tables, self.inbox = step.tables, step.inbox

    def _step(self) -> Step:
        return Step({state: dict(rows) for state, rows in self.tables.items()}, set(self.inbox))

    def _run(self, step: Step, jobs: Sequence[Job], now: datetime, *, others_hold_rows: bool = False) -> None:
        """The transaction of `Processor`, in its order: load, handle, save.

        A handler that raises would be tried again and end in the dead letters. None may in a rehearsal, so whatever it
        raises ends the rehearsal.
        """
        own_now = self.now(now)
        states = self._loaded(step, jobs, Connection(step.tables, own_now, others_hold_rows=others_hold_rows))
        for job in jobs:
            if job.error is not None:
                raise job.error
            assert job.registration is not None
            work = UnitOfWork(states, self.consumer.key_of, job.envelope, own_now)
            step.results.append(finished(job.registration.call(job.message, work)))
            step.sent += [self._sent(publication, job.envelope, own_now) for publication in work.publications]
            step.heard.append(type(job.message).__name__)
            self.handlers_run.add(job.registration.handler)
            work.accept()
        for state, changed in states.changed.items():
            step.tables[state].update(changed)

    def _loaded(self, step: Step, jobs: Sequence[Job], connection: Any) -> States:
        states = States()
        batches: dict[Any, list[Any]] = {}
        for registration, message in ((job.registration, job.message) for job in jobs if job.registration is not None):
            for load in registration.loads:
                key = load.key(message)
                if key is not None:
                    states.declare(load.state, [key])
                    if (row := step.tables[load.state].get(key)) is not None:
                        states.add_loaded(load.state, key, row)
            for loader in registration.loaders:
                batches.setdefault(loader, []).append(message)
        for loader, messages in batches.items():
            self.loaders_run.add(loader)
            for value in finished(loader(connection, messages)):
                key_of = self.consumer.key_of.get(type(value))
                states.add_loaded(type(value), key_of(value) if key_of else value.key, value)
        return states

    def _sent(self, publication: Publication, cause: Envelope, now: datetime) -> Sent:
        event = routed(publication, cause=cause, source=self.name, traceparent=None, now=now, partitions=PARTITIONS)
        return Sent(self.name, publication.message, event)

    def _local(self, kind: str, now: datetime) -> Envelope:
        return Envelope(
            specversion="1.0",
            id=new_id(),
            source=self.name,
            type=kind,
            time=self.now(now),
            session_id=NO_SESSION,
            correlation_id="",
            data=msgspec.Raw(b"null"),
        )
