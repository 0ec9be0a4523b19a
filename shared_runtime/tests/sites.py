"""Where the tests' own service runs, and what can be seen of it from outside."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
from aio_pika.abc import AbstractIncomingMessage
from fastapi import FastAPI
from journal_service.api import router
from journal_service.consumers import consumer
from journal_service.messages import ENTRIES, NOTES, TOPOLOGY, Entry, Noted
from prometheus_client import REGISTRY

from local_stack.servers import LocalServers
from local_stack.services import Service as ServiceSpec
from local_stack.services import ServiceProcess
from shared_contracts.topology import PARTITIONS
from shared_runtime import ServiceSettings, create_app
from shared_runtime.envelope import BATCH, Envelope, Incoming, decode, encode_batch, new_id
from shared_runtime.migrate import migrate
from shared_runtime.partition import partition_of
from shared_runtime.replays import OUTCOMES, DeadLetterDiscarded
from shared_runtime.service import Service
from shared_runtime.testing import Broker, Mailbox, Publishable, envelope_of, eventually, running

FOLDER = Path(__file__).parent
_numbers = count(1)


@dataclass
class Site:
    """A database and a virtual host."""

    servers: LocalServers
    name: str
    database_url: str
    broker_url: str
    processes: list[ServiceProcess] = field(default_factory=list)

    @classmethod
    @contextmanager
    def made(cls, servers: LocalServers, module: str) -> Iterator["Site"]:
        name = f"{module.rpartition('.')[2].removeprefix('test_')}_{next(_numbers)}"
        site = cls(servers, name, servers.create_database(name), servers.create_vhost(name, TOPOLOGY))
        migrate("journal_service", site.database_url)
        try:
            yield site
        finally:
            for process in site.processes:
                process.stop()

    def settings(self, **changes: Any) -> ServiceSettings:
        # Tests dead-letter faster than a service may.
        settings = {"database_url": self.database_url, "broker_url": self.broker_url, "dead_letters_per_minute": 10_000}
        return ServiceSettings(**settings | changes)

    def app(self, **changes: Any) -> FastAPI:
        return create_app(consumer, self.settings(**changes), routers=[router], title="Journals")

    def process(self, name: str = "journal", **environment: str) -> ServiceProcess:
        """The service as a process that is still to be started. It ends with the site."""
        path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(FOLDER)])
        settings = {
            "DATABASE_URL": self.database_url,
            "BROKER_URL": self.broker_url,
            "DEAD_LETTERS_PER_MINUTE": "10000",
            "PYTHONPATH": path,
        }
        spec = ServiceSpec(f"{name}-{self.name}", "journal_service", environment=settings | environment, migrate=None)
        process = ServiceProcess(self.servers, spec)
        self.processes.append(process)
        return process

    async def started(self, name: str = "journal", **environment: str) -> ServiceProcess:
        process = self.process(name, **environment)
        await asyncio.to_thread(process.start)
        return process


class DeadLetters:
    """Collects what arrives in a dead-letter queue."""

    def __init__(self) -> None:
        self.letters: list[AbstractIncomingMessage] = []

    @classmethod
    async def of(cls, broker: Broker, queue: str) -> "DeadLetters":
        letters = cls()
        declared = await broker.channel.get_queue(queue, ensure=False)
        await declared.consume(letters._arrive, no_ack=True)
        return letters

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        self.letters.append(message)

    def bodies(self) -> list[bytes]:
        return [letter.body for letter in self.letters]

    async def with_body(self, body: bytes) -> AbstractIncomingMessage:
        """Wait for the one letter with this body."""

        async def has_come() -> list[AbstractIncomingMessage]:
            return [letter for letter in self.letters if letter.body == body]

        try:
            (letter,) = await eventually(has_come)
        except AssertionError:
            raise AssertionError(f"no dead letter {body[:200]!r}; there are {self.bodies()}") from None
        return letter

    async def of_event(self, envelope: Envelope) -> AbstractIncomingMessage:
        """Wait for the one letter of this event."""

        async def has_come() -> list[AbstractIncomingMessage]:
            return [one for one in self.letters if one.headers.get("cloudEvents_id") == str(envelope.id)]

        (letter,) = await eventually(has_come)
        assert letter.body == bytes(envelope.data), "the bytes are those that came"
        return letter


@dataclass
class World:
    """A running service, and those who talk to it."""

    site: Site
    broker: Broker
    database: asyncpg.Pool
    noted: Mailbox
    dead_letters: DeadLetters
    outcomes: Mailbox
    client: httpx.AsyncClient | None = None
    app: FastAPI | None = None

    @classmethod
    @asynccontextmanager
    async def around(
        cls, site: Site, *, runs: bool = True, wait_ready: bool = True, **settings: Any
    ) -> AsyncIterator["World"]:
        """The outside of a site, with the service running in this process unless told otherwise."""
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(Broker.connected(site.broker_url))
            database = await stack.enter_async_context(asyncpg.create_pool(site.database_url, min_size=0, max_size=4))
            noted = await Mailbox.of(broker, NOTES.queues)
            letters = await DeadLetters.of(broker, ENTRIES.dead_letter_queue)
            outcomes = await Mailbox.of(broker, [OUTCOMES.queue(0)])
            world = cls(site, broker, database, noted, letters, outcomes)
            if runs:
                world.app = site.app(**settings)
                world.client = await stack.enter_async_context(running(world.app, wait_ready=wait_ready))
            yield world

    @property
    def http(self) -> httpx.AsyncClient:
        assert self.client is not None
        return self.client

    @property
    def service(self) -> Service:
        assert self.app is not None
        service: Service = self.app.state.service
        return service

    async def send(self, *messages: Publishable, **attributes: Any) -> list[Envelope]:
        """Publish each as a plain message."""
        return [await self.broker.publish(message, **attributes) for message in messages]

    async def send_batch(self, *events: Publishable | Envelope | bytes) -> list[Envelope]:
        """Publish all as one message, on the route of the first. Bytes are elements as they are."""
        envelopes = [
            one if isinstance(one, Envelope) else envelope_of(one) for one in events if not isinstance(one, bytes)
        ]
        rest = iter(envelopes)
        elements = [one if isinstance(one, bytes) else encode_batch([next(rest)])[1:-1] for one in events]
        first = envelopes[0]
        key = f"{first.type}.{partition_of(first.session_id, PARTITIONS)}"
        body = b"[" + b",".join(elements) + b"]"
        await self.broker.publish_raw(str(ENTRIES.topic), key, body, BATCH)
        return envelopes

    async def send_raw(
        self, body: bytes, content_type: str, headers: dict[str, Any] | None = None, *, partition: int = 0
    ) -> None:
        """Publish any bytes into one of the service's queues."""
        await self.broker.publish_raw("", ENTRIES.queue(partition), body, content_type, headers)

    async def replay(self, event: Envelope, epoch: int = 1, data: Publishable | None = None) -> Envelope:
        """Send the event again as support does, with other data if there is any."""
        changes: dict[str, Any] = {"attempt_epoch": epoch}
        if data is not None:
            changes["data"] = msgspec.Raw(data.model_dump_json().encode())
        replay = msgspec.structs.replace(event, **changes)
        await self.to_origin(replay)
        return replay

    async def discard(self, event: Envelope) -> Envelope:
        """Tell the service that nobody will replay the event."""
        discard = envelope_of(DeadLetterDiscarded(session_id=event.session_id, message_id=event.id))
        await self.to_origin(discard)
        return discard

    async def send_unfit(self, session: str) -> Envelope:
        """Publish an entry whose number is none."""
        event = msgspec.structs.replace(
            envelope_of(Entry(session=session, number=0)), data=msgspec.Raw(b'{"session": "?", "number": "many"}')
        )
        await self.broker.publish_envelope(event, str(ENTRIES.topic))
        return event

    @asynccontextmanager
    async def patient_support(self) -> AsyncIterator[None]:
        """Inside the block somebody discards every dead letter as soon as it comes."""

        async def discard_for_ever() -> None:
            seen = 0
            while True:
                for letter in self.dead_letters.letters[seen:]:
                    for event in events_in(letter):
                        await self.discard(event)
                    seen += 1
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            support = group.create_task(discard_for_ever())
            yield
            support.cancel()

    async def to_origin(self, event: Envelope) -> None:
        """Publish into the one queue that the event's session has."""
        queue = ENTRIES.queue(partition_of(event.session_id, PARTITIONS))
        await self.broker.publish_raw("replays", queue, encode_batch([event]), BATCH)

    async def numbers(self, session: str) -> list[str]:
        """What the session's journal says."""
        numbers = await self.database.fetchval("SELECT numbers FROM journal WHERE session = $1", session)
        return (numbers or "").split(",")[:-1]

    async def has(self, session: str, *numbers: int, timeout_s: float = 15.0) -> None:
        """Wait until the journal says exactly this, and the listener has heard it in this order."""
        expected = list(map(str, numbers))

        async def said() -> bool:
            return await self.numbers(session) == expected

        async def heard() -> bool:
            return await self.heard(session) == list(numbers)

        try:
            await eventually(said, timeout_s=timeout_s)
            await eventually(heard, timeout_s=timeout_s)
        except AssertionError:
            said_now, heard_now = await self.numbers(session), await self.heard(session)
            raise AssertionError(f"{session} is to be {numbers}: says {said_now}, was heard as {heard_now}") from None

    async def heard(self, session: str) -> list[int]:
        """The numbers that the listener was told, each event once, in the order of their first arrival."""
        events = {event.id: event for event in self.noted.events if event.session_id == session}
        return [Noted.model_validate_json(bytes(event.data)).number for event in events.values()]

    async def is_handled(self, envelope: Envelope) -> None:
        """Wait until the message was admitted."""

        async def is_in_inbox() -> Any:
            return await self.database.fetchval("SELECT 1 FROM inbox WHERE message_id = $1", envelope.id)

        await eventually(is_in_inbox)

    async def is_in_hand(self) -> None:
        """Wait until a handler is at work: its transaction has loaded, and not saved yet."""

        async def look() -> bool:
            return await self.database.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
                "AND state LIKE 'idle in%' AND query LIKE '%FOR UPDATE%'"
            )

        await eventually(look, interval_s=0.002)

    async def held(self, session: str) -> list[asyncpg.Record]:
        """The session's held messages."""
        return await self.database.fetch("SELECT * FROM held_message WHERE session_id = $1 ORDER BY position", session)


def a_session(partition: int | None = None) -> str:
    """A session of its own, in this partition."""
    while True:
        session = str(new_id())
        if partition is None or partition_of(session, PARTITIONS) == partition:
            return session


def entries(session: str, numbers: Sequence[int], how: str = "") -> list[Entry]:
    return [Entry(session=session, number=number, how=how) for number in numbers]


def samples(name: str) -> dict[str, float]:
    """All figures of this name in this process."""
    return {
        str(sample.labels): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == name
    }


def metric(name: str, **labels: str) -> float:
    """A figure of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def events_in(message: AbstractIncomingMessage) -> list[Envelope]:
    """What can be read of an AMQP message."""
    events = decode(Incoming(message.body, message.content_type or "", message.headers))
    return [event for event in events if isinstance(event, Envelope)]
