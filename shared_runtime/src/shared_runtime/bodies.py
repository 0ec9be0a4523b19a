"""What HTTP clients send as JSON: read and validated in one step, and nothing is converted."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

T = TypeVar("T")

SCHEMAS = "#/components/schemas/"

_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")


class JsonBody(Generic[T]):
    """A dependency of FastAPI: the body of the request as a `T`, which is any type that pydantic knows.

    Neither a boolean nor a text is taken for a number, on any level. Members that nobody knows are refused, on any
    level too, so that a typing error does not go unnoticed.
    """

    def __init__(self, kind: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    async def __call__(self, request: Request) -> T:
        """Raises RequestValidationError, which becomes a problem: 400 when the body is no JSON, 422 otherwise."""
        try:
            return self._adapter.validate_json(await request.body(), strict=True, extra="forbid")
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
            raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in errors]) from None

    def described_in(self, schemas: dict[str, Any]) -> dict[str, Any]:
        """The request body as OpenAPI describes it. Adds the schemas that it refers to."""
        schema = self._adapter.json_schema(ref_template=SCHEMAS + "{model}")
        definitions: dict[str, Any] = schema.pop("$defs", {})
        if schema.get("type") == "object":
            definitions[schema["title"]] = schema
            schema = {"$ref": SCHEMAS + schema["title"]}
        for definition in definitions.values():
            if definition.get("type") == "object":
                definition.setdefault("additionalProperties", False)
        # What is answered under the same name may have members that nobody knows yet.
        clashing = [name for name, definition in definitions.items() if schemas.get(name, definition) != definition]
        written = json.dumps([schema, definitions])
        for name in clashing:
            written = written.replace(f'"{SCHEMAS}{name}"', f'"{SCHEMAS}{name}-Input"')
        schema, definitions = json.loads(written)
        for name, definition in definitions.items():
            schemas[f"{name}-Input" if name in clashing else name] = definition
        return {"required": True, "content": {"application/json": {"schema": schema}}}


def json_body(kind: Any) -> Any:
    """What makes a parameter the body of the request: `body: Annotated[Parcel, json_body(Parcel)]`."""
    return Depends(JsonBody(kind))


def _read_instant(value: Any) -> datetime:
    # Pydantic would also read "1700000000" and dates without a time.
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    raise PydanticCustomError("instant_format", "must be a date and time with a zone, as in 2026-03-01T12:10:00+01:00")


Instant = Annotated[AwareDatetime, BeforeValidator(_read_instant, json_schema_input_type=AwareDatetime)]
"""RFC 3339, with a zone. What is finer than a microsecond is cut off."""
