"""A service that would dead-letter too much pauses, says so, and loses nothing."""

import asyncio

import pytest
from journal_service import consumers
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries, metric

from shared_runtime.service import Service
from shared_runtime.testing import eventually


async def is_paused(world: World) -> None:
    async def look() -> bool:
        problems = (await world.http.get("/health/ready")).json()["problems"]
        return "paused" in problems.get(ENTRIES.name, "")

    await eventually(look)
    assert metric("subscription_paused", subscription=ENTRIES.name) == 1


def allow(service: Service, dead_letters: int) -> None:
    """As if the time had passed."""
    service.dead_letter_limits[ENTRIES.name].take(-dead_letters)


async def letters_are(world: World, count: int) -> None:
    async def look() -> bool:
        return len(world.dead_letters.letters) >= count

    await eventually(look)
    assert len(world.dead_letters.letters) == count


async def test_a_flood_of_failures_stops_at_the_limit_and_goes_on_later(own_site: Site) -> None:
    sessions = [a_session(partition=1) for _ in range(40)]
    first, last = a_session(partition=1), a_session(partition=1)
    async with World.around(own_site, dead_letters_per_minute=2) as world:
        await world.send_batch(
            *entries(first, [1]),
            *(Entry(session=session, number=1, how="refuse") for session in sessions),
            *entries(last, [1]),
        )
        await is_paused(world)
        await letters_are(world, 2)
        await world.has(first, 1)
        assert await world.numbers(last) == [], "it is behind the failures, and none of them is passed over"
        for allowed in (1, 2, 1):
            before = len(world.dead_letters.letters)
            allow(world.service, allowed)
            await letters_are(world, before + allowed)
    async with World.around(own_site, dead_letters_per_minute=100) as world:
        await world.has(last, 1)
        await letters_are(world, 40 - 6)
        assert metric("subscription_paused", subscription=ENTRIES.name) == 0
        assert len(await world.database.fetch("SELECT 1 FROM held_message WHERE is_parked")) == 40


async def test_what_was_not_dead_lettered_is_handled_by_the_next_version(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failures were of this deployment: nothing of the rest has to be replayed."""
    sessions = [a_session(partition=1) for _ in range(10)]
    async with World.around(own_site, dead_letters_per_minute=1) as world:
        await world.send_batch(*(Entry(session=session, number=1, how="refuse-until-mended") for session in sessions))
        await is_paused(world)
        await letters_are(world, 1)
    monkeypatch.setattr(consumers, "IS_MENDED", True)
    async with World.around(own_site) as world:
        await asyncio.gather(*(world.has(session, 1) for session in sessions[1:]))
        assert world.dead_letters.letters == []


async def test_held_messages_and_unreadable_ones_count_too(own_site: Site) -> None:
    session = a_session(partition=1)
    async with World.around(own_site, dead_letters_per_minute=1) as world:
        (failing,) = await world.send(Entry(session=session, number=1, how="raise"))
        await world.dead_letters.of_event(failing)
        await world.send_raw(b"no event", "application/json", partition=2)
        await world.send(Entry(session=a_session(partition=3), number=1, how="raise"))
        await is_paused(world)

        async def is_tried_in_vain() -> bool:
            query = "SELECT count(*) FROM held_message WHERE attempts = 2 AND begun = 0 AND NOT is_parked"
            return await world.database.fetchval(query) == 1

        await eventually(is_tried_in_vain)
        for count in (2, 3):
            allow(world.service, 1)
            await letters_are(world, count)
        reasons = sorted(str(letter.headers["deadletter_reason"]) for letter in world.dead_letters.letters)
        assert reasons == ["handler_failed", "handler_failed", "malformed"]
