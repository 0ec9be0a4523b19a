"""Events survive the wire in both modes, and nothing that is no event stops the reader."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from examples import MOMENT, an_envelope, envelopes
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.envelope import (
    BATCH,
    JSON,
    STRUCTURED,
    Envelope,
    Incoming,
    Undecodable,
    decode,
    encode_batch,
    envelope_of_headers,
    headers_of,
    is_session_id,
    new_id,
)


def attributes_of(envelope: Envelope) -> dict[str, Any]:
    """Everything that can be compared: `Raw` has no equality."""
    return {name: getattr(envelope, name) for name in Envelope.__struct_fields__ if name != "data"} | {
        "data": bytes(envelope.data)
    }


@given(envelopes)
def test_an_event_survives_binary_mode(envelope: Envelope) -> None:
    (read,) = decode(Incoming(bytes(envelope.data), JSON, headers_of(envelope)))
    assert isinstance(read, Envelope)
    assert attributes_of(read) == attributes_of(envelope)


@given(st.lists(envelopes, min_size=1, max_size=5))
def test_events_survive_a_batch_in_their_order(sent: list[Envelope]) -> None:
    read = decode(Incoming(encode_batch(sent), BATCH, {}))
    assert [attributes_of(event) for event in read if isinstance(event, Envelope)] == list(map(attributes_of, sent))


@given(envelopes)
def test_an_event_survives_structured_mode(envelope: Envelope) -> None:
    (read,) = decode(Incoming(msgspec.json.encode(envelope), STRUCTURED, {}))
    assert isinstance(read, Envelope)
    assert attributes_of(read) == attributes_of(envelope)


def test_binary_data_keeps_every_byte() -> None:
    body = b' \n{"a" :  1.0e0}\t '
    (read,) = decode(Incoming(body, JSON, headers_of(an_envelope())))
    assert isinstance(read, Envelope)
    assert bytes(read.data) == body


def test_attributes_on_the_wire_are_named_as_cloudevents_asks() -> None:
    headers = headers_of(an_envelope(expires_at=MOMENT, attempt_epoch=2, causation_id="cause", subject="about"))
    names = {"id", "source", "type", "time", "sessionid", "correlationid", "causationid", "expiresat", "attemptepoch"}
    assert set(headers) == {"cloudEvents_" + name for name in names | {"specversion", "subject"}}
    assert headers["cloudEvents_time"] == "2026-03-04T05:06:07.890123Z"


@pytest.mark.parametrize("content_type", [f"{BATCH}; charset=utf-8", BATCH.upper(), f" {BATCH} ;x=y"])
def test_a_media_type_may_have_parameters(content_type: str) -> None:
    (read,) = decode(Incoming(encode_batch([an_envelope()]), content_type, {}))
    assert isinstance(read, Envelope)


GOOD = headers_of(an_envelope())


@pytest.mark.parametrize(
    ("body", "content_type", "headers"),
    [
        pytest.param(b"", JSON, GOOD, id="empty"),
        pytest.param(b"{", JSON, GOOD, id="cut off"),
        pytest.param(b"NaN", JSON, GOOD, id="no number"),
        pytest.param(b'"\xff"', JSON, GOOD, id="not UTF-8"),
        pytest.param(b'"\\ud800"', JSON, GOOD, id="half a character"),
        pytest.param(b"[" * 100_000, JSON, GOOD, id="nested too deep"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, JSON, GOOD, id="nested too deep, and valid"),
        pytest.param(b"1" * 5_000, JSON, GOOD, id="a number of five thousand digits"),
        pytest.param(b"{}", JSON, {}, id="no attributes"),
        pytest.param(b"{}", "", {}, id="no content type"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_specversion": "0.3"}, id="another specification"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_id": "1"}, id="an id that is no UUID"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_source": b"\x00"}, id="bytes for text"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_time": "yesterday"}, id="no time"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_time": "2026-01-01T00:00:00"}, id="a time without its zone"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_sessionid": ""}, id="an empty session"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_sessionid": "ä"}, id="a session beyond ASCII"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_sessionid": "a" * 129}, id="a session too long"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_attemptepoch": 2**31}, id="an epoch beyond its column"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_attemptepoch": -1}, id="a negative epoch"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_type": "x" * 256}, id="a type that no property holds"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_correlationid": "x" * 256}, id="a correlation id that long"),
        pytest.param(b"{}", JSON, GOOD | {"cloudEvents_subject": "x" * 100_000}, id="a subject that fits no frame"),
        pytest.param(b"{}", BATCH, {}, id="a batch that is none"),
        pytest.param(b"", BATCH, {}, id="an empty batch message"),
        pytest.param(b"[{}", BATCH, {}, id="a batch cut off"),
        pytest.param(b"[" * 100_000, BATCH, {}, id="a batch nested too deep"),
        pytest.param(b"[]", STRUCTURED, {}, id="a structured event that is none"),
    ],
)
def test_what_is_no_event_comes_back_as_it_came(body: bytes, content_type: str, headers: dict[str, Any]) -> None:
    (read,) = decode(Incoming(body, content_type, headers))
    assert isinstance(read, Undecodable)
    assert (read.body, read.content_type, read.headers) == (body, content_type, headers)
    assert read.error


@given(st.binary(max_size=200), st.sampled_from([JSON, BATCH, STRUCTURED, "", "text/plain"]))
def test_no_bytes_stop_the_reader(body: bytes, content_type: str) -> None:
    for event in decode(Incoming(body, content_type, GOOD)):
        assert isinstance(event, Envelope | Undecodable)


def test_an_empty_batch_holds_nothing() -> None:
    assert decode(Incoming(b"[]", BATCH, {})) == []


@pytest.mark.parametrize("bad", [b"{}", b"null", b"[]", b'{"specversion": "1.0"}', b'{"data": "\xff"}'])
def test_a_bad_element_of_a_batch_leaves_its_neighbours_alone(bad: bytes) -> None:
    first, last = an_envelope(), an_envelope()
    body = b"[" + msgspec.json.encode(first) + b" , " + bad + b", " + msgspec.json.encode(last) + b"]"
    events = decode(Incoming(body, BATCH, {"h": 1}))
    assert [event.id for event in events if isinstance(event, Envelope)] == [first.id, last.id]
    (undecodable,) = (event for event in events if isinstance(event, Undecodable))
    assert (undecodable.body, undecodable.content_type, undecodable.headers) == (bad, STRUCTURED, {"h": 1})
    assert events.index(undecodable) == 1


def test_what_is_unknown_in_an_event_is_ignored() -> None:
    element = msgspec.json.decode(msgspec.json.encode(an_envelope())) | {"partitionkey": "k", "dataschema": "s"}
    (read,) = decode(Incoming(msgspec.json.encode([element]), BATCH, {}))
    assert isinstance(read, Envelope)


def test_missing_attributes_are_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="sessionid"):
        envelope_of_headers({name: value for name, value in GOOD.items() if name != "cloudEvents_sessionid"}, b"{}")


def test_an_event_is_expired_from_its_moment_on() -> None:
    envelope = an_envelope(expires_at=MOMENT)
    assert not envelope.is_expired(MOMENT - timedelta(microseconds=1))
    assert envelope.is_expired(MOMENT)
    assert envelope.is_expired(MOMENT.astimezone(timezone(timedelta(hours=5))))
    assert not an_envelope().is_expired(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(("text", "expected"), [("a b~", True), ("", False), ("é", False), ("a\n", False)])
def test_session_ids_are_printable(text: str, expected: bool) -> None:
    assert is_session_id(text) is expected


def test_new_ids_grow() -> None:
    # The outbox is read in the order of its ids.
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
