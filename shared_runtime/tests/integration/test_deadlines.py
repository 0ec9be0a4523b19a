"""Rows come up when they are due, once; periodic work goes on."""

import asyncio
from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest
from journal_service import consumers
from sites import Site, World, a_session

from shared_runtime import deadlines
from shared_runtime.envelope import utc_now
from shared_runtime.testing import eventually, running


async def a_due_row(world: World, when_due: str, in_s: float = -1.0) -> str:
    session = a_session()
    await world.database.execute(
        "INSERT INTO journal (session, numbers, due_at, when_due) VALUES ($1, '', $2, $3)",
        session,
        utc_now() + timedelta(seconds=in_s),
        when_due,
    )
    return session


async def due_at(world: World, session: str) -> datetime | None:
    return await world.database.fetchval("SELECT due_at FROM journal WHERE session = $1", session)


async def is_postponed(world: World, session: str) -> None:
    async def look() -> bool:
        moment = await due_at(world, session)
        return moment is not None and timedelta(seconds=45) < moment - utc_now() < timedelta(seconds=65)

    await eventually(look)


async def is_noted(world: World, session: str) -> None:
    async def look() -> bool:
        return await world.numbers(session) == ["due"]

    await eventually(look)


async def test_a_row_comes_up_when_it_is_due_and_not_before(world: World) -> None:
    late, now = await a_due_row(world, "clear", in_s=3600), await a_due_row(world, "clear")
    await is_noted(world, now)
    assert await due_at(world, now) is None
    assert await world.numbers(late) == []


async def test_a_row_whose_handler_forgets_to_say_when_comes_up_later(world: World) -> None:
    session = await a_due_row(world, "forget")
    await is_postponed(world, session)
    assert await world.numbers(session) == ["due"], "what it did counts"


async def test_nobody_complains_of_a_row_whose_handler_says_when(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    complaints = Mock()
    monkeypatch.setattr(deadlines, "log", complaints)
    await is_noted(world, await a_due_row(world, "clear"))
    await is_postponed(world, await a_due_row(world, "forget"))
    assert [call.args for call in complaints.error.call_args_list] == [("due_row_postponed",)]


async def test_a_row_whose_handler_fails_comes_up_later_and_stops_no_other(world: World) -> None:
    bad = await a_due_row(world, "fail", in_s=-100)
    good = await a_due_row(world, "clear")
    await is_postponed(world, bad)
    assert await world.numbers(bad) == []
    await is_noted(world, good)


async def test_a_row_that_the_database_refuses_comes_up_later_and_stops_no_other(world: World) -> None:
    rows = [await a_due_row(world, how, in_s=-100) for how in ("clear", "refused", "clear")]
    await is_postponed(world, rows[1])
    assert await world.numbers(rows[1]) == []
    for session in (rows[0], rows[2]):
        await is_noted(world, session)


async def test_a_row_comes_up_in_one_of_two_processes(world: World, site: Site) -> None:
    async with running(site.app()):
        # Due at the same moment for both.
        sessions = [await a_due_row(world, "clear", in_s=0.5) for _ in range(60)]

        async def all_are_noted() -> bool:
            return await world.database.fetchval(
                "SELECT count(*) FROM journal WHERE session = ANY($1::text[]) AND due_at IS NULL", sessions
            ) == len(sessions)

        await eventually(all_are_noted)
    assert {tuple(await world.numbers(session)) for session in sessions} == {("due",)}


async def ticks_go_on() -> None:
    count = len(consumers.ticks)

    async def more() -> bool:
        return len(consumers.ticks) >= count + 3

    await eventually(more)


async def test_periodic_work_goes_on_after_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await ticks_go_on()
    monkeypatch.setattr(consumers, "fail_at_ticks", {len(consumers.ticks) + 2})

    async def is_reported() -> bool:
        problems = (await world.http.get("/health/ready")).json()["problems"]
        return problems.get("every 0.2 s on_tick") == "ValueError: this tick fails"

    await eventually(is_reported)
    await ticks_go_on()


async def test_periodic_work_goes_on_after_its_loader_failed(world: World) -> None:
    await world.database.execute(
        "INSERT INTO page (page_id, title, size) VALUES (gen_random_uuid(), 'the loader fails', 1)"
    )

    async def is_reported() -> bool:
        return "InterfaceError" in world.service.supervisor.failing.get("every 0.2 s on_tick", "")

    await eventually(is_reported)
    await world.database.execute("DELETE FROM page WHERE title = 'the loader fails'")
    await ticks_go_on()


async def test_a_tick_is_not_hurried(world: World) -> None:
    await ticks_go_on()
    began, count = asyncio.get_running_loop().time(), len(consumers.ticks)
    await ticks_go_on()
    elapsed_s = asyncio.get_running_loop().time() - began
    assert len(consumers.ticks) - count <= elapsed_s / 0.2 + 1
