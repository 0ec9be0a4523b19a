"""One trace leads from the POST to the last step, through every outbox and every queue."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from demo.endpoints import StackEndpoints
from demo.kinds import Kind
from demo.run import run_scenario
from local_stack.stack import SERVICES, LocalStack
from shared_contracts.domain_types import DeliveryStage
from shared_runtime.testing import eventually

STEPS = {
    ("ingestion", "POST /api/v1/deliveryrequests"),
    ("package-service", "on_delivery_requested"),
    ("drone-scheduler", "on_delivery_requested"),
    ("delivery", "on_package_ready"),
    ("delivery", "on_drone_scheduled"),
    ("ingestion", "on_delivery_scheduled"),
    ("drone-scheduler", "on_delivery_headed_to_pickup"),
    ("ingestion", "on_delivery_headed_to_dropoff"),
    ("package-service", "on_delivery_completed"),
    ("drone-scheduler", "on_delivery_completed"),
    ("ingestion", "on_delivery_completed"),
}


class Collector:
    """Takes what the services export, as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.steps_of_trace: dict[bytes, set[tuple[str, str]]] = {}
        self.trace_of_session: dict[str, set[bytes]] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                step = (attributes["service.name"], span.name)
                self.steps_of_trace.setdefault(span.trace_id, set()).add(step)
                for attribute in span.attributes:
                    if attribute.key == "session.id" and step == ("ingestion", "on_delivery_completed"):
                        self.trace_of_session.setdefault(attribute.value.string_value, set()).add(span.trace_id)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join(timeout=10)


@pytest_asyncio.fixture(scope="module")
async def traced_stack(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    folder: Path = tmp_path_factory.mktemp("traced")
    settings = {"OTLP_ENDPOINT": collector.url, "TRACES_PER_SECOND": "1000"}
    stack = LocalStack(folder, environment=dict.fromkeys(SERVICES, settings))
    await asyncio.to_thread(stack.start)
    try:
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)


async def test_one_trace_leads_from_the_post_to_the_last_step(traced_stack: LocalStack, collector: Collector) -> None:
    outcome = await run_scenario(StackEndpoints.of(traced_stack), seed=3, requests=40)
    completed = [
        str(case.delivery_id)
        for case in outcome.cases
        if case.kind is Kind.ORDINARY and case.status is not None and case.status.stage is DeliveryStage.COMPLETED
    ]
    assert completed

    async def all_steps_of_all() -> bool:
        traces = [collector.trace_of_session.get(delivery, set()) for delivery in completed]
        return all(len(one) == 1 for one in traces) and all(
            collector.steps_of_trace[trace] >= STEPS for one in traces for trace in one
        )

    try:
        await eventually(all_steps_of_all, timeout_s=30)
    except AssertionError:
        for delivery in completed:
            for trace in collector.trace_of_session.get(delivery, set()):
                assert not STEPS - collector.steps_of_trace[trace], delivery
        raise
