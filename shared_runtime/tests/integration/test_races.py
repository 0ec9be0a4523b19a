"""Transactions that get into each other's way are done again; a schema that changes stops nobody."""

import asyncio

import pytest
from journal_service.messages import Entry
from sites import Site, World, a_session, entries

from shared_runtime import relay
from shared_runtime.testing import eventually, running


async def nothing_failed(world: World) -> None:
    assert await world.database.fetchval("SELECT count(*) FROM held_message") == 0
    assert world.dead_letters.letters == []


async def test_two_processes_that_insert_the_same_row_both_succeed(world: World, site: Site) -> None:
    """Both have seen that there is none, and only one can be right."""
    async with running(site.app()) as other:
        sessions = [a_session() for _ in range(8)]

        async def race(session: str) -> None:
            clients = [world.http, other]
            responses = await asyncio.gather(
                *(
                    client.post(f"/api/v1/journals/{session}", json={"number": number, "how": "sleep 0.1"})
                    for number, client in enumerate(clients)
                )
            )
            assert [response.status_code for response in responses] == [201, 201]

        for session in sessions:
            await race(session)
        for session in sessions:
            assert sorted(await world.numbers(session)) == ["0", "1"]


async def test_a_message_and_a_command_that_insert_the_same_row_both_succeed(world: World) -> None:
    session = a_session()
    message = world.send(Entry(session=session, number=1, how="sleep 0.1"))
    command = world.http.post(f"/api/v1/journals/{session}", json={"number": 2, "how": "sleep 0.1"})
    await asyncio.gather(message, command)

    async def both() -> bool:
        return sorted(await world.numbers(session)) == ["1", "2"]

    await eventually(both)
    await nothing_failed(world)


async def test_a_deadlock_is_tried_again(world: World) -> None:
    first, second = sorted([a_session(partition=1), a_session(partition=1)])
    await world.send(*entries(first, [1]), *entries(second, [1]))
    await world.has(first, 1)
    await world.has(second, 1)
    lock = "SELECT 1 FROM journal WHERE session = $1 FOR UPDATE"
    async with world.database.acquire() as connection, connection.transaction():
        # The service locks in the order of the keys, this one against it.
        await connection.execute(lock, second)
        await world.send_batch(*entries(first, [2]), *entries(second, [2]))

        async def service_waits() -> bool:
            return await world.database.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'"
            )

        await eventually(service_waits, interval_s=0.005)
        await connection.execute(lock, first)
    await world.has(first, 1, 2)
    await world.has(second, 1, 2)
    await nothing_failed(world)


async def test_a_table_that_changes_under_load_fails_no_message(world: World) -> None:
    session = a_session()
    await world.send(*entries(session, [1]))
    await world.has(session, 1)
    for number, kind in enumerate(["varchar(50)", "text"], 2):
        await world.database.execute(f"ALTER TABLE journal ALTER COLUMN when_due TYPE {kind}")
        await world.send(*entries(session, [number]))
        await world.has(session, *range(1, number + 1))
    await nothing_failed(world)


async def test_a_table_that_is_not_there_yet_keeps_messages_waiting(world: World) -> None:
    """As when a new version starts before the migration: every message would fail, and none is to blame."""
    session = a_session(partition=3)
    await world.database.execute("ALTER TABLE journal RENAME TO journal_later")
    try:
        await world.send(*entries(session, [1, 2]))

        async def says_so() -> bool:
            problems = (await world.http.get("/health/ready")).json()["problems"]
            return "UndefinedTableError" in problems.get("journal.delivery-requests.3", "")

        await eventually(says_so)
    finally:
        await world.database.execute("ALTER TABLE journal_later RENAME TO journal")
    await world.has(session, 1, 2)
    await nothing_failed(world)


async def test_a_transaction_that_fails_does_not_forget_what_was_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of confirmed messages are deleted with the next batch, also when that one is refused first."""
    monkeypatch.setattr(relay, "FLUSH_INTERVAL_S", 3600.0)
    monkeypatch.setattr(relay, "LEFT_BEHIND_AFTER_S", 3600.0)
    session = a_session()
    await world.send(*entries(session, range(5)))
    await world.has(session, *range(5))
    await world.send(Entry(session=a_session(), number=1, how="check"))

    async def is_empty() -> bool:
        await world.http.post(f"/api/v1/journals/{a_session()}", json={"number": 1})
        return await world.database.fetchval("SELECT count(*) FROM outbox") <= 1

    await eventually(is_empty)
    world.dead_letters.letters.clear()
