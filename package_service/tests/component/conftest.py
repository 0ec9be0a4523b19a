"""The package service, running in the test's process on real servers."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio
from package_service.api import router
from package_service.consumers import consumer
from package_service.settings import Settings
from shared_runtime.testing import Broker, Mailbox, running

from shared_runtime import create_app


@pytest_asyncio.fixture(scope="module")
async def client(places) -> AsyncIterator[httpx.AsyncClient]:
    places.migrated("package_service")
    settings = Settings(database_url=places.database_url, broker_url=places.broker_url)
    async with running(create_app(consumer, settings, routers=[router], title="Package service")) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def answers(client: httpx.AsyncClient, broker: Broker) -> Mailbox:
    """What the package service sends to the delivery service."""
    return await Mailbox.of(broker, [f"delivery.delivery.{partition}" for partition in range(4)])
