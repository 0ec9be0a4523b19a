"""The order of a session holds under load, through retries, and when processes come and go."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import asyncpg
import pytest
from journal_service.messages import Entry
from sites import Site, World, a_session, entries

from shared_contracts.topology import PARTITIONS
from shared_runtime.partition import partition_of
from shared_runtime.relay import Relay
from shared_runtime.testing import eventually, running

SESSIONS = 300
PER_SESSION = 12


def seeded(seed: int) -> Random:
    """The same mixture whenever the test runs."""
    return Random(seed)  # noqa: S311 - nothing secret


async def flood(world: World, chance: Random, mishaps: float, sessions: int = SESSIONS) -> dict[str, list[int]]:
    """Send all sessions' messages, interleaved, plain and in batches mixed. Returns what is to be handled, in order."""
    expected = {a_session(): list(range(PER_SESSION)) for _ in range(sessions)}
    lanes: dict[int, list[Entry]] = defaultdict(list)
    for number in range(PER_SESSION):
        for session in chance.sample(list(expected), len(expected)):
            how = chance.choice(["transient 1", "raise 1", "refuse"]) if chance.random() < mishaps else ""
            lanes[partition_of(session, PARTITIONS)].append(Entry(session=session, number=number, how=how))
            if how == "refuse":
                expected[session].remove(number)

    async def fill(entries: list[Entry]) -> None:
        while entries:
            size = chance.choice([1, 1, 1, 2, 10, 50])
            now, entries = entries[:size], entries[size:]
            if size == 1 and chance.random() < 0.5:
                await world.send(*now)
            else:
                await world.send_batch(*now)

    await asyncio.gather(*map(fill, lanes.values()))
    return expected


async def is_in_order(world: World, expected: dict[str, list[int]], timeout_s: float = 40) -> None:
    async def recorded() -> dict[str, list[int]]:
        rows = await world.database.fetch(
            "SELECT session, numbers FROM journal WHERE session = ANY($1::text[])", list(expected)
        )
        return {row["session"]: [int(number) for number in row["numbers"].split(",")[:-1]] for row in rows}

    async def all_are_there() -> bool:
        return sum(map(len, (await recorded()).values())) >= sum(map(len, expected.values()))

    async def all_were_heard() -> bool:
        heard = await asyncio.gather(*map(world.heard, expected))
        return sum(map(len, heard)) >= sum(map(len, expected.values()))

    await eventually(all_are_there, timeout_s=timeout_s)
    assert await recorded() == {session: numbers for session, numbers in expected.items() if numbers}
    await eventually(all_were_heard, timeout_s=timeout_s)
    assert {session: await world.heard(session) for session in expected} == expected


async def test_every_session_is_handled_in_its_order(world: World) -> None:
    await is_in_order(world, await flood(world, seeded(1), mishaps=0))


async def test_the_order_survives_retries_and_refusals(world: World) -> None:
    async with world.patient_support():
        await is_in_order(world, await flood(world, seeded(2), mishaps=0.03))


async def test_a_hot_session_does_not_stop_the_others(world: World) -> None:
    hot, other = a_session(partition=1), a_session(partition=2)
    await world.send_batch(*(Entry(session=hot, number=number, how="sleep 0.01") for number in range(200)))
    await world.send(Entry(session=other, number=1))
    await world.has(other, 1)
    assert len(await world.numbers(hot)) < 200
    await world.has(hot, *range(200))


async def test_the_order_survives_processes_that_come_and_go(world: World, site: Site) -> None:
    """What one process has in hand when it stops is not overtaken by what the next one gets."""
    chance = seeded(3)
    stop = asyncio.Event()

    async def come_and_go() -> int:
        times = 0
        while not stop.is_set():
            async with running(site.app()):
                await asyncio.sleep(chance.uniform(0.05, 0.3))
            times += 1
        return times

    async with world.patient_support(), asyncio.TaskGroup() as replicas:
        others = [replicas.create_task(come_and_go()) for _ in range(2)]
        expected = await flood(world, chance, mishaps=0.01)
        # The one that is always there gives its partitions away, too: else it would keep them all.
        for lane in world.service.subscriber.lanes:
            await lane.close_channel()
            await asyncio.sleep(0.3)
        await is_in_order(world, expected)
        stop.set()
    assert sum(other.result() for other in others) >= 2


async def test_a_process_that_stops_is_not_overtaken_by_its_successor(own_site: Site) -> None:
    """It has taken one message, and the broker has handed it more, when it is told to stop."""
    async with World.around(own_site, runs=False) as world, AsyncExitStack() as successor:
        session = a_session(partition=0)
        async with running(own_site.app()):
            await world.send(Entry(session=session, number=0, how="sleep 0.5"))
            await world.is_in_hand()
            await world.send(*(Entry(session=session, number=number) for number in range(1, 60)))
            await successor.enter_async_context(running(own_site.app()))
        await world.has(session, *range(60))


async def test_a_slow_release_of_a_connection_lets_nobody_overtake(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many queries asyncpg replaces a connection when it is given back, which takes a moment."""
    session = a_session()
    is_committed, may_go_on = asyncio.Event(), asyncio.Event()
    release = asyncpg.Pool.release

    async def release_late(pool: asyncpg.Pool, connection: Any) -> None:
        task = asyncio.current_task()
        # A partition that stays on its own commits in the task of its lane.
        is_transaction = task is not None and task.get_name().startswith(("group commit", "lane"))
        if is_transaction and pool is not world.database and await world.numbers(session) == ["1"]:
            is_committed.set()
            await may_go_on.wait()
        await release(pool, connection)

    # Else the later one would wait for an earlier one that is handed over too late, and nobody would see that it is.
    # test_a_commit_that_is_answered_late_is_not_overtaken holds that.
    monkeypatch.setattr(Relay, "_may_overtake", lambda *_: False)
    monkeypatch.setattr(asyncpg.Pool, "release", release_late)
    try:
        await world.send(*entries(session, [1]))
        async with asyncio.timeout(15):
            await is_committed.wait()
        assert (await world.http.post(f"/api/v1/journals/{session}", json={"number": 2})).is_success
        await world.has(session, 1, 2)
    finally:
        may_go_on.set()
