"""Servers and processes die while dead letters arrive: each is stored once, and every answer is counted once.

These tests end servers, so they have their own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import asyncpg
import httpx
import pytest
from dead_letter_examples import REQUESTS, Sender, an_event, letter_id
from dead_letter_processes import SUPPORT, make_app

from local_stack.part import Part
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.envelope import Envelope
from shared_runtime.migrate import migrate
from shared_runtime.testing import PARTITIONS, Broker, Mailbox, eventually, running

LETTERS = 300


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Servers that may be ended."""
    folder = tmp_path_factory.mktemp("mortal")
    with LocalServers(folder, databases=("dead_letters",), subscriptions=SUBSCRIPTIONS) as servers:
        migrate("dead_letters", servers.database_url("dead_letters"))
        yield servers


@dataclass(frozen=True)
class Addresses:
    """Where the mortal servers are."""

    database_url: str
    broker_url: str


@pytest.fixture
def addresses(mortal: LocalServers) -> Addresses:
    return Addresses(mortal.database_url("dead_letters"), mortal.broker_url("admin"))


async def fail_all(events: list[Envelope], url: str) -> None:
    """Dead-letter each until the broker has confirmed it: perhaps twice, as a relay does."""
    to_send = list(events)
    while to_send:
        with suppress(Exception):
            async with Broker.connected(url) as broker:
                sender = Sender(broker)
                while to_send:
                    await asyncio.wait_for(sender.fail(to_send[0]), 5)
                    del to_send[0]
        await asyncio.sleep(0.05)


async def stored(url: str) -> int:
    """How many dead letters are in the database, which may be away."""
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(url, timeout=3)
        try:
            return await connection.fetchval("SELECT count(*) FROM dead_letter")
        finally:
            await connection.close()
    return 0


async def survives(addresses: Addresses, disturb: Callable[[], Awaitable[None]]) -> None:
    """All dead letters are stored once although `disturb` happens in the middle of it."""
    events = [an_event() for _ in range(LETTERS)]
    before = await stored(addresses.database_url)
    sending = asyncio.create_task(fail_all(events, addresses.broker_url))

    async def is_under_way() -> bool:
        return await stored(addresses.database_url) > before + 20

    await eventually(is_under_way)
    await disturb()
    await asyncio.wait_for(sending, 60)

    async def all_stored() -> bool:
        return await stored(addresses.database_url) == before + LETTERS

    await eventually(all_stored, timeout_s=30)
    connection = await asyncpg.connect(addresses.database_url)
    ids = [letter_id(event) for event in events]
    failures = await connection.fetch(
        "SELECT failures, (SELECT count(*) FROM version v WHERE v.dead_letter_id = d.dead_letter_id), "
        "(SELECT count(*) FROM original o WHERE o.dead_letter_id = d.dead_letter_id) "
        "FROM dead_letter d WHERE dead_letter_id = ANY($1)",
        ids,
    )
    counted = await connection.fetchval("SELECT count(*) FROM failure WHERE dead_letter_id = ANY($1)", ids)
    await connection.close()
    assert len(failures) == LETTERS
    assert {tuple(one)[1:] for one in failures} == {(1, 1)}
    # One that was published twice has two identifiers, and each of those is counted once.
    assert sum(one[0] for one in failures) == counted
    await is_empty(addresses)


async def is_empty(addresses: Addresses) -> None:
    async with Broker.connected(addresses.broker_url) as broker:

        async def look() -> bool:
            return await broker.depth(REQUESTS.dead_letter_queue) == 0

        await eventually(look)


@asynccontextmanager
async def one_process(addresses: Addresses) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(addresses)) as client:
        client.headers.update(SUPPORT)
        yield client


async def again(part: Part, *, pause_s: float) -> None:
    """Kill it, and start it again a little later."""
    part.kill()
    await asyncio.sleep(pause_s)
    await asyncio.to_thread(part.start)


@pytest.mark.parametrize("name", ["postgres", "rabbitmq"])
async def test_nothing_is_lost_or_doubled_when_a_server_dies(mortal, addresses, name) -> None:
    async with one_process(addresses) as client:
        await survives(addresses, lambda: again(getattr(mortal, name), pause_s=1.0))

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await eventually(is_ready, timeout_s=30)


async def test_nothing_is_lost_or_doubled_when_the_process_is_killed_again_and_again(mortal, addresses) -> None:
    process = ServiceProcess(mortal, Service("dead_letters"))
    await asyncio.to_thread(process.start)
    try:

        async def kill_often() -> None:
            for _ in range(3):
                await again(process, pause_s=0.1)

        await survives(addresses, kill_often)
    finally:
        await asyncio.to_thread(process.stop)


async def test_each_is_replayed_once_when_the_process_is_killed_in_the_middle_of_a_bulk_replay(
    mortal, addresses
) -> None:
    events = [an_event() for _ in range(60)]
    process = ServiceProcess(mortal, Service("dead_letters"))
    await asyncio.to_thread(process.start)
    async with (
        Broker.connected(addresses.broker_url) as broker,
        httpx.AsyncClient(base_url=process.base_url, headers=SUPPORT, timeout=10) as client,
    ):
        try:
            mailbox = await Mailbox.of(broker, [REQUESTS.queue(partition) for partition in range(PARTITIONS)])
            sender = Sender(broker)
            ids = [await sender.fail(event) for event in events]

            async def all_known() -> bool:
                dry_run = {"ids": [str(one) for one in ids], "why": "look first", "dry_run": True}
                answer = await client.post("/api/v1/bulkreplays", json=dry_run)
                return answer.status_code == 200 and answer.json()["selected"] == len(ids)

            await eventually(all_known)
            order = {"ids": [str(one) for one in ids], "why": "try again", "canary": 0, "rate_per_s": 20}
            bulk = (await client.post("/api/v1/bulkreplays", json=order)).json()

            async def sent(number: int) -> bool:
                return len(mailbox.events) >= number

            for number in (10, 30):
                await eventually(partial(sent, number))
                await again(process, pause_s=0.1)

            answered: set[object] = set()

            async def is_finished() -> bool:
                for replay in [one for one in mailbox.events if one.id not in answered]:
                    answered.add(replay.id)
                    await sender.answer(replay)
                found = (await client.get(f"/api/v1/bulkreplays/{bulk['bulk_replay_id']}")).json()
                return found["state"] == "finished" and found["handled"] == len(ids)

            await eventually(is_finished, timeout_s=30)
            # The mailbox counts an event once per epoch, as an inbox does.
            assert sorted(one.id for one in mailbox.events) == sorted(event.id for event in events)
            assert {one.attempt_epoch for one in mailbox.events} == {1}
        finally:
            await asyncio.to_thread(process.stop)


async def test_who_follows_the_changes_does_not_delay_the_stop(mortal) -> None:
    process = ServiceProcess(mortal, Service("dead_letters"))
    await asyncio.to_thread(process.start)
    clock = asyncio.get_running_loop()
    async with httpx.AsyncClient(base_url=process.base_url, headers=SUPPORT, timeout=15) as client:
        try:
            async with client.stream("GET", "/api/v1/deadletters/live") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "event: ready"
                begin = clock.time()
                stopping = asyncio.create_task(asyncio.to_thread(process.stop))
                # It ends in order, and not because the connection is cut off.
                assert [line async for line in lines][-1] == ""
                ended = clock.time()
        finally:
            await stopping
    # The server cuts off after five seconds what has not ended by itself.
    assert ended - begin < 4


async def test_what_arrives_while_the_service_is_down_is_taken_in_later(addresses) -> None:
    events = [an_event() for _ in range(20)]
    await fail_all(events, addresses.broker_url)
    async with one_process(addresses) as client:
        for event in events:

            async def is_known(event: Envelope = event) -> bool:
                return (await client.get(f"/api/v1/deadletters/{letter_id(event)}")).status_code == 200

            await eventually(is_known)
