"""Reads through SQLAlchemy: a pool of their own, so that a slow query never holds up messages."""

import asyncio
from functools import partial

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared_runtime.settings import ServiceSettings

CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 10.0
POOL_SIZE = 4
POOL_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0


def open_engine(settings: ServiceSettings) -> AsyncEngine:
    """An engine that connects as the runtime does, so that a URL means the same for both."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=partial(
            asyncpg.connect, settings.database_url, timeout=CONNECT_TIMEOUT_S, command_timeout=STATEMENT_TIMEOUT_S
        ),
        pool_size=POOL_SIZE,
        max_overflow=max(0, settings.database_connections - POOL_SIZE),
        pool_timeout=POOL_TIMEOUT_S,
    )


async def close_engine(engine: AsyncEngine) -> None:
    """Close its connections, those to a server that does not answer by force."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await engine.dispose()
    except TimeoutError:
        await engine.dispose(close=False)
