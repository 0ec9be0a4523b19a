"""The service's PostgreSQL: one small pool, and transactions whose outages are told apart from refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from shared_runtime.errors import outage_of

CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0


class Database:
    """Transactions on the service's own database."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, name: str, max_connections: int) -> "Database":
        """Connect. Raises OSError or asyncpg.PostgresError when the database is out of reach or refuses."""
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=max_connections,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            reset=_keep_session,
            server_settings={"application_name": name, "jit": "off"},
        )
        return cls(pool)

    async def close(self, timeout_s: float) -> None:
        """Give connections in use `timeout_s` seconds, then end them."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block and is rolled back when the block raises.

        Raises DatabaseUnavailable when the database is out of reach; then the commit may or may not have happened.
        """
        try:
            async with self.pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection, connection.transaction():
                yield cast("asyncpg.Connection", connection)
        except Exception as error:
            outage = outage_of(error)
            if outage is None:
                raise
            raise outage from error


async def _keep_session(connection: Any) -> None:
    """Nothing to reset: the runtime sets no session state, and the default reset costs a round trip each time."""
