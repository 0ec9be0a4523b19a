"""What the OpenAPI document says beyond what FastAPI reads off the routes: bodies, and every problem by its status.

A route names the problems that it raises itself, as FastAPI has it: `responses={404: {"description": "..."}}`. What the
runtime answers for it (the caller unknown, the body too large, no database) is found out here.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared_runtime.bodies import SCHEMAS, JsonBody
from shared_runtime.callers import ROLES, SUBJECT, SUBJECT_LENGTH_MAX, RequiredRole, read_caller, read_roles
from shared_runtime.middleware import WITH_BODY
from shared_runtime.problems import MEDIA_TYPE, ProblemDetails

DESCRIPTION = "Every error is a problem document (RFC 9457); programs compare its `type`."
HEADERS = {
    read_caller: (SUBJECT, f"Who is calling: 1 to {SUBJECT_LENGTH_MAX} printable ASCII characters"),
    read_roles: (ROLES, "The caller's roles, separated by commas"),
}
"""What is read off the headers, with their names and meanings."""
RETRY_AFTER = {"description": "Seconds to wait before the request is sent again", "schema": {"type": "integer"}}


class UndocumentedProblem(UserWarning):
    """A route answered with a problem of a status that its document lacks."""


def complete(document: dict[str, Any], routes: Iterable[APIRoute], *, max_request_bytes: int) -> dict[str, Any]:
    """Add headers, bodies and problems to the document that FastAPI made of these routes.

    Doing it again changes nothing.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[ProblemDetails.__name__] = ProblemDetails.model_json_schema(ref_template=SCHEMAS + "{model}")
    schemas.update(schemas[ProblemDetails.__name__].pop("$defs"))
    for route in routes:
        if not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            headers = _headers_of(route)
            if headers:
                others = [one for one in operation.get("parameters", []) if one not in headers]
                operation["parameters"] = others + headers
            body = _body_of(route)
            if body is not None:
                operation["requestBody"] = body.described_in(schemas)
            # FastAPI's own 422 is another document than the one that is answered.
            answers = {status: one for status, one in operation["responses"].items() if status < "400"}
            told = problems_of(route, method, max_request_bytes=max_request_bytes)
            operation["responses"] = answers | {str(status): _answer(status, told[status]) for status in sorted(told)}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


def problems_of(route: APIRoute, method: str, *, max_request_bytes: int) -> dict[int, str]:
    """Every status of a problem that the route can answer, and when it does."""
    calls = _calls_of(route)
    has_body = route.body_field is not None or _body_of(route) is not None
    reasons: dict[int, list[str]] = {503: ["The service cannot answer just now"]}

    def add(status: int, reason: str) -> None:
        reasons.setdefault(status, []).append(reason)

    for status, response in route.responses.items():
        if int(status) >= 400:
            add(int(status), response["description"])
    if has_body:
        add(400, "The body is no JSON")
    if read_caller in calls:
        add(401, "The caller is unknown")
    if {read_caller, read_roles} & calls:
        add(400, "The headers that name the caller are ambiguous or invalid")
    for call in calls:
        if isinstance(call, RequiredRole):
            add(403, f"The caller has not the role {call.role}")
    if method in WITH_BODY:
        add(413, f"The body is larger than {max_request_bytes} bytes")
        add(415, "The body is not application/json")
    if has_body:
        add(422, "Fields or parameters are missing, unknown or invalid")
    elif any(one.path_params or one.query_params for one in _tree(route.dependant)):
        add(422, "Parameters are missing or invalid")
    return {status: "; ".join(said) for status, said in reasons.items()}


def _calls_of(route: APIRoute) -> set[Any]:
    return {call for dependant in _tree(route.dependant) if (call := dependant.call) is not None}


def _headers_of(route: APIRoute) -> list[dict[str, Any]]:
    """As FastAPI describes an optional header: what is refused without one is told by the answers."""
    calls = _calls_of(route)
    return [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for call, (name, meaning) in HEADERS.items()
        if call in calls
    ]


def _body_of(route: APIRoute) -> JsonBody[Any] | None:
    return next((one.call for one in _tree(route.dependant) if isinstance(one.call, JsonBody)), None)


def _tree(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _tree(one)


def _answer(status: int, description: str) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + ProblemDetails.__name__}}}
    answer: dict[str, Any] = {"description": description, "content": content}
    if status == 503:
        answer["headers"] = {"Retry-After": RETRY_AFTER}
    return answer
