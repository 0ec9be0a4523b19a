"""A message is handled once, whichever way and however often it comes."""

import asyncio

from journal_service.messages import ENTRIES, Entry, Remark
from sites import Site, World, a_session, entries, metric

from shared_runtime.testing import Broker, envelope_of, eventually, running

HANDLED = {"subscription": ENTRIES.name, "type": Entry.message_type}


async def test_a_message_is_handled_and_what_it_published_arrives(world: World) -> None:
    session = a_session()
    (envelope,) = await world.send(Entry(session=session, number=7), correlation_id="flow-7")
    await world.has(session, 7)
    (noted,) = await world.noted.of_session(session)
    assert (noted.correlation_id, noted.causation_id) == ("flow-7", str(envelope.id))
    assert (noted.source, noted.subject) == ("/services/journal", session)


async def test_plain_functions_and_coroutine_functions_are_handlers(world: World) -> None:
    session = a_session()
    await world.send(Entry(session=session, number=1), Remark(session=session, number=2))
    await world.has(session, 1, 2)


async def test_plain_messages_and_batches_keep_their_order(world: World) -> None:
    session = a_session()
    await world.send(*entries(session, [1]))
    await world.send_batch(*entries(session, [2, 3, 4]))
    await world.send(*entries(session, [5]))
    await world.send_batch(*entries(session, [6]))
    await world.has(session, 1, 2, 3, 4, 5, 6)


async def test_a_batch_may_hold_many_sessions(world: World) -> None:
    sessions = [a_session(partition=2) for _ in range(300)]
    await world.send_batch(*(Entry(session=session, number=1) for session in sessions))
    await asyncio.gather(*(world.has(session, 1) for session in sessions[:3] + sessions[-3:]))

    async def everybody() -> bool:
        query = "SELECT count(*) FROM journal WHERE session = ANY($1::text[]) AND numbers = '1,'"
        return await world.database.fetchval(query, sessions) == len(sessions)

    await eventually(everybody)


async def test_a_duplicate_changes_nothing(world: World) -> None:
    session = a_session()
    handled, duplicates = metric("messages_handled_total", **HANDLED), duplicates_seen()
    first = envelope_of(Entry(session=session, number=1))
    await world.send_batch(first, first, Entry(session=session, number=2), first)
    await world.broker.publish_envelope(first, str(ENTRIES.topic))
    await world.send_batch(first)
    await world.send(Entry(session=session, number=3))
    await world.has(session, 1, 2, 3)
    assert metric("messages_handled_total", **HANDLED) - handled == 3
    assert duplicates_seen() - duplicates == 4


async def test_a_replayed_message_is_let_in_once_per_epoch(world: World) -> None:
    session = a_session()
    first = envelope_of(Entry(session=session, number=1))
    replayed = type(first)(**{name: getattr(first, name) for name in first.__struct_fields__} | {"attempt_epoch": 1})
    await world.send_batch(first, replayed, replayed, Entry(session=session, number=2))
    await world.has(session, 1, 1, 2)


async def test_a_message_that_two_processes_have_is_handled_by_one(world: World, site: Site, broker: Broker) -> None:
    """Both take the same messages at the same time, as when a connection breaks while its process works on."""
    sessions = [a_session() for _ in range(40)]
    envelopes = [envelope_of(Entry(session=session, number=1, how="sleep 0.002")) for session in sessions]
    app = site.app()
    async with running(app):
        lanes = [app.state.service.subscriber.lanes[0], world.service.subscriber.lanes[1]]
        processors = [lane._processor for lane in lanes]
        await asyncio.gather(*(processor.process(envelopes) for processor in processors))
        await asyncio.gather(*(world.has(session, 1) for session in sessions))


def duplicates_seen() -> float:
    return metric("messages_duplicate_total", subscription=ENTRIES.name)
