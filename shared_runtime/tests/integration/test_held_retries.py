"""What is held is tried when it is due, also when nothing was held before."""

from collections.abc import Iterable
from datetime import timedelta

import asyncpg
import pytest
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session

from shared_runtime import held, held_retries
from shared_runtime.envelope import utc_now
from shared_runtime.errors import TransientError
from shared_runtime.held import HeldMessage
from shared_runtime.testing import envelope_of, eventually


async def test_what_this_process_holds_ends_the_rest_while_nothing_is_held(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_retries, "WHILE_EMPTY_S", timedelta(days=1).total_seconds())
    is_empty, looks = held.is_empty, list[bool]()

    async def noted(connection: asyncpg.Connection, subscriptions: Iterable[str]) -> bool:
        looks.append(await is_empty(connection, subscriptions))
        return looks[-1]

    async def rests() -> bool:
        return looks[-1:] == [True]

    monkeypatch.setattr(held, "is_empty", noted)
    session = a_session()
    async with World.around(own_site) as world:
        for number in (1, 2):
            await eventually(rests)
            await world.send(Entry(session=session, number=number, how="transient 1"))
            await world.has(session, *range(1, number + 1))
        await eventually(rests)
        for number in range(3, 23):
            await world.send(Entry(session=session, number=number))
            await world.has(session, *range(1, number + 1))
    # At the start and after each of the two; once more each when it was held during a look.
    assert looks.count(True) <= 5, "nobody looks again and again while nothing is held"


async def test_what_another_process_held_before_it_died_is_found(own_site: Site) -> None:
    session = a_session()
    async with World.around(own_site) as world:
        envelope = envelope_of(Entry(session=session, number=1))
        row = HeldMessage.of(ENTRIES.name, envelope, TransientError("not yet"), 0.0, utc_now())
        async with world.service.database.transaction() as connection:
            await held.insert(connection, [row])
        await world.has(session, 1)
