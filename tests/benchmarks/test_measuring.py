"""What is made of looks and moments, what the observer notes, what the collector counts, and the pictures."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4
from xml.etree import ElementTree as ET

import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage
from measuring.collector import FIRST_STEP, LAST_STEP, Collector
from measuring.measurement import by_second, moment_of, rate_between
from measuring.observer import LostWork, Observer
from measuring.svg import bar_chart, line_chart
from measuring.usage import cpu_ms, waited_ms
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from peers.suite import handled
from shared_contracts.delivery.v1 import DeliveryScheduled
from shared_contracts.example_messages import EXAMPLES
from shared_runtime.envelope import BATCH, JSON, Envelope, encode_batch, headers_of
from shared_runtime.testing import Broker, envelope_of

BUSY = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
end = time.process_time() + 0.2
while time.process_time() < end: pass
print(flush=True)
input()
"""
PARENT = """
import subprocess, sys
work = "import time\\nwhile time.process_time() < 0.25: pass"
subprocess.run([sys.executable, "-c", work], check=True)
print(flush=True)
input()
"""
SVG = "{http://www.w3.org/2000/svg}"


def test_a_rate_leaves_out_how_it_began_and_ended() -> None:
    slow_start = [(0.0, 0), (5.0, 0), (6.0, 100), (7.0, 500), (8.0, 900), (20.0, 1_000)]
    assert rate_between(slow_start, 0.1, 0.9) == 400


def test_a_rate_counts_from_what_was_done_before() -> None:
    assert rate_between([(0.0, 1_000), (1.0, 1_100), (2.0, 1_200)], 0.0, 1.0) == 100


def test_what_nobody_saw_happen_has_no_rate() -> None:
    with pytest.raises(ValueError, match="faster"):
        rate_between([(0.0, 0), (1.0, 100)], 0.1, 0.9)


def test_between_two_looks_it_went_on_evenly() -> None:
    samples = [(0.0, 50), (2.0, 50), (3.0, 100), (4.0, 150)]
    assert [moment_of(samples, share) for share in (0.0, 0.25, 0.5, 1.0)] == [2.0, 2.5, 3.0, 4.0]


def test_moments_are_counted_by_second() -> None:
    assert by_second([0.0, 0.99, 1.0, 3.5]) == [2, 1, 0, 1]
    assert by_second([]) == []


class Arrival:
    """What the observer looks at of a message."""

    def __init__(self, body: bytes, content_type: str, headers: dict[str, Any]) -> None:
        self.body, self.content_type, self.headers = body, content_type, headers


async def arrive(observer: Observer, body: bytes, content_type: str, headers: dict[str, Any]) -> None:
    await observer.take(cast("AbstractIncomingMessage", Arrival(body, content_type, headers)))


def scheduled() -> Envelope:
    """One more delivery that was scheduled."""
    example = next(one.message for one in EXAMPLES if isinstance(one.message, DeliveryScheduled))
    return envelope_of(example.model_copy(update={"delivery_id": uuid4()}))


async def test_the_observer_finds_plain_events_and_those_of_batches() -> None:
    observer = Observer(DeliveryScheduled.message_type)
    plain, *others = [scheduled() for _ in range(3)]
    await arrive(observer, bytes(plain.data), JSON, headers_of(plain))
    await arrive(observer, encode_batch(others), BATCH, {})
    moments = await observer.wait_for([one.session_id for one in (plain, *others)], 1)
    assert moments[plain.session_id] < moments[others[0].session_id] == moments[others[1].session_id]


async def test_the_observer_hears_what_comes_with_a_partition_and_without(places: Any, broker: Broker) -> None:
    of_the_suite, of_the_floor = scheduled(), scheduled()
    topic = str(DeliveryScheduled.topic)
    async with Observer.watching(places.broker_url, DeliveryScheduled) as observer:
        await broker.publish_envelope(of_the_suite, topic)
        await broker.publish_raw(topic, DeliveryScheduled.message_type, encode_batch([of_the_floor]), BATCH)
        moments = await observer.wait_for([of_the_suite.session_id, of_the_floor.session_id], 10)
    assert len(moments) == 2


async def test_an_event_that_comes_again_keeps_its_first_moment() -> None:
    observer = Observer(DeliveryScheduled.message_type)
    event = scheduled()
    await arrive(observer, bytes(event.data), JSON, headers_of(event))
    first_ns = (await observer.read())[event.session_id]
    await arrive(observer, bytes(event.data), JSON, headers_of(event))
    assert (await observer.read())[event.session_id] == first_ns
    assert observer.events_of(event.session_id) == 1


async def test_two_events_of_a_session_are_not_taken_for_one() -> None:
    observer = Observer(DeliveryScheduled.message_type)
    first, other = scheduled(), scheduled()
    second = msgspec.structs.replace(other, session_id=first.session_id)
    for event in (first, second):
        await arrive(observer, bytes(event.data), JSON, headers_of(event))
    await observer.wait_for([first.session_id], 1)
    assert observer.events_of(first.session_id) == 2


async def test_the_observer_says_how_many_are_missing() -> None:
    with pytest.raises(LostWork, match="1 of 1"):
        await Observer(DeliveryScheduled.message_type).wait_for(["nobody"], 0.1)


async def test_the_collector_counts_what_the_exporter_of_the_services_sends() -> None:
    collector = Collector()
    async with await asyncio.start_server(collector.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"

        def export() -> None:
            provider = TracerProvider(resource=Resource.create({SERVICE_NAME: FIRST_STEP[0]}))
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=url)))
            tracer = provider.get_tracer("test")
            with tracer.start_as_current_span(FIRST_STEP[1]), tracer.start_as_current_span(LAST_STEP[1]):
                pass
            with tracer.start_as_current_span(FIRST_STEP[1]):
                pass
            with tracer.start_as_current_span("GET /health/ready"):
                pass
            provider.shutdown()

        await asyncio.to_thread(export)
    assert collector.counts() == {"exports": 4, "spans": 4, "requests_begun": 2, "requests_whole": 1}


def test_bars_are_as_long_as_their_values() -> None:
    bars = ET.fromstring(bar_chart("Rates", {"suite": 200, "a < b": 50})).findall(f"{SVG}rect")[1:]  # noqa: S314
    longer, shorter = (float(bar.attrib["width"]) for bar in bars)
    assert longer == pytest.approx(4 * shorter, rel=0.01)


def test_a_line_stays_within_its_picture() -> None:
    lines = {"one": [(0.7, 0.0), (30.0, 50.0), (4_000.0, 100.0)], "two": [(1.0, 0.0), (90.0, 100.0)]}
    picture = ET.fromstring(line_chart("Latency", lines, across="milliseconds", up="percent"))  # noqa: S314
    width, height = (float(size) for size in picture.attrib["viewBox"].split()[2:])
    drawn = picture.findall(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for line in drawn for point in line.attrib["points"].split()]
    assert [len(line.attrib["points"].split()) for line in drawn] == [3, 2]
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_a_logarithmic_scale_has_no_zero() -> None:
    with pytest.raises(ValueError, match="above zero"):
        line_chart("Latency", {"one": [(0.0, 1.0)]}, across="milliseconds", up="percent")


def part(pid: int) -> Any:
    """A process, as what measures it sees it."""
    return SimpleNamespace(name=str(pid), process=SimpleNamespace(record=SimpleNamespace(pid=pid)))


async def test_what_a_process_used_that_has_ended_counts_for_who_started_it() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        used = cpu_ms([part(process.pid)])
    finally:
        await process.communicate(b"\n")
    assert used[str(process.pid)] >= 190


async def test_who_shares_a_processor_waits_for_it() -> None:
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, stdin=pipe, stdout=pipe) for _ in "ab"
    ]
    parts = [part(process.pid) for process in processes]
    try:
        for process in processes:
            assert process.stdout is not None
            await process.stdout.readline()
        used, waited = cpu_ms(parts), waited_ms(parts)
    finally:
        for process in processes:
            await process.communicate(b"\n")
    assert min(used.values()) >= 190
    # What each of them used, the other one waited for, but for the start and the end.
    assert sum(waited.values()) >= 150


def test_what_a_service_has_handled_is_read_from_its_page_of_figures() -> None:
    page = """# TYPE messages_handled_total counter
messages_handled_total{subscription="a",type="scheduled.v1"} 12000.0
messages_handled_total{subscription="b",type="scheduled.v1"} 3.0
messages_handled_total{subscription="a",type="rescheduled.v1"} 7.0
messages_received_total{subscription="a",type="scheduled.v1"} 99.0
"""
    assert handled(page, "scheduled.v1") == 12_003
    assert handled("", "scheduled.v1") == 0
