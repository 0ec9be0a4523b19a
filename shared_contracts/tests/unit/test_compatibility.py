"""Every kind of breaking change is planted into a schema and must be named; what is harmless must pass.

Old consumers must read new messages and new consumers old ones, so each plant also tells who would be broken.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from enum import StrEnum
from itertools import product
from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import AwareDatetime, Field

from shared_contracts.compatibility import Break, Harm, breaking_changes, breaking_changes_of_all
from shared_contracts.generation.schemas import message_schema
from shared_contracts.message import DeliveryMessage, Message, Topic

Json = dict[str, Any]
Plant = Callable[[Json], object]

OLD, NEW, BOTH = Harm.OLD_CONSUMERS, Harm.NEW_CONSUMERS, Harm.BOTH

PARCEL: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://drone-delivery.example/schemas/delivery/parcel_weighed.v1.json",
    "title": "ParcelWeighed",
    "description": "A parcel was weighed.",
    "x-messageType": "dronedelivery.delivery.parcel_weighed.v1",
    "x-topic": "delivery-events",
    "x-session": "delivery_id",
    "type": "object",
    "properties": {
        "delivery_id": {"type": "string", "format": "uuid"},
        "description": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z ]*$"},
        "weight_kg": {"type": "number", "exclusiveMinimum": 0, "maximum": 25},
        "pieces": {"type": "integer", "default": 1, "minimum": 1, "multipleOf": 1},
        "reason": {"$ref": "#/$defs/Reason", "description": "Why it was weighed."},
        "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": None},
        "way": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "maxItems": 9},
    },
    "required": ["delivery_id", "description", "weight_kg", "reason", "way"],
    "$defs": {
        "Reason": {"type": "string", "enum": ["too_heavy", "at_random"], "x-enumDescriptions": {"too_heavy": "Heavy."}},
        "Place": {
            "type": "object",
            "properties": {"latitude": {"type": "number", "maximum": 90}, "floor": {"type": "integer", "default": 0}},
            "required": ["latitude"],
        },
    },
}


def field(schema: Json, name: str) -> Json:
    found: Json = schema["properties"][name]
    return found


def definition(schema: Json, name: str) -> Json:
    found: Json = schema["$defs"][name]
    return found


def add(schema: Json, name: str, declared: Json, *, required: bool = False) -> None:
    schema["properties"][name] = declared
    if required:
        schema["required"].append(name)


def remove(schema: Json, name: str) -> None:
    del schema["properties"][name]
    schema["required"] = [one for one in schema["required"] if one != name]


def rename_definition(schema: Json) -> None:
    schema["$defs"]["Spot"] = schema["$defs"].pop("Place")
    schema["properties"]["place"]["anyOf"][0] = {"$ref": "#/$defs/Spot"}
    schema["properties"]["way"]["items"] = {"$ref": "#/$defs/Spot"}


BREAKING: dict[str, tuple[Plant, str, Break, Harm]] = {
    "field removed": (lambda s: remove(s, "weight_kg"), "weight_kg", Break.FIELD_REMOVED, OLD),
    "field named like a keyword removed": (
        lambda s: remove(s, "description"), "description", Break.FIELD_REMOVED, OLD,
    ),
    "field with default removed": (lambda s: remove(s, "pieces"), "pieces", Break.FIELD_REMOVED, OLD),
    "field of a value removed": (
        lambda s: remove(definition(s, "Place"), "floor"), "place.floor", Break.FIELD_REMOVED, OLD,
    ),
    "required field added": (
        lambda s: add(s, "colour", {"type": "string"}, required=True), "colour", Break.REQUIRED_FIELD_ADDED, NEW,
    ),
    "required field added to a value": (
        lambda s: add(definition(s, "Place"), "longitude", {"type": "number"}, required=True),
        "place.longitude", Break.REQUIRED_FIELD_ADDED, NEW,
    ),
    "field became required and lost its default": (
        lambda s: (s["required"].append("pieces"), field(s, "pieces").pop("default")),
        "pieces", Break.FIELD_BECAME_REQUIRED, NEW,
    ),
    "field became required": (lambda s: s["required"].append("pieces"), "pieces", Break.FIELD_BECAME_REQUIRED, NEW),
    "field became optional": (lambda s: s["required"].remove("way"), "way", Break.FIELD_BECAME_OPTIONAL, OLD),
    "type changed": (
        lambda s: field(s, "weight_kg").update(type="string"), "weight_kg", Break.TYPE_CHANGED, BOTH,
    ),
    "number became integer": (
        lambda s: field(s, "weight_kg").update(type="integer"), "weight_kg", Break.TYPE_CHANGED, NEW,
    ),
    "integer became number": (lambda s: field(s, "pieces").update(type="number"), "pieces", Break.TYPE_CHANGED, OLD),
    "format changed": (
        lambda s: field(s, "delivery_id").update(format="date-time"), "delivery_id", Break.TYPE_CHANGED, BOTH,
    ),
    "format added": (
        lambda s: field(s, "description").update(format="uuid"), "description", Break.TYPE_CHANGED, NEW,
    ),
    "format removed": (lambda s: field(s, "delivery_id").pop("format"), "delivery_id", Break.TYPE_CHANGED, OLD),
    "type removed": (lambda s: field(s, "weight_kg").pop("type"), "weight_kg", Break.TYPE_CHANGED, OLD),
    "null allowed": (
        lambda s: s["properties"].update(weight_kg={"anyOf": [field(s, "weight_kg"), {"type": "null"}]}),
        "weight_kg", Break.TYPE_CHANGED, OLD,
    ),
    "null forbidden": (
        lambda s: field(s, "place").update(anyOf=[{"$ref": "#/$defs/Place"}]), "place", Break.TYPE_CHANGED, NEW,
    ),
    "value became an object": (
        lambda s: s["properties"].update(reason={"$ref": "#/$defs/Place"}), "reason", Break.TYPE_CHANGED, BOTH,
    ),
    "maximum lowered": (lambda s: field(s, "weight_kg").update(maximum=20), "weight_kg", Break.LIMIT_NARROWED, NEW),
    "maximum raised": (lambda s: field(s, "weight_kg").update(maximum=30), "weight_kg", Break.LIMIT_WIDENED, OLD),
    "maximum removed": (lambda s: field(s, "weight_kg").pop("maximum"), "weight_kg", Break.LIMIT_WIDENED, OLD),
    "maximum added": (lambda s: field(s, "pieces").update(maximum=5), "pieces", Break.LIMIT_NARROWED, NEW),
    "minimum raised": (lambda s: field(s, "pieces").update(minimum=2), "pieces", Break.LIMIT_NARROWED, NEW),
    "minimum lowered": (lambda s: field(s, "pieces").update(minimum=0), "pieces", Break.LIMIT_WIDENED, OLD),
    "exclusive minimum raised": (
        lambda s: field(s, "weight_kg").update(exclusiveMinimum=1), "weight_kg", Break.LIMIT_NARROWED, NEW,
    ),
    "maximum of a value lowered": (
        lambda s: field(definition(s, "Place"), "latitude").update(maximum=80),
        "way.[].latitude", Break.LIMIT_NARROWED, NEW,
    ),
    "length narrowed": (
        lambda s: field(s, "description").update(maxLength=32), "description", Break.LIMIT_NARROWED, NEW,
    ),
    "length widened": (
        lambda s: field(s, "description").update(maxLength=128), "description", Break.LIMIT_WIDENED, OLD,
    ),
    "empty text allowed": (
        lambda s: field(s, "description").update(minLength=0), "description", Break.LIMIT_WIDENED, OLD,
    ),
    "shorter list": (lambda s: field(s, "way").update(maxItems=3), "way", Break.LIMIT_NARROWED, NEW),
    "code removed": (
        lambda s: definition(s, "Reason").update(enum=["too_heavy"]), "reason", Break.VALUE_REMOVED, NEW,
    ),
    "code added": (
        lambda s: definition(s, "Reason")["enum"].append("by_hand"), "reason", Break.VALUE_ADDED, OLD,
    ),
    "one code left, as a constant": (
        lambda s: s["$defs"].update(Reason={"type": "string", "const": "at_random"}),
        "reason", Break.VALUE_REMOVED, NEW,
    ),
    "codes became free text": (lambda s: definition(s, "Reason").pop("enum"), "reason", Break.LIMIT_WIDENED, OLD),
    "free text became codes": (
        lambda s: field(s, "description").update(enum=["a", "b"]), "description", Break.LIMIT_NARROWED, NEW,
    ),
    "default changed": (lambda s: field(s, "pieces").update(default=2), "pieces", Break.DEFAULT_CHANGED, BOTH),
    "default removed": (lambda s: field(s, "pieces").pop("default"), "pieces", Break.DEFAULT_CHANGED, BOTH),
    "default of a value changed": (
        lambda s: field(definition(s, "Place"), "floor").update(default=1), "place.floor", Break.DEFAULT_CHANGED, BOTH,
    ),
    "pattern changed": (
        lambda s: field(s, "description").update(pattern="^[a-z]*$"), "description", Break.CONSTRAINT_CHANGED, BOTH,
    ),
    "keyword that the comparison does not know": (
        lambda s: field(s, "pieces").update(multipleOf=2), "pieces", Break.CONSTRAINT_CHANGED, BOTH,
    ),
    "keyword of tomorrow": (
        lambda s: field(s, "pieces").update(primeOnly=True), "pieces", Break.CONSTRAINT_CHANGED, BOTH,
    ),
    "object closed": (lambda s: s.update(additionalProperties=False), "", Break.CONSTRAINT_CHANGED, BOTH),
    "message type changed": (
        lambda s: s.update({"x-messageType": "dronedelivery.delivery.parcel_weighed.v2"}),
        "", Break.IDENTITY_CHANGED, BOTH,
    ),
    "topic changed": (lambda s: s.update({"x-topic": "delivery"}), "", Break.IDENTITY_CHANGED, BOTH),
    "session changed": (lambda s: s.update({"x-session": "drone_id"}), "", Break.IDENTITY_CHANGED, BOTH),
}  # fmt: skip

HARMLESS: dict[str, Plant] = {
    "nothing": lambda s: s,
    "field with default added": lambda s: add(s, "colour", {"type": "string", "default": ""}),
    "field that may be null added": lambda s: add(
        s, "colour", {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    ),
    "field with default added to a value": lambda s: add(
        definition(s, "Place"), "name", {"type": "string", "default": ""}
    ),
    "descriptions changed": lambda s: (
        s.update(description="Other words.", title="Weighed"),
        field(s, "reason").update(description="Other words."),
        field(s, "weight_kg").update(description="Kilograms.", examples=[1.5]),
        definition(s, "Reason").update({"x-enumDescriptions": {"at_random": "By chance."}}),
    ),
    "dialect and id changed": lambda s: s.update({"$schema": "urn:other", "$id": "urn:other"}),
    "definition renamed": rename_definition,
    "definition written out": lambda s: s["properties"].update(reason=s["$defs"].pop("Reason")),
    "unused definition removed and added": lambda s: s["$defs"].update(Unused={"type": "string"}),
    "branches and codes in another order": lambda s: (
        field(s, "place")["anyOf"].reverse(),
        definition(s, "Reason")["enum"].reverse(),
        s["required"].reverse(),
    ),
    "marked as deprecated": lambda s: field(s, "pieces").update(deprecated=True),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_is_named(name: str) -> None:
    plant, path, what, harm = BREAKING[name]
    current = deepcopy(PARCEL)
    plant(current)

    changes = breaking_changes(PARCEL, current, "parcel")

    assert (f"parcel {path}".strip(), what, harm) in {(change.where, change.what, change.harm) for change in changes}
    assert {change.what for change in changes} == {what}, "one plant is one kind of change"


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_passes(name: str) -> None:
    current = deepcopy(PARCEL)
    HARMLESS[name](current)

    assert breaking_changes(PARCEL, current) == []


def test_every_kind_of_change_is_planted() -> None:
    elsewhere = {Break.MESSAGE_REMOVED, Break.FIELD_ADDED_TO_CLOSED_OBJECT}

    assert {what for _, _, what, _ in BREAKING.values()} | elsewhere == set(Break)


def test_an_addition_breaks_when_the_released_object_was_closed() -> None:
    closed = {**deepcopy(PARCEL), "additionalProperties": False}
    current = deepcopy(closed)
    add(current, "colour", {"type": "string", "default": ""})

    assert [(change.what, change.harm) for change in breaking_changes(closed, current)] == [
        (Break.FIELD_ADDED_TO_CLOSED_OBJECT, OLD)
    ]


def test_the_values_of_a_mapping_are_compared() -> None:
    released = {"type": "object", "additionalProperties": {"type": "integer", "maximum": 9}}
    current = {"type": "object", "additionalProperties": {"type": "integer", "maximum": 8}}

    assert [(change.where, change.what) for change in breaking_changes(released, current)] == [
        ("*", Break.LIMIT_NARROWED)
    ]


def test_alternatives_of_one_type_are_compared_one_by_one() -> None:
    released = {"oneOf": [{"type": "integer", "maximum": 9}, {"type": "integer", "minimum": 20}]}
    current = {"oneOf": [{"type": "integer", "maximum": 9}, {"type": "integer", "minimum": 30}]}

    assert [change.what for change in breaking_changes(released, current)] == [Break.LIMIT_NARROWED]


def test_another_number_of_alternatives_breaks() -> None:
    released = {"anyOf": [{"type": "integer", "maximum": 9}]}
    current = {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "integer", "minimum": 20}]}

    assert [change.what for change in breaking_changes(released, current)] == [Break.TYPE_CHANGED]


def test_alternatives_that_are_put_together_in_another_way_break() -> None:
    released = {"anyOf": [{"type": ["integer", "null"]}, {"type": "string"}]}
    current = {"anyOf": [{"type": "integer"}, {"type": "null"}, {"type": "string"}]}

    assert [change.what for change in breaking_changes(released, current)] == [Break.CONSTRAINT_CHANGED]


def test_one_of_is_not_any_of() -> None:
    types = [{"type": "integer"}, {"type": "string"}]

    assert {change.what for change in breaking_changes({"anyOf": types}, {"oneOf": types})} == {
        Break.CONSTRAINT_CHANGED
    }


def test_recursive_definitions_are_compared() -> None:
    def tree(depth_limit: int) -> Json:
        children = {"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": depth_limit}
        node = {"type": "object", "properties": {"children": children}, "required": ["children"]}
        return {"$ref": "#/$defs/Node", "$defs": {"Node": node}}

    assert breaking_changes(tree(3), tree(3)) == []
    assert {change.what for change in breaking_changes(tree(3), tree(2))} == {Break.LIMIT_NARROWED}


def test_a_removed_message_is_named() -> None:
    (change,) = breaking_changes_of_all({"delivery/parcel_weighed.v1": PARCEL}, {})

    assert (change.where, change.what) == ("delivery/parcel_weighed.v1", Break.MESSAGE_REMOVED)


def test_a_new_message_or_version_passes() -> None:
    released = {"delivery/parcel_weighed.v1": PARCEL}

    assert breaking_changes_of_all(released, {**released, "delivery/parcel_weighed.v2": {"type": "string"}}) == []


def test_the_message_of_a_change_says_where_what_and_who_is_broken() -> None:
    current = deepcopy(PARCEL)
    field(current, "weight_kg").update(maximum=20)

    (change,) = breaking_changes(PARCEL, current, "delivery/parcel_weighed.v1")

    assert str(change) == (
        "delivery/parcel_weighed.v1 weight_kg: limit narrowed (maximum: 25 became 20): "
        "new consumers would refuse or misread messages of the released version"
    )


# What the plants above do to a schema, done to a model: the generator must not lose it on the way.


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"


class VerdictOfTomorrow(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class Inspected(DeliveryMessage):
    """Somebody looked at the package."""

    message_type: ClassVar[str] = "dronedelivery.delivery.inspected.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY_EVENTS

    verdict: Verdict
    score: Annotated[float, Field(ge=0, le=10)]
    inspected_at: AwareDatetime | None


class WithOneMoreField(Inspected):
    """As its name says."""

    remark: str = ""


class WithOneMoreRequiredField(Inspected):
    """As its name says."""

    remark: str


class WithOneMoreCode(Inspected):
    """As its name says."""

    verdict: VerdictOfTomorrow  # type: ignore[assignment]


class WithNarrowerRange(Inspected):
    """As its name says."""

    score: Annotated[float, Field(ge=0, le=5)]


class WithoutNull(Inspected):
    """As its name says."""

    inspected_at: AwareDatetime


class OnAnotherTopic(Inspected):
    """As its name says."""

    topic: ClassVar[Topic] = Topic.DELIVERY


class InAnotherSession(Inspected):
    """As its name says."""

    inspector_id: UUID = UUID(int=0)

    @property
    def session_id(self) -> UUID:
        return self.inspector_id


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (WithOneMoreField, []),
        (WithOneMoreRequiredField, [Break.REQUIRED_FIELD_ADDED]),
        (WithOneMoreCode, [Break.VALUE_ADDED]),
        (WithNarrowerRange, [Break.LIMIT_NARROWED]),
        (WithoutNull, [Break.TYPE_CHANGED]),
        (OnAnotherTopic, [Break.IDENTITY_CHANGED]),
        (InAnotherSession, [Break.IDENTITY_CHANGED]),
    ],
)
def test_a_change_of_a_model_is_seen_in_its_schema(changed: type[Message], expected: list[Break]) -> None:
    changes = breaking_changes(message_schema(Inspected), message_schema(changed))

    assert [change.what for change in changes] == expected


# The rule itself: when nothing is reported, each side accepts what the other one sends.

FIELD_SCHEMAS: list[Json] = [
    {"type": "integer"},
    {"type": "integer", "minimum": 1},
    {"type": "integer", "minimum": 1, "maximum": 2},
    {"type": "integer", "exclusiveMinimum": 0},
    {"type": "number", "minimum": 1},
    {"enum": [1, "a"]},
    {"const": 1},
    {"type": "string"},
    {"type": "string", "maxLength": 1},
    {"type": "string", "enum": ["a"]},
    {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
    {"anyOf": [{"type": "null"}, {"type": "integer"}]},
    {"type": ["integer", "null"]},
    {},
    {"$ref": "#/$defs/One"},
    {"$ref": "#/$defs/Other"},
]
VALUES: list[Any] = [None, 0, 1, 2, 3, 1.5, "", "a", "ab", True]


def small_schemas() -> Iterator[Json]:
    definitions = {"One": {"type": "integer", "minimum": 1}, "Other": {"type": "string", "maxLength": 1}}
    for declared, required, extra in product(FIELD_SCHEMAS, ([], ["size"]), ({}, {"colour": {"type": "string"}})):
        properties = {"size": declared, **extra}
        yield {"type": "object", "properties": properties, "required": required, "$defs": definitions}


def test_nothing_is_reported_only_when_old_and_new_services_understand_each_other() -> None:
    schemas = list(small_schemas())
    messages: list[Json] = [{}, *({"size": value} for value in VALUES)]
    accepted = [[Draft202012Validator(schema).is_valid(message) for message in messages] for schema in schemas]
    pairs = list(product(range(len(schemas)), repeat=2))

    compatible = [(one, other) for one, other in pairs if not breaking_changes(schemas[one], schemas[other])]

    assert [(schemas[one], schemas[other]) for one, other in compatible if accepted[one] != accepted[other]] == []
    # The comparison does not get there by refusing everything: each schema fits itself, and itself with an addition.
    assert len(compatible) >= len(schemas) * 3 / 2
