"""One pair of servers for all tests that do not end them."""

from collections.abc import Iterator

import pytest

from local_stack.servers import LocalServers
from shared_contracts.topology import SUBSCRIPTIONS


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    databases = ("ingestion", "package_service", "drone_scheduler", "delivery", "dead_letters")
    with LocalServers(tmp_path_factory.mktemp("servers"), databases=databases, subscriptions=SUBSCRIPTIONS) as servers:
        yield servers
