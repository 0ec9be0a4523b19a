"""A session whose message is dead-lettered waits, in order, until support has replayed or discarded that message."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest
import pytest_asyncio
from journal_service.consumers import consumer
from journal_service.messages import ENTRIES, Entry
from sites import Site, World, a_session, entries, events_in, metric

from shared_runtime import create_app, retry
from shared_runtime.envelope import Envelope
from shared_runtime.replays import ReplayHandled
from shared_runtime.testing import envelope_of, eventually, running

SUPPORT = {"X-Subject": "sam", "X-Roles": "support"}


async def is_waiting(world: World, session: str, count: int) -> None:
    """Wait until so many messages of the session are held."""

    async def look() -> bool:
        return len(await world.held(session)) == count

    await eventually(look)


async def parked(world: World, *followers: int, how: str = "refuse") -> Envelope:
    """A dead letter whose session waits with these followers."""
    session = a_session()
    bad, *_ = await world.send(*entries(session, [1], how), *entries(session, followers))
    await world.dead_letters.of_event(bad)
    await is_waiting(world, session, 1 + len(followers))
    return bad


async def test_later_messages_wait_behind_a_dead_letter_and_other_sessions_go_on(world: World) -> None:
    session, other = a_session(partition=2), a_session(partition=2)
    await world.send(*entries(session, [1]))
    await world.send_batch(*entries(session, [2], "refuse"), *entries(session, [3]), *entries(other, [1]))
    await world.send(*entries(session, [4]), *entries(other, [2]))
    await world.has(other, 1, 2)
    await is_waiting(world, session, 3)
    await world.has(session, 1)
    held = await world.held(session)
    assert [record["is_parked"] for record in held] == [True, False, False]


async def test_a_replay_runs_before_the_followers(world: World) -> None:
    bad = await parked(world, 2, 3)
    await world.replay(bad, data=Entry(session=bad.session_id, number=1))
    await world.has(bad.session_id, 1, 2, 3)
    assert await world.held(bad.session_id) == []
    (outcome,) = await world.outcomes.wait_for(bad.session_id, ReplayHandled)
    assert outcome == ReplayHandled(
        subscription=ENTRIES.name, session_id=bad.session_id, message_id=bad.id, attempt_epoch=1
    )


async def test_the_same_replay_twice_changes_nothing(world: World) -> None:
    bad = await parked(world, 2)
    mended = Entry(session=bad.session_id, number=1)
    await asyncio.gather(*(world.replay(bad, data=mended) for _ in range(5)))
    await world.has(bad.session_id, 1, 2)
    await world.replay(bad, data=mended)
    await world.send(*entries(bad.session_id, [3]))
    await world.has(bad.session_id, 1, 2, 3)
    await world.outcomes.wait_for(bad.session_id, ReplayHandled)


async def test_a_replay_that_fails_again_is_a_dead_letter_again_and_the_session_still_waits(world: World) -> None:
    bad = await parked(world, 2)
    letters = len(world.dead_letters.letters)
    await world.replay(bad)

    async def again() -> list[Envelope]:
        return [event for letter in world.dead_letters.letters[letters:] for event in events_in(letter)]

    (event,) = await eventually(again)
    assert (event.id, event.attempt_epoch, event.data) == (bad.id, 1, bad.data)
    await is_waiting(world, bad.session_id, 2)
    assert await world.numbers(bad.session_id) == []
    await world.replay(bad, epoch=2, data=Entry(session=bad.session_id, number=1))
    await world.has(bad.session_id, 1, 2)
    (outcome,) = await world.outcomes.wait_for(bad.session_id, ReplayHandled)
    assert outcome.attempt_epoch == 2


async def test_followers_wait_for_a_replay_that_does_not_succeed_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.05)
    bad = await parked(world, 2)
    await world.replay(bad, data=Entry(session=bad.session_id, number=1, how="transient 3"))
    await world.has(bad.session_id, 1, 2)


async def test_what_failed_at_every_attempt_is_parked_as_well(world: World) -> None:
    bad = await parked(world, 2, how="raise")
    (head, _) = await world.held(bad.session_id)
    assert (head["is_parked"], head["attempts"], head["begun"]) == (True, 3, 0)
    assert head["error"] == "ValueError: bug"
    await world.replay(bad, data=Entry(session=bad.session_id, number=1))
    await world.has(bad.session_id, 1, 2)


async def test_the_session_goes_on_without_a_discarded_message(world: World) -> None:
    bad = await parked(world, 2, 3)
    await world.discard(bad)
    await world.has(bad.session_id, 2, 3)
    # Support may change its mind: the message is then one like any other.
    await world.replay(bad, data=Entry(session=bad.session_id, number=1))
    await world.has(bad.session_id, 2, 3, 1)
    await world.outcomes.wait_for(bad.session_id, ReplayHandled)


async def test_a_discard_of_what_is_not_parked_changes_nothing(world: World) -> None:
    session = a_session()
    (handled,) = await world.send(*entries(session, [1]))
    await world.has(session, 1)
    await world.discard(handled)
    await world.discard(await parked(world))
    await world.send(*entries(session, [2]))
    await world.has(session, 1, 2)


async def test_each_dead_letter_of_a_session_is_waited_for(world: World) -> None:
    session = a_session()
    first, second, _ = await world.send(
        *entries(session, [1], "refuse"), *entries(session, [2], "refuse"), *entries(session, [3])
    )
    await world.dead_letters.of_event(first)
    await is_waiting(world, session, 3)
    await world.replay(first, data=Entry(session=session, number=1))
    await world.dead_letters.of_event(second)
    await world.has(session, 1)
    await is_waiting(world, session, 2)
    await world.discard(second)
    await world.has(session, 1, 3)


async def test_a_message_that_cannot_be_read_is_waited_for_in_its_place(world: World) -> None:
    """The data does not fit, which is known before anything of the session is tried."""
    session = a_session()
    (held,) = await world.send(Entry(session=session, number=1, how="transient"))
    await is_waiting(world, session, 1)
    unfit = await world.send_unfit(session)
    await world.send(*entries(session, [3]))
    await world.dead_letters.of_event(unfit)
    await is_waiting(world, session, 3)
    await world.database.execute("DELETE FROM held_message WHERE message_id = $1", held.id)
    await world.replay(unfit, data=Entry(session=session, number=2))
    await world.has(session, 2, 3)


async def test_a_dead_letter_that_the_broker_delivers_again_is_none_again(world: World) -> None:
    bad = await parked(world, 2)
    letters = len(world.dead_letters.letters)
    await world.broker.publish_envelope(bad, str(ENTRIES.topic))
    await world.send(*entries(bad.session_id, [3]))
    await is_waiting(world, bad.session_id, 3)
    assert len(world.dead_letters.letters) == letters


async def test_a_discard_that_cannot_be_read_is_a_dead_letter_itself(world: World) -> None:
    bad = await parked(world)
    broken = replace_data(await world.discard(bad), b'{"message_id": 7}')
    await world.to_origin(broken)
    letter = await world.dead_letters.of_event(broken)
    assert letter.headers["deadletter_reason"] == "invalid_payload"


def replace_data(event: Envelope, data: bytes) -> Envelope:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return Envelope(**fields | {"id": a_session(), "data": type(event.data)(data)})


@pytest_asyncio.fixture
async def unordered(own_site: Site) -> AsyncIterator[World]:
    """The service with a subscription whose sessions are not worth waiting for."""
    own = replace(consumer, subscriptions=[replace(ENTRIES, is_ordered=False)])
    app = create_app(own, own_site.settings(), title="Unordered")
    async with World.around(own_site, runs=False) as world, running(app):
        yield world


async def test_nothing_waits_where_order_does_not_matter(unordered: World) -> None:
    session = a_session()
    refused, failing, _ = await unordered.send(
        *entries(session, [1], "refuse"), *entries(session, [2], "raise"), *entries(session, [3])
    )
    letter = await unordered.dead_letters.of_event(refused)
    assert letter.headers["deadletter_parked"] is False
    await unordered.dead_letters.of_event(failing)
    await unordered.has(session, 3)
    assert await unordered.held(session) == []
    await unordered.replay(refused, data=Entry(session=session, number=1))
    await unordered.has(session, 3, 1)


async def test_a_parked_session_waits_for_support_through_restarts(own_site: Site) -> None:
    async with World.around(own_site) as world:
        bad = await parked(world, 2)
        letter = await world.dead_letters.of_event(bad)
        assert letter.headers["deadletter_parked"] is True
    async with World.around(own_site, runs=False) as world:
        await world.replay(bad, data=Entry(session=bad.session_id, number=1))
        await world.send(*entries(bad.session_id, [3]))
        async with running(own_site.app()):
            await world.has(bad.session_id, 1, 2, 3)


async def test_support_sees_what_waits_in_which_order(world: World) -> None:
    bad = await parked(world, 2)
    path = f"/support/sessions/{bad.session_id}"
    assert (await world.http.get(path)).status_code == 401
    assert (await world.http.get(path, headers={"X-Subject": "carla"})).status_code == 403
    head, follower = (await world.http.get(path, headers=SUPPORT)).json()
    assert (head["message_id"], head["is_parked"], head["error"]) == (str(bad.id), True, "PermanentError: not today")
    assert (head["subscription"], head["type"], head["attempt_epoch"]) == (ENTRIES.name, Entry.message_type, 0)
    assert (follower["is_parked"], follower["attempts"]) == (False, 0)
    assert (await world.http.get(f"/support/sessions/{a_session()}", headers=SUPPORT)).json() == []
    await world.http.get("/metrics")
    assert metric("parked_messages") >= 1


async def test_support_sees_what_waits_whatever_its_attributes_are(world: World) -> None:
    """Of JSON with a NUL in it the database reads nothing."""
    session = a_session()
    (entry,) = entries(session, [1], "refuse")
    await world.send_batch(msgspec.structs.replace(envelope_of(entry), subject="nul \x00"), *entries(session, [2]))
    await is_waiting(world, session, 2)
    answer = await world.http.get(f"/support/sessions/{session}", headers=SUPPORT)
    assert [one["type"] for one in answer.json()] == [Entry.message_type] * 2
