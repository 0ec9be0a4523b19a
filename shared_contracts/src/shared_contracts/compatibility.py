"""What would break when one version of a message's JSON Schema follows another.

Both directions count, because services are upgraded one by one and messages wait in queues: a consumer of the released
version must be able to read what a current publisher sends, and a current consumer what was sent before. So whatever
narrows a field breaks new consumers, whatever widens it breaks old ones, and only additions that nobody has to know
pass: a field that may be missing, a new message, another description.

A keyword that this module does not know must stay as it is: an unknown change counts as breaking.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

Schema = Mapping[str, Any]


class Harm(StrEnum):
    """Who is broken by a change."""

    OLD_CONSUMERS = "consumers of the released version would refuse or misread new messages"
    NEW_CONSUMERS = "new consumers would refuse or misread messages of the released version"
    BOTH = "old and new services would not understand each other"


class Break(StrEnum):
    """The kinds of breaking changes."""

    MESSAGE_REMOVED = "message removed"
    IDENTITY_CHANGED = "identity changed"
    FIELD_REMOVED = "field removed"
    REQUIRED_FIELD_ADDED = "required field added"
    FIELD_ADDED_TO_CLOSED_OBJECT = "field added to an object that refuses unknown fields"
    FIELD_BECAME_REQUIRED = "field became required"
    FIELD_BECAME_OPTIONAL = "field became optional"
    TYPE_CHANGED = "type changed"
    LIMIT_NARROWED = "limit narrowed"
    LIMIT_WIDENED = "limit widened"
    VALUE_REMOVED = "value removed"
    VALUE_ADDED = "value added"
    DEFAULT_CHANGED = "default changed"
    CONSTRAINT_CHANGED = "constraint changed"


@dataclass(frozen=True)
class BreakingChange:
    """One change that needs a new version of the message instead."""

    where: str
    """The message and the path of the field in it, `delivery/delivery_failed.v1 flight.distance_m`."""
    what: Break
    detail: str
    harm: Harm

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.detail}): {self.harm}"


_MISSING: Final = object()
_IDENTITY = ("x-messageType", "x-topic", "x-session")
_DOCUMENTATION = ("title", "description", "examples", "deprecated", "readOnly", "writeOnly", "x-enumDescriptions")
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "$defs", *_DOCUMENTATION, *_IDENTITY})
_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})
_LITERALS = frozenset({"enum", "const", "default", "required", "dependentRequired"})
_LOWER_LIMITS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER_LIMITS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_OBJECT_KEYWORDS = frozenset({"properties", "required", "additionalProperties"})


def breaking_changes_of_all(released: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[BreakingChange]:
    """What breaks between two sets of schemas by path. A message that only the current set has breaks nobody."""
    changes: list[BreakingChange] = []
    for path, schema in released.items():
        if path in current:
            changes += breaking_changes(schema, current[path], path)
        else:
            detail = "it is no longer in the catalogue under this publisher, name and version"
            changes.append(BreakingChange(path, Break.MESSAGE_REMOVED, detail, Harm.BOTH))
    return changes


def breaking_changes(released: Schema, current: Schema, message: str = "") -> list[BreakingChange]:
    """What breaks between two JSON Schemas of one message. Raises KeyError when a `$ref` leads nowhere."""
    identity = [
        BreakingChange(message, Break.IDENTITY_CHANGED, _changed(keyword, released, current), Harm.BOTH)
        for keyword in _IDENTITY
        if released.get(keyword) != current.get(keyword)
    ]
    node = _Node(message, "", _plain(released, released), _plain(current, current))
    return [*identity, *_compare(node)]


def _plain(schema: Any, document: Schema, inside: tuple[str, ...] = ()) -> Any:
    """The schema without annotations and with every `$ref` replaced by what it refers to."""
    if isinstance(schema, list):
        return [_plain(one, document, inside) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = _referred(schema["$ref"], document, inside) if "$ref" in schema else {}
    for keyword, value in schema.items():
        if keyword == "const":
            plain["enum"] = [value]
        elif keyword in _LITERALS:
            plain[keyword] = value
        elif keyword in _SCHEMAS_BY_NAME:
            plain[keyword] = {name: _plain(one, document, inside) for name, one in value.items()}
        elif keyword not in _ANNOTATIONS and keyword != "$ref":
            plain[keyword] = _plain(value, document, inside)
    return plain


def _referred(reference: str, document: Schema, inside: tuple[str, ...]) -> dict[str, Any]:
    # A recursive definition is written out once; further in, its name stands for it.
    if reference in inside:
        return {"$ref": reference}
    definition = document["$defs"][reference.removeprefix("#/$defs/")]
    plain: dict[str, Any] = _plain(definition, document, (*inside, reference))
    return plain


@dataclass(frozen=True)
class _Node:
    """The same place in both schemas."""

    message: str
    path: str
    released: Schema
    current: Schema

    def child(self, path: str, released: Schema, current: Schema) -> "_Node":
        return _Node(self.message, f"{self.path}.{path}".lstrip("."), released, current)

    def change(self, what: Break, detail: str, harm: Harm, field: str = "") -> BreakingChange:
        path = f"{self.path}.{field}".strip(".")
        return BreakingChange(f"{self.message} {path}".strip(), what, detail, harm)


_Comparison = Callable[[_Node, str], Iterator[BreakingChange]]


def _compare(node: _Node) -> Iterator[BreakingChange]:
    released_types, current_types = _types(node.released), _types(node.current)
    if released_types != current_types:
        # What else differs follows from the type.
        yield _type_change(node, released_types, current_types)
        return
    for keyword in sorted((node.released.keys() | node.current.keys()) - _OBJECT_KEYWORDS):
        yield from _COMPARISONS.get(keyword, _constraint)(node, keyword)
    yield from _fields(node)
    yield from _unknown_fields(node)


def _types(schema: Schema) -> tuple[str, ...]:
    """The types that a value may have, a format counting as a type of its own."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return tuple(sorted(name for branch in branches for name in _types(branch)))
    types = schema.get("type", ())
    names = [types] if isinstance(types, str) else types
    suffix = f" ({schema['format']})" if "format" in schema else ""
    return tuple(sorted(f"{name}{suffix}" for name in names))


def _type_change(node: _Node, released: Sequence[str], current: Sequence[str]) -> BreakingChange:
    match _accepts(current, released), _accepts(released, current):
        case True, False:
            harm = Harm.OLD_CONSUMERS
        case False, True:
            harm = Harm.NEW_CONSUMERS
        case _:
            harm = Harm.BOTH
    detail = f"{' or '.join(released) or 'anything'} became {' or '.join(current) or 'anything'}"
    return node.change(Break.TYPE_CHANGED, detail, harm)


def _accepts(types: Sequence[str], others: Sequence[str]) -> bool:
    """Whether whoever reads `types` can read all of `others`. No types at all stand for any value."""
    if not types or not others:
        return not types
    return all(
        other in types or other.partition(" ")[0] in types or (other == "integer" and "number" in types)
        for other in others
    )


def _branches(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    if keyword not in node.released or keyword not in node.current:
        yield from _constraint(node, keyword)
        return
    # The types are the same, so sorting by them puts the branches of both versions side by side.
    released = sorted(node.released[keyword], key=_types)
    current = sorted(node.current[keyword], key=_types)
    if [_types(branch) for branch in released] != [_types(branch) for branch in current]:
        yield from _constraint(node, keyword)
        return
    for before, after in zip(released, current, strict=True):
        yield from _compare(_Node(node.message, node.path, before, after))


def _items(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    yield from _compare(node.child("[]", node.released.get(keyword, {}), node.current.get(keyword, {})))


def _values(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    if keyword not in node.released:
        yield node.change(Break.LIMIT_NARROWED, f"only {node.current[keyword]} is left", Harm.NEW_CONSUMERS)
        return
    if keyword not in node.current:
        yield node.change(Break.LIMIT_WIDENED, "any value is allowed now", Harm.OLD_CONSUMERS)
        return
    released, current = node.released[keyword], node.current[keyword]
    for value in released:
        if value not in current:
            yield node.change(Break.VALUE_REMOVED, repr(value), Harm.NEW_CONSUMERS)
    for value in current:
        if value not in released:
            yield node.change(Break.VALUE_ADDED, repr(value), Harm.OLD_CONSUMERS)


def _limit(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    released, current = node.released.get(keyword), node.current.get(keyword)
    if released == current:
        return
    if released is None or current is None:
        narrowed = released is None
    else:
        narrowed = current > released if keyword in _LOWER_LIMITS else current < released
    detail = _changed(keyword, node.released, node.current)
    if narrowed:
        yield node.change(Break.LIMIT_NARROWED, detail, Harm.NEW_CONSUMERS)
    else:
        yield node.change(Break.LIMIT_WIDENED, detail, Harm.OLD_CONSUMERS)


def _fields(node: _Node) -> Iterator[BreakingChange]:
    released, current = node.released.get("properties", {}), node.current.get("properties", {})
    required_before, required_now = node.released.get("required", ()), node.current.get("required", ())
    for name, before in released.items():
        if name not in current:
            yield node.change(Break.FIELD_REMOVED, name, Harm.OLD_CONSUMERS, name)
        elif (name in required_before) == (name in required_now):
            yield from _compare(node.child(name, before, current[name]))
        else:
            yield _requirement_change(node, name, is_required_now=name in required_now)
            # With the requirement comes or goes the default: one change, not two.
            yield from _compare(node.child(name, _without_default(before), _without_default(current[name])))
    for name in current:
        if name in released:
            continue
        if name in required_now:
            yield node.change(Break.REQUIRED_FIELD_ADDED, name, Harm.NEW_CONSUMERS, name)
        elif node.released.get("additionalProperties", True) is not True:
            yield node.change(Break.FIELD_ADDED_TO_CLOSED_OBJECT, name, Harm.OLD_CONSUMERS, name)


def _requirement_change(node: _Node, name: str, *, is_required_now: bool) -> BreakingChange:
    if is_required_now:
        return node.change(Break.FIELD_BECAME_REQUIRED, name, Harm.NEW_CONSUMERS, name)
    return node.change(Break.FIELD_BECAME_OPTIONAL, name, Harm.OLD_CONSUMERS, name)


def _without_default(schema: Schema) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword != "default"}


def _unknown_fields(node: _Node) -> Iterator[BreakingChange]:
    released = node.released.get("additionalProperties", True)
    current = node.current.get("additionalProperties", True)
    if isinstance(released, Mapping) and isinstance(current, Mapping):
        yield from _compare(node.child("*", released, current))
    elif released != current:
        yield from _constraint(node, "additionalProperties")


def _default(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    # Publishers may leave the field out; then old and new consumers would assume different values.
    if node.released.get(keyword, _MISSING) != node.current.get(keyword, _MISSING):
        yield node.change(Break.DEFAULT_CHANGED, _changed(keyword, node.released, node.current), Harm.BOTH)


def _constraint(node: _Node, keyword: str) -> Iterator[BreakingChange]:
    if node.released.get(keyword, _MISSING) != node.current.get(keyword, _MISSING):
        yield node.change(Break.CONSTRAINT_CHANGED, _changed(keyword, node.released, node.current), Harm.BOTH)


def _changed(keyword: str, released: Schema, current: Schema) -> str:
    return f"{keyword}: {released.get(keyword, 'nothing')!r} became {current.get(keyword, 'nothing')!r}"


_COMPARISONS: dict[str, _Comparison] = {
    **dict.fromkeys(_LOWER_LIMITS | _UPPER_LIMITS, _limit),
    "anyOf": _branches,
    "default": _default,
    "enum": _values,
    "items": _items,
    "oneOf": _branches,
}
"""How a keyword is compared; one that is not listed must stay as it is."""
