"""The servers in containers do for component tests what the local ones do.

The name keeps pytest from finding it unless it is asked for by name.
"""

from collections.abc import Iterator

import asyncpg
import pytest

from local_stack.containers import ContainerServers
from local_stack.errors import StackError


@pytest.fixture(scope="module")
def servers() -> Iterator[ContainerServers]:
    with ContainerServers() as servers:
        yield servers


async def test_database_that_exists_is_kept(servers: ContainerServers) -> None:
    url = servers.create_database("kept")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE something (id int)")
    await connection.close()

    assert servers.create_database("kept") == url
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM something") == 0
    await connection.close()


def test_database_that_cannot_be_is_told_in_the_words_of_the_server(servers: ContainerServers) -> None:
    with pytest.raises(StackError, match='role name "pg_own" is reserved'):
        servers.create_database("pg_own")
