"""Ingestion, running in the test's process on real servers; one for all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio

from ingestion.api import routers
from ingestion.consumers import consumer
from ingestion.settings import Settings
from local_stack.servers import LocalServers
from shared_contracts.delivery.v1 import DeliveryEvent
from shared_contracts.message import Topic
from shared_contracts.topology import SUBSCRIPTIONS, subscriptions_of
from shared_runtime import create_app
from shared_runtime.envelope import Envelope, new_id
from shared_runtime.migrate import migrate
from shared_runtime.testing import Broker, Mailbox, eventually, running

from .stories import Story, new_delivery

PATH = "/api/v1/deliveryrequests"
OTHERS = [
    subscription
    for subscription in SUBSCRIPTIONS
    if (subscription.service, subscription.topic)
    in {("package-service", Topic.DELIVERY_REQUESTS), ("delivery", Topic.DELIVERY)}
]
(OWN,) = subscriptions_of("ingestion")


@pytest.fixture(scope="package")
def settings(servers: LocalServers) -> Settings:
    """A migrated database and a virtual host with the whole topology."""
    database_url = servers.create_database("ingestion_component")
    migrate("ingestion", database_url)
    return Settings(database_url=database_url, broker_url=servers.create_vhost("ingestion_component"))


@pytest_asyncio.fixture(scope="package")
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to a process of ingestion."""
    async with running(create_app(consumer, settings, routers=routers, title="Ingestion")) as client:
        yield client


@pytest_asyncio.fixture(scope="package")
async def other_client(settings: Settings, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to a second process of ingestion, on the same database."""
    app = create_app(consumer, settings, routers=routers, title="Ingestion")
    # The first process has the queues, each of which lets one consumer in at a time.
    async with running(app) as other_client:
        yield other_client


@pytest_asyncio.fixture(scope="package")
async def broker(settings: Settings) -> AsyncIterator[Broker]:
    """An administrator's connection."""
    async with Broker.connected(settings.broker_url) as broker:
        yield broker


@pytest_asyncio.fixture(scope="package")
async def mailbox(broker: Broker) -> Mailbox:
    """What ingestion publishes: requests as package_service gets them, and what goes to delivery."""
    return await Mailbox.of(broker, [queue for subscription in OTHERS for queue in subscription.queues])


@pytest_asyncio.fixture(scope="package")
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the service's own."""
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


@dataclass(frozen=True)
class Owner:
    """A caller whom no other test knows, what they can do, and what they are told."""

    name: str
    client: httpx.AsyncClient
    broker: Broker
    database: asyncpg.Connection
    mailbox: Mailbox

    async def send(self, method: str, path: str = "", *, key: str | None = None, **content: Any) -> httpx.Response:
        headers = {"X-Subject": self.name, **content.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.client.request(method, PATH + path, headers=headers, **content)

    async def submit(self, **changes: Any) -> UUID:
        """Submit a valid request. Returns its delivery id."""
        answer = await self.send("POST", json=new_delivery(**changes))
        assert answer.status_code == 202, answer.text
        return UUID(answer.json()["delivery_id"])

    async def new_story(self, **changes: Any) -> Story:
        """Submit a valid request, of which events can then be told."""
        return Story(await self.submit(**changes), self.name)

    async def status(self, delivery_id: UUID) -> dict[str, Any]:
        answer = await self.send("GET", f"/{delivery_id}")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        return status

    async def hear(self, *events: DeliveryEvent) -> Envelope:
        """Let ingestion hear the events, each when the one before has been handled. Returns the last envelope."""
        assert events
        for event in events:
            envelope = await self.broker.publish(event)
            await self.handled(envelope)
        return envelope

    async def hear_again(self, envelope: Envelope, *, then: DeliveryEvent) -> None:
        """Let the very same message come a second time, and wait until it has been dealt with.

        `then` comes after it in the same queue and is new to the inbox, so that it can be waited for.
        """
        await self.broker.publish_envelope(envelope, Topic.DELIVERY_EVENTS)
        await self.hear(then)

    async def handled(self, envelope: Envelope) -> None:
        """Wait for the inbox row, which commits with the handler's effect."""

        async def is_known() -> bool:
            known = await self.database.fetchval("SELECT count(*) FROM inbox WHERE message_id = $1", envelope.id)
            return bool(known)

        await eventually(is_known)

    async def rows(self) -> int:
        """How many rows the owner has, of any kind."""
        requests = await self.database.fetchval("SELECT count(*) FROM delivery_request WHERE owner_id = $1", self.name)
        progress = await self.database.fetchval("SELECT count(*) FROM delivery_progress WHERE owner_id = $1", self.name)
        return int(requests + progress)

    def messages(self) -> int:
        """How many messages about the owner's deliveries have been published."""
        return sum(self.name.encode() in bytes(event.data) for event in self.mailbox.events)

    async def dead_letter(self) -> dict[str, Any]:
        """Take the next dead letter of ingestion's subscription. Returns its headers."""

        async def has_come() -> Any:
            return await self.broker.take(OWN.dead_letter_queue)

        message = await eventually(has_come)
        return dict(message.headers)


@pytest_asyncio.fixture
async def owner(
    client: httpx.AsyncClient, broker: Broker, database: asyncpg.Connection, mailbox: Mailbox
) -> AsyncIterator[Owner]:
    """A fresh caller. At the end nothing may be left in the dead letters that the test did not take."""
    yield Owner(f"owner-{new_id()}", client, broker, database, mailbox)
    assert await broker.depth(OWN.dead_letter_queue) == 0
