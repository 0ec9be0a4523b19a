"""A row that somebody keeps locked holds up what needs that row, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from journal_service.messages import ENTRIES, Entry
from sites import World, a_session, entries, samples

from shared_runtime import inbox, retry
from shared_runtime.database import STATEMENT_TIMEOUT_S
from shared_runtime.envelope import utc_now
from shared_runtime.testing import envelope_of, eventually

SOON_S = STATEMENT_TIMEOUT_S - 2
"""Before a statement that waits is given up: somebody else would have waited with it."""


@asynccontextmanager
async def locked(world: World, *sessions: str) -> AsyncIterator[None]:
    """Inside the block somebody has the journals of the sessions locked."""
    async with world.database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM journal WHERE session = ANY($1::text[]) FOR UPDATE", sessions)
        yield


async def errors_of_held(world: World, session: str) -> list[str]:
    return [row["error"].partition(":")[0] for row in await world.held(session)]


async def test_messages_of_other_sessions_do_not_wait_for_a_locked_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.5)
    stuck = [a_session(partition=0) for _ in range(3)]
    for session in stuck:
        await world.send(*entries(session, [1]))
        await world.has(session, 1)
    neighbours = [a_session(partition=0) for _ in range(80)]
    elsewhere = a_session(partition=1)
    async with locked(world, *stuck):
        # Among its neighbours, where halving would wait for each of them seven times.
        events = [Entry(session=session, number=1) for session in neighbours]
        for place, session in zip((70, 40, 10), stuck, strict=True):
            events[place:place] = entries(session, [2, 3])
        await world.send_batch(*events)
        await world.send(*entries(elsewhere, [1]))
        await world.has(elsewhere, 1, timeout_s=SOON_S)
        began = time.monotonic()
        for session in neighbours:
            await world.has(session, 1, timeout_s=SOON_S)
        assert time.monotonic() - began < SOON_S
        for session in stuck:
            assert await errors_of_held(world, session) == ["LockNotAvailableError", "Follows"]
    for session in stuck:
        await world.has(session, 1, 2, 3)
    assert world.dead_letters.letters == []


async def test_commands_for_other_rows_do_not_wait_for_a_locked_one(world: World) -> None:
    stuck = a_session()

    async def append(session: str, number: int) -> tuple[int, str | None]:
        answer = await world.http.post(f"/api/v1/journals/{session}", json={"number": number})
        return answer.status_code, answer.headers.get("retry-after")

    assert await append(stuck, 0) == (201, None)
    async with locked(world, stuck):
        began = time.monotonic()
        first = asyncio.create_task(append(stuck, 1))
        others = [append(a_session(), 1) for _ in range(60)]
        *answers, refused_first, refused_among_others = await asyncio.gather(*others, first, append(stuck, 2))
        assert time.monotonic() - began < SOON_S
        assert answers == [(201, None)] * 60
        assert (refused_first, refused_among_others) == ((503, "1"), (503, "1"))
    assert await append(stuck, 3) == (201, None)
    assert await world.numbers(stuck) == ["0", "3"]


async def test_a_due_row_that_is_locked_stops_no_other_and_comes_up_when_it_is_free(world: World) -> None:
    first, second = a_session(), a_session()
    due = "INSERT INTO journal (session, numbers, due_at, when_due) VALUES ($1, '', $2, 'clear')"
    # Not at once: the first is to be locked when it comes up, before the other.
    await world.database.execute(due, first, utc_now() + timedelta(seconds=1.0))
    async with locked(world, first):
        await world.database.execute(due, second, utc_now() + timedelta(seconds=1.1))
        await is_noted(world, second)
        assert await world.numbers(first) == []
    await is_noted(world, first)


async def is_noted(world: World, session: str) -> None:
    async def look() -> bool:
        return await world.numbers(session) == ["due"]

    await eventually(look, timeout_s=SOON_S)


async def test_messages_that_another_process_has_in_hand_stay_where_they_are(world: World) -> None:
    """As when the broker gave them to a successor before their transaction has ended: nobody is to blame."""
    session = a_session(partition=2)
    messages = [envelope_of(entry) for entry in entries(session, [1, 2])]
    failures = sum(samples("loop_failures_total").values())
    async with world.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await inbox.admit(connection, ENTRIES.name, [(messages[0].id, 0)], [session], utc_now())
        await world.send_batch(*messages)

        async def says_so() -> bool:
            problems = (await world.http.get("/health/ready")).json()["problems"]
            return "LockNotAvailableError" in problems.get(ENTRIES.queue(2), "")

        await eventually(says_so)
        await transaction.rollback()
    await world.has(session, 1, 2)
    assert sum(samples("loop_failures_total").values()) == failures
