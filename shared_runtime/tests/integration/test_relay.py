"""What is committed is published, in the order of each session, whatever the broker says to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from asyncpg.transaction import Transaction
from journal_service.messages import NOTES, Entry, Misdirected, Noted, Unheard
from sites import Site, World, a_session, entries, metric

from shared_contracts.topology import PARTITIONS
from shared_runtime import outbox, relay
from shared_runtime.envelope import utc_now
from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.outbox import pack
from shared_runtime.partition import partition_of
from shared_runtime.processor import Source
from shared_runtime.testing import eventually, running
from shared_runtime.unit_of_work import Publication

UNREACHABLE = "amqp://nobody:nothing@127.0.0.1:1/"


async def problems_of(world: World) -> dict[str, str]:
    problems: dict[str, str] = (await world.http.get("/health/ready")).json()["problems"]
    return problems


async def all_is_published(world: World) -> None:
    async def is_empty() -> bool:
        return await world.database.fetchval("SELECT count(*) FROM outbox") == 0

    await eventually(is_empty)


@asynccontextmanager
async def unbound(world: World, session: str) -> AsyncIterator[str]:
    """The listener's queue for the session gets nothing inside the block."""
    partition = partition_of(session, PARTITIONS)
    queue = await world.broker.channel.get_queue(NOTES.queue(partition), ensure=False)
    key = f"{Noted.message_type}.{partition}"
    await queue.unbind(str(NOTES.topic), key)
    yield f"{NOTES.topic}/{key}"
    await queue.bind(str(NOTES.topic), key)


async def test_rows_are_deleted_when_the_broker_has_confirmed(world: World) -> None:
    session = a_session()
    await world.send(*entries(session, range(5)))
    await world.has(session, *range(5))
    await all_is_published(world)


async def test_an_unroutable_message_is_kept_and_delivered_when_its_route_is_back(world: World) -> None:
    session, other = a_session(partition=0), a_session(partition=1)
    async with unbound(world, session) as route:
        await world.send(*entries(session, [1, 2]))

        async def says_so() -> bool:
            return route in (await problems_of(world)).get("routes", "")

        await eventually(says_so)
        await world.send(*entries(session, [3]), *entries(other, [1]))
        await world.has(other, 1)
        assert await world.heard(session) == []
        assert await world.database.fetchval("SELECT count(*) FROM outbox") >= 2
    await world.has(session, 1, 2, 3)
    await all_is_published(world)

    async def is_ready() -> bool:
        return not await problems_of(world)

    await eventually(is_ready)


async def test_what_follows_an_unroutable_message_in_its_session_waits_for_it(world: World) -> None:
    """Another type on the same exchange, whose route is open all the time."""
    session, other = a_session(partition=2), a_session(partition=2)
    # One batch, so that what the two sessions publish on the open route travels together.
    await world.send_batch(
        Entry(session=session, number=1, how="publish-unheard"), *entries(session, [2, 3]), *entries(other, [1])
    )
    await world.has(other, 1)

    async def is_refused() -> bool:
        return f"{NOTES.topic}/{Unheard.message_type}.2" in world.service.relay.refused_routes

    await eventually(is_refused)
    assert await world.heard(session) == [1], "the one before it is out"
    queue = await world.broker.channel.get_queue(NOTES.queue(2), ensure=False)
    await queue.bind(str(NOTES.topic), f"{Unheard.message_type}.2")

    async def everything() -> bool:
        return await world.heard(session) == [1, 1, 2, 3]

    await eventually(everything)
    types = [event.type for event in await world.noted.of_session(session)]
    assert types == [Noted.message_type, Unheard.message_type, Noted.message_type, Noted.message_type]
    await all_is_published(world)


async def test_an_exchange_that_is_missing_stops_nobody_else_while_memory_lasts(world: World) -> None:
    """The broker answers with the end of the channel, which takes everything down that is under way with it."""
    bad = [a_session() for _ in range(3)]
    others = [a_session() for _ in range(20)]
    await world.send(*(Entry(session=session, number=1, how="publish-nowhere") for session in bad))
    await world.send(*(Entry(session=session, number=1) for session in others))
    await asyncio.gather(*(world.has(session, 1) for session in [*others, *bad]))

    async def says_so() -> bool:
        return f"{Misdirected.topic}/{Misdirected.message_type}" in (await problems_of(world)).get("routes", "")

    await eventually(says_so)
    exchange = await world.broker.channel.declare_exchange(Misdirected.topic, "topic", durable=True)
    queue = await world.broker.channel.get_queue(NOTES.queue(0), ensure=False)
    await queue.bind(exchange, f"{Misdirected.message_type}.*")

    async def arrived() -> bool:
        heard = [await world.noted.of_session(session) for session in bad]
        return all([event.type for event in events].count(Misdirected.message_type) == 1 for events in heard)

    await eventually(arrived)
    await all_is_published(world)


async def test_a_process_says_that_refused_messages_fill_its_memory_and_loses_nothing(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the messages in the table may go before them is not known, so all of them wait."""
    monkeypatch.setattr(relay, "MAX_IN_MEMORY", 5)
    monkeypatch.setattr(relay, "SWEEP_INTERVAL_S", 0.1)
    session, other = a_session(partition=0), a_session(partition=1)
    stops_all = "nothing is published on any route: what waits for refused routes fills the memory"
    async with World.around(own_site) as world:

        async def add(to: str, number: int) -> None:
            answer = await world.http.post(f"/api/v1/journals/{to}", json={"number": number})
            assert answer.status_code == 201

        async def says_so() -> bool:
            return (await problems_of(world)).get("outbox") == stops_all

        async with unbound(world, session) as route:

            async def is_refused_again() -> bool:
                return metric("outbox_unroutable_total", exchange=NOTES.topic) >= refusals + 3

            for number in range(4):
                await add(session, number)
            refusals = metric("outbox_unroutable_total", exchange=NOTES.topic)
            await eventually(is_refused_again)
            problems = await problems_of(world)
            assert route in problems["routes"]
            assert "outbox" not in problems, "there is room for others"
            await add(other, 0)
            await world.has(other, 0)
            for number in range(4, 8):
                await add(session, number)
            await eventually(says_so)
            await add(other, 1)
            refusals = metric("outbox_unroutable_total", exchange=NOTES.topic)
            await eventually(is_refused_again)
            assert await says_so()
            assert (await world.heard(session), await world.heard(other)) == ([], [0])
        await world.has(session, *range(8))
        await world.has(other, 0, 1)
        await all_is_published(world)
        assert not await problems_of(world)


async def test_a_small_memory_changes_nothing_but_the_speed(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_IN_MEMORY", 5)
    monkeypatch.setattr(relay, "READ_LIMIT", 3)
    monkeypatch.setattr(relay, "MAX_ROUND", 2)
    sessions = [a_session() for _ in range(15)]
    async with World.around(own_site) as world:
        for first in range(0, 30, 3):
            await asyncio.gather(*(world.send(*entries(session, range(first, first + 3))) for session in sessions))
        await asyncio.gather(*(world.has(session, *range(30), timeout_s=30) for session in sessions))
        await all_is_published(world)


async def test_what_a_process_left_behind_goes_out_before_anything_new(own_site: Site) -> None:
    session = a_session()
    isolated = own_site.app(broker_url=UNREACHABLE, stop_timeout_s=1.0)
    async with running(isolated, wait_ready=False) as client:
        for number in range(20):
            response = await client.post(f"/api/v1/journals/{session}", json={"number": number})
            assert response.status_code == 201
        # It has no connection to the broker, and says so.
        problems = (await client.get("/health/ready")).json()["problems"]
        assert problems["publisher"] == "not connected to the broker"
        assert problems["consumers"].startswith("missing on ")
    async with World.around(own_site) as world:
        response = await world.http.post(f"/api/v1/journals/{session}", json={"number": 20})
        assert response.status_code == 201
        await world.has(session, *range(21))
        await all_is_published(world)


async def test_what_a_dead_process_left_behind_is_found_by_one_that_lives(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LEFT_BEHIND_AFTER_S", 0.5)
    monkeypatch.setattr(relay, "SWEEP_INTERVAL_S", 0.1)
    session = a_session()
    async with World.around(own_site) as world:
        isolated = own_site.app(broker_url=UNREACHABLE, stop_timeout_s=0.5)
        async with running(isolated, wait_ready=False) as client:
            for number in range(3):
                await client.post(f"/api/v1/journals/{session}", json={"number": number})
        await world.has(session, 0, 1, 2)
        await all_is_published(world)


async def test_nobody_overtakes_what_a_dead_process_has_committed(own_site: Site) -> None:
    """Its rows are newer than what the sweep looks for, and their ids come from a clock that was wrong."""
    sessions = [a_session() for _ in range(30)]
    async with World.around(own_site) as world:
        isolated = own_site.app(broker_url=UNREACHABLE, stop_timeout_s=0.5)
        async with running(isolated, wait_ready=False) as client:
            for number in (0, 1):
                for session in sessions:
                    await client.post(f"/api/v1/journals/{session}", json={"number": number})
        await world.database.execute("UPDATE outbox SET id = overlay(id::text PLACING 'ffffffff' FROM 1 FOR 8)::uuid")
        # Another session of the same service is published meanwhile, and does not have to wait.
        other = a_session()
        await world.send(*entries(other, [1]))
        await world.has(other, 1)
        assert await world.heard(sessions[0]) == []
        await asyncio.gather(*(world.send(*entries(session, [2])) for session in sessions))
        await asyncio.gather(*(world.has(session, 0, 1, 2) for session in sessions))
        await all_is_published(world)


async def test_two_living_processes_keep_the_order_of_a_session(own_site: Site) -> None:
    """Commands of both, in turn: each sees what the other has committed, and it need not be published yet."""
    sessions = [a_session() for _ in range(10)]
    async with World.around(own_site) as world, running(own_site.app()) as second:
        for number in range(20):
            client = (world.http, second)[number % 2]
            answers = await asyncio.gather(
                *(client.post(f"/api/v1/journals/{session}", json={"number": number}) for session in sessions)
            )
            assert {answer.status_code for answer in answers} == {201}
        await asyncio.gather(*(world.has(session, *range(20)) for session in sessions))
        await all_is_published(world)


async def test_what_was_left_behind_is_found_after_the_databases_clock_was_set_back(own_site: Site) -> None:
    sessions = [a_session() for _ in range(5)]
    async with World.around(own_site) as world:
        isolated = own_site.app(broker_url=UNREACHABLE, stop_timeout_s=0.5)
        async with running(isolated, wait_ready=False) as client:
            for session in sessions:
                await client.post(f"/api/v1/journals/{session}", json={"number": 1})
        await world.database.execute("UPDATE outbox SET created_at = created_at + interval '1 hour'")
        first, *rest = sessions
        await world.send(*entries(first, [2]))
        await world.has(first, 1, 2)
        await asyncio.gather(*(world.has(session, 1) for session in rest))
        await all_is_published(world)


async def test_what_stands_before_an_old_message_is_read_with_it(world: World) -> None:
    """The transaction of the second began first, and had to wait for the one of the first."""
    ages_s = [5, 11, 3]
    async with world.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO outbox (id, exchange, routing_key, properties, body, created_at) "
            "SELECT gen_random_uuid(), '', age_s::text, $2, '', now() - make_interval(secs => age_s) "
            "FROM unnest($1::integer[]) AS age_s",
            ages_s,
            '{"content_type": "application/json", "message_id": "1"}',
        )
        old = await outbox.oldest(connection, older_than_s=10, limit=10, but=())
        everything = await outbox.oldest(connection, older_than_s=0, limit=10, but=())
        await transaction.rollback()
    assert [message.routing_key for message in old] == ["5", "11"]
    assert [message.routing_key for message in everything] == ["5", "11", "3"]


@pytest.mark.parametrize("more", [0, 1])
async def test_what_many_messages_of_other_processes_are_about_is_not_asked(world: World, more: int) -> None:
    """It would take longer with every commit of an outage. They are taken to be of the same sessions."""
    async with world.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO outbox (id, owner, exchange, routing_key, properties, body, created_at) "
            "SELECT gen_random_uuid(), 1, '', '', '', '', now() FROM generate_series(1, $1)",
            outbox.MAX_OTHERS + more,
        )
        processor = world.service.processor
        note = processor.routed(Publication(Noted(session="s", number=1)), processor.envelope_for("n"), None, utc_now())
        assert await outbox.save(connection, [], pack([note]), owner=2) is bool(more)
        await transaction.rollback()


async def test_what_follows_a_commit_that_comes_after_all_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke, and the server still commits when the table has been looked through."""
    session = a_session()
    publisher, processor = world.service.relay, world.service.processor
    cause, late = processor.envelope_for("late"), Noted(session=session, number=1)
    events = pack([processor.routed(Publication(late), cause, None, utc_now())])
    async with world.database.acquire() as connection, connection.transaction():
        await outbox.save(connection, [], events, publisher.owner)
        transaction = world.service.database.transaction

        @asynccontextmanager
        async def breaks(*_: object) -> AsyncIterator[asyncpg.Connection]:
            monkeypatch.setattr(world.service.database, "transaction", transaction)
            raise DatabaseUnavailable("no answer")
            yield connection

        monkeypatch.setattr(world.service.database, "transaction", breaks)
        with pytest.raises(DatabaseUnavailable):
            await processor.run([], Source())

        async def has_looked() -> bool:
            return not publisher._is_behind

        await eventually(has_looked)
    await world.send(*entries(session, [2]))

    async def all_heard() -> bool:
        return len(await world.heard(session)) == 2

    await eventually(all_heard, timeout_s=30)
    assert await world.heard(session) == [1, 2]


async def test_commits_without_messages_do_not_keep_the_relay_at_the_table(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = outbox.oldest

    async def oldest_meanwhile(*arguments: Any, **options: Any) -> list[outbox.Outgoing]:
        publisher.enqueue([])
        return await oldest(*arguments, **options)

    async def has_looked() -> bool:
        return not publisher._is_behind

    publisher = world.service.relay
    monkeypatch.setattr(outbox, "oldest", oldest_meanwhile)
    publisher.look_for_leftovers()
    await eventually(has_looked)


async def test_a_commit_that_is_answered_late_is_not_overtaken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet was lost, of one connection, while the others of the same process go on."""
    session = a_session()
    is_answered = asyncio.Event()
    commit = Transaction.commit

    async def commit_with_late_answer(transaction: Transaction) -> None:
        query = "SELECT numbers FROM journal WHERE session = $1"
        has_saved = await transaction._connection.fetchval(query, session) == "1," and not await is_committed()
        await commit(transaction)
        if has_saved:
            await is_answered.wait()

    async def is_committed() -> bool:
        return await world.numbers(session) == ["1"]

    monkeypatch.setattr(Transaction, "commit", commit_with_late_answer)
    first = asyncio.create_task(world.http.post(f"/api/v1/journals/{session}", json={"number": 1}))
    await eventually(is_committed)
    await world.send(*entries(session, [2]))
    await world.has(session, 1, 2)
    is_answered.set()
    assert (await first).status_code == 201
    await world.has(session, 1, 2)
    await all_is_published(world)


async def test_a_lost_connection_costs_the_publisher_nothing_but_time(world: World) -> None:
    sessions = [a_session() for _ in range(10)]

    async def disturb() -> None:
        for _ in range(5):
            connection = world.service.relay._publisher._connection
            if connection is not None:
                await connection.close()
            await asyncio.sleep(0.1)

    disturbance = asyncio.create_task(disturb())
    for number in range(20):
        await asyncio.gather(*(world.send(Entry(session=session, number=number)) for session in sessions))
    await disturbance
    await asyncio.gather(*(world.has(session, *range(20)) for session in sessions))
    await all_is_published(world)
