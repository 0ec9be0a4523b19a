"""The tables that the migrations make are those that the rows describe."""

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from ingestion.settings import Settings
from ingestion.tables import (
    CancellationRow,
    DeliveryProgressRow,
    DeliveryRequestRow,
    IdempotentAnswerRow,
    RescheduleRow,
)
from shared_runtime.migrate import migrate

ROWS: list[type[SQLModel]] = [
    CancellationRow,
    DeliveryProgressRow,
    DeliveryRequestRow,
    IdempotentAnswerRow,
    RescheduleRow,
]


def described(row: type[SQLModel]) -> Iterator[tuple[str, str, bool]]:
    """Name, type and whether it may be null, of each column."""
    table: Table = row.__table__  # type: ignore[attr-defined]
    names = {"FLOAT": "double precision", "VARCHAR": "text"}
    for column in table.columns:
        kind = column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
        yield column.name, names.get(kind, kind.lower()), bool(column.nullable)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_columns_are_the_same_when_migrated(row: type[SQLModel], database: asyncpg.Connection) -> None:
    records = await database.fetch(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns WHERE table_name = $1",
        row.__tablename__,
    )

    assert {tuple(record) for record in records} == set(described(row))


def test_nothing_changes_when_migrated_twice(settings: Settings) -> None:
    migrate("ingestion", settings.database_url)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT 1 FROM delivery_request WHERE owner_id = 'a' AND delivery_id < gen_random_uuid() "
            "ORDER BY delivery_id DESC LIMIT 51",
            "delivery_request_by_owner",
        ),
        (
            "SELECT delivery_id FROM delivery_progress WHERE due_at <= now() ORDER BY due_at LIMIT 200",
            "delivery_progress_due",
        ),
        (
            "SELECT key FROM idempotent_answer WHERE expires_at <= now() ORDER BY expires_at LIMIT 5000",
            "idempotent_answer_by_expiry",
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
