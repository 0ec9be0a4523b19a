"""The command, called in the test's process, and a service that answers what a test says."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from dead_letters.command_line import events, progress
from dead_letters.command_line.app import run

PREFIX = "/api/v1"
Answer = Any
"""A JSON document, a response, an error to raise, a list of these for one call after the other, or a function."""


@dataclass
class FakeService:
    """Answers by method and path, and remembers what it was asked."""

    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, method: str, path: str, answer: Answer) -> None:
        self.answers[method, PREFIX + path] = answer

    def refuses(self, method: str, path: str, status: int, slug: str, detail: str, **extensions: Any) -> None:
        problem = {"type": f"https://drone-delivery.example/problems/{slug}", "detail": detail, **extensions}
        self.on(method, path, httpx.Response(status, text=json.dumps(problem)))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.get((request.method, request.url.path))
        if answer is None:
            raise AssertionError(f"nobody expected {request.method} {request.url}")
        return self._response(answer, request)

    def _response(self, answer: Answer, request: httpx.Request) -> httpx.Response:
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, text=json.dumps(answer))

    @property
    def changes(self) -> list[httpx.Request]:
        """What was asked beyond reading."""
        return [one for one in self.requests if one.method != "GET" and not one.url.path.endswith("/check")]

    def sent(self, number: int = -1) -> Any:
        """The document of a request."""
        return json.loads(self.requests[number].content)


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Dlq = Callable[..., Ended]


class Terminal(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def dlq(service: FakeService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dlq:
    """Call the command against the fake service. Nobody is at the terminal unless `types` says what they type."""
    monkeypatch.setattr(progress, "POLL_INTERVAL_S", 0.001)
    monkeypatch.setattr(events, "RETRY_INTERVAL_S", 0.001)
    monkeypatch.setenv("DLQ_SUBJECT", "sam")
    monkeypatch.delenv("DLQ_URL", raising=False)

    def call(*arguments: str, types: str | None = None) -> Ended:
        monkeypatch.setattr("sys.stdin", io.StringIO() if types is None else Terminal(types))
        capsys.readouterr()
        code = run(arguments, transport=httpx.MockTransport(service))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call
