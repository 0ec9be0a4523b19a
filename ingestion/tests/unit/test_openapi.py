"""The OpenAPI document tells what the routes do, also where they do it by themselves."""

import json
from typing import Any

import pytest

from ingestion.api import routers
from ingestion.consumers import consumer
from ingestion.representations import EXAMPLE_ID, STATUS_PATH
from ingestion.settings import Settings
from shared_runtime import create_app

NOWHERE = Settings(database_url="postgresql://nobody@localhost/none", broker_url="amqp://nobody@localhost/")
DOCUMENT: dict[str, Any] = create_app(consumer, NOWHERE, routers=routers, title="Ingestion").openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if path.startswith(STATUS_PATH)
}


def parameters(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", [])}


def test_every_operation_is_there() -> None:
    one = f"{STATUS_PATH}/{{delivery_id}}"
    assert set(OPERATIONS) == {
        f"POST {STATUS_PATH}",
        f"GET {STATUS_PATH}",
        f"GET {one}",
        f"PATCH {one}",
        f"DELETE {one}",
    }


ERRORS = {
    f"POST {STATUS_PATH}": {"400", "401", "413", "415", "422", "503"},
    f"GET {STATUS_PATH}": {"400", "401", "422", "503"},
    f"GET {STATUS_PATH}/{{delivery_id}}": {"400", "401", "404", "422", "503"},
    f"PATCH {STATUS_PATH}/{{delivery_id}}": {"400", "401", "404", "409", "413", "415", "422", "503"},
    f"DELETE {STATUS_PATH}/{{delivery_id}}": {"400", "401", "404", "409", "422", "503"},
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_errors_are_problem_details(name: str) -> None:
    errors = {status: answer for status, answer in OPERATIONS[name]["responses"].items() if status >= "400"}

    assert errors.keys() == ERRORS[name]
    assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors.values())


@pytest.mark.parametrize("name", [name for name in OPERATIONS if not name.startswith("GET")])
def test_changes_are_accepted_under_a_key(name: str) -> None:
    operation = OPERATIONS[name]

    assert "Idempotency-Key" in parameters(operation)
    assert {"Location", "Retry-After", "Idempotency-Replayed"} == operation["responses"]["202"]["headers"].keys()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name.startswith(("POST", "PATCH"))])
def test_bodies_are_described_with_an_example(name: str) -> None:
    reference = OPERATIONS[name]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]

    assert schema["additionalProperties"] is False
    assert schema["properties"]["deadline"]["format"] == "date-time"
    assert schema["examples"]


def test_references_lead_somewhere() -> None:
    names = DOCUMENT["components"]["schemas"]
    references = [part.split('"')[0] for part in json.dumps(DOCUMENT).split('"$ref": "')[1:]]

    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= names.keys()
    assert EXAMPLE_ID in json.dumps(DOCUMENT)
