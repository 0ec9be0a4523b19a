"""Routes that are called directly answer as any other would, and cannot be more than they are."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Query, Request, Response
from prometheus_client import REGISTRY
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from shared_runtime import Consumer, Problem, ServiceSettings, create_app
from shared_runtime.callers import read_caller
from shared_runtime.http import Caller, DirectRoute, json_body

NOWHERE = ServiceSettings(database_url="postgresql://nowhere/none", broker_url="amqp://nowhere", max_request_bytes=100)
PATH = "/api/v1/parcels"
CALLER = {"X-Subject": "ann"}

direct = APIRouter(prefix=PATH, route_class=DirectRoute)
ordinary = APIRouter(prefix=PATH)


class Parcel(BaseModel):
    weight_kg: float


async def first_language(*, request: Request) -> str:
    return request.headers.get("Accept-Language", "none")[:2]


@direct.post("", status_code=202, responses={409: {"description": "There is one already"}})
async def send(request: Request, caller: Caller, body: Annotated[Parcel, json_body(Parcel)]) -> Response:
    """Send a parcel."""
    match body.weight_kg:
        case 1:
            raise Problem(409, "parcel-known", "there is one already")
        case 2:
            raise HTTPException(404, "no such place")
        case 3:
            raise ZeroDivisionError
        case 4:

            async def broken() -> AsyncIterator[bytes]:
                yield b"so far"
                raise ConnectionError

            return StreamingResponse(broken())
        case _:
            return Response(f"{caller} {body.weight_kg}", 202)


@ordinary.get("")
async def browse() -> str:
    """All parcels."""
    return "all"


@direct.post("/labels")
async def label(*, request: Request, language: Annotated[str, Depends(first_language)]) -> Response:
    """Print a label."""
    return Response(language)


app = create_app(Consumer("direct", []), NOWHERE, routers=[direct, ordinary], title="Direct")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=CALLER) as client:
        yield client


async def test_the_endpoint_gets_the_request_and_what_is_read_off_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"weight_kg": 5})
    assert (answer.status_code, answer.text) == (202, "ann 5.0")


async def test_whoever_takes_the_request_by_its_name_alone_gets_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{PATH}/labels", headers={"Accept-Language": "en-GB"})
    assert (answer.status_code, answer.text) == (200, "en")


async def test_no_layer_of_the_framework_comes_before_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise AssertionError("the router was asked")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=CALLER) as client:
        await client.get(PATH)
        monkeypatch.setattr(type(app.router), "__call__", fail)
        assert (await client.post(PATH, json={"weight_kg": 5})).status_code == 202


@pytest.mark.parametrize(
    ("content", "headers", "status", "slug"),
    [
        ('{"weight_kg": 1}', CALLER, 409, "parcel-known"),
        ('{"weight_kg": 2}', CALLER, 404, "not-found"),
        ('{"weight_kg": 3}', CALLER, 500, "internal-error"),
        ('{"weight_kg": "5"}', CALLER, 422, "invalid-request"),
        ('{"weight_kg": 5, "colour": "red"}', CALLER, 422, "invalid-request"),
        ('{"weight_kg":', CALLER, 400, "malformed-json"),
        ('{"weight_kg": 5}', {}, 401, "caller-unknown"),
        ('{"weight_kg": 5' + 100 * " " + "}", CALLER, 413, "request-too-large"),
    ],
)
async def test_what_is_refused_is_told_as_everywhere(
    client: httpx.AsyncClient, content: str, headers: dict[str, str], status: int, slug: str
) -> None:
    del client.headers["X-Subject"]
    answer = await client.post(PATH, content=content, headers=headers | {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, slug)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_body_that_is_too_large_is_refused_while_it_comes(client: httpx.AsyncClient) -> None:
    async def content() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield 50 * b" "

    answer = await client.post(PATH, content=content(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_an_answer_that_breaks_off_is_not_answered_again(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"weight_kg": 4})
    assert "problem" not in answer.headers.get("Content-Type", "")


async def test_the_path_is_shared_with_ordinary_routes(client: httpx.AsyncClient) -> None:
    assert (await client.get(PATH)).json() == "all"
    answer = await client.put(PATH, json={})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    assert (await client.post(f"{PATH}/", json={"weight_kg": 5})).status_code == 404


async def test_its_requests_are_counted(client: httpx.AsyncClient) -> None:
    labels = {"method": "POST", "route": PATH, "status": "202"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    await client.post(PATH, json={"weight_kg": 5})
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


def test_it_is_documented_like_any_other() -> None:
    operation = app.openapi()["paths"][PATH]["post"]
    assert set(operation["responses"]) == {"202", "400", "401", "409", "413", "415", "422", "503"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Parcel"}
    assert [(one["name"], one["in"]) for one in operation["parameters"]] == [("X-Subject", "header")]


async def takes_the_request(request: Request) -> Response:
    return Response()


async def takes_a_parameter(request: Request, limit: Annotated[int, Query()]) -> Response:
    return Response()


async def takes_no_request(caller: Caller) -> Response:
    return Response()


async def takes_tasks(request: Request, tasks: BackgroundTasks) -> Response:
    return Response()


def is_no_coroutine(request: Request) -> Response:
    return Response()


async def limit_of(request: Request, limit: int = 5) -> int:
    return 5


def limit_at_once(request: Request) -> int:
    return 5


async def limit_for_a_while(request: Request) -> AsyncIterator[int]:
    yield 5


async def depends(request: Request, limit: Annotated[int, Depends(limit_of)]) -> Response:
    return Response()


async def depends_at_once(request: Request, limit: Annotated[int, Depends(limit_at_once)]) -> Response:
    return Response()


async def depends_for_a_while(request: Request, limit: Annotated[int, Depends(limit_for_a_while)]) -> Response:
    return Response()


async def limit_of_caller(request: Request, caller: Caller) -> int:
    return 5


async def depends_on_what_depends(request: Request, limit: Annotated[int, Depends(limit_of_caller)]) -> Response:
    return Response()


async def returns_a_text(request: Request) -> str:
    return ""


async def does_not_say_what_it_returns(request: Request) -> Any:
    return Response()


@pytest.mark.parametrize(
    ("path", "endpoint", "what"),
    [
        ("/limits", takes_a_parameter, "limit"),
        ("/limits/{limit}", takes_the_request, "has parameters"),
        ("/limits", takes_no_request, "a parameter for the request"),
        ("/limits", takes_tasks, "tasks"),
        ("/limits", is_no_coroutine, "a coroutine function"),
        ("/limits", depends, "limit"),
        ("/limits", depends_at_once, "a coroutine function"),
        ("/limits", depends_for_a_while, "a coroutine function"),
        ("/limits", depends_on_what_depends, "dependencies of a dependency"),
        ("/limits", returns_a_text, "is to return a Response"),
        ("/limits", does_not_say_what_it_returns, "is to return a Response"),
    ],
)
def test_what_needs_more_than_the_request_is_refused(path: str, endpoint: Any, what: str) -> None:
    with pytest.raises(TypeError, match=what):
        DirectRoute(path, endpoint)


def test_a_dependency_of_the_whole_router_is_refused() -> None:
    router = APIRouter(route_class=DirectRoute, dependencies=[Depends(read_caller)])
    with pytest.raises(TypeError, match="is to be a parameter"):
        router.add_api_route("/limits", takes_the_request)
