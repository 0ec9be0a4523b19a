"""A trace goes on through what a step publishes, and costs nothing where nobody looks."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared_runtime.tracing import TraceLimit, Tracing, is_sampled

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


class Collector:
    """A tracing whose spans can be looked at."""

    def __init__(self, traces_per_second: float = 1_000) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing("service", traces_per_second=traces_per_second, exporter=self.exporter)

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
    collector = Collector(traces_per_second=0)
    with collector.tracing.span("request", None, SpanKind.SERVER) as traceparent:
        assert traceparent is not None
        assert not is_sampled(traceparent)
    assert collector.spans() == ()


def test_steps_of_a_trace_are_no_traces_of_their_own() -> None:
    collector = Collector(traces_per_second=1)
    with collector.tracing.span("request", None, SpanKind.SERVER) as traceparent:
        for _ in range(3):
            with collector.tracing.span("request", traceparent, SpanKind.INTERNAL) as step:
                assert step is not None
                assert is_sampled(step)
    assert len(collector.spans()) == 4


class Clock:
    """Seconds that pass when they are told to."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(("per_second", "at_once"), [(10, 10), (1, 1), (0.5, 1), (2.5, 2)])
def test_after_a_quiet_time_a_second_worth_of_traces_may_begin_at_once(per_second: float, at_once: int) -> None:
    clock = Clock()
    limit = TraceLimit(per_second, clock)
    assert [limit.admits("POST") for _ in range(20)].count(True) == at_once
    clock.now_s += 3_600
    assert [limit.admits("POST") for _ in range(20)].count(True) == at_once


@pytest.mark.parametrize("per_second", [10, 0.5])
def test_however_many_requests_come_the_traces_are_so_many_per_second(per_second: float) -> None:
    clock = Clock()
    limit = TraceLimit(per_second, clock)
    while limit.admits("POST"):
        pass
    admitted = 0
    for _ in range(100_000):
        clock.now_s += 0.001
        admitted += limit.admits("POST")
    assert admitted == pytest.approx(100 * per_second, abs=1)


def test_each_kind_has_its_own() -> None:
    limit = TraceLimit(1, Clock())
    assert [limit.admits(kind) for kind in ("GET", "GET", "POST", "GET", "POST")] == [True, False, True, False, False]


def test_none_is_none() -> None:
    clock = Clock()
    limit = TraceLimit(0, clock)
    assert not limit.admits("POST")
    clock.now_s += 1_000_000
    assert not limit.admits("POST")


def test_without_an_exporter_the_header_passes_through() -> None:
    tracing = Tracing("service", traces_per_second=1_000, exporter=None)
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
    tracing = Tracing("service", traces_per_second=1_000, exporter=InMemorySpanExporter() if exports else None)
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
