"""Every answer is what it says it is, every error a problem document, and the figures show it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from sites import Site, World, a_session, entries, metric

from shared_runtime import reads
from shared_runtime.http import require_role
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
        ("GET", "/api/v1/mine", {"headers": {"X-Subject": "x" * 129}}, (422, "invalid-request")),
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
    assert (await world.http.get("/api/v1/mine", headers={"X-Subject": "ann"})).json() == "ann"


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
