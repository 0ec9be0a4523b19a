"""The drone scheduler, running in the test's process on real servers; one for all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio

from drone_scheduler.api import bookings, fleet
from drone_scheduler.consumers import consumer
from drone_scheduler.settings import Settings
from local_stack.servers import LocalServers
from shared_contracts.domain_types import Location
from shared_contracts.message import Message, Topic
from shared_contracts.topology import SUBSCRIPTIONS, subscriptions_of
from shared_runtime import create_app
from shared_runtime.envelope import Envelope, new_id
from shared_runtime.migrate import migrate
from shared_runtime.testing import Broker, Mailbox, eventually, running

from .stories import Town

STAFF = {"X-Subject": "bob", "X-Roles": "fleet"}
ROUTERS = [fleet.router, bookings.router]
OWN = subscriptions_of("drone-scheduler")
(DELIVERY,) = [one for one in SUBSCRIPTIONS if (one.service, one.topic) == ("delivery", Topic.DELIVERY)]
TOWNS = count()
NOBODY = UUID(int=0)
"""Neither a drone nor a delivery."""


@pytest.fixture(scope="package")
def settings(servers: LocalServers) -> Settings:
    """A migrated database and a virtual host with the whole topology."""
    database_url = servers.create_database("drone_scheduler_component")
    migrate("drone_scheduler", database_url)
    return Settings(database_url=database_url, broker_url=servers.create_vhost("drone_scheduler_component"))


@pytest_asyncio.fixture(scope="package")
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to a process of the scheduler."""
    async with running(create_app(consumer, settings, routers=ROUTERS, title="Drone scheduler")) as client:
        yield client


@pytest_asyncio.fixture(scope="package")
async def broker(settings: Settings) -> AsyncIterator[Broker]:
    """An administrator's connection."""
    async with Broker.connected(settings.broker_url) as broker:
        yield broker


@pytest_asyncio.fixture(scope="package")
async def mailbox(broker: Broker) -> Mailbox:
    """What the scheduler tells the delivery service."""
    return await Mailbox.of(broker, DELIVERY.queues)


@pytest_asyncio.fixture(scope="package")
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the service's own."""
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


@pytest.fixture
def town() -> Town:
    """A town of the test's own, some hundred kilometres from all others."""
    number = next(TOWNS)
    return Town(latitude=-60.0 + 3 * (number % 40), longitude=-170.0 + 5 * (number // 40))


@dataclass(frozen=True)
class Scheduler:
    """The scheduler as the rest of the world sees it, and a look into its tables."""

    client: httpx.AsyncClient
    broker: Broker
    database: asyncpg.Connection
    mailbox: Mailbox

    async def register(self, at: Location, **changes: Any) -> UUID:
        """Let a drone join the fleet that carries 5 kg over 20 km, but for the changes."""
        drone_id = new_id()
        body = {
            "payload_kg": 5,
            "range_m": 20_000,
            "cruise_speed_mps": 15,
            "location": at.model_dump(),
            "battery_percent": 100,
        }
        answer = await self.client.put(f"/api/v1/drones/{drone_id}", json=body | changes, headers=STAFF)
        assert answer.status_code == 201, answer.text
        return drone_id

    async def hear(self, *messages: Message, **attributes: Any) -> Envelope:
        """Let the scheduler hear the messages, each when the one before was handled. Returns the last envelope."""
        assert messages
        for message in messages:
            envelope = await self.broker.publish(message, **attributes)
            await self.handled(envelope)
        return envelope

    async def hear_again(self, envelope: Envelope, message: Message) -> None:
        """Let the very same event come again, and then the same message as another event."""
        await self.broker.publish_envelope(envelope, str(message.topic))
        # Comes after the other in the same queue, and is new to the inbox, so that it can be waited for.
        await self.hear(message)

    async def handled(self, envelope: Envelope) -> None:
        """Wait for the inbox row, which commits with the handler's effect."""

        async def is_known() -> bool:
            return bool(await self.database.fetchval("SELECT count(*) FROM inbox WHERE message_id = $1", envelope.id))

        await eventually(is_known)

    async def drone(self, drone_id: UUID) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/drones/{drone_id}", headers=STAFF)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def booking(self, delivery_id: UUID) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/dronedeliveries/{delivery_id}", headers=STAFF)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows that the scheduler keeps."""
        queries = {"drone": "SELECT * FROM drone ORDER BY 1", "booking": "SELECT * FROM booking ORDER BY 1"}
        return {table: [tuple(row) for row in await self.database.fetch(query)] for table, query in queries.items()}


@pytest_asyncio.fixture
async def scheduler(
    client: httpx.AsyncClient, broker: Broker, database: asyncpg.Connection, mailbox: Mailbox
) -> AsyncIterator[Scheduler]:
    """The running scheduler. At the end nothing may be left in its dead letters that the test did not take."""
    yield Scheduler(client, broker, database, mailbox)
    for subscription in OWN:
        assert await broker.depth(subscription.dead_letter_queue) == 0
