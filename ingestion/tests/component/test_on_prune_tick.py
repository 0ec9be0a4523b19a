"""Idempotency keys are forgotten when they have expired, in batches."""

import asyncpg
import pytest

from ingestion import consumers
from ingestion.domain import limits
from ingestion.settings import Settings
from shared_runtime.testing import eventually

from .conftest import Owner
from .stories import new_delivery


async def answers_kept(owner: Owner, delivery_ids: list[str]) -> int:
    query = "SELECT count(*) FROM idempotent_answer WHERE delivery_id = ANY($1::uuid[])"
    return int(await owner.database.fetchval(query, delivery_ids))


async def submit_with_keys(owner: Owner, count: int) -> list[str]:
    answers = [await owner.send("POST", json=new_delivery(), key=f"order {n}".replace(" ", "-")) for n in range(count)]
    return [answer.json()["delivery_id"] for answer in answers]


async def test_expired_keys_are_forgotten_and_others_kept(owner: Owner) -> None:
    old, young = (delivery_ids := await submit_with_keys(owner, 4))[:3], delivery_ids[3:]
    await owner.database.execute(
        "UPDATE idempotent_answer SET expires_at = now() WHERE delivery_id = ANY($1::uuid[])", old
    )

    async def are_gone() -> bool:
        return await answers_kept(owner, old) == 0

    await eventually(are_gone)
    assert await answers_kept(owner, young) == 1


async def test_a_batch_at_most_is_forgotten_at_a_time(
    owner: Owner, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_ids = await submit_with_keys(owner, 3)
    monkeypatch.setattr(limits, "PRUNE_BATCH_ROWS", 2)
    connection = await asyncpg.connect(settings.database_url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "UPDATE idempotent_answer SET expires_at = now() - interval '1 day' WHERE delivery_id = ANY($1::uuid[])",
            delivery_ids,
        )
        await consumers.forget_expired_answers(connection, [])
        query = "SELECT count(*) FROM idempotent_answer WHERE delivery_id = ANY($1::uuid[])"
        assert await connection.fetchval(query, delivery_ids) == 1
    finally:
        await transaction.rollback()
        await connection.close()


async def test_a_key_in_use_is_passed_over(owner: Owner, settings: Settings) -> None:
    (delivery_id,) = await submit_with_keys(owner, 1)
    in_use, pruning = await asyncpg.connect(settings.database_url), await asyncpg.connect(settings.database_url)
    transaction = in_use.transaction()
    await transaction.start()
    try:
        await in_use.execute("SELECT 1 FROM idempotent_answer WHERE delivery_id = $1 FOR UPDATE", delivery_id)
        async with pruning.transaction():
            await consumers.forget_expired_answers(pruning, [])
        assert await answers_kept(owner, [delivery_id]) == 1
    finally:
        await transaction.rollback()
        await in_use.close()
        await pruning.close()
