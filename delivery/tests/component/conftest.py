"""The delivery service, running in the test's process on real servers; one for all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio
from delivery_journeys import Journey

from delivery.api import router
from delivery.consumers import consumer
from delivery.settings import Settings
from local_stack.servers import LocalServers
from shared_contracts.delivery.v1 import DeliveryScheduled
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.message import Message, Topic
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime import create_app
from shared_runtime.envelope import Envelope
from shared_runtime.migrate import migrate
from shared_runtime.testing import Broker, Mailbox, eventually, running


@pytest.fixture(scope="package")
def settings(servers: LocalServers) -> Settings:
    """A migrated database and a virtual host with the whole topology."""
    database_url = servers.create_database("delivery_component")
    migrate("delivery", database_url)
    return Settings(database_url=database_url, broker_url=servers.create_vhost("delivery_component"))


@pytest_asyncio.fixture(scope="package")
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to a process of the service."""
    async with running(create_app(consumer, settings, routers=[router], title="Delivery")) as client:
        yield client


@pytest_asyncio.fixture(scope="package")
async def broker(settings: Settings) -> AsyncIterator[Broker]:
    """An administrator's connection."""
    async with Broker.connected(settings.broker_url) as broker:
        yield broker


@pytest_asyncio.fixture(scope="package")
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the service's own."""
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


def queues_of(service: str, topic: Topic) -> list[str]:
    return [
        queue
        for subscription in SUBSCRIPTIONS
        if (subscription.service, subscription.topic) == (service, topic)
        for queue in subscription.queues
    ]


@dataclass(frozen=True)
class World:
    """The services around delivery: they tell it things, and hear what it says."""

    broker: Broker
    database: asyncpg.Connection
    events: Mailbox
    """What ingestion hears."""
    notifications: Mailbox
    telemetry: Mailbox
    """What the scheduler hears of drones."""

    async def tells(self, *messages: Message) -> list[Envelope]:
        """Send the messages, and return when each is handled."""
        sent = [await self.broker.publish(message) for message in messages]
        for envelope in sent:
            await self.has_handled(envelope)
        return sent

    async def tells_again(self, envelope: Envelope, topic: Topic) -> None:
        """Send the same message once more."""
        await self.broker.publish_envelope(envelope, str(topic))

    async def has_handled(self, envelope: Envelope) -> None:
        """Wait until the message's transaction has committed."""

        async def is_in_inbox() -> Any:
            return await self.database.fetchval("SELECT 1 FROM inbox WHERE message_id = $1", envelope.id)

        await eventually(is_in_inbox)

    async def row(self, delivery_id: UUID) -> dict[str, Any]:
        """The delivery's row, empty when there is none."""
        record = await self.database.fetchrow("SELECT * FROM delivery WHERE delivery_id = $1", delivery_id)
        return dict(record or {})

    async def history(self, delivery_id: UUID) -> list[tuple[str, str]]:
        """Kind and stage of each tracking event."""
        records = await self.database.fetch(
            "SELECT kind, stage FROM tracking_event WHERE delivery_id = $1 ORDER BY sequence", delivery_id
        )
        return [(record["kind"], record["stage"]) for record in records]

    async def heard(self, delivery_id: UUID) -> list[str]:
        """The types of the delivery's events so far."""
        return [event.type for event in await self.events.of_session(delivery_id)]

    async def scheduled(self, confirmation: ConfirmationType = ConfirmationType.PICTURE) -> Journey:
        """A delivery that has its package and its drone."""
        journey = Journey(confirmation=confirmation)
        await self.tells(*journey.answers)
        await self.events.wait_for(journey.delivery_id, DeliveryScheduled)
        return journey


@pytest_asyncio.fixture(scope="package")
async def world(client: httpx.AsyncClient, broker: Broker, database: asyncpg.Connection) -> World:
    """The world around a running delivery service."""
    return World(
        broker,
        database,
        events=await Mailbox.of(broker, queues_of("ingestion", Topic.DELIVERY_EVENTS)),
        notifications=await Mailbox.of(broker, queues_of("notifications", Topic.DELIVERY_EVENTS)),
        telemetry=await Mailbox.of(broker, queues_of("drone-scheduler", Topic.DRONE_TELEMETRY)),
    )
