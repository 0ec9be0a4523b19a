"""The tables that the migrations make are those that the rows describe, and their indexes serve what is asked."""

from collections.abc import Iterator

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from drone_scheduler.settings import Settings
from drone_scheduler.tables import BookingRow, DroneRow
from local_stack.servers import LocalServers
from shared_runtime.migrate import config_for, migrate

COMPUTED = {("position", "point", False), ("usable_range_m", "double precision", False)}
"""What the database computes of a drone, for the search."""


def described(row: type[SQLModel]) -> Iterator[tuple[str, str, bool]]:
    """Name, type and whether it may be null, of each column."""
    table: Table = row.__table__  # type: ignore[attr-defined]
    names = {"FLOAT": "double precision", "VARCHAR": "text"}
    for column in table.columns:
        kind = column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
        yield column.name, names.get(kind, kind.lower()), bool(column.nullable)


@pytest.mark.parametrize("row", [BookingRow, DroneRow], ids=lambda row: row.__name__)
async def test_columns_are_the_same_when_migrated(row: type[SQLModel], database: asyncpg.Connection) -> None:
    records = await database.fetch(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns WHERE table_name = $1",
        row.__tablename__,
    )
    assert {tuple(record) for record in records} - COMPUTED == set(described(row))


def test_nothing_changes_when_migrated_twice(settings: Settings) -> None:
    migrate("drone_scheduler", settings.database_url)


@pytest.fixture
def url_there_and_back(servers: LocalServers) -> str:
    """A database that was migrated, and migrated back."""
    url = servers.create_database("drone_scheduler_and_back")
    migrate("drone_scheduler", url)
    command.downgrade(config_for("drone_scheduler", url), "base")
    return url


async def test_nothing_is_left_when_taken_back(url_there_and_back: str) -> None:
    connection = await asyncpg.connect(url_there_and_back)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    functions = await connection.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    await connection.close()
    assert [name for (name,) in tables] == ["alembic_version"]
    assert functions == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT delivery_id FROM booking WHERE due_at <= now() ORDER BY due_at LIMIT 200", "booking_due"),
        (
            "SELECT delivery_id FROM booking WHERE status = 'Waiting' "
            "ORDER BY (NOT expedited), requested_at, delivery_id LIMIT 64",
            "booking_line",
        ),
        (
            "SELECT delivery_id FROM booking WHERE drone_id = gen_random_uuid() AND status IN ('Booked', 'InFlight')",
            "booking_holds_drone_alone",
        ),
        (
            "SELECT delivery_id FROM booking WHERE status = 'Refused' ORDER BY delivery_id LIMIT 101",
            "booking_not_flown",
        ),
        (
            "SELECT count(*), sum(flown_distance_m), sum(flown_duration_s) FROM booking "
            "WHERE owner_id = 'a' AND ended_at >= now() AND ended_at < now() AND flown_distance_m IS NOT NULL",
            "Index Only Scan using booking_flown",
        ),
    ],
)
async def test_queries_use_their_index_when_tables_are_large(
    query: str, index: str, database: asyncpg.Connection
) -> None:
    async with database.transaction():
        # The tables of a test are too small for an index to pay.
        await database.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
        )
        plan = "\n".join(record[0] for record in await database.fetch(f"EXPLAIN {query}"))
    assert index in plan
