"""A lane that loses its queue, its channel or its connection finds back, and does not disturb the others."""

import asyncio

import aio_pika
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries

from shared_contracts.topology import PARTITIONS
from shared_runtime.envelope import headers_of
from shared_runtime.testing import envelope_of, eventually, running


async def consumers_of(world: World, queue: str) -> int:
    declared = await world.broker.channel.declare_queue(queue, passive=True)
    return declared.declaration_result.consumer_count or 0


async def readiness(world: World) -> dict[str, str]:
    problems: dict[str, str] = (await world.http.get("/health/ready")).json()["problems"]
    return problems


async def test_every_partition_has_its_consumer(world: World) -> None:
    assert [await consumers_of(world, queue) for queue in ENTRIES.queues] == [1] * PARTITIONS
    response = await world.http.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"ready": True, "problems": {}})


async def test_a_deleted_queue_is_consumed_again_when_it_is_back(world: World, site: Site) -> None:
    queue, other = ENTRIES.queue(0), a_session(partition=1)
    lanes = world.service.subscriber.lanes
    channels = [lane._channel for lane in lanes]
    await world.broker.channel.queue_delete(queue)

    async def says_so() -> bool:
        return (await readiness(world)).get("consumers") == f"missing on {queue}"

    await eventually(says_so)
    assert (await world.http.get("/health/ready")).status_code == 503
    # The others go on, on the channels that they had.
    await world.send(*entries(other, [1]))
    await world.has(other, 1)
    assert [lane._channel for lane in lanes[1:]] == channels[1:]

    site.servers.create_vhost(site.name, (ENTRIES,))

    async def recovers() -> bool:
        return not await readiness(world)

    await eventually(recovers)
    session = a_session(partition=0)
    await world.send(*entries(session, [1, 2]))
    await world.has(session, 1, 2)
    assert await consumers_of(world, queue) == 1


async def test_a_service_starts_while_one_of_its_queues_is_missing(site: Site) -> None:
    with Site.made(site.servers, "incomplete") as incomplete:
        async with World.around(incomplete, runs=False) as outside:
            await outside.broker.channel.queue_delete(ENTRIES.queue(2))
            async with running(incomplete.app(), wait_ready=False) as client:
                session = a_session(partition=3)
                await outside.send(*entries(session, [1]))
                await outside.has(session, 1)
                assert (await client.get("/health/ready")).status_code == 503


async def test_a_lost_connection_is_opened_again_and_nothing_is_lost(world: World) -> None:
    session = a_session(partition=2)
    await world.send(*entries(session, range(5), how="sleep 0.05"))
    connection = world.service.subscriber._connection
    assert connection is not None
    await connection.close()
    await world.send(*entries(session, range(5, 10)))
    await world.has(session, *range(10))


async def test_a_cancelled_error_from_a_library_loses_nothing(world: World) -> None:
    """aiormq and asyncpg end what waits for a broken connection as if it had been cancelled."""
    session = a_session(partition=3)
    lane = world.service.subscriber.lanes[3]
    process, calls = lane._processor.process, 0

    async def process_later(received: list) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        await process(received)

    lane._processor.process = process_later  # type: ignore[method-assign, assignment]
    try:
        await world.send(*entries(session, [1]))
        await world.send(*entries(session, [2]))
        await world.has(session, 1, 2)
    finally:
        lane._processor.process = process  # type: ignore[method-assign]
    assert calls >= 2


async def test_a_worker_that_is_started_again_has_not_forgotten_its_batch(world: World) -> None:
    """Else the acknowledgement of the next batch would acknowledge the forgotten one, too."""
    session = a_session(partition=3)
    lane = world.service.subscriber.lanes[3]
    acknowledge = lane._acknowledge

    async def fail_once(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        lane._acknowledge = acknowledge  # type: ignore[method-assign]
        raise AssertionError("a bug in the runtime")

    lane._acknowledge = fail_once  # type: ignore[method-assign]
    await world.send(*entries(session, [1]))
    await world.send(*entries(session, [2]))
    await world.has(session, 1, 2)

    async def is_acknowledged() -> bool:
        return await world.broker.depth(lane.queue) == 0 and not lane._in_hand

    await eventually(is_acknowledged)


async def test_a_batch_that_keeps_failing_stays_in_hand_and_says_so(world: World) -> None:
    session = a_session(partition=1)
    lane = world.service.subscriber.lanes[1]
    admit = lane._processor._messages._source.admit

    async def broken(*_arguments: object) -> list:
        raise AssertionError("a bug in the runtime")

    lane._processor._messages._source.admit = broken  # type: ignore[method-assign, assignment]
    try:
        await world.send(*entries(session, [1, 2]))

        async def says_so() -> bool:
            return (await readiness(world)).get(lane.queue) == "AssertionError: a bug in the runtime"

        await eventually(says_so)
        # A new connection delivers it again, behind the one in hand.
        connection = world.service.subscriber._connection
        assert connection is not None
        await connection.close()

        async def is_attached() -> bool:
            return lane.is_attached

        await eventually(is_attached)
    finally:
        lane._processor._messages._source.admit = admit  # type: ignore[method-assign]
    await world.send(*entries(session, [3]))
    await world.has(session, 1, 2, 3)
    assert lane.queue not in await readiness(world)


async def test_a_message_delivered_often_is_handled_alone_and_well(world: World) -> None:
    """The count is the broker's; neighbours of a message that ends processes have it, too."""
    session = a_session(partition=0)
    suspects = [envelope_of(Entry(session=session, number=number)) for number in (1, 2)]
    for envelope, header in zip(suspects, ["x-delivery-count", "x-acquired-count"], strict=True):
        headers = headers_of(envelope) | {header: 7}
        await world.broker.publish_raw(
            str(ENTRIES.topic), f"{envelope.type}.0", bytes(envelope.data), "application/json", headers
        )
    await world.send(*entries(session, [3]))
    await world.has(session, 1, 2, 3)
    assert await world.database.fetchval("SELECT count(*) FROM crash_suspect") == 0
