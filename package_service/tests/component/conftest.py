"""The package service, running in the test's process on real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio
from package_examples import a_request

from package_service.api import router
from package_service.consumers import consumer
from package_service.settings import Settings
from shared_contracts.package_service.v1 import PackageReady
from shared_runtime import create_app
from shared_runtime.envelope import new_id
from shared_runtime.partition import partition_of
from shared_runtime.testing import PARTITIONS, Broker, Mailbox, running


@pytest_asyncio.fixture(scope="module")
async def client(places) -> AsyncIterator[httpx.AsyncClient]:
    places.migrated("package_service")
    settings = Settings(database_url=places.database_url, broker_url=places.broker_url)
    async with running(create_app(consumer, settings, routers=[router], title="Package service")) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def answers(client: httpx.AsyncClient, broker: Broker) -> Mailbox:
    """What the package service sends to the delivery service."""
    return await Mailbox.of(broker, [f"delivery.delivery.{partition}" for partition in range(PARTITIONS)])


Status = Callable[[UUID], Awaitable[str | None]]


@pytest.fixture
def status_of(database: asyncpg.Connection) -> Status:
    """The status of a package in the database, None when there is no such row."""

    async def status(package_id: UUID) -> str | None:
        return await database.fetchval("SELECT status FROM package WHERE package_id = $1", package_id)

    return status


Settled = Callable[[UUID], Awaitable[None]]


@pytest.fixture
def settled(broker: Broker, answers: Mailbox) -> Settled:
    """Wait until everything is dealt with that was published for a session until now.

    A later message of the same partition has been answered then, on each of the service's topics.
    """

    async def wait(session_id: UUID) -> None:
        later = new_id()
        while partition_of(str(later), PARTITIONS) != partition_of(str(session_id), PARTITIONS):
            later = new_id()
        await broker.publish(a_request(delivery_id=later))
        await answers.wait_for(later, PackageReady)

    return wait
