"""What arrives in the dead-letter queues is taken in as it came, once, and never lost."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import aio_pika
import asyncpg
import pytest
from dead_letter_examples import EVENTS, REQUESTS, a_dead_letter, an_event, letter_id
from dead_letter_processes import SUPPORT, make_app

from dead_letters import ledger
from dead_letters.origins import ORIGINS
from dead_letters.wire import from_json
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.envelope import BATCH, JSON, Undecodable, encode_batch, headers_of, new_id
from shared_runtime.replays import OUTCOMES
from shared_runtime.testing import eventually, running

MEBIBYTE = 1024 * 1024


async def test_taken_in_with_everything_that_is_known(sender, taken_in, broker) -> None:
    event = an_event(correlation_id="flow-1")
    dead_letter_id = await sender.fail(event, attempts=5, is_parked=True)
    found = await taken_in(dead_letter_id)
    assert (found["state"], found["form"], found["service"]) == ("open", "event", "package-service")
    assert (found["subscription"], found["reason"]) == (REQUESTS.name, "handler_failed")
    assert (found["message_id"], found["session_id"]) == (str(event.id), event.session_id)
    assert (found["correlation_id"], found["message_type"]) == ("flow-1", event.type)
    assert (found["exception_type"], found["description"]) == ("DroneStuck", "the drone is stuck")
    assert (found["attempts"], found["failures"], found["is_parked"]) == (5, 1, True)
    assert found["body"] == bytes(event.data).decode()
    assert "DroneStuck: the drone is stuck" in found["failure_list"][0]["stack"]
    assert await broker.depth(REQUESTS.dead_letter_queue) == 0


@pytest.mark.parametrize("origin", [*SUBSCRIPTIONS, OUTCOMES], ids=lambda one: one.name)
async def test_every_dead_letter_queue_is_taken_in(sender, taken_in, origin) -> None:
    dead_letter_id = await sender.fail(an_event(), subscription=origin)
    found = await taken_in(dead_letter_id)
    assert (found["subscription"], found["service"]) == (origin.name, origin.name.partition(".")[0])


async def test_nothing_changes_when_the_same_dead_letter_comes_twice(sender, taken_in, count) -> None:
    event = an_event()
    letter = a_dead_letter(event)
    for _ in range(3):
        await sender.send(letter)
    await taken_in(letter_id(event))
    later = await sender.fail(an_event())
    await taken_in(later)
    found = await taken_in(letter_id(event))
    assert (found["failures"], found["attempts"], len(found["failure_list"])) == (1, 1, 1)
    assert await count("version", "dead_letter_id = $1", letter_id(event)) == 1


async def test_what_is_about_a_locked_dead_letter_waits_for_it(client, sender, taken_in, places) -> None:
    event = an_event()
    await taken_in(await sender.fail(event))
    other = await asyncpg.connect(places.database_url)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM dead_letter WHERE dead_letter_id = $1 FOR UPDATE", letter_id(event))
            await sender.fail(event)

            async def says_so() -> bool:
                problems = (await client.get("/health/ready")).json()["problems"]
                return any("LockNotAvailableError" in problem for problem in problems.values())

            await eventually(says_so)
        await taken_in(letter_id(event), failures=2)
        assert (await client.get("/health/ready")).json()["problems"] == {}
    finally:
        await other.close()


async def test_the_same_event_on_two_subscriptions_is_two_dead_letters(sender, taken_in) -> None:
    event = an_event()
    first, second = await sender.fail(event), await sender.fail(event, subscription=EVENTS)
    assert first != second
    assert (await taken_in(first))["subscription"] == REQUESTS.name
    assert (await taken_in(second))["subscription"] == EVENTS.name


async def test_bytes_and_headers_are_kept_whatever_they_are(client, broker, taken_in, database) -> None:
    body = bytes(range(256)) * (5 * MEBIBYTE // 256)
    identifier = new_id()
    headers = {
        "deadletter_id": str(identifier),
        "deadletter_reason": "too_large",
        "octets": bytearray(b"\x00\xff\xfe"),
        "moment": datetime(2026, 3, 1, 12, 10, tzinfo=UTC),
        "amount": Decimal("1.25"),
        "ratio": 0.5,
        "large": 2**40,
        "negative": -7,
        "flag": True,
        "nothing": None,
        "text": "Zürich \x00 drone",
        "list": [1, "two", bytearray(b"\xff"), {"nested": [Decimal("0.1")]}],
        "table": {"$bytes": "no tag", "inner": {"empty": []}},
    }
    await broker.publish_raw("dead-letters", REQUESTS.name, body, "image/png", headers)
    found = await taken_in(identifier, form="undecodable", reason="too_large", body_bytes=len(body), body=None)
    stored = await database.fetchval("SELECT headers FROM original WHERE dead_letter_id = $1", identifier)
    assert from_json(stored) == headers
    answer = await client.get(f"/api/v1/deadletters/{identifier}/body")
    assert answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"
    assert found["content_type"] == "image/png"


async def test_undecodable_is_a_dead_letter_of_its_own(sender, taken_in) -> None:
    garbage = Undecodable(b'{"broken": ', JSON, {"some": "header"}, "DecodeError: it ends too early")
    failure_id = await sender.send(a_dead_letter(garbage, reason="malformed"))
    found = await taken_in(failure_id)
    assert (found["form"], found["reason"], found["message_id"], found["session_id"]) == (
        "undecodable", "malformed", None, None,
    )  # fmt: skip
    assert found["body"] == '{"broken": '
    assert found["headers"]["some"] == "header"


async def test_what_is_no_event_and_was_set_aside_twice_is_one_dead_letter(sender, taken_in, count) -> None:
    message_id = str(uuid4())
    letters = [a_dead_letter(Undecodable(b"{", JSON, {}, "DecodeError", message_id), reason="malformed") for _ in "ab"]
    failure_id = letters[0].properties.headers["deadletter_id"]
    for letter in letters:
        await sender.send(letter)
    later = await sender.send(a_dead_letter(Undecodable(b"[", JSON, {}, "DecodeError"), reason="malformed"))
    await taken_in(later)
    assert (await taken_in(failure_id))["failures"] == 1
    assert await count("failure", "dead_letter_id = $1", UUID(failure_id)) == 1


async def test_what_the_broker_itself_set_aside_has_its_reason(broker, taken_in) -> None:
    event = an_event()
    died_at = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
    death = {"count": 1, "reason": "delivery_limit", "queue": REQUESTS.queue(0), "time": died_at}
    headers = {**headers_of(event), "x-death": [death], "x-delivery-count": 100}
    for _ in range(2):
        await broker.publish_raw("dead-letters", REQUESTS.name, bytes(event.data), JSON, headers)
    found = await taken_in(letter_id(event))
    assert (found["reason"], found["attempts"], found["failures"]) == ("delivery_limit", 100, 1)
    assert found["last_failed_at"] == "2026-03-01T12:10:00Z"


async def test_each_event_of_a_batch_that_the_broker_set_aside_is_a_dead_letter(broker, taken_in) -> None:
    events = [an_event() for _ in range(3)]
    await broker.publish_raw("dead-letters", REQUESTS.name, encode_batch(events), BATCH, {})
    for event in events:
        found = await taken_in(letter_id(event))
        assert (found["form"], found["body"]) == ("event", bytes(event.data).decode())
        assert found["headers"]["cloudEvents_id"] == str(event.id)


async def test_strange_messages_are_taken_in_and_stop_nobody(broker, sender, taken_in, count) -> None:
    before = await count("dead_letter")
    strange = [
        (b"", "", {}),
        (b"[]", BATCH, {}),
        (b"\xff\xfe", "", {"deadletter_id": "no id", "deadletter_attempts": "many", "deadletter_reason": 7}),
        (b"x", "y" * 200, {"deadletter_first_failed_at": "never", "deadletter_description": "nul \x00" * 900}),
        (b"z", JSON, {"x-death": "no list", "deadletter_fingerprint": "f" * 5_000}),
        (b"1", JSON, {"x-death": [{"time": "no time"}], "deadletter_last_failed_at": "0001-01-01T00:00:00+23:00"}),
        (b"2", JSON, {"deadletter_attempts": 2**60, "deadletter_parked": "perhaps"}),
    ]
    for body, content_type, headers in strange:
        await broker.publish_raw("dead-letters", EVENTS.name, body, content_type, headers)
    await taken_in(await sender.fail(an_event(), subscription=EVENTS))
    assert await count("dead_letter") == before + len(strange) + 1
    assert await broker.depth(EVENTS.dead_letter_queue) == 0


async def test_large_ones_are_taken_in_one_after_the_other(broker, taken_in, client) -> None:
    bodies = {new_id(): bytes([number]) * (3 * MEBIBYTE) for number in range(12)}
    for identifier, body in bodies.items():
        await broker.publish_raw("dead-letters", EVENTS.name, body, "", {"deadletter_id": str(identifier)})
    for identifier, body in bodies.items():
        await taken_in(identifier)
        assert (await client.get(f"/api/v1/deadletters/{identifier}/body")).content == body


async def test_nothing_is_doubled_when_the_process_dies_between_commit_and_acknowledgement(
    places, broker, sender, taken_in, count, monkeypatch
) -> None:
    events = [an_event() for _ in range(5)]

    async def dies(*_args: object, **_options: object) -> None:
        raise ConnectionResetError("the process is gone")

    # Nothing is acknowledged from here on, and whatever is stored is stored.
    monkeypatch.setattr(aio_pika.IncomingMessage, "ack", dies)
    for event in events:
        await sender.fail(event)
    for event in events:
        await taken_in(letter_id(event))
    monkeypatch.undo()
    # Another process gets what nobody has acknowledged when the first one's connection is gone.
    async with running(make_app(places)) as other:
        other.headers.update(SUPPORT)
        later = await sender.fail(an_event())
        await taken_in(later)

        async def is_empty() -> bool:
            return await broker.depth(REQUESTS.dead_letter_queue) == 0

        await eventually(is_empty)
    for event in events:
        assert await count("failure", "dead_letter_id = $1", letter_id(event)) == 1
        assert (await taken_in(letter_id(event)))["failures"] == 1


async def test_one_that_the_database_refuses_stays_with_the_broker_and_stops_nobody(
    places, sender, taken_in, client, database, monkeypatch
) -> None:
    poison = an_event()
    store = ledger.store

    async def refuse(connection, arrivals, now):
        if any(arrival.origin.message_id == poison.id for arrival in arrivals):
            raise asyncpg.CheckViolationError("not this one")
        return await store(connection, arrivals, now)

    monkeypatch.setattr(ledger, "store", refuse)
    neighbours = [an_event() for _ in range(3)]
    for event in (neighbours[0], poison, *neighbours[1:]):
        await sender.fail(event)
    for event in neighbours:
        await taken_in(letter_id(event))
    problems = (await client.get("/health/ready")).json()["problems"]
    assert "1 cannot be stored: CheckViolationError: not this one" in problems["dead-letter-intake"]
    monkeypatch.undo()
    # Whoever consumes next, here another process, has it then.
    client_connections = "SELECT count(*) FROM dead_letter WHERE dead_letter_id = $1"
    assert await database.fetchval(client_connections, letter_id(poison)) == 0


async def test_every_origin_is_known() -> None:
    assert set(ORIGINS) == {one.name for one in (*SUBSCRIPTIONS, OUTCOMES)}
