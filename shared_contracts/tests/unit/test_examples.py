"""There is an example of every message, every code and every shape, and all of them can be read."""

from enum import Enum
from typing import Any

import pytest

from shared_contracts.catalogue import MESSAGES
from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.example_messages import EXAMPLES, Example
from shared_contracts.message import Message

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)
each_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.__name__)


def with_unknown_fields(value: Any) -> Any:
    """The same JSON with a field in every object that no consumer knows."""
    if isinstance(value, dict):
        return {**{name: with_unknown_fields(one) for name, one in value.items()}, "field_of_tomorrow": [1, None]}
    return value


def codes_of(message: Message) -> set[Enum]:
    return {value for value in dict(message).values() if isinstance(value, Enum)}


@each_message
def test_every_message_has_a_usual_example(message: type[Message]) -> None:
    usual = [example for example in EXAMPLES if type(example.message) is message and not example.variant]

    assert len(usual) == 1


@each_message
def test_every_reason_code_has_an_example(message: type[Message]) -> None:
    field = message.model_fields.get("reason")
    if field is None or field.annotation is RefusalReason:
        # Cancelling and rescheduling are refused for different ones of these: see the next test.
        return
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Enum)
    shown = {code for example in EXAMPLES if type(example.message) is message for code in codes_of(example.message)}

    assert set(field.annotation) <= shown


def test_every_refusal_has_an_example() -> None:
    assert set(RefusalReason) <= {code for example in EXAMPLES for code in codes_of(example.message)}


@each_message
def test_every_field_that_may_be_null_is_shown_with_and_without_value(message: type[Message]) -> None:
    examples = [example.message for example in EXAMPLES if type(example.message) is message]
    for name, field in message.model_fields.items():
        if type(None) in getattr(field.annotation, "__args__", ()):
            assert {getattr(example, name) is None for example in examples} == {True, False}, name


@each_message
def test_every_field_with_default_is_shown_with_and_without(message: type[Message]) -> None:
    bodies = [example.body for example in EXAMPLES if type(example.message) is message]
    for name, field in message.model_fields.items():
        if not field.is_required():
            assert {name in body for body in bodies} == {True, False}, name


@each_example
def test_every_example_is_read_as_it_was_written(example: Example) -> None:
    assert type(example.message).model_validate(example.body) == example.message


@each_example
def test_unknown_fields_are_ignored(example: Example) -> None:
    assert type(example.message).model_validate(with_unknown_fields(example.body)) == example.message


def test_names_are_unique() -> None:
    paths = [example.path for example in EXAMPLES]

    assert len(paths) == len(set(paths))
