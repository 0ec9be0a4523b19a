"""The dead letters, running in the test's process on real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from dead_letter_examples import REQUESTS, Sender
from dead_letter_processes import SUPPORT, make_app
from fastapi import FastAPI

from shared_runtime.testing import PARTITIONS, Broker, Mailbox, eventually, running


@pytest.fixture(scope="module")
def app(places) -> FastAPI:
    """The process that `client` talks to."""
    places.migrated("dead_letters")
    return make_app(places)


@pytest_asyncio.fixture(scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of support."""
    async with running(app) as client:
        client.headers.update(SUPPORT)
        yield client


@pytest_asyncio.fixture(scope="module")
async def sender(broker: Broker) -> Sender:
    """What the services do: send dead letters, and answer replays."""
    return Sender(broker)


@pytest_asyncio.fixture(scope="module")
async def requests_mailbox(client: httpx.AsyncClient, broker: Broker) -> Mailbox:
    """What is sent to the package service's subscription of delivery requests."""
    return await Mailbox.of(broker, [REQUESTS.queue(partition) for partition in range(PARTITIONS)])


Taken = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def taken_in(client: httpx.AsyncClient) -> Taken:
    """Wait until a dead letter is known and as it should be, and return it."""

    async def wait(dead_letter_id: object, **expected: Any) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            answer = await client.get(f"/api/v1/deadletters/{dead_letter_id}")
            found = answer.json()
            is_so = answer.status_code == 200 and all(found[name] == value for name, value in expected.items())
            return found if is_so else None

        return await eventually(look)

    return wait


@pytest.fixture
def count(database: asyncpg.Connection) -> Callable[..., Awaitable[int]]:
    """How many rows a table has, that match."""

    async def look(table: str, where: str = "true", *values: Any) -> int:
        return await database.fetchval(f"SELECT count(*) FROM {table} WHERE {where}", *values)  # noqa: S608

    return look
