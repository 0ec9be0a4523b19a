"""HTTP errors are problem details (RFC 9457)."""

import json
from datetime import UTC, datetime
from uuid import UUID

from shared_runtime.problems import Problem


def test_a_problem_has_the_members_of_the_standard_and_its_own() -> None:
    problem = Problem(409, "package-already-ready", "it is ready", package_id="p", reason="late")
    assert problem.body("/api/v1/packages/p") == {
        "type": "https://drone-delivery.example/problems/package-already-ready",
        "title": "Package already ready",
        "status": 409,
        "detail": "it is ready",
        "instance": "/api/v1/packages/p",
        "package_id": "p",
        "reason": "late",
    }


def test_its_answer_has_the_media_type_of_the_standard_and_its_headers() -> None:
    response = Problem(503, "unavailable", "soon", headers={"Retry-After": "1"}).response("/")
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
    assert response.headers["retry-after"] == "1"


def test_extensions_may_be_what_handlers_have() -> None:
    problem = Problem(409, "x", "y", at=datetime(2026, 1, 2, tzinfo=UTC), key=UUID(int=1), many={1})
    body = json.loads(bytes(problem.response("/").body))
    assert body["at"].startswith("2026-01-02T00:00:00")
    assert (body["key"], body["many"]) == (str(UUID(int=1)), [1])


def test_as_a_dead_letter_its_reason_is_the_slug() -> None:
    assert Problem(409, "package-already-ready", "it is ready").reason == "package-already-ready"
