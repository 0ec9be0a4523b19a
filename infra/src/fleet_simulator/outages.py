"""Outages of the services and of the broker: which errors are one, and going on until it is over."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

T = TypeVar("T")

PAUSE_MAX_S = 2.0
OVERLOADED = 429
SERVER_ERROR = 500


class Outage(Exception):
    """Something does not answer now; trying again later makes sense."""


class Refused(Exception):
    """A service refused a request; trying again would be refused again."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem = problem_of(response)
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status} {self.problem}")


def problem_of(response: httpx.Response) -> str:
    """The last part of the problem's `type`, which names it, or the beginning of whatever was answered instead."""
    try:
        problem_type = str(response.json()["type"])
    except (ValueError, TypeError, KeyError):
        return response.text[:200]
    return problem_type.rpartition("/")[2]


async def request(client: httpx.AsyncClient, method: str, path: str, **options: object) -> httpx.Response:
    """Send one request. Raises Outage when there is no answer or the service says that it cannot work now."""
    try:
        response = await client.request(method, path, **options)  # type: ignore[arg-type]
    except httpx.TransportError as error:
        raise Outage(f"{method} {path}: {type(error).__name__} {error}") from error
    if response.status_code >= SERVER_ERROR or response.status_code == OVERLOADED:
        raise Outage(f"{method} {path}: {response.status_code} {problem_of(response)}")
    return response


async def outlast(action: Callable[[], Awaitable[T]], *, limit_s: float) -> T:
    """Do it again until there is no outage. Raises the last Outage when that takes longer than the limit."""

    async def attempt() -> T:
        return await action()

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Outage),
        wait=wait_random_exponential(multiplier=0.1, max=PAUSE_MAX_S),
        stop=stop_after_delay(limit_s),
        reraise=True,
    )
    # Tenacity awaits what is declared as a coroutine function only.
    return await retrying(attempt)
