"""Calls of the HTTP interface. What does not succeed is a CommandError that says what people need to know."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from dead_letters.command_line.exits import CommandError, Failed, Misused, NotFound, Refused, Unreachable

Json = dict[str, Any]

PREFIX = "/api/v1"
PAGE_SIZE_MAX = 500
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 120.0
"""A bulk discard answers when all of it is done."""
TIMEOUT = httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
REFUSALS = frozenset({400, 401, 403, 409, 413, 422})
DOUBT = "; whether it did what was asked, or a part of it, `dlq audit` tells"
ADVICE = {
    "discarded": "; `dlq restore` takes that back",
    "replaying": "; `dlq show` tells how far it is, and `dlq reopen` waits no longer",
}
"""What may be done where only an open dead letter would do, by its state."""
UNAVAILABLE = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Body:
    """One version of a dead letter's body."""

    content: bytes
    version: int
    content_type: str


class Client:
    """The service, as the command sees it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Json:
        """One document."""
        return _document(self._ask("GET", path, params=_given(query)))

    def post(self, path: str, document: Json) -> Json:
        """Do something."""
        return _document(self._ask("POST", path, json=document))

    def put(self, path: str, document: Json) -> Json:
        """Replace something."""
        return _document(self._ask("PUT", path, json=document))

    def page(self, path: str, query: Mapping[str, Any], limit: int, after: str | None = None) -> Json:
        """The first `limit` items behind `after`, fetched in as many pages as it takes."""
        items: list[Json] = []
        while True:
            size = min(limit - len(items), PAGE_SIZE_MAX)
            page = self.get(path, {**query, "limit": size, "after": after})
            items += page["items"]
            after = page["next_after"]
            if after is None or len(items) >= limit:
                return {"items": items, "next_after": after}

    def body(self, dead_letter_id: UUID, version: str) -> Body:
        """One version of the body, byte for byte."""
        response = self._ask("GET", f"/deadletters/{dead_letter_id}/body", params={"version": version})
        number = response.headers.get("X-Body-Version", "")
        if not number.isdecimal():
            raise _stranger(response)
        return Body(response.content, int(number), response.headers.get("Content-Type", ""))

    @contextmanager
    def stream(
        self, path: str, query: Mapping[str, Any], *, silence_s: float, headers: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer as they come. Raises Unreachable after so many seconds without any."""
        timeout = httpx.Timeout(silence_s, connect=CONNECT_TIMEOUT_S)
        url = f"{PREFIX}{path}"
        with (
            self._translated(),
            self._http.stream("GET", url, params=_given(query), headers=headers, timeout=timeout) as response,
        ):
            if response.status_code != 200:
                response.read()
                raise _error_of(response)
            yield response.iter_bytes()

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._translated(is_harmless=method == "GET"):
            response = self._http.request(method, f"{PREFIX}{path}", timeout=TIMEOUT, **request)
        if not response.is_success:
            error = _error_of(response)
            raise Unreachable(f"{error}{DOUBT}") if method != "GET" and response.status_code in UNAVAILABLE else error
        return response

    @contextmanager
    def _translated(self, *, is_harmless: bool = True) -> Iterator[None]:
        try:
            yield
        except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError) as error:
            doubt = "" if is_harmless else DOUBT
            raise Unreachable(f"{self._place} has not answered: {_named(error)}{doubt}") from None
        except UnicodeEncodeError:
            raise Misused("an argument is no text") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Unreachable(f"{self._place} cannot be reached: {_named(error)}") from None

    @property
    def _place(self) -> str:
        # Without a password that it may hold.
        return str(self._http.base_url.copy_with(userinfo=b""))


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _document(response: httpx.Response) -> Json:
    try:
        document = response.json()
    except ValueError:
        raise _stranger(response) from None
    if not isinstance(document, dict):
        raise _stranger(response)
    return document


def _error_of(response: httpx.Response) -> CommandError:
    problem = _problem_of(response)
    if problem is None:
        return _stranger(response)
    text = _text_of(problem)
    status = response.status_code
    if status == 404:
        # The way there is unknown, or the thing is.
        return NotFound(text) if str(problem.get("type", "")).endswith("-unknown") else _stranger(response)
    if status in REFUSALS:
        return Refused(f"nothing was done: {text}{_advice(problem)}" if status == 409 else text)
    return Unreachable(text) if status in UNAVAILABLE else Failed(f"the service failed ({status}): {text}")


def _advice(problem: Json) -> str:
    is_not_open = str(problem["type"]).endswith("/dead-letter-not-open")
    return ADVICE.get(str(problem.get("state")), "") if is_not_open else ""


def _problem_of(response: httpx.Response) -> Json | None:
    try:
        problem = json.loads(response.content)
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and isinstance(problem.get("type"), str) else None


def _text_of(problem: Json) -> str:
    text = str(problem.get("detail") or problem.get("title") or problem["type"])
    errors = problem.get("errors")
    if not isinstance(errors, list):
        return text
    lines = [f"{one.get('field')}: {one.get('message')}" for one in errors if isinstance(one, dict)]
    return "; ".join([text, *lines])


def _stranger(response: httpx.Response) -> Unreachable:
    url = response.request.url.copy_with(userinfo=b"", query=None)
    return Unreachable(f"{url} answered {response.status_code}, and not as the dead letters do; is DLQ_URL right?")
