"""The tests' own service, running in the test's process or as processes of its own, on real servers."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from sites import Site, World

from local_stack.servers import LocalServers


@pytest.fixture(scope="module")
def site(servers: LocalServers, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A fresh database and a fresh virtual host."""
    with Site.made(servers, request.module.__name__) as site:
        yield site


@pytest.fixture
def own_site(servers: LocalServers, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The same, for one test alone."""
    with Site.made(servers, request.module.__name__) as site:
        yield site


@pytest_asyncio.fixture(scope="module")
async def world(site: Site) -> AsyncIterator[World]:
    """The service, running in this process, and everything around it."""
    async with World.around(site) as world:
        yield world
