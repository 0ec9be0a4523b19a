"""One bad message costs its neighbours nothing, and its session only the wait."""

import asyncio
import json
from datetime import datetime, timedelta

import pytest
from journal_service.messages import ENTRIES, Entry
from sites import World, a_session, entries, events_in, metric

from shared_runtime import consumer, processor, retry
from shared_runtime.envelope import utc_now
from shared_runtime.testing import envelope_of, eventually


async def among_neighbours(world: World, *bad: Entry, partition: int = 1) -> None:
    """Send the messages in the middle of one batch message, and wait until the neighbours are handled."""
    before, after = a_session(partition), a_session(partition)
    await world.send_batch(*entries(before, range(5)), *bad, *entries(after, range(5)))
    await world.has(before, *range(5))
    await world.has(after, *range(5))


@pytest.mark.parametrize(
    ("how", "exception", "words"),
    [
        ("raise", "ValueError", "bug"),
        ("not-loaded", "NotLoaded", "is not in what the handler loads"),
        ("cancelled", "RuntimeError", "was cancelled"),
        ("publish-too-much", "ValueError", "bytes"),
        ("check", "CheckViolationError", "page_is_small"),
        ("no-title", "NotNullViolationError", "title"),
        ("wrong-type", "DataError", "invalid input for query argument"),
    ],
)
async def test_what_fails_at_every_attempt_is_dead_lettered_after_three(
    world: World, how: str, exception: str, words: str
) -> None:
    session = a_session(partition=1)
    bad = Entry(session=session, number=1, how=how)
    began = utc_now()
    await among_neighbours(world, bad)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "handler_failed"
    assert letter.headers["deadletter_attempts"] == 3
    assert letter.headers["deadletter_exception_type"] == exception
    assert words in str(letter.headers["deadletter_description"])
    assert exception in str(letter.headers["deadletter_stack"])
    first, last = (
        datetime.fromisoformat(str(letter.headers[f"deadletter_{which}_failed_at"])) for which in ("first", "last")
    )
    assert began - timedelta(seconds=1) < first < last < utc_now() + timedelta(seconds=1)
    assert await world.numbers(session) == [], "a failed message leaves nothing behind"
    assert await world.heard(session) == []
    assert [record["is_parked"] for record in await world.held(session)] == [True]


async def test_text_that_no_column_takes_is_dead_lettered_with_its_bytes(world: World) -> None:
    session = a_session(partition=1)
    bad = Entry(session=session, number=1, how="page", text="nul \x00")
    await among_neighbours(world, bad)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_exception_type"] == "CharacterNotInRepertoireError"
    assert letter.headers["deadletter_attempts"] == 3


async def test_text_longer_than_its_column_is_refused_and_not_cut(world: World) -> None:
    bad = Entry(session=a_session(partition=1), number=1, how="page", text="x" * 41)
    await among_neighbours(world, bad)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_exception_type"] == "StringDataRightTruncationError"


async def test_of_two_rows_that_exclude_each_other_the_later_is_dead_lettered(world: World) -> None:
    first, second = a_session(partition=1), a_session(partition=1)
    bad = Entry(session=second, number=1, how="page", text="the same title")
    await among_neighbours(world, Entry(session=first, number=1, how="page", text="the same title"), bad)
    await world.has(first, 1)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_exception_type"] == "UniqueViolationError"


async def test_a_permanent_failure_is_dead_lettered_at_once(world: World) -> None:
    session = a_session(partition=1)
    bad = Entry(session=session, number=2, how="refuse")
    await among_neighbours(world, *entries(session, [1]), bad)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "not_today"
    assert letter.headers["deadletter_description"] == "not today"
    assert letter.headers["deadletter_attempts"] == 1
    assert letter.headers["deadletter_first_failed_at"] == letter.headers["deadletter_last_failed_at"]
    await world.has(session, 1)


async def test_a_transient_failure_heals_and_its_session_keeps_its_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.01)
    session = a_session(partition=1)
    retried = metric("messages_retried_total", subscription=ENTRIES.name, type=Entry.message_type)
    await among_neighbours(
        world,
        *entries(session, [1]),
        Entry(session=session, number=2, how="transient 6"),
        *entries(session, [3, 4]),
    )
    # What comes while it is held waits, too.
    await world.send(*entries(session, [5]))
    await world.has(session, 1, 2, 3, 4, 5)
    assert metric("messages_retried_total", subscription=ENTRIES.name, type=Entry.message_type) - retried >= 4
    assert await world.held(session) == []


async def test_a_handler_that_does_not_end_counts_as_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for may never answer, and the partition's other sessions wait behind it."""
    monkeypatch.setattr(consumer, "HANDLER_TIMEOUT_S", 0.3)
    session, other = a_session(partition=2), a_session(partition=2)
    endless = Entry(session=session, number=1, how="sleep 3600")
    await world.send(endless, *entries(session, [2]), *entries(other, [1]))
    await world.has(other, 1)

    async def is_held() -> list[str]:
        return [row["error"].partition(":")[0] for row in await world.held(session)]

    assert (await eventually(is_held))[0] == "TimeoutError"
    monkeypatch.setattr(retry, "TRANSIENT_PATIENCE", timedelta(0))
    await world.dead_letters.with_body(endless.model_dump_json().encode())


async def test_a_handler_that_lets_nothing_else_run_counts_as_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may have ended the transaction meanwhile, which must not be taken for an outage, again and again."""
    monkeypatch.setattr(processor, "HANDLER_TIMEOUT_S", 0.3)
    session, before, after = (a_session(partition=2) for _ in range(3))
    blocking = Entry(session=session, number=1, how="block 0.5")
    await world.send_batch(*entries(before, [1, 2]), blocking, *entries(after, [1]), *entries(session, [2]))
    await world.has(before, 1, 2)
    await world.has(after, 1)

    async def is_held() -> list[str]:
        return [row["error"].partition(":")[0] for row in await world.held(session)]

    assert (await eventually(is_held))[0] == "HandlerTooSlow"
    assert await world.numbers(session) == []


async def test_a_batch_that_takes_too_long_is_divided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the database would end its transaction, again and again."""
    monkeypatch.setattr(processor, "BATCH_PATIENCE_S", 0.3)
    transactions = metric("batch_size_count", source=ENTRIES.name)
    sessions = [a_session(partition=3) for _ in range(10)]
    await world.send_batch(*(Entry(session=session, number=1, how="sleep 0.1") for session in sessions))
    await asyncio.gather(*(world.has(session, 1) for session in sessions))
    assert metric("batch_size_count", source=ENTRIES.name) - transactions >= 3, "ten of them take 1 s"


@pytest.mark.parametrize(("how", "count"), [("sleep 0.05", 10), ("sleep 0.4", 1), ("check", 1)])
async def test_a_partition_with_slow_handlers_or_refused_rows_stays_on_its_own(
    world: World, how: str, count: int
) -> None:
    lanes = world.service.subscriber.lanes
    for lane in lanes:
        lane._processor._apart_until_s = 0.0
    in_the_way, quick = a_session(partition=1), a_session(partition=2)
    await world.send_batch(*(Entry(session=in_the_way, number=number, how=how) for number in range(count)))
    await world.send(Entry(session=quick, number=1))
    await world.has(quick, 1)

    async def apart() -> list[str]:
        return [lane.queue for lane in lanes if lane._processor._is_apart]

    assert [queue.rpartition(".")[2] for queue in await eventually(apart)] == ["1"]


async def test_followers_do_not_overtake_a_message_that_is_held(world: World) -> None:
    session = a_session(partition=1)
    await world.send(Entry(session=session, number=1, how="transient"))

    async def is_held() -> bool:
        return len(await world.held(session)) == 1

    await eventually(is_held)
    envelopes = await world.send(*entries(session, [2, 3]))
    await asyncio.gather(*map(world.is_handled, envelopes))
    held = await world.held(session)
    assert [record["attempts"] > 0 for record in held] == [True, False, False]
    assert held[0]["error"] == "TransientError: not yet"
    assert await world.numbers(session) == []


async def test_a_transient_failure_that_does_not_pass_is_dead_lettered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "TRANSIENT_PATIENCE", timedelta(seconds=0.5))
    session = a_session(partition=1)
    bad = Entry(session=session, number=1, how="transient")
    await world.send(bad)
    letter = await world.dead_letters.with_body(bad.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "retries_exhausted"
    # How many fit into half a second depends on the machine.
    assert int(str(letter.headers["deadletter_attempts"])) >= 2


async def test_a_message_that_was_held_keeps_every_byte(world: World) -> None:
    session = a_session(partition=1)
    body = f' {{"session" : "{session}",\n "number":1, "how": "raise" }} '.encode()
    envelope = envelope_of(Entry(session=session, number=1), correlation_id="flow-1")
    fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
    await world.broker.publish_envelope(type(envelope)(**fields | {"data": type(envelope.data)(body)}), ENTRIES.topic)
    letter = await world.dead_letters.with_body(body)
    (event,) = events_in(letter)
    assert (event.id, event.session_id, event.correlation_id) == (envelope.id, session, "flow-1")
    assert (letter.content_type, letter.headers["deadletter_attempts"]) == ("application/json", 3)


async def test_failures_of_one_cause_share_a_fingerprint(world: World) -> None:
    bad = [
        Entry(session=a_session(), number=number, how=how, text=str(number))
        for number, how in enumerate(["raise", "raise", "not-loaded", "refuse"])
    ]
    await world.send(*bad)
    letters = [await world.dead_letters.with_body(one.model_dump_json().encode()) for one in bad]
    first, second, *others = [letter.headers["deadletter_fingerprint"] for letter in letters]
    assert first == second
    assert len({first, *others}) == 3


async def test_many_bad_messages_of_a_batch_are_all_found(world: World) -> None:
    sessions = [a_session(partition=3) for _ in range(120)]
    bad = {sessions[number] for number in range(0, 120, 17)}
    await world.send_batch(
        *(Entry(session=session, number=1, how="check" if session in bad else "", text=session) for session in sessions)
    )
    for session in sessions:
        if session not in bad:
            await world.has(session, 1)

    async def set_aside() -> bool:
        return bad <= {json.loads(body)["session"] for body in world.dead_letters.bodies() if session_in(body)}

    await eventually(set_aside)


def session_in(body: bytes) -> bool:
    return b'"session"' in body
