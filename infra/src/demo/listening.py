"""What the demo hears on the broker: copies of messages that tell of success and compensation, and notifications."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity

from demo.endpoints import StackEndpoints
from fleet_simulator.outages import Outage
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed, NotificationRequested
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_contracts.message import DeliveryMessage
from shared_contracts.package_service.v1 import PackageReady, PackageWithdrawn
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.envelope import Envelope, Incoming, decode

TIMEOUT_S = 10.0
QUIET_S = 2.0
"""When nothing comes for so long, somebody else is reading, and what waits is theirs."""
PREFETCH = 100
TAP_LIFETIME_MS = 3_600_000
"""The broker removes a tap that its demo left behind after so long without anybody reading from it."""

HEARD: tuple[type[DeliveryMessage], ...] = (
    PackageReady,
    PackageWithdrawn,
    DroneScheduled,
    DroneReleased,
    DeliveryCompleted,
    DeliveryCancelled,
    DeliveryFailed,
)
"""The messages that the tap copies."""

NOTIFICATIONS = next(
    queue
    for subscription in SUBSCRIPTIONS
    if NotificationRequested in subscription.messages
    for queue in subscription.queues
)


@dataclass(frozen=True)
class Published:
    """A message that a service has published. The same one may be heard twice, with the same id."""

    message_id: UUID
    message_type: str
    delivery_id: UUID


@dataclass(frozen=True)
class Notification:
    """Somebody is to be told of a stage."""

    message_id: UUID
    request_id: UUID
    delivery_id: UUID
    stage: str


class Tap:
    """A durable queue of its own that gets a copy of everything in HEARD, emptied by `listen`."""

    def __init__(self, broker_url: str, name: str) -> None:
        self._broker_url = broker_url
        self._name = name
        self.heard: set[Published] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls, endpoints: StackEndpoints, run: str) -> AsyncIterator[Self]:
        """A tap that hears everything from now on, and is removed at the end. Raises Outage."""
        tap = cls(endpoints.admin_broker_url, f"demo-tap-{run}")
        async with _channel(tap._broker_url) as channel:
            arguments: Any = {"x-queue-type": "quorum", "x-expires": TAP_LIFETIME_MS}
            queue = await channel.declare_queue(tap._name, durable=True, arguments=arguments)
            for message in HEARD:
                await queue.bind(str(message.topic), f"{message.message_type}.*")
        try:
            yield tap
        finally:
            # When the broker is gone, it removes the tap itself after a while.
            with suppress(Outage):
                async with _channel(tap._broker_url) as channel:
                    await channel.queue_delete(tap._name)

    async def listen(self) -> None:
        """Take what has come since. Raises Outage."""
        async for event in _taken(self._broker_url, self._name):
            message = msgspec.json.decode(event.data)
            self.heard.add(Published(event.id, event.type, UUID(message["delivery_id"])))


class Mailbox:
    """The notifications, taken from the queue where whoever sends e-mails would take them."""

    def __init__(self, endpoints: StackEndpoints) -> None:
        self._broker_url = endpoints.fleet_broker_url
        self.received: set[Notification] = set()

    async def collect(self) -> None:
        """Take what has come since. Raises Outage."""
        async for event in _taken(self._broker_url, NOTIFICATIONS):
            message = NotificationRequested.model_validate_json(bytes(event.data))
            self.received.add(Notification(event.id, message.request_id, message.delivery_id, message.stage))


async def depths(endpoints: StackEndpoints, queues: Iterable[str]) -> dict[str, int | None]:
    """How many messages are ready in each queue, None for one that is not there. Raises Outage."""
    found: dict[str, int | None] = {}
    async with _connection(endpoints.admin_broker_url) as connection:
        channel = await connection.channel()
        for name in queues:
            try:
                queue = await channel.declare_queue(name, passive=True, timeout=TIMEOUT_S)
                found[name] = queue.declaration_result.message_count
            except ChannelNotFoundEntity:
                # The broker closes the channel on which a queue was not found.
                found[name] = None
                channel = await connection.channel()
    return found


async def _taken(broker_url: str, queue: str) -> AsyncIterator[Envelope]:
    """The events that wait in the queue, each message removed when its events were used."""
    async with _channel(broker_url) as channel:
        source = await channel.declare_queue(queue, passive=True, timeout=TIMEOUT_S)
        waiting = source.declaration_result.message_count or 0
        if not waiting:
            return
        # Queues with a single active consumer can be consumed from, but not asked for one message after the other.
        await channel.set_qos(PREFETCH)
        async with source.iterator(timeout=QUIET_S) as messages:
            with suppress(TimeoutError):
                async for message in messages:
                    for event in _events(message):
                        yield event
                    await message.ack()
                    waiting -= 1
                    if not waiting:
                        break


def _events(message: AbstractIncomingMessage) -> list[Envelope]:
    decoded = decode(Incoming(message.body, message.content_type or "", message.headers))
    return [event for event in decoded if isinstance(event, Envelope)]


@asynccontextmanager
async def _connection(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            connection = await aio_pika.connect(broker_url, timeout=TIMEOUT_S)
        try:
            yield connection
        finally:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.close()
    except (OSError, AMQPError, TimeoutError) as error:
        raise Outage(f"broker: {type(error).__name__} {error}") from error


@asynccontextmanager
async def _channel(broker_url: str) -> AsyncIterator[AbstractChannel]:
    async with _connection(broker_url) as connection:
        yield await connection.channel()
