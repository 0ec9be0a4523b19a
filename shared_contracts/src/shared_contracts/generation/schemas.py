"""The JSON Schema of a message, with its codes explained and its place in the topology."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from enum import Enum
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from shared_contracts.catalogue import MessageName, session_field_of
from shared_contracts.message import Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ROOT = "https://drone-delivery.example/schemas"

MESSAGE_TYPE = "x-messageType"
TOPIC = "x-topic"
SESSION = "x-session"
ENUM_DESCRIPTIONS = "x-enumDescriptions"


def message_schema(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema of what consumers accept: fields with a default may be missing, unknown ones may be there.

    `x-messageType`, `x-topic` and `x-session` (the field that orders the messages) belong to the contract too.
    Raises ValueError when the message has no docstring.
    """
    generated = message.model_json_schema(schema_generator=_ContractSchema)
    if "description" not in generated:
        raise ValueError(f"{message.__name__} has no docstring")
    return {
        "$schema": DIALECT,
        "$id": f"{SCHEMA_ROOT}/{MessageName.parse(message.message_type).path}.json",
        "title": generated.pop("title"),
        "description": generated.pop("description"),
        MESSAGE_TYPE: message.message_type,
        TOPIC: str(message.topic),
        SESSION: session_field_of(message),
        "type": generated.pop("type"),
        "properties": generated.pop("properties"),
        "required": generated.pop("required", []),
        **generated,
    }


def member_descriptions(enumeration: type[Enum]) -> dict[str, str]:
    """The strings below the members of an enumeration, by the member's value.

    Python keeps no docstring for a member, so they are read from the source, as pydantic does for fields.
    """
    declaration = ast.parse(textwrap.dedent(inspect.getsource(enumeration))).body[0]
    if not isinstance(declaration, ast.ClassDef):
        raise TypeError(f"{enumeration.__name__} is not declared by a class statement")
    descriptions: dict[str, str] = {}
    for statement, following in pairwise(declaration.body):
        match statement, following:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                descriptions[str(enumeration[name].value)] = inspect.cleandoc(text)
            case _:
                pass
    return descriptions


class _ContractSchema(GenerateJsonSchema):
    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        document = super().enum_schema(schema)
        # One value is a list of one, so that an enumeration has the same shape whatever its length.
        if "const" in document:
            document["enum"] = [document.pop("const")]
        descriptions: Mapping[str, str] = member_descriptions(schema["cls"])
        if descriptions:
            document[ENUM_DESCRIPTIONS] = dict(descriptions)
        return document

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Titles of fields would only repeat their names."""
        del schema
        return False
