"""Every answer is what it says it is, every error a problem document, and the figures show it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sites import Site, World, a_session, entries, metric

from shared_runtime import Problem, reads
from shared_runtime.http import Instant, json_body, require_role
from shared_runtime.openapi import UndocumentedProblem
from shared_runtime.testing import eventually, running


def is_a_problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"https://drone-delivery.example/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response.request.url.path
    return body


@pytest.mark.parametrize(
    ("method", "path", "sent", "expected"),
    [
        ("GET", "/api/v1/nothing", {}, (404, "not-found")),
        ("GET", "/api/v1/journals/none", {}, (404, "no-journal")),
        ("DELETE", "/api/v1/mine", {}, (405, "method-not-allowed")),
        ("GET", "/api/v1/mine", {}, (401, "caller-unknown")),
        ("GET", "/api/v1/mine/", {}, (404, "not-found")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": ""}}, (401, "caller-unknown")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": "x" * 129}}, (400, "caller-invalid")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": b"a\x01b"}}, (400, "caller-invalid")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": b"a\tb"}}, (400, "caller-invalid")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": "\u00e4nne".encode()}}, (400, "caller-invalid")),
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": " \t"}}, (401, "caller-unknown")),
        ("GET", "/api/v1/mine", {"headers": [("X-Subject", "ann"), ("x-subject", "bob")]}, (400, "caller-ambiguous")),
        ("GET", "/api/v1/mine", {"headers": [("X-Subject", ""), ("X-Subject", "bob")]}, (400, "caller-ambiguous")),
        ("POST", "/api/v1/journals/a", {"content": b"{"}, (400, "malformed-json")),
        ("POST", "/api/v1/journals/a", {"content": b"\xff"}, (400, "malformed-request")),
        ("POST", "/api/v1/journals/a", {"content": b"[" * 20_000}, (400, "malformed-request")),
        ("POST", "/api/v1/journals/a", {"content": b""}, (422, "invalid-request")),
        ("POST", "/api/v1/journals/a", {"json": {"number": "x"}}, (422, "invalid-request")),
        ("POST", "/api/v1/journals/a", {"json": {"number": 1, "extra": 1}}, (422, "invalid-request")),
        ("POST", "/api/v1/journals/a", {"content": b"a=1", "type": "text/plain"}, (415, "unsupported-media-type")),
        ("POST", "/api/v1/journals/a", {"content": b"{}", "type": ""}, (415, "unsupported-media-type")),
        ("POST", "/api/v1/journals/a", {"json": {"number": 1, "text": "x" * 70_000}}, (413, "request-too-large")),
        ("GET", "/api/v1/broken", {}, (500, "internal-error")),
        # Beyond the column: the driver objects, and it is no outage.
        ("GET", f"/api/v1/pages/{2**40}", {}, (500, "internal-error")),
    ],
)
async def test_errors_are_problem_documents(
    world: World, method: str, path: str, sent: dict[str, Any], expected: tuple[int, str]
) -> None:
    content_type = sent.pop("type", "application/json") if "content" in sent else None
    headers = {"Content-Type": content_type} if content_type else {}
    response = await world.http.request(method, path, **{"headers": headers} | sent)
    is_a_problem(response, *expected)


async def test_what_is_allowed_is_told(world: World) -> None:
    refused = await world.http.delete("/api/v1/journals/a")
    is_a_problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET, POST"
    assert (await world.http.post("/metrics")).headers["allow"] == "GET"


async def test_fields_that_are_wrong_are_named(world: World) -> None:
    response = await world.http.post("/api/v1/journals/a", json={"how": 1})
    body = is_a_problem(response, 422, "invalid-request")
    assert [error["field"] for error in body["errors"]] == ["body.number", "body.how"]


async def test_a_body_without_a_length_is_limited_too(world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    response = await world.http.post(
        "/api/v1/journals/a", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert response.request.headers.get("content-length") is None
    is_a_problem(response, 413, "request-too-large")


async def test_a_vendor_media_type_is_json_too(world: World) -> None:
    response = await world.http.post(
        f"/api/v1/journals/{a_session()}",
        content=b'{"number": 1}',
        headers={"Content-Type": "application/merge-patch+json; charset=utf-8"},
    )
    assert response.status_code == 201


async def test_the_caller_is_the_subject_of_the_gateway(world: World) -> None:
    for subject in ("ann", " ann\t", "ann, of Leeds", "x" * 128):
        answer = await world.http.get("/api/v1/mine", headers={"X-Subject": subject})
        assert answer.json() == subject.strip()


async def test_a_role_is_required(site: Site) -> None:
    app: FastAPI = site.app()

    @app.get("/support")
    async def support(subject: Annotated[str, Depends(require_role("support"))]) -> str:
        return subject

    async with running(app, wait_ready=False) as client:
        headers = {"X-Subject": "ann", "X-Roles": "reader, support"}
        assert (await client.get("/support", headers=headers)).json() == "ann"
        is_a_problem(await client.get("/support", headers=headers | {"X-Roles": "reader"}), 403, "role-missing")
        is_a_problem(await client.get("/support", headers={"X-Roles": "support"}), 401, "caller-unknown")
        twice = [("X-Subject", "ann"), ("X-Roles", "reader"), ("X-Roles", "support")]
        is_a_problem(await client.get("/support", headers=twice), 400, "caller-ambiguous")
        is_a_problem(await client.get("/support", headers=headers | {"X-Roles": b"\xff"}), 400, "caller-invalid")


class Parcel(BaseModel):
    weight_kg: float
    count: int = 1
    is_fragile: bool = False
    parcel_id: UUID | None = None
    inside: list["Parcel"] = []
    ready_at: Instant | None = None


GOOD_PARCEL = {"weight_kg": 2, "parcel_id": "019cb1f0-7a3e-7c55-9a10-2b7d1c6f5e01", "ready_at": "2026-03-01T12:10:00z"}


@pytest_asyncio.fixture(scope="module")
async def parcels(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """An application with a strict body, and with a route that forgot to document a problem."""
    app: FastAPI = site.app()

    @app.post("/parcels", responses={409: {"description": "There is one"}})
    async def send(body: Annotated[Parcel, json_body(Parcel)]) -> Parcel:
        if body.count == 409:
            raise Problem(409, "parcel-known", "there is one")
        if body.count == 418:
            raise Problem(418, "teapot", "nobody was told of this")
        return body

    async with running(app, wait_ready=False) as client:
        yield client


async def test_a_body_is_read_strictly(parcels: httpx.AsyncClient) -> None:
    answer = await parcels.post("/parcels", json=GOOD_PARCEL)
    assert answer.status_code == 200, answer.text
    assert answer.json()["weight_kg"] == 2.0
    assert answer.json()["ready_at"] == "2026-03-01T12:10:00Z"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weight_kg": "2"}, "weight_kg"),
        ({"weight_kg": True}, "weight_kg"),
        ({"weight_kg": None}, "weight_kg"),
        ({"count": 1.5}, "count"),
        ({"count": "1"}, "count"),
        ({"count": True}, "count"),
        ({"is_fragile": 1}, "is_fragile"),
        ({"is_fragile": "yes"}, "is_fragile"),
        ({"parcel_id": 7}, "parcel_id"),
        ({"colour": "red"}, "colour"),
        ({"inside": [{"weight_kg": "1"}]}, "inside.0.weight_kg"),
        ({"inside": [{"weight_kg": 1, "colour": "red"}]}, "inside.0.colour"),
        ({"ready_at": 1772363400}, "ready_at"),
        ({"ready_at": "1772363400"}, "ready_at"),
        ({"ready_at": "2026-03-01"}, "ready_at"),
        ({"ready_at": "2026-02-30T12:10:00Z"}, "ready_at"),
        ({"ready_at": "2026-03-01T12:10:00"}, "ready_at"),
    ],
)
async def test_nothing_is_converted(parcels: httpx.AsyncClient, changes: dict[str, Any], field: str) -> None:
    body = is_a_problem(await parcels.post("/parcels", json=GOOD_PARCEL | changes), 422, "invalid-request")
    assert [error["field"] for error in body["errors"]] == [f"body.{field}"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 20_000,
        b'{"weight_kg": 1}{}',
        b'{"x": "\\ud800"}',
        b'{"count": 1' + b"0" * 5_000 + b"}",
    ],
    ids=["nothing", "cut off", "no UTF-8", "deep", "two", "half a character", "huge number"],
)
async def test_what_is_no_json_is_malformed(parcels: httpx.AsyncClient, content: bytes) -> None:
    answer = await parcels.post("/parcels", content=content, headers={"Content-Type": "application/json"})
    is_a_problem(answer, 400, "malformed-json")


async def test_the_body_of_a_dependency_is_limited_too(parcels: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    answer = await parcels.post("/parcels", content=chunks(), headers={"Content-Type": "application/json"})
    is_a_problem(answer, 413, "request-too-large")


async def test_bodies_and_problems_are_documented(parcels: httpx.AsyncClient) -> None:
    document = (await parcels.get("/openapi.json")).json()
    assert document == (await parcels.get("/openapi.json")).json()
    operation = document["paths"]["/parcels"]["post"]
    assert operation["responses"].keys() == {"200", "400", "409", "413", "415", "422", "503"}
    sent = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schemas = document["components"]["schemas"]
    assert schemas[sent]["additionalProperties"] is False
    assert schemas[sent]["properties"]["inside"]["items"]["$ref"].rpartition("/")[2] == sent
    assert schemas[sent]["properties"]["ready_at"]["anyOf"][0] == {"format": "date-time", "type": "string"}
    # What is answered may grow.
    assert "additionalProperties" not in schemas[answered]


async def test_an_undocumented_problem_fails_a_test(parcels: httpx.AsyncClient) -> None:
    is_a_problem(await parcels.post("/parcels", json={"weight_kg": 1, "count": 409}), 409, "parcel-known")
    # Warnings are errors here, as in the tests of every service.
    is_a_problem(await parcels.post("/parcels", json={"weight_kg": 1, "count": 418}), 500, "internal-error")
    with pytest.warns(UndocumentedProblem, match=r"POST /parcels answers 418 \(teapot\)"):
        is_a_problem(await parcels.post("/parcels", json={"weight_kg": 1, "count": 418}), 418, "teapot")


async def test_reads_that_wait_too_long_for_a_connection_are_turned_away(
    own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "POOL_TIMEOUT_S", 0.1)
    async with World.around(own_site, database_connections=4) as world:
        slow = [asyncio.create_task(world.http.get("/api/v1/slow", params={"seconds": 1})) for _ in range(4)]

        async def all_are_taken() -> bool:
            query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%'"
            return await world.database.fetchval(query) == 5  # this query too

        await eventually(all_are_taken)
        response = await world.http.get("/api/v1/slow", params={"seconds": 0})
        is_a_problem(response, 503, "unavailable")
        assert response.headers["retry-after"] == "1"
        assert {(await one).status_code for one in slow} == {200}


async def test_a_read_that_takes_too_long_is_ended(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "STATEMENT_TIMEOUT_S", 0.3)
    async with running(own_site.app()) as client:
        is_a_problem(await client.get("/api/v1/slow", params={"seconds": 5}), 503, "unavailable")
        assert (await client.get("/api/v1/slow", params={"seconds": 0})).status_code == 200


async def test_the_figures_are_there(world: World) -> None:
    session = a_session()
    await world.send(*entries(session, [1]))
    await world.has(session, 1)
    await world.http.get("/api/v1/broken")
    text = (await world.http.get("/metrics")).text
    for line in (
        'messages_received_total{subscription="journal.delivery-requests",type="tests.entry.v1"}',
        'messages_handled_total{subscription="journal.delivery-requests",type="tests.entry.v1"}',
        'messages_published_total{type="tests.noted.v1"}',
        'message_latency_seconds_count{subscription="journal.delivery-requests"}',
        'batch_size_count{source="journal.delivery-requests"}',
        'http_requests_total{method="GET",route="/api/v1/broken",status="500"}',
        'http_request_seconds_count{method="GET",route="/api/v1/broken"}',
        "outbox_confirmed_total",
        "outbox_depth",
        "outbox_oldest_age_seconds",
        "held_messages 0.0",
    ):
        assert line in text, line


async def test_requests_from_outside_make_no_figures_of_their_own(world: World) -> None:
    await world.http.request("BREW", "/api/v1/coffee-7312")
    await world.http.get("/api/v1/coffee-7312")
    text = (await world.http.get("/metrics")).text
    assert "BREW" not in text
    assert "coffee-7312" not in text
    assert metric("http_requests_total", method="other", route="unknown", status="404") >= 1


async def test_the_figures_are_there_when_the_database_is_not(own_site: Site) -> None:
    app = own_site.app(database_url="postgresql://nobody:nothing@127.0.0.1:1/nothing", stop_timeout_s=0.5)
    async with running(app, wait_ready=False) as client:
        assert "messages_received_total" in (await client.get("/metrics")).text
        problems = (await client.get("/health/ready")).json()["problems"]
        assert "DatabaseUnavailable" in problems["database"]
        assert (await client.get("/health/live")).status_code == 200
        is_a_problem(await client.post("/api/v1/journals/a", json={"number": 1}), 503, "unavailable")
        is_a_problem(await client.get("/api/v1/journals/a"), 503, "unavailable")


async def test_a_stopping_service_is_not_ready(own_site: Site) -> None:
    app = own_site.app()
    async with running(app) as client:
        app.state.service._stopping = True

        async def says_so() -> bool:
            return (await client.get("/health/ready")).json()["problems"] == {"service": "stopping"}

        await eventually(says_so)
