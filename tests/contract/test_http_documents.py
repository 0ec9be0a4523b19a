"""The OpenAPI documents say all that an operation can answer. That a service's own problems are in them is held by
every component test: an answer with an undocumented problem is a warning, and warnings are errors."""

from typing import Any

import pytest

from documentation.services import PACKAGES, load

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
OPERATIONS = [
    pytest.param(operation, method, id=f"{method} {path}")
    for package in PACKAGES
    for path, operations in load(package).app.openapi()["paths"].items()
    for method, operation in operations.items()
]


@pytest.mark.parametrize(("operation", "method"), OPERATIONS)
def test_what_the_runtime_can_always_answer_is_documented(operation: dict[str, Any], method: str) -> None:
    parameters = {(one["in"], one["name"]) for one in operation.get("parameters", [])}
    expected = {"503"}
    if ("header", "x-subject") in parameters:
        expected |= {"400", "401"}
    if {place for place, _ in parameters} & {"path", "query"}:
        expected |= {"422"}
    if method in {"post", "put", "patch"}:
        expected |= {"413", "415"}
    if "requestBody" in operation:
        expected |= {"400", "422"}
    assert expected <= operation["responses"].keys()


@pytest.mark.parametrize(("operation", "method"), OPERATIONS)
def test_every_error_is_documented_as_a_problem(operation: dict[str, Any], method: str) -> None:
    for status, answer in operation["responses"].items():
        if status >= "400":
            assert answer["content"] == PROBLEM, (method, status)
            assert answer["description"]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_sent_has_no_unknown_members_and_every_reference_leads_somewhere(package: str) -> None:
    document = load(package).app.openapi()
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for reference in _references(operation.get("requestBody", {}), schemas):
                schema = schemas[reference]
                assert schema["type"] != "object" or schema["additionalProperties"] is False, reference
    assert _references(document, schemas) <= schemas.keys()


def _references(part: Any, schemas: dict[str, Any]) -> set[str]:
    """The schemas that the part refers to, also by way of others."""
    found: set[str] = set()
    parts = [part]
    while parts:
        one = parts.pop()
        if isinstance(one, list):
            parts += one
        elif isinstance(one, dict):
            parts += one.values()
            name = str(one.get("$ref", "")).removeprefix("#/components/schemas/")
            if name and name not in found:
                found.add(name)
                parts.append(schemas.get(name))
    return found
