"""What FastAPI cannot read off the routes, because they parse their bodies and make their answers themselves."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ingestion.domain import limits
from ingestion.idempotency import HEADER, REPLAYED_HEADER
from ingestion.representations import EXAMPLE_ID, STATUS_PATH, AcceptedDelivery, DeliveryPage, DeliveryStatus

Responses = dict[int | str, dict[str, Any]]


class FieldProblem(BaseModel):
    """One field that is missing or invalid."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Where it is, as in `body.package.weight_kg`."""
    message: str


class ProblemDetails(BaseModel):
    """An error as RFC 9457 tells it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Stable; what programs compare."""
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None
    """With `type` .../invalid-request."""
    stage: str | None = None
    """With `type` .../delivery-ended."""


PROBLEMS = {
    400: "The body is not JSON, or the idempotency key is not valid",
    401: "The caller is unknown",
    404: "The caller has no such request",
    409: "The delivery has ended, or is about to be cancelled",
    413: f"The body is larger than {limits.BODY_BYTES_MAX} bytes",
    415: "The body is not application/json",
    422: "Fields are missing, unknown or impossible, or the idempotency key was used for another request",
    503: "The service cannot answer just now; a request with an idempotency key can safely be sent again",
}


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema without references, for places that FastAPI does not collect definitions from."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(one) for one in part]
        if not isinstance(part, dict):
            return part
        if reference := part.get("$ref"):
            named = definitions[reference.removeprefix("#/$defs/")]
            return resolve({**named, **{name: value for name, value in part.items() if name != "$ref"}})
        return {name: resolve(value) for name, value in part.items()}

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def problems(*statuses: int) -> Responses:
    """The errors that a route answers with."""
    content = {"application/problem+json": {"schema": inlined(ProblemDetails)}}
    return {status: {"description": PROBLEMS[status], "content": content} for status in (*statuses, 401, 503)}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that parses it itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined(model)}}}}


IDEMPOTENCY_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": (
                "Makes it safe to send the request again. The same key with the same request gets the same answer for "
                f"{limits.IDEMPOTENCY_KEY_LIFETIME.total_seconds() / 3600:.0f} hours, and the effect happens once; "
                "with another request it is refused with 422. Keys of different callers are apart."
            ),
            "schema": {"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_LENGTH_MAX},
            "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
        }
    ]
}

_RETRY_AFTER = {"description": "Seconds to wait before asking for the status", "schema": {"type": "integer"}}

ACCEPTED: Responses = {
    202: {
        "model": AcceptedDelivery,
        "description": "Stored; `Location` tells what comes of it",
        "headers": {
            "Location": {
                "description": "The status of the delivery",
                "schema": {"type": "string", "examples": [f"{STATUS_PATH}/{EXAMPLE_ID}"]},
            },
            "Retry-After": _RETRY_AFTER,
            REPLAYED_HEADER: {
                "description": "`true` when this is the answer to an earlier request with the same idempotency key",
                "schema": {"type": "string"},
            },
        },
    }
}
TOLD: Responses = {
    200: {
        "model": DeliveryStatus,
        "description": "The request, and what became of it",
        "headers": {"Retry-After": {**_RETRY_AFTER, "description": "Seconds; absent when the delivery has ended"}},
    }
}
LISTED: Responses = {200: {"model": DeliveryPage, "description": "The caller's requests, newest first"}}
