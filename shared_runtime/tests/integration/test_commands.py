"""Commands from HTTP share transactions, and none of them pays for another."""

import asyncio
from collections import Counter

import asyncpg
import httpx
import pytest
from journal_service.consumers import Append
from journal_service.domain import Journal
from sites import World, a_session, metric

from shared_runtime import commands
from shared_runtime.testing import eventually

COMMANDS = {"source": "commands"}


async def append(world: World, session: str, number: int, **more: str) -> httpx.Response:
    return await world.http.post(f"/api/v1/journals/{session}", json={"number": number} | more)


async def test_a_command_is_answered_when_it_is_committed(world: World) -> None:
    session = a_session()
    response = await append(world, session, 7)
    assert (response.status_code, response.json()) == (201, {"numbers": "7,"})
    assert await world.numbers(session) == ["7"]
    await world.has(session, 7)


async def test_commands_that_wait_together_share_a_transaction(world: World) -> None:
    transactions, events = metric("batch_size_count", **COMMANDS), metric("batch_size_sum", **COMMANDS)
    sessions = [a_session() for _ in range(100)]
    responses = await asyncio.gather(*(append(world, session, 1) for session in sessions))
    assert {response.status_code for response in responses} == {201}
    assert metric("batch_size_sum", **COMMANDS) - events == 100
    assert metric("batch_size_count", **COMMANDS) - transactions <= 20


async def test_commands_of_one_batch_see_each_other(world: World) -> None:
    session = a_session()
    responses = await asyncio.gather(*(append(world, session, 1) for _ in range(20)))
    assert Counter(response.status_code for response in responses) == {201: 1, 409: 19}
    await world.has(session, 1)


async def test_a_command_is_not_refused_for_what_an_earlier_one_could_not_save(world: World) -> None:
    session = a_session()
    execute = world.service.commands.execute
    failed, succeeded = await asyncio.gather(
        execute(Append(session=session, number=1, title="x" * 41)),
        execute(Append(session=session, number=1)),
        return_exceptions=True,
    )
    assert isinstance(failed, asyncpg.StringDataRightTruncationError)
    assert succeeded == Journal(session, "1,")


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("raise", 500, "internal-error"),
        ("check", 500, "internal-error"),
        ("no-title", 500, "internal-error"),
        ("wrong-type", 500, "internal-error"),
        ("cancelled", 500, "internal-error"),
        ("publish-too-much", 500, "internal-error"),
        ("transient", 503, "unavailable"),
    ],
)
async def test_a_command_that_fails_disturbs_no_other(world: World, how: str, status: int, kind: str) -> None:
    bad, good = a_session(), [a_session() for _ in range(10)]
    failed, *succeeded = await asyncio.gather(
        append(world, bad, 1, how=how), *(append(world, session, 1) for session in good)
    )
    assert failed.status_code == status
    assert failed.headers["content-type"] == "application/problem+json"
    assert failed.json()["type"].endswith(f"/{kind}")
    assert "bug" not in failed.text, "what went wrong is in the log"
    assert {response.status_code for response in succeeded} == {201}
    assert await world.numbers(bad) == []
    for session in good:
        await world.has(session, 1)


async def test_a_refusal_reaches_the_client_as_the_handler_put_it(world: World) -> None:
    session = a_session()
    await append(world, session, 1)
    response = await append(world, session, 1)
    assert (response.status_code, response.headers["content-type"]) == (409, "application/problem+json")
    assert response.json() == {
        "type": "https://drone-delivery.example/problems/number-taken",
        "title": "Number taken",
        "status": 409,
        "detail": "1 is there already",
        "instance": f"/api/v1/journals/{session}",
        "number": 1,
    }


async def test_more_than_can_wait_is_turned_away_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_WAITING", 5)
    slow = asyncio.create_task(append(world, a_session(), 1, how="sleep 0.5"))
    await world.is_in_hand()
    responses = await asyncio.gather(*(append(world, a_session(), 1) for _ in range(12)))
    refused = [response for response in responses if response.status_code == 503]
    assert len(refused) == 7
    assert all(response.headers["retry-after"] == "1" for response in refused)
    assert refused[0].json()["type"].endswith("/unavailable")
    assert (await slow).status_code == 201


async def test_a_command_that_takes_too_long_is_answered_and_one_that_waited_too_long_is_not_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "TIMEOUT_S", 0.3)
    begun, waiting = a_session(), a_session()
    slow = asyncio.create_task(append(world, begun, 1, how="sleep 1"))
    await world.is_in_hand()
    assert (await append(world, waiting, 1)).status_code == 503
    assert (await slow).status_code == 503
    # The outcome of what was begun is open to the client: here it is committed.
    await world.has(begun, 1)
    assert (await append(world, a_session(), 1)).status_code == 201
    assert await world.numbers(waiting) == []


async def test_a_client_that_is_gone_costs_nothing(world: World) -> None:
    begun, waiting, after = a_session(), a_session(), a_session()
    slow = asyncio.create_task(append(world, begun, 1, how="sleep 0.3"))
    await world.is_in_hand()
    gone = asyncio.create_task(append(world, waiting, 1))

    async def is_waiting() -> bool:
        return world.service.commands.waiting > 0

    await eventually(is_waiting, interval_s=0.001)
    gone.cancel()
    slow.cancel()
    await asyncio.gather(gone, slow, return_exceptions=True)
    assert (await append(world, after, 1)).status_code == 201
    await world.has(begun, 1)
    assert await world.numbers(waiting) == []
