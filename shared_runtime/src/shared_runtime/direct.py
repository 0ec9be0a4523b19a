"""A short way from a request to its endpoint, for what is asked most.

FastAPI documents such a route like any other. Its requests do not pass the layers that FastAPI and Starlette need for
what other routes may do (files, dependencies of dependencies, background work), which cost several times as much as
what a short endpoint does itself.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Read = Callable[[Request], Awaitable[Any]]


class DirectRoute(APIRoute):
    """A route without parameters in its path, whose endpoint takes the request and what `Depends` reads off it.

    `APIRouter(route_class=DirectRoute)` makes them. The endpoint returns a Response. Raises TypeError when it, or one
    of its dependencies, needs more than the request.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._reads: list[tuple[str, Read]] = []
        if self.param_convertors or _parameters_of(self.dependant):
            raise TypeError(f"{endpoint.__name__}: parameters of {path} are to be read off the request")
        for one in self.dependant.dependencies:
            if one.dependencies or _parameters_of(one) or one.request_param_name is None or one.call is None:
                raise TypeError(f"{endpoint.__name__}: {one.name} needs more than the request")
            self._reads.append((one.name or "", one.call))
        self._request_name = self.dependant.request_param_name or ""
        if not self._request_name:
            raise TypeError(f"{endpoint.__name__} does not take the request")

    async def answer(self, request: Request) -> Response:
        """The endpoint's answer to the request. Raises what the endpoint and its dependencies raise."""
        arguments = {name: await read(request) for name, read in self._reads}
        arguments[self._request_name] = request
        response: Response = await self.endpoint(**arguments)
        return response


def _parameters_of(dependant: Any) -> list[Any]:
    return [
        *dependant.path_params,
        *dependant.query_params,
        *dependant.header_params,
        *dependant.cookie_params,
        *dependant.body_params,
    ]


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
