"""Whatever is sent to a service: no request fails it, and every refusal is a problem that its document knows."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

import dead_letters.consumers
import dead_letters.settings
import delivery.api
import delivery.consumers
import delivery.settings
import drone_scheduler.api.bookings
import drone_scheduler.api.fleet
import drone_scheduler.consumers
import drone_scheduler.settings
import ingestion.api
import ingestion.consumers
import ingestion.settings
import package_service.api
import package_service.consumers
import package_service.settings
from dead_letters.api import browsing, records, repairing, streams
from local_stack.servers import LocalServers
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime import create_app
from shared_runtime.migrate import migrate
from shared_runtime.testing import running

SERVICES: dict[str, tuple[Any, Any, list[Any]]] = {
    "ingestion": (ingestion.consumers.consumer, ingestion.settings.Settings, [ingestion.api.router]),
    "package_service": (
        package_service.consumers.consumer,
        package_service.settings.Settings,
        [package_service.api.router],
    ),
    "drone_scheduler": (
        drone_scheduler.consumers.consumer,
        drone_scheduler.settings.Settings,
        [drone_scheduler.api.fleet.router, drone_scheduler.api.bookings.router],
    ),
    "delivery": (delivery.consumers.consumer, delivery.settings.Settings, [delivery.api.router]),
    "dead_letters": (
        dead_letters.consumers.consumer,
        dead_letters.settings.Settings,
        [streams.router, browsing.router, repairing.router, records.router],
    ),
}

ID = "019cb1f0-7a3e-7c55-9a10-2b7d1c6f5e01"
CALLER = {"X-Subject": "mallory", "X-Roles": "fleet, support"}
JSON = {"Content-Type": "application/json"}
PLACE = {"latitude": 48.1, "longitude": 11.5, "altitude_m": 500}
TIMES = {"pickup_time": "2026-03-01T12:10:00+01:00", "deadline": "2026-03-01T13:00:00+01:00"}
PACKAGE = {"size": "Small", "weight_kg": 1, "tag": "food"}
DRONE = {"payload_kg": 5, "range_m": 20_000, "cruise_speed_mps": 15, "location": PLACE, "battery_percent": 90}
REPORT = {
    "drone_id": ID,
    "delivery_id": ID,
    "activity": "Idle",
    "location": PLACE,
    "speed_mps": 0,
    "battery_percent": 50,
    "observed_at": "2026-03-01T12:10:00Z",
}
BODIES: dict[str, Any] = {
    "submit": {"pickup": PLACE, "dropoff": PLACE | {"latitude": 48.2}, "package": PACKAGE, **TIMES},
    "reschedule": TIMES,
    "put_package": PACKAGE,
    "patch_package": PACKAGE,
    "register_drone": DRONE,
    "put_drone": DRONE,
    "correct_drone": {"location": PLACE, "battery_percent": 1},
    "report_telemetry": REPORT,
    "confirm_handover": {"type": "Picture", "location": PLACE, "reference": "here"},
    "ask_to_be_notified": {"channel": "Sms", "stages": ["Completed"]},
    "edit": {"body": "{}", "expires_at": None, "if_version": 0, "why": "mend it"},
    "check": {"body": "{}"},
    **{name: {"why": "try again"} for name in ("replay", "discard", "restore", "reopen", "pause", "resume", "cancel")},
    "discard_many": {"ids": [ID], "why": "test data", "dry_run": False},
    "start": {
        "filter": {"state": "any", "since": "2026-03-01T12:10:00Z"},
        "why": "mended",
        "canary": 1,
        "rate_per_s": 20,
        "max_failure_ratio": 0.1,
        "dry_run": False,
    },
}
VALUES = (
    *("null", "true", "-1", "-0", "1e309", "NaN", "-Infinity", "1e-400", "9" * 400, "9" * 5_000, "0x10", "[]", "{}"),
    *('"5"', '""', '"\\u0000"', '"\\ud800"', '"\\u202e"', '"a\nb"', f'"{"x" * 5_000}"'),
    *('"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-03-01T24:00:00Z"', '"1772363400"'),
)
CONTENTS = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "cut off": b'{"a": ',
    "two": b"{}{}",
    "no UTF-8": b'{"a": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "NUL": b"\x00",
    "deep lists": b"[" * 15_000,
    "deep objects": b'{"a":' * 3_000,
    "large": b" " * 70_000,
}
CONTENT_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json")
LENGTHS = ("-5", "abc", "9" * 30, "99999999")
ENDLESS = "text/event-stream"
METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "POST", "PATCH", "DELETE", "BREW")
SEGMENTS = ("x", "%00", "%ff", "%2f", "x" * 3_000)
QUERY_VALUES = ("", "%00", "%ff", "-1", "0", "1e3", "9" * 30, "NaN", "%D9%A1", "AAAA", "x" * 600, "1&{}=2")
CALLERS: tuple[list[tuple[str, Any]], ...] = (
    [],
    [("X-Subject", "a"), ("X-Subject", "b")],
    [("X-Subject", "a"), ("X-Roles", "a"), ("X-Roles", "fleet")],
    [("X-Subject", b"\xff")],
    [("X-Subject", "x" * 10_000)],
    [("X-Subject", "a"), ("Idempotency-Key", b"\xff")],
    [("X-Subject", "a"), ("traceparent", "00-x-y-z")],
)


@dataclass
class Attacker:
    """Sends requests, and keeps what should not have been answered."""

    client: httpx.AsyncClient
    document: dict[str, Any]
    sent: int = 0
    complaints: list[str] = field(default_factory=list)

    async def send(self, operation: dict[str, Any] | None, method: str, path: str, **content: Any) -> None:
        answer = await self.client.request(method, path, **content)
        self.sent += 1
        if answer.status_code < 300:
            return
        of_a_problem = answer.headers.get("content-type") == "application/problem+json"
        documented = operation is None or str(answer.status_code) in operation["responses"]
        if answer.status_code >= 500 or not of_a_problem or not documented:
            self.complaints.append(
                f"{method} {path[:90]} {str(content)[:300]}: {answer.status_code} {answer.text[:200]}"
            )


@pytest.fixture(params=SERVICES)
def app(servers: LocalServers, request: pytest.FixtureRequest) -> FastAPI:
    """One of the services, on a database and a virtual host of its own."""
    consumer, settings, routers = SERVICES[request.param]
    database_url = servers.create_database(f"hostile_{request.param}")
    migrate(request.param, database_url)
    places = {
        "database_url": database_url,
        "broker_url": servers.create_vhost(f"hostile_{request.param}", SUBSCRIPTIONS),
    }
    return create_app(consumer, settings(**places), routers=routers, title=request.param)


@pytest_asyncio.fixture
async def attacker(app: FastAPI) -> AsyncIterator[Attacker]:
    async with running(app) as client:
        yield Attacker(client, app.openapi())


async def test_no_request_fails_the_service_and_every_refusal_is_a_documented_problem(attacker: Attacker) -> None:
    for path, operations in attacker.document["paths"].items():
        url = re.sub(r"{\w+}", ID, path)
        for method in METHODS:
            if method.lower() not in operations:
                await attacker.send(None, method, url, headers=CALLER)
        await attacker.send(None, "GET", f"{url}/", headers=CALLER)
        for method, operation in operations.items():
            # What is answered for ever has a test of its own.
            if ENDLESS not in operation["responses"].get("200", {}).get("content", {}):
                await attack(attacker, method.upper(), path, operation)
    assert attacker.complaints == []
    assert attacker.sent > 100
    assert (await attacker.client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    ("status", "media_type"),
    [(500, "application/problem+json"), (400, "text/plain"), (409, "application/problem+json")],
)
async def test_what_should_not_be_answered_is_noticed(status: int, media_type: str) -> None:
    answering = httpx.MockTransport(lambda _: httpx.Response(status, headers={"Content-Type": media_type}))
    async with httpx.AsyncClient(transport=answering, base_url="http://test") as client:
        attacker = Attacker(client, {})
        await attacker.send({"responses": {"200": {}, "400": {}, "500": {}}}, "GET", "/")
        assert len(attacker.complaints) == 1


async def attack(attacker: Attacker, method: str, path: str, operation: dict[str, Any]) -> None:
    """Everything that is tried with one operation."""
    url = re.sub(r"{\w+}", ID, path)
    good = BODIES[operation["operationId"].partition("_api_v1_")[0]] if "requestBody" in operation else {}
    body = json.dumps(good).encode()
    for caller in CALLERS:
        await attacker.send(operation, method, url, content=body, headers=[*caller, *JSON.items()])
    for segment in SEGMENTS if "{" in path else ():
        # Some are another path: what is answered there is not this operation's business.
        await attacker.send(None, method, re.sub(r"{\w+}", segment, path), content=body, headers=CALLER | JSON)
    for query in queries(operation):
        await attacker.send(operation, method, f"{url}?{query}", content=body, headers=CALLER | JSON)
    if "requestBody" not in operation:
        return
    for content in (*CONTENTS.values(), *distorted(good)):
        await attacker.send(operation, method, url, content=content, headers=CALLER | JSON)
    for content_type in CONTENT_TYPES:
        await attacker.send(operation, method, url, content=body, headers=CALLER | {"Content-Type": content_type})
    for length in LENGTHS:
        await attacker.send(operation, method, url, content=body, headers=CALLER | JSON | {"Content-Length": length})


def queries(operation: dict[str, Any]) -> Iterator[str]:
    yield "nobody=knows&" * 500
    names = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
    for name in names:
        for value in QUERY_VALUES:
            yield f"{name}={value.format(name)}"


def distorted(body: dict[str, Any]) -> Iterator[bytes]:
    """The body with each member, on any level, in turn replaced by something that it is not; then one member twice."""
    for name, value in body.items():
        for other in VALUES:
            yield json.dumps(body | {name: "@"}).replace('"@"', other).encode()
        if isinstance(value, dict):
            for inner in value:
                for other in VALUES:
                    yield json.dumps(body | {name: value | {inner: "@"}}).replace('"@"', other).encode()
    yield json.dumps(body).encode()[:-1] + f', "{next(iter(body))}": 1}}'.encode()
