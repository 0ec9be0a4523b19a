"""W3C trace context through messages and rows. What is not sampled costs nothing but carrying the header along."""

import asyncio
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_traceparents = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracing:
    """Starts spans for requests and messages, and hands them to the exporter in the background."""

    def __init__(self, service: str, *, traces_per_second: float, exporter: SpanExporter | None) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service}), sampler=ParentBased(ALWAYS_ON)
        )
        self._limit = TraceLimit(traces_per_second)
        if exporter is not None:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._exports = exporter is not None
        self._tracer = self._provider.get_tracer("shared_runtime")

    def span(
        self, name: str, parent: str | None, kind: SpanKind, attributes: Callable[[], dict[str, str]] = dict
    ) -> AbstractContextManager[str | None]:
        """A span below `parent` (a traceparent), as a block that is given the traceparent for what the step publishes.

        Its attributes are asked for when it is recorded. What comes from outside and is no traceparent counts as none.
        """
        if parent is not None and not _traceparents.fullmatch(parent):
            parent = None
        if not self._exports or (parent is not None and not is_sampled(parent)):
            return nullcontext(parent)
        if parent is None and not self._limit.admits(name):
            return nullcontext(_not_sampled())
        return self._recorded(name, parent, kind, attributes())

    @contextmanager
    def _recorded(
        self, name: str, parent: str | None, kind: SpanKind, attributes: dict[str, str]
    ) -> Iterator[str | None]:
        context = _propagator.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield carrier.get("traceparent")

    async def close(self, timeout_s: float) -> None:
        """Export what is waiting, unless the collector takes too long."""
        if self._exports:
            loop = asyncio.get_running_loop()
            is_done = asyncio.Event()

            def shut_down() -> None:
                self._provider.shutdown()
                # The loop may be closed by now.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(is_done.set)

            # In no thread of the event loop's: the process would wait for its end, however long that takes.
            threading.Thread(target=shut_down, name="trace-export", daemon=True).start()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await is_done.wait()


class TraceLimit:
    """How many traces may begin: so many per second of each kind, and as many at once after a quiet second."""

    def __init__(self, per_second: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._most_at_once = max(1.0, per_second) if per_second else 0.0
        self._clock_s = clock_s
        self._left: dict[str, tuple[float, float]] = {}
        """By kind: how many more might have begun when the last one did, and when that was."""

    def admits(self, kind: str) -> bool:
        """Whether one more may begin now, which counts as begun then."""
        now_s = self._clock_s()
        left, at_s = self._left.get(kind, (self._most_at_once, now_s))
        left = min(self._most_at_once, left + (now_s - at_s) * self._per_second)
        if left < 1:
            return False
        self._left[kind] = left - 1, now_s
        return True


def _not_sampled() -> str:
    """The traceparent of a trace that nobody records: it takes the decision to the next steps."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"


def is_sampled(traceparent: str) -> bool:
    """Whether the last flag of the traceparent (W3C Trace Context, section 3.2.2.5) says that the trace is recorded."""
    return int(traceparent[-1], 16) % 2 == 1


def otlp_exporter(endpoint: str | None) -> SpanExporter | None:
    """The exporter for an OTLP/HTTP collector, None when no endpoint is configured."""
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces") if endpoint else None


def continued(trace: str | None, step: str | None) -> str | None:
    """The traceparent for what continues `trace` and is caused by `step`: the step's own when it is part of it."""
    if trace is None or not _traceparents.fullmatch(trace):
        return step
    return step if step is not None and trace.split("-")[1] == step.split("-")[1] else trace
