"""The examples of what is on the wire are CloudEvents: the attributes are complete, and the data is a message."""

from typing import Any
from zlib import crc32

import pytest

from shared_contracts.catalogue import MESSAGES
from shared_contracts.generation.envelopes import BATCH, HEADER_PREFIX, JSON, binary_mode, json_batch
from shared_contracts.topology import PARTITIONS

ATTRIBUTES = {
    "specversion", "id", "source", "type", "time", "subject", "sessionid", "correlationid", "causationid", "expiresat",
    "traceparent",
}  # fmt: skip


def batched() -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json_batch()["body"]
    return events


def test_binary_mode_has_every_attribute_as_header() -> None:
    assert set(binary_mode()["headers"]) == {HEADER_PREFIX + name for name in ATTRIBUTES}


def test_binary_mode_repeats_its_attributes_as_properties() -> None:
    example = binary_mode()

    assert example["properties"]["message_id"] == example["headers"]["cloudEvents_id"]
    assert example["properties"]["type"] == example["headers"]["cloudEvents_type"]
    assert example["properties"]["correlation_id"] == example["headers"]["cloudEvents_correlationid"]
    assert example["properties"]["content_type"] == JSON


def test_binary_mode_carries_a_message() -> None:
    example = binary_mode()
    message = MESSAGES[example["properties"]["type"]].model_validate(example["body"])

    assert str(message.session_id) == example["headers"]["cloudEvents_sessionid"]
    assert message.topic == example["exchange"]


def test_a_batch_is_marked_by_its_content_type() -> None:
    example = json_batch()

    assert example["properties"]["content_type"] == BATCH
    assert len(example["body"]) > 1


@pytest.mark.parametrize("event", batched(), ids=lambda event: event["id"])
def test_every_event_of_a_batch_has_every_attribute_and_a_message(event: dict[str, Any]) -> None:
    assert set(event) == {*ATTRIBUTES, "data"}
    message = MESSAGES[event["type"]].model_validate(event["data"])
    assert str(message.session_id) == event["sessionid"] == event["subject"]


def test_the_events_of_a_batch_are_of_different_sessions_and_ids() -> None:
    assert len({event["sessionid"] for event in batched()}) == len(batched())
    assert len({event["id"] for event in batched()}) == len(batched())


def test_every_event_takes_the_route_of_its_session() -> None:
    sessions = [(binary_mode()["routing_key"], binary_mode()["headers"]["cloudEvents_sessionid"])]
    sessions += [(json_batch()["routing_key"], event["sessionid"]) for event in batched()]

    for routing_key, session_id in sessions:
        message_type, _, partition = routing_key.rpartition(".")
        assert message_type in MESSAGES
        assert int(partition) == crc32(session_id.encode()) % PARTITIONS
