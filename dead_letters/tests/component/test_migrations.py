"""The tables that the migration makes are those that the rows describe, and questions find their index."""

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from dead_letters import tables
from shared_runtime.migrate import migrate

ROWS = [one for one in vars(tables).values() if getattr(one, "__tablename__", "") and one is not SQLModel]
ONLY_IN_THE_DATABASE = {"failure_text", "changed_in"}


@pytest.fixture(autouse=True)
def migrated(places) -> None:
    """Again for every test, which changes nothing."""
    migrate("dead_letters", places.database_url)


def described(row: type[SQLModel]) -> Iterator[tuple[str, str, bool]]:
    """Name, type and whether it may be null, of each column."""
    table: Table = row.__table__  # type: ignore[attr-defined]
    for column in table.columns:
        kind = column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
        yield column.name, kind.lower(), bool(column.nullable)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
async def test_columns_are_those_of_the_row(row: type[SQLModel], database: asyncpg.Connection) -> None:
    records = await database.fetch(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns WHERE table_name = $1",
        row.__tablename__,
    )
    found = {tuple(record) for record in records if record[0] not in ONLY_IN_THE_DATABASE}

    assert found == set(described(row))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("state = 'open'", "dead_letter_by_state"),
        ("service = 'x'", "dead_letter_by_service"),
        ("subscription = 'x'", "dead_letter_by_subscription"),
        ("reason = 'x'", "dead_letter_by_reason"),
        ("message_type = 'x'", "dead_letter_by_type"),
        ("fingerprint = 'x'", "dead_letter_by_group"),
        ("last_failed_at > now()", "dead_letter_by_failure"),
    ],
)
async def test_a_filter_finds_its_index_in_the_order_of_the_list(
    query: str, index: str, database: asyncpg.Connection
) -> None:
    async with database.transaction():
        # The tables of a test are too small for an index to pay.
        await database.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
        )
        plan = await database.fetch(
            f"EXPLAIN SELECT 1 FROM dead_letter WHERE {query} "  # noqa: S608
            "ORDER BY last_failed_at DESC, dead_letter_id DESC LIMIT 51"
        )
    assert index in "\n".join(record[0] for record in plan)
