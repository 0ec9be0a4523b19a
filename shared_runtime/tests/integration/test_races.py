"""Transactions that get into each other's way are done again; a schema that changes stops nobody."""

import asyncio
from collections import Counter

import pytest
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries

from shared_runtime import held, inbox, relay
from shared_runtime.envelope import JSON, headers_of, utc_now
from shared_runtime.errors import TransientError
from shared_runtime.held import HeldMessage
from shared_runtime.messages import MAX_CRASHES
from shared_runtime.processor import Job, Source
from shared_runtime.testing import envelope_of, eventually, running


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


async def test_followers_do_not_overtake_a_message_that_another_process_is_about_to_hold(world: World) -> None:
    """A process that lost the broker finishes its batch while its successor has the same messages, and more."""
    session = a_session()
    first, second = (envelope_of(entry) for entry in entries(session, [1, 2]))
    async with world.database.acquire() as connection, connection.transaction():
        now = utc_now()
        await inbox.admit(connection, ENTRIES.name, [(first.id, 0)], [session], now)
        await world.send_batch(first, second)

        async def successor_waits() -> bool:
            return await world.database.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%inbox%'"
            )

        await eventually(successor_waits, interval_s=0.005)
        await held.insert(connection, [HeldMessage.of(ENTRIES.name, first, TransientError("not yet"), 0.0, now)])
    await world.has(session, 1, 2)


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


async def test_an_outage_during_attempts_that_are_counted_is_no_crash(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was delivered often, or is held, is handled under the suspicion that the process dies of it."""
    suspected, waiting = a_session(partition=3), a_session(partition=2)
    begun: Counter[str] = Counter()
    processor = world.service.processor
    transact = processor._transact

    async def count(jobs: list[Job], source: Source, patience_s: float) -> None:
        begun[type(source).__name__] += 1
        await transact(jobs, source, patience_s)

    monkeypatch.setattr(processor, "_transact", count)
    await world.send(Entry(session=waiting, number=1, how="transient 1"))

    async def is_held() -> bool:
        return len(await world.held(waiting)) == 1

    await eventually(is_held, interval_s=0.005)
    await world.database.execute("ALTER TABLE journal RENAME TO journal_later")
    try:
        suspect = envelope_of(Entry(session=suspected, number=1))
        await world.broker.publish_raw(
            str(ENTRIES.topic),
            f"{suspect.type}.3",
            bytes(suspect.data),
            JSON,
            headers_of(suspect) | {"x-delivery-count": 7},
        )

        async def are_tried_often() -> bool:
            # The lease keeps the held message from being tried again at once; nobody waits for it here.
            await world.database.execute("UPDATE held_message SET due_at = now() WHERE due_at > now()")
            return begun["SubscriptionSource"] > MAX_CRASHES + 1 and begun["HeldSource"] > MAX_CRASHES + 1

        await eventually(are_tried_often, interval_s=0.1, timeout_s=40)
    finally:
        await world.database.execute("ALTER TABLE journal_later RENAME TO journal")

    async def hurry() -> bool:
        await world.database.execute("UPDATE held_message SET due_at = now() WHERE due_at > now()")
        return not await world.held(waiting)

    await eventually(hurry)
    await world.has(suspected, 1)
    await world.has(waiting, 1)
    await nothing_failed(world)
    assert await world.database.fetchval("SELECT count(*) FROM crash_suspect") == 0


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
