"""Requests over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from peers.floor.geometry import distance_m
from peers.floor.messages import REQUESTED, Event, Requested, Wish, attributes, new_id, read_wish, write
from peers.floor.outbox import Outbox
from peers.floor.statements import ACCEPT, Row, columns_of
from peers.work import PATH, setting

OUTCOME_GRACE = timedelta(minutes=2)


class Intake:
    """Requests that wait together share one commit."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: list[tuple[str, str, Wish]] = []
        self._wake = asyncio.Event()
        self._accepted_at: asyncio.Future[bytes] = asyncio.Future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the request is durable. An ASGI application, as small as a route of FastAPI can be."""
        body, is_complete = b"", False
        while not is_complete:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            is_complete = not part.get("more_body")
        owner_id = dict(scope["headers"]).get(b"x-subject", b"").decode("ascii", "replace")
        try:
            wish = read_wish(body)
            if not owner_id or not datetime.now(UTC) < wish.deadline > wish.pickup_time:
                raise ValueError("nobody asks, or the deadline is past, or not after the pickup time")
            if distance_m(wish.pickup, wish.dropoff) < 1:
                raise ValueError("the drop-off is the pickup")
        except ValueError as error:
            await Response(str(error), status_code=422)(scope, receive, send)
            return
        delivery_id = new_id()
        self._waiting.append((delivery_id, owner_id, wish))
        self._wake.set()
        accepted_at = await self._accepted_at
        url = f"{PATH}/{delivery_id}".encode()
        answer = b'{"delivery_id":"%s","accepted_at":%s,"status_url":"%s"}' % (delivery_id.encode(), accepted_at, url)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
            (b"location", url),
            (b"retry-after", b"2"),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def run(self) -> None:
        """Commit whoever waits, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            committed, self._accepted_at = self._accepted_at, asyncio.Future()
            now, requests, progress, events = datetime.now(UTC), list[Row](), list[Row](), list[Event[Any]]()
            for one, owner_id, wish in waiting:
                pickup, dropoff, times = wish.pickup, wish.dropoff, (wish.pickup_time, wish.deadline)
                how = (wish.expedited, wish.confirmation_required)
                places, package = columns_of(pickup, dropoff), columns_of(wish.package)
                requests.append((one, owner_id, now, *places, *times, *how, *package))
                due_at = wish.deadline + OUTCOME_GRACE
                progress.append((one, owner_id, *times, due_at, 0, "Pending", *(None,) * 11))
                requested = Requested(one, owner_id, pickup, dropoff, *times, *how, wish.package)
                cause = attributes(REQUESTED, "/services/ingestion", now, one, new_id())
                events.append(Event(*cause, requested, wish.deadline))
            await self._outbox.commit(ACCEPT, now, events, requests, progress)
            committed.set_result(write(now))


class App(FastAPI):
    """An application that finds its routes by their paths, without the layers that only FastAPI's own kind needs."""

    def build_middleware_stack(self) -> ASGIApp:
        """What a request passes."""
        routes = {("POST", route.path): route.app for route in self.routes if isinstance(route, Route)}

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await routes.get((scope["method"], scope["path"]), self.router)(scope, receive, send)

        return answer


async def serve(intake: Intake, tasks: asyncio.TaskGroup) -> None:
    """Take requests over HTTP."""
    tasks.create_task(intake.run())
    app = App(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.router.routes.append(Route(PATH, intake, methods=["POST"]))
    options: Any = {"access_log": False, "lifespan": "off", "proxy_headers": False, "server_header": False}
    await uvicorn.Server(uvicorn.Config(app, port=int(setting("PORT")), **options)).serve()
