"""What a body must look like: nothing unknown, nothing converted, nothing without a zone."""

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import ValidationError

from ingestion.representations import EXAMPLE_REQUEST, EXAMPLE_TIMES, NewDelivery, Times


def body_with(path: str, value: Any) -> str:
    """The example with one field set; `path` is dotted."""
    body = copy.deepcopy(EXAMPLE_REQUEST)
    *parents, name = path.split(".")
    part: Any = body
    for parent in parents:
        part = part[parent]
    part[name] = value
    return json.dumps(body)


def body_without(path: str) -> str:
    body = copy.deepcopy(EXAMPLE_REQUEST)
    *parents, name = path.split(".")
    part: Any = body
    for parent in parents:
        part = part[parent]
    del part[name]
    return json.dumps(body)


def refusals_of(body: str | bytes) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        NewDelivery.model_validate_json(body)
    return [".".join(map(str, error["loc"])) for error in refused.value.errors()]


def test_example_is_valid() -> None:
    NewDelivery.model_validate_json(json.dumps(EXAMPLE_REQUEST))
    Times.model_validate_json(json.dumps(EXAMPLE_TIMES))
    Draft202012Validator(NewDelivery.model_json_schema()).validate(EXAMPLE_REQUEST)


WRONG_VALUES = [
    ("pickup.latitude", 90.001),
    ("pickup.latitude", -90.001),
    ("pickup.longitude", 180.001),
    ("dropoff.longitude", -180.001),
    ("dropoff.altitude_m", 10_001),
    ("pickup.latitude", "48.8"),
    ("pickup.latitude", None),
    ("pickup.latitude", True),
    ("pickup.latitude", [48.8]),
    ("pickup", "Opera"),
    ("pickup.altitude_ft", 120),
    ("pickup_time", "2026-03-01T12:10:00"),
    ("pickup_time", "2026-03-01"),
    ("pickup_time", "12:10"),
    ("pickup_time", "1772363400"),
    ("pickup_time", 1772363400),
    ("pickup_time", "2026-02-30T12:10:00Z"),
    ("pickup_time", "2026-03-01T12:10:00+25:00"),
    ("pickup_time", "0000-03-01T12:10:00Z"),
    ("pickup_time", "tomorrow"),
    ("deadline", ""),
    ("deadline", None),
    ("expedited", "true"),
    ("expedited", 1),
    ("confirmation_required", "Handshake"),
    ("confirmation_required", "picture"),
    ("package.size", "Huge"),
    ("package.weight_kg", 0),
    ("package.weight_kg", -1),
    ("package.weight_kg", 1_000.5),
    ("package.weight_kg", "1.5"),
    ("package.tag", "a" * 65),
    ("package.tag", "fragile\u0000"),
    ("package.tag", "fragile\n"),
    ("package.tag", 7),
    ("package.colour", "red"),
    ("priority", 1),
    ("delivery_id", "019cb1f0-7a3e-7c55-9a10-2b7d1c6f5e01"),
    ("owner_id", "mallory"),
]


@pytest.mark.parametrize(("path", "value"), WRONG_VALUES)
def test_field_is_named_when_it_is_wrong_or_unknown(path: str, value: object) -> None:
    assert refusals_of(body_with(path, value)) == [path]


@pytest.mark.parametrize(
    "path",
    ["pickup", "dropoff", "pickup_time", "deadline", "package", "pickup.latitude", "package.size", "package.weight_kg"],
)
def test_field_is_named_when_it_is_missing(path: str) -> None:
    assert refusals_of(body_without(path)) == [path]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_refused_when_a_number_is_not_finite(number: str) -> None:
    body = json.dumps(EXAMPLE_REQUEST).replace("1.5", number)

    assert refusals_of(body) == ["package.weight_kg"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"{'pickup': 1}", b"[" * 10_000, b'{"package": {"tag": "\\ud800"}}', b"{} {}"],
    ids=["empty", "cut off", "no UTF-8", "single quotes", "deep", "half a character", "two"],
)
def test_malformed_when_it_is_no_json(body: bytes) -> None:
    with pytest.raises(ValidationError) as refused:
        NewDelivery.model_validate_json(body)
    assert [error["type"] for error in refused.value.errors()] == ["json_invalid"]


@pytest.mark.parametrize("body", ["null", "[]", "7", '"text"'])
def test_refused_when_it_is_json_but_no_object(body: str) -> None:
    assert refusals_of(body) == [""]


def test_optional_fields_have_defaults_when_absent() -> None:
    body: Any = copy.deepcopy(EXAMPLE_REQUEST)
    del body["expedited"], body["confirmation_required"], body["package"]["tag"], body["pickup"]["altitude_m"]

    delivery = NewDelivery.model_validate_json(json.dumps(body))

    assert (delivery.expedited, delivery.confirmation_required) == (False, "None")
    assert (delivery.package.tag, delivery.pickup.altitude_m) == ("", 0)


def test_changes_need_both_times() -> None:
    with pytest.raises(ValidationError):
        Times.model_validate_json('{"deadline": "2026-03-01T13:00:00+01:00"}')
