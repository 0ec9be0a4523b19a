"""A short way from a request to its endpoint, for what is asked most.

FastAPI documents such a route like any other. Its requests do not pass the layers that FastAPI and Starlette need for
what other routes may do (files, dependencies of dependencies, background work), which cost several times as much as
what a short endpoint does itself.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import iscoroutinefunction, isfunction
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Read = Callable[..., Awaitable[Any]]


class DirectRoute(APIRoute):
    """A route without parameters in its path, whose endpoint takes the request and what `Depends` reads off it.

    `APIRouter(route_class=DirectRoute)` makes them. Raises TypeError when the endpoint does not say that it returns a
    Response, or when it, or one of its dependencies, needs more than the request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        name = endpoint.__name__
        if self.param_convertors:
            raise TypeError(f"{name}: {path} has parameters")
        returned = get_type_hints(endpoint).get("return")
        if not isinstance(returned, type) or not issubclass(returned, Response):
            raise TypeError(f"{name} is to return a Response, and to say so")
        for one in (self.dependant, *self.dependant.dependencies):
            needed = _needed_beside_request(one)
            if one is not self.dependant and one.dependencies:
                needed.append("dependencies of a dependency")
            if needed:
                raise TypeError(f"{name} cannot be called directly: {', '.join(needed)}")
        self._request_name = self.dependant.request_param_name or ""
        self._reads: list[tuple[str, str, Read]] = []
        for one in self.dependant.dependencies:
            if not one.name or one.call is None:
                raise TypeError(f"{name}: what is read off the request is to be a parameter")
            self._reads.append((one.name, one.request_param_name or "", one.call))

    async def answer(self, request: Request) -> Response:
        """The endpoint's answer to the request. Raises what the endpoint and its dependencies raise."""
        arguments = {name: await read(**{request_name: request}) for name, request_name, read in self._reads}
        arguments[self._request_name] = request
        response: Response = await self.endpoint(**arguments)
        return response


def _needed_beside_request(dependant: Dependant) -> list[str]:
    """What the endpoint or the dependency cannot be given."""
    call = dependant.call
    parameters = [
        *dependant.path_params,
        *dependant.query_params,
        *dependant.header_params,
        *dependant.cookie_params,
        *dependant.body_params,
    ]
    special = (
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.http_connection_param_name,
        dependant.websocket_param_name,
        dependant.security_scopes_param_name,
    )
    needed = [str(one.name) for one in parameters] + [one for one in special if one is not None]
    if not dependant.request_param_name:
        needed.append("a parameter for the request")
    if not iscoroutinefunction(call if isfunction(call) else type(call).__call__):
        needed.append("a coroutine function")
    return needed


class DirectRoutes:
    """Answers requests for direct routes, and hands all others on to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[BaseRoute],
        handlers: Mapping[Any, Callable[[Request, Any], Any]],
    ) -> None:
        self._app = app
        self._handlers = handlers
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.answer(request)
        except Exception as error:
            handler = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)
