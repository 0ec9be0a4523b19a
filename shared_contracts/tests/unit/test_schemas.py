"""The schemas say what the models say, and explain every field and every reason code."""

from collections.abc import Iterator, Mapping
from enum import Enum, StrEnum
from typing import Any, ClassVar

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared_contracts.catalogue import MESSAGES
from shared_contracts.domain_types import PackageSize
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailureReason
from shared_contracts.example_messages import EXAMPLES, Example
from shared_contracts.generate import schemas
from shared_contracts.generation.messages_page import unit_of
from shared_contracts.generation.schemas import (
    DIALECT,
    ENUM_DESCRIPTIONS,
    MESSAGE_TYPE,
    SESSION,
    TOPIC,
    member_descriptions,
    message_schema,
)
from shared_contracts.message import DeliveryMessage, Message, Topic

Schema = Mapping[str, Any]

each_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.__name__)
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)


def objects_of(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield schema["title"], schema
    for name, definition in schema.get("$defs", {}).items():
        if "properties" in definition:
            yield name, definition


def undescribed_fields(schema: Schema) -> list[str]:
    return [
        f"{name}.{field}"
        for name, definition in objects_of(schema)
        for field, declared in definition["properties"].items()
        if not declared.get("description")
    ]


def numbers_without_unit(schema: Schema) -> list[str]:
    return [
        f"{name}.{field}"
        for name, definition in objects_of(schema)
        for field, declared in definition["properties"].items()
        if declared.get("type") in ("number", "integer") and not unit_of(field)
    ]


@each_message
def test_the_schema_is_a_valid_one(message: type[Message]) -> None:
    schema = message_schema(message)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["title"] == message.__name__
    assert schema["description"]


@each_message
def test_the_schema_names_type_topic_and_session(message: type[Message]) -> None:
    schema = message_schema(message)

    assert schema[MESSAGE_TYPE] == message.message_type
    assert schema[TOPIC] == message.topic
    assert schema[SESSION] in schema["required"]


@each_message
def test_every_field_is_described(message: type[Message]) -> None:
    assert undescribed_fields(message_schema(message)) == []


@each_message
def test_every_number_tells_its_unit(message: type[Message]) -> None:
    assert numbers_without_unit(message_schema(message)) == []


def test_what_is_not_described_would_be_noticed() -> None:
    schema = {"title": "Flight", "properties": {"speed": {"type": "number"}, "distance_m": {"type": "number"}}}

    assert undescribed_fields(schema) == ["Flight.speed", "Flight.distance_m"]
    assert numbers_without_unit(schema) == ["Flight.speed"]


@each_message
def test_every_reason_code_is_described(message: type[Message]) -> None:
    for definition in message_schema(message).get("$defs", {}).values():
        if "enum" in definition and definition["title"].endswith(("Reason", "Cause")):
            assert list(definition[ENUM_DESCRIPTIONS]) != []
            assert set(definition[ENUM_DESCRIPTIONS]) == set(definition["enum"])


def test_codes_are_described_in_the_words_of_the_source() -> None:
    assert member_descriptions(DroneSchedulingFailureReason) == {
        "no_drone_available": "Suitable drones exist, but none became free before the deadline.",
        "no_suitable_drone": "No drone of the fleet can carry this weight over this distance.",
        "request_expired": "The request reached the scheduler after its deadline.",
        "drone_grounded": "The booked drone was grounded before it took off.",
    }


def test_a_code_without_description_is_left_out() -> None:
    class Colour(StrEnum):
        """The docstring of the class is not that of a member."""

        RED = "red"
        GREEN = "green"
        """Like grass."""

    assert member_descriptions(Colour) == {"green": "Like grass."}
    assert member_descriptions(PackageSize) == {}


def test_an_enumeration_without_class_statement_is_refused() -> None:
    made_by_call = Enum("made_by_call", {"A": "a"})

    with pytest.raises((TypeError, OSError)):
        member_descriptions(made_by_call)


def test_a_message_without_docstring_is_refused() -> None:
    class Unexplained(DeliveryMessage):
        message_type: ClassVar[str] = "dronedelivery.delivery.unexplained.v1"
        topic: ClassVar[Topic] = Topic.DELIVERY_EVENTS

    with pytest.raises(ValueError, match="Unexplained has no docstring"):
        message_schema(Unexplained)


def test_ids_are_unique() -> None:
    ids = [schema["$id"] for schema in schemas().values()]

    assert len(ids) == len(set(ids)) == len(MESSAGES)


@each_example
def test_every_example_fits_its_schema(example: Example) -> None:
    Draft202012Validator(message_schema(type(example.message))).validate(example.body)


@each_example
def test_a_missing_field_does_not_fit(example: Example) -> None:
    schema = message_schema(type(example.message))

    for field in schema["required"]:
        incomplete = {name: value for name, value in example.body.items() if name != field}
        assert not Draft202012Validator(schema).is_valid(incomplete)
