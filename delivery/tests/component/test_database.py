"""The migration makes the tables that the code expects, and the tables hold the guarantees that the code relies on."""

import asyncpg
import pytest
from delivery_journeys import Journey

from delivery.tables import DELIVERIES, NOTIFY_ME_REQUESTS, TRACKING_EVENTS


@pytest.mark.parametrize("store", [DELIVERIES, TRACKING_EVENTS, NOTIFY_ME_REQUESTS], ids=lambda one: one.table.name)
async def test_migration_makes_the_columns_that_the_code_expects(world, store) -> None:
    records = await world.database.fetch(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = $1",
        store.table.name,
    )
    made = {record["column_name"]: (record["data_type"], record["is_nullable"] == "YES") for record in records}
    types = {
        "UUID": "uuid",
        "Uuid": "uuid",
        "TEXT": "text",
        "Text": "text",
        "Enum": "text",
        "Float": "double precision",
        "Integer": "integer",
        "Boolean": "boolean",
        "DateTime": "timestamp with time zone",
    }
    expected = {
        column.name: (types[type(column.type).__name__], bool(column.nullable)) for column in store.table.columns
    }
    assert made == expected


async def test_an_end_cannot_be_overwritten(world) -> None:
    journey = Journey()
    await world.tells(journey.cancellation())
    change = "UPDATE delivery SET stage = 'Failed', failure_reason = 'request_expired' WHERE delivery_id = $1"
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await world.database.execute(change, journey.delivery_id)
    assert (await world.row(journey.delivery_id))["stage"] == "Cancelled"


async def test_nothing_waits_for_ever(world) -> None:
    journey = Journey()
    await world.tells(journey.package_ready())
    with pytest.raises(asyncpg.CheckViolationError):
        await world.database.execute("UPDATE delivery SET due_at = NULL WHERE delivery_id = $1", journey.delivery_id)
