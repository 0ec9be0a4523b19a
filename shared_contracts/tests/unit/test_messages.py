"""Whatever a message may hold survives the wire, and what makes no sense is refused, field by field."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import NoneType
from typing import Any, get_args
from uuid import UUID

import annotated_types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import AwareDatetime, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from shared_contracts.catalogue import MESSAGES
from shared_contracts.example_messages import EXAMPLES
from shared_contracts.generation.schemas import message_schema
from shared_contracts.ingestion.v1 import DeliveryRescheduleRequested
from shared_contracts.message import Message

Path = tuple[str, ...]

each_message = pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.__name__)


def models_of(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """Any valid instance, made from the types and limits of the fields; fields with a default may be left out."""
    required = {name: values_of(field) for name, field in model.model_fields.items() if field.is_required()}
    optional = {name: values_of(field) for name, field in model.model_fields.items() if not field.is_required()}
    return st.fixed_dictionaries(required, optional=optional).map(model.model_validate)


def values_of(field: FieldInfo) -> st.SearchStrategy[Any]:
    return st.one_of([_values_of_type(one, field.metadata) for one in types_of(field)])


def types_of(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a field; an optional one has two."""
    annotation = field.annotation
    return get_args(annotation) if NoneType in get_args(annotation) else (annotation,)


def _values_of_type(annotation: Any, limits: list[Any]) -> st.SearchStrategy[Any]:
    if annotation in _VALUES_OF_TYPE:
        return _VALUES_OF_TYPE[annotation](limits)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    assert issubclass(annotation, BaseModel), annotation
    return models_of(annotation)


def _texts(limits: list[Any]) -> st.SearchStrategy[str]:
    shortest = [limit.min_length for limit in limits if isinstance(limit, annotated_types.MinLen)]
    longest = [limit.max_length for limit in limits if isinstance(limit, annotated_types.MaxLen)]
    return st.text(min_size=max(shortest, default=0), max_size=min(longest, default=200))


def _whole_numbers(limits: list[Any]) -> st.SearchStrategy[int]:
    lowest = [limit.ge for limit in limits if isinstance(limit, annotated_types.Ge)]
    return st.integers(min_value=max(lowest, default=None))


def _numbers(limits: list[Any]) -> st.SearchStrategy[float]:
    bounds = {type(limit): limit for limit in limits}
    lower = bounds.get(annotated_types.Ge) or bounds.get(annotated_types.Gt)
    upper = bounds.get(annotated_types.Le) or bounds.get(annotated_types.Lt)
    return st.floats(
        min_value=getattr(lower, "ge", getattr(lower, "gt", None)),
        max_value=getattr(upper, "le", getattr(upper, "lt", None)),
        exclude_min=isinstance(lower, annotated_types.Gt),
        exclude_max=isinstance(upper, annotated_types.Lt),
        allow_nan=False,
        allow_infinity=False,
    )


def _instants(limits: list[Any]) -> st.SearchStrategy[datetime]:
    assert limits == []
    offsets = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timedelta(minutes=minutes))
    earliest, latest = datetime(1970, 1, 2), datetime(2200, 1, 1)
    return st.datetimes(min_value=earliest, max_value=latest, timezones=offsets.map(timezone))


_VALUES_OF_TYPE: dict[Any, Callable[[list[Any]], st.SearchStrategy[Any]]] = {
    NoneType: lambda _: st.none(),
    UUID: lambda _: st.uuids(),
    bool: lambda _: st.booleans(),
    float: _numbers,
    int: _whole_numbers,
    str: _texts,
    AwareDatetime: _instants,
}


@each_message
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_message_survives_the_wire(message: type[Message], data: st.DataObject) -> None:
    sent = data.draw(models_of(message))

    received = message.model_validate_json(sent.model_dump_json())

    assert received == sent


@each_message
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_message_fits_its_schema(message: type[Message], data: st.DataObject) -> None:
    sent = data.draw(models_of(message))

    Draft202012Validator(message_schema(message)).validate(sent.model_dump(mode="json"))


@each_message
def test_a_message_cannot_be_changed(message: type[Message]) -> None:
    example = example_of(message)
    for name in message.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(example, name, getattr(example, name))


def example_of(message: type[Message]) -> Message:
    """An example in which no field of the message is empty."""
    return max(
        (example.message for example in EXAMPLES if type(example.message) is message),
        key=lambda one: sum(value is not None for _, value in one),
    )


def fields_within(model: type[BaseModel], above: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Every field of the model and of the values it is made of."""
    for name, field in model.model_fields.items():
        yield (*above, name), field
        for annotation in types_of(field):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from fields_within(annotation, (*above, name))


def bad_values_of(field: FieldInfo) -> Iterator[Any]:
    """Values that every field of this type must refuse, then those beyond the limits of this one."""
    types = types_of(field)
    if float in types:
        yield from (math.nan, math.inf, -math.inf, "fast", None)
    if AwareDatetime in types:
        yield from (datetime(2026, 3, 2, 9, 0), "2026-03-02T09:00:00", "soon")
    if UUID in types:
        yield from ("", "delivery 7")
    if any(isinstance(one, type) and issubclass(one, Enum) for one in types):
        yield from ("", "no such code")
    for limit in field.metadata:
        match limit:
            case annotated_types.Ge(ge=float() | int() as bound):
                yield bound - 1
            case annotated_types.Gt(gt=bound):
                yield bound
            case annotated_types.Le(le=float() | int() as bound):
                yield bound + 1
            case annotated_types.MinLen(min_length=length) if length:
                yield "x" * (length - 1)
            case annotated_types.MaxLen(max_length=length):
                yield "x" * (length + 1)
            case _:
                pass


BAD_FIELDS = [
    (message, path, value)
    for message in MESSAGES.values()
    for path, field in fields_within(message)
    for value in bad_values_of(field)
]


def with_value(body: Any, path: Path, value: Any) -> Any:
    """The same JSON with another value in one place."""
    name, *further = path
    return {**body, name: with_value(body[name], tuple(further), value) if further else value}


@pytest.mark.parametrize(
    ("message", "path", "value"),
    BAD_FIELDS,
    ids=[f"{message.__name__}-{'.'.join(path)}-{str(value)[:20]}" for message, path, value in BAD_FIELDS],
)
def test_a_bad_value_is_refused(message: type[Message], path: Path, value: Any) -> None:
    body = example_of(message).model_dump()

    with pytest.raises(ValidationError) as refusal:
        message.model_validate(with_value(body, path, value))

    assert {error["loc"][: len(path)] for error in refusal.value.errors()} == {path}


@pytest.mark.parametrize(
    ("message", "path", "value"),
    [
        ("DeliveryRequested", ("pickup", "latitude"), 91),
        ("DeliveryRequested", ("pickup", "latitude"), math.nan),
        ("DeliveryRequested", ("dropoff", "longitude"), -181),
        ("DeliveryRequested", ("deadline",), datetime(2026, 3, 2, 9, 0)),
        ("DeliveryRequested", ("owner_id",), ""),
        ("DeliveryRequested", ("owner_id",), "x" * 129),
        ("DeliveryRequested", ("package", "tag"), "x" * 65),
        ("DeliveryRequested", ("package", "weight_kg"), 0),
        ("DroneTelemetryReported", ("battery_percent",), 101),
        ("DeliveryCompleted", ("flight", "distance_m"), math.inf),
        ("DeliveryCompleted", ("confirmation", "location", "latitude"), -91),
    ],
)
def test_the_bad_values_that_matter_most_are_among_them(message: str, path: Path, value: Any) -> None:
    cases = {(refused.__name__, at, repr(bad)) for refused, at, bad in BAD_FIELDS}

    assert (message, path, repr(value)) in cases


@each_message
def test_a_missing_field_is_refused(message: type[Message]) -> None:
    body = example_of(message).model_dump()
    for name, field in message.model_fields.items():
        without = {one: value for one, value in body.items() if one != name}
        if field.is_required():
            with pytest.raises(ValidationError, match="Field required"):
                message.model_validate(without)
        else:
            message.model_validate(without)


def test_two_spellings_of_one_moment_are_the_same_message() -> None:
    body = example_of(DeliveryRescheduleRequested).model_dump()
    moment = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))

    at_utc = DeliveryRescheduleRequested.model_validate({**body, "deadline": moment})

    assert DeliveryRescheduleRequested.model_validate({**body, "deadline": elsewhere}) == at_utc
