"""A message that ends the process is found and set aside; its neighbours are handled."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries, events_in

from local_stack.services import ServiceProcess
from shared_runtime.testing import eventually


async def until(process: ServiceProcess, is_done: Callable[[], bool], most_restarts: int = 10) -> int:
    """Start the process again whenever it has ended, as Kubernetes would. Returns how often."""
    restarts = 0
    process.launch()

    async def look() -> bool:
        nonlocal restarts
        if not process.process.is_running and not is_done():
            restarts += 1
            assert restarts <= most_restarts, process.process.log_tail
            process.stop()
            process.launch()
        return is_done()

    try:
        await eventually(look, timeout_s=60, interval_s=0.05)
    finally:
        process.stop()
    return restarts


async def test_a_message_that_ends_the_process_is_dead_lettered(own_site: Site) -> None:
    async with World.around(own_site, runs=False) as world:
        before, after, session = (a_session(partition=1) for _ in range(3))
        bad = Entry(session=session, number=2, how="exit")
        await world.send_batch(*entries(before, range(3)))
        await world.send_batch(*entries(session, [1]), bad, *entries(session, [3]), *entries(after, range(3)))
        body = bad.model_dump_json().encode()
        restarts = await until(own_site.process(), lambda: body in world.dead_letters.bodies())
        await own_site.started("after")
        letter = await world.dead_letters.with_body(body)
        assert letter.headers["deadletter_reason"] == "crashes_consumer"
        assert letter.headers["deadletter_subscription"] == ENTRIES.name
        assert letter.headers["deadletter_attempts"] == 3
        assert 3 <= restarts <= 7
        await world.has(before, *range(3))
        await world.discard(*events_in(letter))
        await world.has(session, 1, 3)
        await world.has(after, *range(3))
        assert await world.database.fetchval("SELECT count(*) FROM crash_suspect") == 0


async def test_what_is_in_hand_elsewhere_is_not_blamed(own_site: Site) -> None:
    """A slow message of another partition is in hand whenever the process dies."""
    async with World.around(own_site, runs=False) as world:
        session, innocent = a_session(partition=1), a_session(partition=2)
        bad = Entry(session=session, number=1, how="exit")
        await world.send(Entry(session=innocent, number=1, how="sleep 2"), bad, *entries(session, [2]))
        body = bad.model_dump_json().encode()
        await until(own_site.process(), lambda: body in world.dead_letters.bodies())
        await own_site.started("after")
        await world.discard(*events_in(await world.dead_letters.with_body(body)))
        await world.has(session, 2)
        await world.has(innocent, 1)
        assert world.dead_letters.bodies() == [body]


async def test_a_held_message_that_ends_the_process_is_dead_lettered(own_site: Site, tmp_path: Path) -> None:
    async with World.around(own_site, runs=False) as world:
        session, other = a_session(), a_session()
        bad = Entry(session=session, number=1, how="exit-when-tried-again", text=str(tmp_path / "tried"))
        await world.send(bad, *entries(session, [2]), *entries(other, [1]))
        body = bad.model_dump_json().encode()

        async def no_waiting() -> None:
            # The lease keeps a crashing message from being tried again at once; nobody waits for it here.
            while True:
                await world.database.execute("UPDATE held_message SET due_at = now() WHERE due_at > now()")
                await asyncio.sleep(0.2)

        hurry = asyncio.create_task(no_waiting())
        restarts = await until(own_site.process(), lambda: body in world.dead_letters.bodies())
        hurry.cancel()
        await own_site.started("after")
        letter = await world.dead_letters.with_body(body)
        assert letter.headers["deadletter_reason"] == "crashes_consumer"
        assert restarts == 3
        await world.discard(*events_in(letter))
        await world.has(session, 2)
        await world.has(other, 1)
