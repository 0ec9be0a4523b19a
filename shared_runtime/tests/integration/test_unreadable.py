"""Whatever arrives in a queue is handled or set aside as it came, and its neighbours do not notice."""

import struct
from datetime import timedelta
from typing import Any

import aio_pika
import msgspec
import pytest
from journal_service.messages import ENTRIES, Entry, Noted, Remark
from pamqp import encode
from sites import World, a_session, entries, metric

from shared_runtime.envelope import BATCH, JSON, STRUCTURED, Envelope, headers_of, new_id, utc_now
from shared_runtime.frames import UNREADABLE
from shared_runtime.lane import MAX_MESSAGE_BYTES
from shared_runtime.testing import envelope_of, eventually

GOOD = headers_of(envelope_of(Entry(session="s", number=1)))


async def between_neighbours(world: World, body: bytes, content_type: str, headers: dict[str, Any] | None) -> None:
    session = a_session(partition=0)
    await world.send(*entries(session, [1]))
    await world.send_raw(body, content_type, headers)
    await world.send(*entries(session, [2]))
    await world.has(session, 1, 2)


@pytest.mark.parametrize(
    ("body", "content_type", "headers"),
    [
        pytest.param(b'{"broken":', JSON, GOOD, id="broken JSON"),
        pytest.param(b"", JSON, GOOD, id="nothing"),
        pytest.param(b"\xff\xfe not UTF-8 \x00", JSON, GOOD, id="not UTF-8"),
        pytest.param(b"[" * 50_000, JSON, GOOD, id="nested too deep"),
        pytest.param(b'{"no": "attributes"}', JSON, None, id="no attributes"),
        pytest.param(b'{"no": "content type"}', "", None, id="no content type"),
        pytest.param(b'{"an": "epoch"}', JSON, GOOD | {"cloudEvents_attemptepoch": 2**40}, id="an impossible epoch"),
        pytest.param(b'{"a": "type"}', JSON, GOOD | {"cloudEvents_type": "t" * 300}, id="a type too long"),
        pytest.param(b'{"huge": "headers"}', JSON, {"a": "x" * 60_000, "b": "y" * 60_000}, id="huge headers"),
        pytest.param(
            b'{"odd": "headers"}',
            JSON,
            {
                "bytes": bytearray(b"\xff"),
                "list": [1, {"a": None}],
                "time": utc_now(),
                "big": 2**62,
                "flag": True,
                "none": None,
            },
            id="odd headers",
        ),
        pytest.param(b'{"batch": "that is none"}', BATCH, None, id="a batch that is none"),
        pytest.param(b'{"event": "that is none"}', STRUCTURED, None, id="an event that is none"),
    ],
)
async def test_what_is_no_event_is_malformed(
    world: World, body: bytes, content_type: str, headers: dict[str, Any] | None
) -> None:
    await between_neighbours(world, body, content_type, headers)
    letter = await world.dead_letters.with_body(body)
    assert letter.headers["deadletter_reason"] == "malformed"
    assert letter.headers["deadletter_subscription"] == ENTRIES.name
    assert letter.headers["deadletter_attempts"] == 1
    assert letter.headers["deadletter_description"]
    assert (letter.content_type or "") == content_type
    assert letter.headers.keys() >= (headers or {}).keys()


class OddFrames:
    """Lets a test publish properties that RabbitMQ accepts and Python's libraries do not write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    async def publish(self, world: World, entry: Entry, content_type: str, timestamp: int, header: bytes) -> Envelope:
        envelope = envelope_of(entry)
        headers = headers_of(envelope)
        write_table = encode.METHODS["table"]

        def write_table_and_header(table: dict[str, Any]) -> bytes:
            written = write_table(table)[4:] + (header if table == headers else b"")
            return struct.pack(">I", len(written)) + written

        def write_short_text(text: str) -> bytes:
            written = text.encode(errors="surrogateescape")
            return bytes([len(written)]) + written

        message = aio_pika.Message(
            bytes(envelope.data),
            headers=dict(headers),
            content_type=content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            timestamp=utc_now(),
        )
        with self._monkeypatch.context() as patch:
            patch.setitem(encode.METHODS, "table", write_table_and_header)
            patch.setitem(encode.METHODS, "shortstr", write_short_text)
            patch.setitem(encode.METHODS, "timestamp", lambda _: struct.pack(">Q", timestamp))
            await world.broker.channel.default_exchange.publish(message, ENTRIES.queue(0), timeout=10)
        return envelope


@pytest.mark.parametrize(
    ("content_type", "timestamp"),
    [
        pytest.param(JSON, 1_800_000_000_000_000, id="microseconds"),
        pytest.param(JSON, 2**64 - 1, id="the last second"),
        pytest.param("application/json; name=\udce4\udcf6", 0, id="Latin 1"),
    ],
)
async def test_odd_properties_of_an_event_do_not_matter(
    world: World, monkeypatch: pytest.MonkeyPatch, content_type: str, timestamp: int
) -> None:
    session = a_session(partition=0)
    await world.send(*entries(session, [1]))
    await OddFrames(monkeypatch).publish(world, Entry(session=session, number=2), content_type, timestamp, b"")
    await world.send(*entries(session, [3]))
    await world.has(session, 1, 2, 3)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"\x04time" + b"T" + struct.pack(">Q", 1_800_000_000_000_000), id="microseconds"),
        pytest.param(b"\x02\xe4\xf6" + b"t\x01", id="Latin 1"),
    ],
)
async def test_headers_that_cannot_be_read_are_malformed(
    world: World, monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    session = a_session(partition=0)
    await world.send(*entries(session, [1]))
    odd = Entry(session=session, number=2)
    await OddFrames(monkeypatch).publish(world, odd, JSON, 0, header)
    await world.send(*entries(session, [3]))
    await world.has(session, 1, 3)
    letter = await world.dead_letters.with_body(odd.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "malformed"
    assert odd.message_type in str(letter.headers[UNREADABLE])


async def test_a_content_type_that_grows_when_it_is_read_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for a byte that is no UTF-8 takes three, and a property has room for 255."""
    session = a_session(partition=0)
    odd = Entry(session=session, number=1)
    await OddFrames(monkeypatch).publish(world, odd, "a" + "\udcff" * 254, 0, b"\x02\xe4\xf6" + b"t\x01")
    letter = await world.dead_letters.with_body(odd.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "malformed"
    assert letter.content_type == "a" + "\ufffd" * 84


@pytest.mark.parametrize("content_type", [JSON, BATCH])
async def test_a_message_over_the_limit_is_set_aside_unread(world: World, content_type: str) -> None:
    body = b'"' + b"x" * MAX_MESSAGE_BYTES + content_type.encode() + b'"'
    await between_neighbours(world, body, content_type, GOOD)
    letter = await world.dead_letters.with_body(body)
    assert letter.headers["deadletter_reason"] == "too_large"


async def test_a_message_just_under_the_limit_is_read(world: World) -> None:
    session = a_session(partition=0)
    entry = Entry(session=session, number=1, text="x" * (MAX_MESSAGE_BYTES - 200))
    await world.send(entry)
    await world.has(session, 1)


async def test_a_bad_element_of_a_batch_is_set_aside_alone(world: World) -> None:
    session = a_session(partition=0)
    bad = b'{"specversion": "1.0", "id": "no uuid"}'
    await world.send_batch(*entries(session, [1, 2]), bad, *entries(session, [3]))
    await world.has(session, 1, 2, 3)
    letter = await world.dead_letters.with_body(bad)
    assert (letter.headers["deadletter_reason"], letter.content_type) == ("malformed", STRUCTURED)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("tests.entry.v2", "unsupported_version"),
        ("tests.other.v1", "unknown_type"),
        (Noted.message_type, "unknown_type"),
        ("", "unknown_type"),
        ("x" * 255, "unknown_type"),
    ],
)
async def test_a_type_that_nobody_handles_is_set_aside(world: World, kind: str, reason: str) -> None:
    headers = GOOD | {"cloudEvents_id": str(new_id()), "cloudEvents_type": kind}
    body = f'{{"kind": "{kind}"}}'.encode()
    await between_neighbours(world, body, JSON, headers)
    letter = await world.dead_letters.with_body(body)
    assert letter.headers["deadletter_reason"] == reason
    assert letter.headers["cloudEvents_type"] == kind


async def test_types_from_outside_make_no_figures_of_their_own(world: World) -> None:
    kind = f"tests.invented-{new_id()}.v1"
    headers = GOOD | {"cloudEvents_id": str(new_id()), "cloudEvents_type": kind}
    unknown = {"subscription": ENTRIES.name, "type": "unknown"}
    before = metric("messages_received_total", **unknown)
    body = f'"{kind}"'.encode()
    await between_neighbours(world, body, JSON, headers)
    await world.dead_letters.with_body(body)
    assert kind not in (await world.http.get("/metrics")).text
    assert metric("messages_received_total", **unknown) - before == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"session": "s"}', "number: Field required"),
        (b'{"session": "s", "number": "secret-7"}', "number: "),
        (b"null", ""),
        (b"[]", ""),
    ],
)
async def test_data_that_does_not_fit_is_an_invalid_payload(world: World, data: bytes, words: str) -> None:
    body = data + b" " * (new_id().int % 7) + b"\n"
    await between_neighbours(world, body, JSON, GOOD | {"cloudEvents_id": str(new_id())})
    letter = await world.dead_letters.with_body(body)
    assert letter.headers["deadletter_reason"] == "invalid_payload"
    assert words in str(letter.headers["deadletter_description"])
    assert "secret-7" not in str(letter.headers["deadletter_description"]), "data may be personal"


async def test_an_expired_message_is_refused_with_a_reason(world: World) -> None:
    session = a_session()
    expired = Entry(session=session, number=1)
    await world.send(expired, expires_at=utc_now() - timedelta(seconds=1))
    in_time = a_session()
    await world.send(Entry(session=in_time, number=2), expires_at=utc_now() + timedelta(minutes=1))
    await world.has(in_time, 2)
    letter = await world.dead_letters.with_body(expired.model_dump_json().encode())
    assert letter.headers["deadletter_reason"] == "expired"


async def test_an_expired_message_that_comes_twice_has_failed_once(world: World) -> None:
    failed = {"subscription": ENTRIES.name, "type": Entry.message_type, "error": "PermanentError"}
    duplicates = {"subscription": ENTRIES.name}
    before = metric("messages_failed_total", **failed), metric("messages_duplicate_total", **duplicates)
    expired = envelope_of(Entry(session=a_session(partition=0), number=1), expires_at=utc_now() - timedelta(seconds=1))
    for _ in range(3):
        await world.broker.publish_envelope(expired, str(ENTRIES.topic))

    async def is_known() -> bool:
        return metric("messages_duplicate_total", **duplicates) - before[1] == 2

    await eventually(is_known)
    assert metric("messages_failed_total", **failed) - before[0] == 1


async def test_a_handler_can_want_expired_messages(world: World) -> None:
    session = a_session()
    await world.send(Remark(session=session, number=1), expires_at=utc_now() - timedelta(seconds=1))
    await world.has(session, 1)


async def test_an_event_in_structured_mode_is_handled(world: World) -> None:
    session = a_session(partition=0)
    envelope = envelope_of(Entry(session=session, number=1))
    await world.send_raw(msgspec.json.encode(envelope), f"{STRUCTURED}; charset=utf-8")
    await world.has(session, 1)
