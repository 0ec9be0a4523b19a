"""W3C trace context through messages and rows. What is not sampled costs nothing but carrying the header along."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
current_traceparent: ContextVar[str | None] = ContextVar("current_traceparent", default=None)
"""The trace context of the HTTP request in hand."""


class Tracing:
    """Starts spans for requests and messages, and hands them to the exporter in the background."""

    def __init__(self, service: str, *, sample_ratio: float, exporter: SpanExporter | None) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service}), sampler=ParentBased(TraceIdRatioBased(sample_ratio))
        )
        if exporter is not None:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._exports = exporter is not None
        self._tracer = self._provider.get_tracer("shared_runtime")

    @contextmanager
    def span(
        self, name: str, parent: str | None, kind: SpanKind, attributes: dict[str, str | int] | None = None
    ) -> Iterator[str | None]:
        """A span below `parent` (a traceparent). Yields the traceparent for what the step publishes."""
        if not self._exports or (parent is not None and not is_sampled(parent)):
            yield parent
            return
        context = _propagator.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes) as span:
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            try:
                yield carrier.get("traceparent")
            except Exception as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def close(self) -> None:
        """Export what is waiting."""
        self._provider.shutdown()


def is_sampled(traceparent: str) -> bool:
    """Whether the last flag of the traceparent (W3C Trace Context, section 3.2.2.5) says that the trace is recorded."""
    return traceparent.endswith(("1", "3", "5", "7", "9", "b", "d", "f"))


def otlp_exporter(endpoint: str | None) -> SpanExporter | None:
    """The exporter for an OTLP/HTTP collector, None when no endpoint is configured."""
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces") if endpoint else None
