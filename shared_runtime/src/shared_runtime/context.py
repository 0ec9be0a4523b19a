"""What the task in hand is about, for log lines and for what it publishes."""

from contextvars import ContextVar
from typing import NamedTuple

from shared_runtime.envelope import Envelope


class Step(NamedTuple):
    """One HTTP request, or one message in its handler."""

    traceparent: str | None = None
    """W3C trace context of the step."""
    envelope: Envelope | None = None


current_step: ContextVar[Step] = ContextVar("current_step", default=Step())  # noqa: B039 - a tuple cannot change
