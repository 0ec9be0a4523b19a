"""Migrations keep what is there, forward and back."""

import asyncio

import asyncpg
import pytest
from alembic import command

from local_stack.servers import LocalServers
from shared_runtime.migrate import config_for, migrate

LINE = (
    "INSERT INTO tracking_event (delivery_id, sequence, kind, stage, occurred_at, detail) "
    "VALUES ('00000000-0000-0000-0000-000000000001', $1, 'StageEntered', 'Created', now(), '')"
)
OLD_LINE = (
    "INSERT INTO tracking_event (event_id, delivery_id, sequence, kind, stage, occurred_at, detail) "
    "VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', $1, 'StageEntered', 'Created', now(), '')"
)


@pytest.fixture
def url(servers: LocalServers) -> str:
    """A database that was migrated, for one test."""
    url: str = servers.create_database("delivery_and_back")
    migrate("delivery", url)
    return url


async def test_the_history_is_kept_there_and_back(url: str) -> None:
    config = config_for("delivery", url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(LINE, 1)
        await asyncio.to_thread(command.downgrade, config, "0003")
        await connection.execute(OLD_LINE, 2)
        await asyncio.to_thread(command.upgrade, config, "head")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(LINE, 1)
        kept = await connection.fetch("SELECT sequence FROM tracking_event ORDER BY sequence")
    finally:
        await connection.close()
    assert [sequence for (sequence,) in kept] == [1, 2]


async def test_nothing_is_left_when_taken_back(url: str) -> None:
    await asyncio.to_thread(command.downgrade, config_for("delivery", url), "base")
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        functions = await connection.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    finally:
        await connection.close()
    assert [name for (name,) in tables] == ["alembic_version"]
    assert functions == []
