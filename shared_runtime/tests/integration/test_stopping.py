"""A process that is told to stop finishes what it has in hand, loses and doubles nothing, and ends in time."""

import asyncio
import os
import signal
import time

import httpx
import pytest
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries, metric

from local_stack.services import ServiceProcess
from shared_runtime.testing import eventually, running


def ask_to_stop(process: ServiceProcess, how: signal.Signals = signal.SIGTERM) -> None:
    os.kill(process.process.record.pid, how)


async def exit_status(process: ServiceProcess, timeout_s: float) -> int | None:
    return await asyncio.to_thread(process.process.wait, timeout_s)


async def test_a_process_under_load_stops_in_order(own_site: Site) -> None:
    sessions = [a_session() for _ in range(40)]
    async with World.around(own_site, runs=False) as world:
        first = await own_site.started("first", STOP_TIMEOUT_S="8")

        async def load() -> None:
            for number in range(25):
                await asyncio.gather(*(world.send(Entry(session=session, number=number)) for session in sessions))

        loading = asyncio.create_task(load())

        async def is_busy() -> bool:
            return await world.database.fetchval("SELECT count(*) FROM inbox") > 100

        await eventually(is_busy)
        began = time.monotonic()
        ask_to_stop(first)
        assert await exit_status(first, 15) == 0
        assert time.monotonic() - began < 8
        # It has published all that it has committed, and forgot none of the rows.
        assert await world.database.fetchval("SELECT count(*) FROM outbox") == 0
        assert "stopped_with_work_in_hand" not in first.process.log.read_text()
        await loading
        assert await world.database.fetchval("SELECT count(*) FROM inbox") < 1_000, "it did not wait for everything"
        await own_site.started("second")
        await asyncio.gather(*(world.has(session, *range(25)) for session in sessions))
        events = [event.id for session in sessions for event in await world.noted.of_session(session)]
        assert len(events) == len(set(events)), "nothing is sent twice"


async def test_a_request_in_hand_is_answered(own_site: Site) -> None:
    async with World.around(own_site, runs=False) as world:
        process = await own_site.started(STOP_TIMEOUT_S="12")
        session = a_session()
        async with httpx.AsyncClient(base_url=process.base_url, trust_env=False) as client:
            body = {"number": 1, "how": "sleep 1"}
            request = asyncio.create_task(client.post(f"/api/v1/journals/{session}", json=body))
            await world.is_in_hand()
            ask_to_stop(process, signal.SIGINT)
            assert (await request).status_code == 201
        assert await exit_status(process, 12) == 0
        await world.has(session, 1)


async def test_what_is_in_hand_is_acknowledged_and_the_rest_goes_back(own_site: Site) -> None:
    async with World.around(own_site, runs=False) as world:
        session = a_session(partition=0)
        duplicates = metric("messages_duplicate_total", subscription=ENTRIES.name)
        async with running(own_site.app()):
            await world.send(Entry(session=session, number=0, how="sleep 0.3"))
            await world.is_in_hand()
            await world.send(*entries(session, range(1, 10)))
        assert await world.numbers(session) == ["0"]

        async def others_are_back() -> bool:
            return await world.broker.depth(ENTRIES.queue(0)) == 9

        await eventually(others_are_back)
        async with running(own_site.app()):
            await world.has(session, *range(10))
        assert metric("messages_duplicate_total", subscription=ENTRIES.name) == duplicates


async def test_a_handler_that_does_not_end_is_left_to_the_next_process(own_site: Site) -> None:
    async with World.around(own_site, runs=False) as world:
        session = a_session()
        app = own_site.app(stop_timeout_s=2.0)
        async with running(app):
            await world.send(Entry(session=session, number=1, how="sleep 3600"))
            await world.is_in_hand()
            began = time.monotonic()
        assert time.monotonic() - began < 2.5
        assert await world.numbers(session) == []


@pytest.mark.parametrize("lost", ["database", "broker", "both"])
async def test_a_process_whose_servers_are_out_of_reach_ends_in_time(own_site: Site, lost: str) -> None:
    unreachable = {
        "database": {"DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nothing"},
        "broker": {"BROKER_URL": "amqp://nobody:nothing@127.0.0.1:1/"},
    }
    environment = unreachable.get(lost) or unreachable["database"] | unreachable["broker"]
    process = own_site.process(STOP_TIMEOUT_S="4", **environment)
    process.launch()
    async with httpx.AsyncClient(base_url=process.base_url, trust_env=False) as client:

        async def is_up() -> bool:
            try:
                return (await client.get("/health/live")).is_success
            except httpx.TransportError:
                return False

        await eventually(is_up, interval_s=0.1)
        parts = {"database": {"database"}, "broker": {"publisher", "consumers"}}
        parts["both"] = parts["database"] | parts["broker"]

        async def says_so() -> bool:
            problems = (await client.get("/health/ready")).json()["problems"]
            return problems.keys() & parts["both"] == parts[lost]

        await eventually(says_so, interval_s=0.1)
    began = time.monotonic()
    ask_to_stop(process)
    assert await exit_status(process, 10) == 0
    assert time.monotonic() - began < 5


async def test_a_process_whose_collector_does_not_answer_ends_in_time(own_site: Site) -> None:
    answered = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as collector:
        endpoint = f"http://127.0.0.1:{collector.sockets[0].getsockname()[1]}"
        process = await own_site.started(STOP_TIMEOUT_S="4", OTLP_ENDPOINT=endpoint, TRACES_PER_SECOND="1000")
        async with httpx.AsyncClient(base_url=process.base_url, trust_env=False) as client:
            assert (await client.post(f"/api/v1/journals/{a_session()}", json={"number": 1})).is_success
        began = time.monotonic()
        ask_to_stop(process)
        assert await exit_status(process, 20) == 0
        assert time.monotonic() - began < 5
        answered.set()


async def test_a_process_with_impossible_settings_does_not_start_and_keeps_the_secret(own_site: Site) -> None:
    process = own_site.process(DATABASE_URL="mysql://user:the-password@host/database")
    process.launch()
    assert await exit_status(process, 20) == 1
    log = process.process.log.read_text()
    assert "database_url" in log
    assert "the-password" not in log
