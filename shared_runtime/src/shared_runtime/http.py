"""The HTTP side of a service: the application, who is calling, reads, and errors as problem details."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from shared_runtime import logs, openapi, support
from shared_runtime.bodies import Instant, json_body
from shared_runtime.callers import Caller, Roles, require_role
from shared_runtime.consumer import Consumer
from shared_runtime.direct import DirectRoute, DirectRoutes
from shared_runtime.errors import TransientError, is_conflict, outage_of, text_of
from shared_runtime.middleware import RequestMiddleware
from shared_runtime.problems import Problem
from shared_runtime.reads import close_engine, open_engine
from shared_runtime.service import Service
from shared_runtime.settings import ServiceSettings

__all__ = [
    "Caller",
    "DirectRoute",
    "Instant",
    "ReadSession",
    "Roles",
    "create_app",
    "execute",
    "json_body",
    "require_role",
]

log = structlog.get_logger(__name__)

RETRY_AFTER_S = "1"
GAUGES_TIMEOUT_S = 2.0
SLUGS = {
    400: "malformed-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "request-too-large",
    415: "unsupported-media-type",
}


class Application(FastAPI):
    """A service's HTTP side, which documents every problem that it can answer."""

    def __init__(self, service: Service, routers: Sequence[APIRouter], **options: Any) -> None:
        super().__init__(**options)
        self.state.service = service
        self._routers = routers
        self._max_request_bytes = service.settings.max_request_bytes
        for router in routers:
            self.include_router(router)

    def build_middleware_stack(self) -> ASGIApp:
        """What a request passes: our middlewares, then the direct routes, then what FastAPI's own routes need.

        Starlette's outermost layer, which answers what nobody else did, and FastAPI's limit of bodies are not among
        them: RequestMiddleware does both.
        """
        app: ASGIApp = AsyncExitStackMiddleware(self.router)
        app = ExceptionMiddleware(app, handlers=self.exception_handlers)
        routes = [route for router in self._routers for route in router.routes]
        app = DirectRoutes(app, routes, self.exception_handlers)
        for middleware, arguments, options in reversed(self.user_middleware):
            app = middleware(app, *arguments, **options)
        return app

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return openapi.complete(super().openapi(), self._api_routes, max_request_bytes=self._max_request_bytes)

    def methods_of(self, path: str) -> set[str]:
        """What can be done with the path."""
        return {method for route in self._api_routes if route.path_regex.match(path) for method in route.methods or ()}

    @property
    def _api_routes(self) -> list[APIRoute]:
        # Routers keep their routes: how an application lists them differs by FastAPI's version.
        routes = [*self.routes, *(route for router in self._routers for route in router.routes)]
        return [route for route in routes if isinstance(route, APIRoute)]

    def answer(self, request: Request, problem: Problem) -> JSONResponse:
        """The problem as an answer. Warns, which fails a test, when the document of the route lacks its status."""
        route = request.scope.get("route")
        if isinstance(route, APIRoute) and route.include_in_schema:
            documented = openapi.problems_of(route, request.method, max_request_bytes=self._max_request_bytes)
            if problem.status not in documented:
                text = f"{request.method} {route.path} answers {problem.status} ({problem.slug}), which is undocumented"
                warnings.warn(text, openapi.UndocumentedProblem, stacklevel=2)
        return problem.response(request.url.path)


def create_app(
    consumer: Consumer,
    settings: ServiceSettings,
    *,
    routers: Sequence[APIRouter] = (),
    title: str,
    loops: Mapping[str, Callable[[Service], Awaitable[None]]] | None = None,
) -> FastAPI:
    """The service as an ASGI application: starts with the server and stops with it.

    `loops` are work of the service's own that runs all the time: each is started again when it fails or returns.
    """
    logs.configure(consumer.service, level=settings.log_level, log_format=settings.log_format)
    service = Service(consumer, settings, loops)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await service.start()
            stack.push_async_callback(service.stop)
            engine = app.state.engine = open_engine(settings)
            stack.push_async_callback(close_engine, engine)
            yield

    app = Application(
        service,
        [*routers, support.router],
        title=title,
        version="1",
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        # With a slash at its end a path is another one.
        redirect_slashes=False,
        # RequestMiddleware does it, for direct routes as well.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_middleware(
        RequestMiddleware,
        tracing=service.tracing,
        max_request_bytes=settings.max_request_bytes,
        problem_for=_problem_for,
    )
    _add_problem_handlers(app)
    app.include_router(_operations(service))
    return app


async def execute(request: Request, command: Any) -> Any:
    """Hand a command to its handler; the answer comes after the commit. See Commands.execute."""
    return await request.app.state.service.execute(command)


async def _read_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session


ReadSession = Annotated[AsyncSession, Depends(_read_session)]
"""A session for queries. Changes go through `execute`."""


def _operations(service: Service) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        problems = await service.readiness()
        return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        try:
            async with asyncio.timeout(GAUGES_TIMEOUT_S):
                await service.refresh_gauges()
        except Exception as error:
            # The other figures are wanted most when something is wrong.
            log.warning("gauges_not_refreshed", error=text_of(error))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _add_problem_handlers(app: Application) -> None:
    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        return app.answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        if any(one["type"] == "json_invalid" for one in errors):
            problem = Problem(400, "malformed-json", "the body is not JSON")
        else:
            fields = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in errors]
            problem = Problem(422, "invalid-request", "some fields are missing or invalid", errors=fields)
        return app.answer(request, problem)

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(request: Request, error: ClientDisconnect) -> JSONResponse:
        # Nobody reads the answer, and it is no failure of the service.
        log.info("client_disconnected", path=request.url.path)
        return Problem(400, "client-disconnected", "the request was not sent completely").response(request.url.path)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        if error.status_code == 405 and (methods := app.methods_of(request.url.path)):
            # The router knows the methods of the first route with this path only.
            headers = {"Allow": ", ".join(sorted(methods))}
        slug = SLUGS.get(error.status_code, f"http-{error.status_code}")
        return Problem(error.status_code, slug, str(error.detail), headers=headers).response(request.url.path)


def _problem_for(path: str, error: Exception) -> Problem:
    """The answer to what no handler of exceptions has answered."""
    if _may_pass(error):
        log.warning("request_unavailable", path=path, error=text_of(error))
        return Problem(503, "unavailable", "please try again soon", headers={"Retry-After": RETRY_AFTER_S})
    log.error("request_failed", path=path, exc_info=error)
    return Problem(500, "internal-error", "the service failed; the log has the details")


def _may_pass(error: BaseException | None) -> bool:
    if isinstance(error, SQLAlchemyError):
        # What the driver raised is inside, wrapped twice; for a full pool there is nothing inside.
        original = getattr(error, "orig", None)
        return isinstance(error, PoolTimeout) or _may_pass(getattr(original, "__cause__", None) or original)
    return error is not None and (
        isinstance(error, TransientError) or is_conflict(error) or outage_of(error) is not None
    )
