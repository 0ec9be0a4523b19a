"""A trace goes on through what a step publishes, and costs nothing where nobody looks."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared_runtime.tracing import Tracing, is_sampled

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Collector:
    """A tracing whose spans can be looked at."""

    def __init__(self, sample_ratio: float = 1.0) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing("service", sample_ratio=sample_ratio, exporter=self.exporter)

    def spans(self) -> tuple[ReadableSpan, ...]:
        self.tracing._provider.force_flush()
        return self.exporter.get_finished_spans()


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("0f", True), ("fe", False)]
)
def test_the_lowest_bit_of_the_flags_says_whether_a_trace_is_recorded(flags: str, sampled: bool) -> None:
    assert is_sampled(SAMPLED[:-2] + flags) is sampled


def test_a_step_goes_on_with_the_trace_of_its_cause() -> None:
    collector = Collector()
    with collector.tracing.span("on_paid", SAMPLED, SpanKind.CONSUMER, lambda: {"session.id": "s"}) as traceparent:
        assert traceparent is not None
    (span,) = collector.spans()
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == tuple(SAMPLED.split("-")[1:3])
    assert traceparent == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"
    assert (span.name, dict(span.attributes or {})) == ("on_paid", {"session.id": "s"})


def test_what_is_not_sampled_has_no_span_and_keeps_its_header() -> None:
    collector = Collector()
    with collector.tracing.span("on_paid", NOT_SAMPLED, SpanKind.CONSUMER) as traceparent:
        assert traceparent == NOT_SAMPLED
    assert collector.spans() == ()


def test_the_decision_not_to_sample_travels_along() -> None:
    collector = Collector(sample_ratio=0.0)
    with collector.tracing.span("request", None, SpanKind.SERVER) as traceparent:
        assert traceparent is not None
        assert not is_sampled(traceparent)
    assert collector.spans() == ()


def test_the_ratio_is_that_of_the_traces_that_begin_here() -> None:
    collector = Collector(sample_ratio=0.25)
    traceparents = set()
    for _ in range(2_000):
        with collector.tracing.span("request", None, SpanKind.SERVER) as traceparent:
            assert traceparent is not None
            traceparents.add(traceparent)
            with collector.tracing.span("step", traceparent, SpanKind.INTERNAL):
                pass
    assert len(traceparents) == 2_000
    # Five standard deviations to each side.
    sampled = sum(map(is_sampled, traceparents))
    assert 403 < sampled < 597
    assert len(collector.spans()) == 2 * sampled


def test_without_an_exporter_the_header_passes_through() -> None:
    tracing = Tracing("service", sample_ratio=1.0, exporter=None)
    with tracing.span("request", SAMPLED, SpanKind.SERVER) as traceparent:
        assert traceparent == SAMPLED
    with tracing.span("request", None, SpanKind.SERVER) as traceparent:
        assert traceparent is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        "00",
        SAMPLED + "-more",
        SAMPLED.upper(),
        "ff" + SAMPLED[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        SAMPLED + "\n",
        "a" * 100_000,
    ],
)
@pytest.mark.parametrize("exports", [True, False])
def test_a_header_that_is_no_trace_context_counts_as_none(header: str, exports: bool) -> None:
    tracing = Tracing("service", sample_ratio=1.0, exporter=InMemorySpanExporter() if exports else None)
    with tracing.span("request", header, SpanKind.SERVER) as traceparent:
        assert (traceparent is not None) is exports
        assert traceparent != header


def test_a_failed_step_is_marked_and_its_error_goes_on() -> None:
    collector = Collector()

    def step() -> None:
        with collector.tracing.span("on_paid", SAMPLED, SpanKind.CONSUMER):
            raise ValueError("bug")

    with pytest.raises(ValueError, match="bug"):
        step()
    (span,) = collector.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


async def test_closing_exports_what_waits() -> None:
    collector = Collector()
    with collector.tracing.span("request", None, SpanKind.SERVER):
        pass
    await collector.tracing.close(5)
    assert len(collector.exporter.get_finished_spans()) == 1
