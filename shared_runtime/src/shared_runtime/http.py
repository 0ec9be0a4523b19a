"""The HTTP side of a service: the application, who is calling, reads, and errors as problem details."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException

from shared_runtime import logs
from shared_runtime.consumer import Consumer
from shared_runtime.errors import DatabaseUnavailable, Overloaded, outage_of
from shared_runtime.middleware import RequestMiddleware
from shared_runtime.problems import MEDIA_TYPE, Problem
from shared_runtime.service import Service
from shared_runtime.settings import ServiceSettings

log = structlog.get_logger(__name__)

RETRY_AFTER_S = "1"


def create_app(
    consumer: Consumer, settings: ServiceSettings, *, routers: Sequence[APIRouter] = (), title: str
) -> FastAPI:
    """The service as an ASGI application: starts with the server and stops with it."""
    logs.configure(consumer.service, level=settings.log_level, log_format=settings.log_format)
    service = Service(consumer, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        # Reads have a pool of their own, so that a slow one never holds up messages.
        engine = create_async_engine(
            settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
            pool_size=4,
            max_overflow=max(0, settings.database_connections - 4),
            pool_timeout=5,
            connect_args={"command_timeout": 15, "timeout": 5},
        )
        app.state.engine = engine
        try:
            yield
        finally:
            await service.stop()
            await engine.dispose()

    app = FastAPI(title=title, version="1", lifespan=lifespan, docs_url="/docs", redoc_url=None)
    app.state.service = service
    app.add_middleware(RequestMiddleware, tracing=service.tracing, max_request_bytes=settings.max_request_bytes)
    _add_problem_handlers(app)
    app.include_router(_operations(service))
    for router in routers:
        app.include_router(router)
    return app


async def execute(request: Request, command: Any) -> Any:
    """Hand a command to its handler; the answer comes after the commit. See Commands.execute."""
    return await request.app.state.service.execute(command)


async def _read_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session


ReadSession = Annotated[AsyncSession, Depends(_read_session)]
"""A session for queries. Changes go through `execute`."""


async def _caller(x_subject: Annotated[str | None, Header(max_length=128)] = None) -> str:
    if not x_subject:
        raise Problem(401, "caller-unknown", "the header X-Subject, which the gateway sets, is missing")
    return x_subject


Caller = Annotated[str, Depends(_caller)]
"""The subject of the caller."""


def require_role(role: str) -> Callable[..., Any]:
    """A dependency that refuses callers without the role (header X-Roles, comma separated, set by the gateway)."""

    async def check(caller: Caller, x_roles: Annotated[str, Header()] = "") -> str:
        if role not in {one.strip() for one in x_roles.split(",")}:
            raise Problem(403, "role-missing", f"this needs the role {role}")
        return caller

    return check


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
            await service.refresh_gauges()
        except DatabaseUnavailable as error:
            log.warning("gauges_not_refreshed", error=str(error))
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _add_problem_handlers(app: FastAPI) -> None:
    def answer(request: Request, problem: Problem) -> JSONResponse:
        return JSONResponse(
            problem.body(request.url.path), problem.status, media_type=MEDIA_TYPE, headers=problem.headers
        )

    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        return answer(request, problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()
        if any(one["type"] == "json_invalid" for one in errors):
            return answer(request, Problem(400, "malformed-json", "the body is not JSON"))
        fields = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in errors]
        return answer(request, Problem(422, "invalid-request", "some fields are missing or invalid", errors=fields))

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, f"http-{error.status_code}")
        return answer(request, Problem(error.status_code, slug, str(error.detail), headers=headers))

    async def on_unavailable(request: Request, error: Exception) -> JSONResponse:
        log.warning("request_unavailable", path=request.url.path, error=f"{type(error).__name__}: {error}")
        headers = {"Retry-After": RETRY_AFTER_S}
        return answer(request, Problem(503, "unavailable", "please try again soon", headers=headers))

    for kind in (DatabaseUnavailable, Overloaded, asyncio.TimeoutError):
        app.add_exception_handler(kind, on_unavailable)

    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> JSONResponse:
        cause = getattr(error, "orig", None)
        if outage_of(error) or (cause is not None and outage_of(getattr(cause, "__cause__", None) or cause)):
            return await on_unavailable(request, error)
        log.error("request_failed", path=request.url.path, exc_info=error)
        return answer(request, Problem(500, "internal-error", "the service failed; the log has the details"))
