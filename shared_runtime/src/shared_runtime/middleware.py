"""What every HTTP request passes: size and content type, the trace context, its figures, and errors of all kinds."""

import asyncio
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind, get_current_span
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared_runtime.context import Step, current_step
from shared_runtime.metrics import HTTP_REQUESTS, HTTP_SECONDS, series
from shared_runtime.problems import Problem
from shared_runtime.tracing import Tracing

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
METHODS = WITH_BODY | {"GET", "HEAD", "DELETE", "OPTIONS"}


class RequestMiddleware:
    """Written for ASGI directly: what a framework middleware costs is paid on every request of the hot path.

    `problem_for` turns an exception that the application did not answer itself into the answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracing: Tracing,
        max_request_bytes: int,
        problem_for: Callable[[str, Exception], Problem],
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._max_request_bytes = max_request_bytes
        self._problem_for = problem_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = asyncio.get_running_loop().time()
        # Anybody can invent methods, and each would be a series of its own.
        method = scope["method"] if scope["method"] in METHODS else "other"
        status = 0

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        headers = Headers(scope=scope)
        with self._tracing.span(method, headers.get("traceparent"), SpanKind.SERVER) as traceparent:
            step = current_step.set(Step(traceparent))
            try:
                problem = self._refusal(method, headers)
                if problem is None:
                    await self._app(scope, self._limited(receive), observe)
                else:
                    await problem.response(scope["path"])(scope, receive, observe)
            except Exception as error:
                problem = self._problem_for(scope["path"], error)
                if status:
                    # The answer has begun: all that is left is to break it off.
                    raise
                await problem.response(scope["path"])(scope, receive, observe)
            finally:
                current_step.reset(step)
                route: Any = scope.get("route")
                path = getattr(route, "path", "unknown")
                series(HTTP_REQUESTS, method, path, status).inc()
                series(HTTP_SECONDS, method, path).observe(asyncio.get_running_loop().time() - started)
                span = get_current_span()
                if span.is_recording():
                    span.update_name(f"{method} {path}")
                    span.set_attributes({"http.route": path, "http.response.status_code": status})

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        if method not in WITH_BODY:
            return None
        length = headers.get("content-length", "")
        size = int(length) if length.isdecimal() and len(length) < 20 else 0
        if size > self._max_request_bytes:
            return Problem(413, "request-too-large", self._too_large)
        has_body = size > 0 or "transfer-encoding" in headers
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and content_type != "application/json" and not content_type.endswith("+json"):
            return Problem(415, "unsupported-media-type", "the body is to be application/json")
        return None

    @property
    def _too_large(self) -> str:
        return f"at most {self._max_request_bytes} bytes are accepted"

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_request_bytes:
                # FastAPI answers 400 to any other exception while it reads a body.
                raise HTTPException(413, self._too_large)
            return message

        return limited
