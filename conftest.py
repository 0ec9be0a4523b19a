"""Real servers for tests: one PostgreSQL and one RabbitMQ per run, a database and a virtual host per test module."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

# Imported before any test module is: pytest names a test module by its path, so the folder package_service/ would else
# be taken for the package package_service.
import dead_letters
import delivery
import drone_scheduler
import ingestion
import package_service
from local_stack.containers import ContainerServers
from local_stack.servers import LocalServers
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.migrate import migrate
from shared_runtime.testing import Broker

# How long an example takes says more about the machine than about the code. Continuous integration tries the same
# examples every time; `--hypothesis-profile=thorough` tries thirty times as many, and others each time.
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), derandomize=False, max_examples=3_000)
settings.load_profile("ci")

# Who is started in the background by a shell ignores Ctrl-C, and so would all processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVICES = (dead_letters, delivery, drone_scheduler, ingestion, package_service)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers | ContainerServers]:
    """Both servers, started for this run and stopped at its end: processes, or containers if TEST_SERVERS says so."""
    if os.environ.get("TEST_SERVERS") == "containers":
        with ContainerServers() as containers:
            yield containers
    else:
        with LocalServers(tmp_path_factory.mktemp("servers")) as processes:
            yield processes


@dataclass(frozen=True)
class Places:
    """Where one test module's service keeps and exchanges things."""

    database_url: str
    broker_url: str

    def migrated(self, package: str) -> "Places":
        """The same, with the tables of `package`."""
        migrate(package, self.database_url)
        return self


@pytest.fixture(scope="module")
def places(servers: LocalServers | ContainerServers, request: pytest.FixtureRequest) -> Places:
    """A fresh database and a fresh virtual host with the whole topology."""
    name = request.module.__name__.rpartition(".")[2].replace("test_", "")
    unique = f"{name}_{abs(hash(request.module.__file__)) % 10**6}"
    return Places(servers.create_database(unique), servers.create_vhost(unique, SUBSCRIPTIONS))


@pytest_asyncio.fixture(scope="module")
async def broker(places: Places) -> AsyncIterator[Broker]:
    """An administrator's connection to the module's virtual host."""
    async with Broker.connected(places.broker_url) as broker:
        yield broker


@pytest_asyncio.fixture(scope="module")
async def database(places: Places) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the module's database."""
    connection = await asyncpg.connect(places.database_url)
    yield connection
    await connection.close()
