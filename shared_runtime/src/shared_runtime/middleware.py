"""What every HTTP request passes: size and content type, the trace context, and its figures."""

import asyncio
from typing import Any

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared_runtime.metrics import HTTP_REQUESTS, HTTP_SECONDS
from shared_runtime.problems import MEDIA_TYPE, Problem
from shared_runtime.tracing import Tracing, current_traceparent

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RequestMiddleware:
    """Written for ASGI directly: what a framework middleware costs is paid on every request of the hot path."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing, max_request_bytes: int) -> None:
        self._app = app
        self._tracing = tracing
        self._max_request_bytes = max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = asyncio.get_running_loop().time()
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = Headers(scope=scope)
        problem = self._refusal(scope["method"], headers)
        name = f"{scope['method']} {scope['path']}"
        with self._tracing.span(name, headers.get("traceparent"), SpanKind.SERVER) as traceparent:
            token = current_traceparent.set(traceparent)
            try:
                if problem is not None:
                    answer = JSONResponse(problem.body(scope["path"]), problem.status, media_type=MEDIA_TYPE)
                    await answer(scope, receive, observe)
                else:
                    await self._app(scope, self._limited(receive), observe)
            except RequestTooLarge:
                problem = Problem(413, "request-too-large", f"at most {self._max_request_bytes} bytes are accepted")
                answer = JSONResponse(problem.body(scope["path"]), problem.status, media_type=MEDIA_TYPE)
                await answer(scope, receive, observe)
            finally:
                current_traceparent.reset(token)
                route: Any = scope.get("route")
                path = getattr(route, "path", "unknown")
                HTTP_REQUESTS.labels(scope["method"], path, status).inc()
                HTTP_SECONDS.labels(scope["method"], path).observe(asyncio.get_running_loop().time() - started)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        if method not in WITH_BODY:
            return None
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_request_bytes:
            return Problem(413, "request-too-large", f"at most {self._max_request_bytes} bytes are accepted")
        has_body = (length.isdigit() and int(length) > 0) or "transfer-encoding" in headers
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and content_type != "application/json" and not content_type.endswith("+json"):
            return Problem(415, "unsupported-media-type", "the body is to be application/json")
        return None

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_request_bytes:
                raise RequestTooLarge
            return message

        return limited


class RequestTooLarge(Exception):
    """A body without a stated length turned out too large."""
