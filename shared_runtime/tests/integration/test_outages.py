"""Servers die under load and come back: nothing is lost, nothing doubled, and every session keeps its order.

These tests end servers, so they have their own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from journal_service.messages import ENTRIES, NOTES, Entry, Noted
from sites import Site, a_session, events_in, samples

from local_stack.part import Part
from local_stack.servers import LocalServers
from shared_runtime import commands, reads
from shared_runtime.testing import Broker, envelope_of, eventually, running

SESSIONS = 24
NUMBERS = 40
BLAME = ("messages_failed_total", "messages_retried_total", "messages_dead_lettered_total")


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """Servers that may be ended."""
    with LocalServers(tmp_path_factory.mktemp("mortal")) as servers:
        yield servers


@pytest.fixture
def fragile(mortal: LocalServers) -> Iterator[Site]:
    with Site.made(mortal, "outages") as site:
        yield site


async def persist(action: Callable[[Broker], Awaitable[None]], url: str) -> None:
    """Do something at the broker, again until it is there, which an outage of these tests ends within two minutes."""
    async with asyncio.timeout(120):
        while True:
            with suppress(*CONNECTION_EXCEPTIONS):
                async with Broker.connected(url) as broker:
                    await action(broker)
                    return
            await asyncio.sleep(0.1)


async def load(site: Site, sessions: list[str]) -> None:
    """Send every number of every session until the broker has confirmed it: perhaps twice, never out of order."""
    to_send = {session: [Entry(session=session, number=number) for number in range(NUMBERS)] for session in sessions}
    envelopes = {session: [envelope_of(entry) for entry in entries] for session, entries in to_send.items()}

    async def go_on(broker: Broker) -> None:
        while waiting := [session for session in sessions if envelopes[session]]:
            for session in waiting:
                await broker.publish_envelope(envelopes[session][0], str(ENTRIES.topic))
                del envelopes[session][0]

    await persist(go_on, site.broker_url)


async def listen(site: Site, heard: dict[str, list[int]]) -> None:
    """Note what the listener is told, each event once, for ever."""
    seen: set[UUID] = set()

    async def note(message: AbstractIncomingMessage) -> None:
        for event in events_in(message):
            if event.id not in seen:
                seen.add(event.id)
                number = Noted.model_validate_json(bytes(event.data)).number
                heard.setdefault(event.session_id, []).append(number)
        await message.ack()

    async def take(broker: Broker) -> None:
        for queue in NOTES.queues:
            await (await broker.channel.get_queue(queue, ensure=False)).consume(note)
        await broker.channel.closed()
        raise ConnectionError

    await persist(take, site.broker_url)


async def survives(site: Site, disturb: Callable[[], Awaitable[None]]) -> None:
    """The service handles a load in its order although `disturb` happens in the middle of it."""
    sessions = [a_session() for _ in range(SESSIONS)]
    expected = list(range(NUMBERS))
    heard: dict[str, list[int]] = {}
    blamed = {name: sum(samples(name).values()) for name in BLAME}
    async with running(site.app()) as client:
        listener = asyncio.create_task(listen(site, heard))
        loading = asyncio.create_task(load(site, sessions))

        async def is_under_way() -> bool:
            return any(len(numbers) > 3 for numbers in heard.values())

        await eventually(is_under_way)
        await disturb()
        await asyncio.wait_for(loading, 60)

        async def journals() -> dict[str, list[int]]:
            answers = await asyncio.gather(*(client.get(f"/api/v1/journals/{session}") for session in sessions))
            return {
                session: [int(number) for number in answer.json().get("numbers", "").split(",")[:-1]]
                for session, answer in zip(sessions, answers, strict=True)
            }

        async def is_complete() -> bool:
            return sum(map(len, (await journals()).values())) >= SESSIONS * NUMBERS

        await eventually(is_complete, timeout_s=60, interval_s=0.2)
        # A number whose confirmation was lost is sent again as another message: it may be there twice, in its place.
        for session, numbers in (await journals()).items():
            assert [number for place, number in enumerate(numbers) if number not in numbers[:place]] == expected, (
                session
            )

        async def was_heard() -> bool:
            return all(len(heard.get(session, [])) == NUMBERS for session in sessions)

        await eventually(was_heard, timeout_s=30, interval_s=0.2)
        assert heard == dict.fromkeys(sessions, expected)
        assert {name: sum(samples(name).values()) for name in BLAME} == blamed, "no message is to blame for an outage"

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).is_success

        await eventually(is_ready, timeout_s=30, interval_s=0.2)
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


async def killed_and_started(part: Part) -> None:
    await asyncio.to_thread(part.kill)
    await asyncio.to_thread(part.start)


async def test_the_broker_is_killed_under_load(fragile: Site) -> None:
    await survives(fragile, lambda: killed_and_started(fragile.servers.rabbitmq))


async def test_the_database_is_killed_under_load(fragile: Site) -> None:
    await survives(fragile, lambda: killed_and_started(fragile.servers.postgres))


@asynccontextmanager
async def paused(part: Part) -> Any:
    """The server's port and connections stay, and nothing answers."""
    part.pause()
    try:
        yield
    finally:
        part.resume()


async def test_a_database_that_does_not_answer_is_noticed_and_comes_back(
    fragile: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(reads, "STATEMENT_TIMEOUT_S", 2.0)
    monkeypatch.setattr(reads, "CONNECT_TIMEOUT_S", 2.0)
    session = a_session()
    async with running(fragile.app()) as client:
        path = f"/api/v1/journals/{session}"
        assert (await client.post(path, json={"number": 1})).status_code == 201
        async with paused(fragile.servers.postgres):
            began = time.monotonic()
            ready, written, read = await asyncio.gather(
                client.get("/health/ready"), client.post(path, json={"number": 2}), client.get(path)
            )
            assert (ready.status_code, written.status_code, read.status_code) == (503, 503, 503)
            assert written.headers["retry-after"] == "1"
            assert time.monotonic() - began < 8
            began = time.monotonic()
            assert (await client.get("/health/ready")).status_code == 503
            assert time.monotonic() - began < 5, "probes do not pile up"

        async def works_again() -> bool:
            return (await client.post(path, json={"number": 3})).status_code in {201, 409}

        await eventually(works_again, timeout_s=30)


@pytest.mark.parametrize("name", ["postgres", "rabbitmq"])
async def test_a_service_stops_in_time_while_a_server_does_not_answer(fragile: Site, name: str) -> None:
    part: Part = getattr(fragile.servers, name)
    session = a_session()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(running(fragile.app(stop_timeout_s=4.0)))
        assert (await client.post(f"/api/v1/journals/{session}", json={"number": 1})).status_code == 201
        async with paused(part):
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.post(f"/api/v1/journals/{session}", json={"number": 2})
            began = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - began < 8


async def test_a_service_stops_in_time_while_both_are_gone(fragile: Site) -> None:
    servers = fragile.servers
    session = a_session()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(running(fragile.app(stop_timeout_s=4.0)))
        assert (await client.post(f"/api/v1/journals/{session}", json={"number": 1})).status_code == 201
        await asyncio.gather(*(asyncio.to_thread(part.kill) for part in (servers.rabbitmq, servers.postgres)))
        began = time.monotonic()
        await stack.aclose()
        assert time.monotonic() - began < 5
    # They stay so: this is the last test that needs them.
