"""For tests: a service that runs in this process, a look at the broker's queues, and waiting with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import aio_pika
import httpx
import msgspec
from aio_pika.abc import AbstractIncomingMessage
from fastapi import FastAPI

from shared_runtime.broker import connect
from shared_runtime.envelope import JSON, Envelope, Incoming, decode, headers_of, new_id, utc_now
from shared_runtime.partition import partition_of
from shared_runtime.unit_of_work import Publishable

T = TypeVar("T")
PARTITIONS = 4


async def eventually(
    look: Callable[[], Awaitable[T | None]], *, timeout_s: float = 15.0, interval_s: float = 0.02
) -> T:
    """What `look` returns once it is true; it is asked again until then.

    Raises AssertionError with the last answer when the time is up.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        answer = await look()
        if answer:
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {timeout_s} s; last seen: {answer!r}")
        await asyncio.sleep(interval_s)


@asynccontextmanager
async def running(app: FastAPI, *, wait_ready: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application's lifespan, and give a client that talks to it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        if wait_ready:

            async def is_ready() -> bool:
                return not await app.state.service.readiness()

            await eventually(is_ready)
        yield client


def envelope_of(
    message: Publishable,
    *,
    message_id: UUID | None = None,
    expires_at: datetime | None = None,
    time: datetime | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> Envelope:
    """The message as another service would send it."""
    session_id = str(message.session_id)
    return Envelope(
        specversion="1.0",
        id=message_id or new_id(),
        source="/tests",
        type=message.message_type,
        time=time or utc_now(),
        session_id=session_id,
        correlation_id=correlation_id or session_id,
        expires_at=expires_at,
        traceparent=traceparent,
        data=msgspec.Raw(message.model_dump_json().encode()),
    )


class Broker:
    """An administrator's view of a virtual host."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: aio_pika.abc.AbstractChannel) -> None:
        self._connection = connection
        self.channel = channel

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Broker"]:
        """A connection with one channel that confirms what it publishes."""
        connection = await connect(url, "tests")
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            yield cls(connection, channel)
        finally:
            await connection.close()

    async def publish(self, message: Publishable, **attributes: Any) -> Envelope:
        """Publish the message to its topic, as a plain CloudEvent. Returns its envelope."""
        envelope = envelope_of(message, **attributes)
        await self.publish_envelope(envelope, str(message.topic))
        return envelope

    async def publish_envelope(self, envelope: Envelope, topic: str) -> None:
        """Publish an event as a plain message."""
        key = f"{envelope.type}.{partition_of(envelope.session_id, PARTITIONS)}"
        await self.publish_raw(topic, key, bytes(envelope.data), JSON, headers_of(envelope))

    async def publish_raw(
        self, exchange: str, routing_key: str, body: bytes, content_type: str, headers: dict[str, Any] | None = None
    ) -> None:
        """Publish any bytes."""
        message = aio_pika.Message(
            body, headers=headers, content_type=content_type, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        if exchange:
            target = await self.channel.get_exchange(exchange, ensure=False)
        else:
            target = self.channel.default_exchange
        await target.publish(message, routing_key, mandatory=True, timeout=10)

    async def depth(self, queue: str) -> int:
        """How many messages are ready in the queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def take(self, queue: str) -> AbstractIncomingMessage | None:
        """Remove the first message, None when the queue is empty."""
        declared = await self.channel.get_queue(queue, ensure=False)
        return await declared.get(no_ack=True, fail=False, timeout=5)

    async def take_all(self, queues: list[str]) -> list[AbstractIncomingMessage]:
        """Remove what is in the queues."""
        taken: list[AbstractIncomingMessage] = []
        for queue in queues:
            while (message := await self.take(queue)) is not None:
                taken.append(message)
        return taken


class Mailbox:
    """Collects the events that arrive in some queues, so that a test can wait for those of its session.

    An event that comes twice counts once, as for every consumer with an inbox: publishing is at least once.
    """

    def __init__(self) -> None:
        self.events: list[Envelope] = []
        self._known: set[tuple[UUID, int]] = set()

    @classmethod
    async def of(cls, broker: Broker, queues: Iterable[str]) -> "Mailbox":
        """Consume from the queues until the broker's connection is closed."""
        mailbox = cls()
        for queue in queues:
            declared = await broker.channel.get_queue(queue, ensure=False)
            await declared.consume(mailbox._arrive, no_ack=True)
        return mailbox

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        incoming = Incoming(message.body, message.content_type or "", message.headers)
        for event in decode(incoming):
            if isinstance(event, Envelope) and (event.id, event.attempt_epoch) not in self._known:
                self._known.add((event.id, event.attempt_epoch))
                self.events.append(event)

    async def of_session(self, session_id: object) -> list[Envelope]:
        """What has arrived for the session."""
        return [event for event in self.events if event.session_id == str(session_id)]

    async def wait_for(self, session_id: object, *messages: type[Publishable]) -> list[Any]:
        """Wait until the session's events are exactly these types in this order, and return them decoded."""
        expected = [message.message_type for message in messages]
        seen: list[Envelope] = []

        async def has_come() -> bool:
            nonlocal seen
            seen = await self.of_session(session_id)
            return [event.type for event in seen] == expected

        try:
            await eventually(has_come)
        except AssertionError:
            raise AssertionError(f"expected {expected}, came {[event.type for event in seen]}") from None
        models: Any = messages
        return [model.model_validate_json(bytes(event.data)) for model, event in zip(models, seen, strict=True)]
