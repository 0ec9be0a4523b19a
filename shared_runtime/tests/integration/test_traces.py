"""One trace from the request to the last message, and log lines that say what they are about."""

import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from journal_service import consumers
from journal_service.messages import Entry
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sites import Site, World, a_session

from shared_runtime import UnitOfWork, service
from shared_runtime.testing import eventually
from shared_runtime.tracing import is_sampled

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


@asynccontextmanager
async def traced(site: Site) -> AsyncIterator[tuple[World, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "otlp_exporter", lambda _endpoint: exporter)
        async with World.around(site, traces_per_second=0.0) as world:
            yield world, exporter


def spans(world: World, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    world.service.tracing._provider.force_flush()
    return list(exporter.get_finished_spans())


async def test_a_trace_goes_from_the_request_through_the_outbox_to_the_last_message(site: Site) -> None:
    async with traced(site) as (world, exporter):
        session = a_session()
        await world.http.post(f"/api/v1/journals/{session}", json={"number": 1}, headers={"traceparent": SAMPLED})
        await world.has(session, 1)
        (noted,) = await world.noted.of_session(session)
        assert noted.traceparent is not None
        request, handler = sorted(
            spans(world, exporter), key=lambda span: span.name != "POST /api/v1/journals/{session}"
        )
        assert (request.name, handler.name) == ("POST /api/v1/journals/{session}", "on_append")
        assert {f"{span.context.trace_id:032x}" for span in (request, handler)} == {TRACE}
        assert request.parent is not None
        assert f"{request.parent.span_id:016x}" == SAMPLED.split("-")[2]
        assert handler.parent is not None
        assert handler.parent.span_id == request.context.span_id
        assert noted.traceparent == f"00-{TRACE}-{handler.context.span_id:016x}-01"
        attributes = dict(request.attributes or {})
        assert (attributes["http.route"], attributes["http.response.status_code"]) == (
            "/api/v1/journals/{session}",
            201,
        )
        assert "session.id" not in dict(handler.attributes or {}), "a command has no session"

        exporter.clear()
        await world.send(Entry(session=session, number=2), traceparent=noted.traceparent, correlation_id="flow-2")
        await world.has(session, 1, 2)
        (step,) = spans(world, exporter)
        assert (step.name, f"{step.context.trace_id:032x}") == ("on_entry", TRACE)
        assert step.parent is not None
        assert step.parent.span_id == handler.context.span_id
        assert (
            dict(step.attributes or {}).items()
            >= {
                "session.id": session,
                "messaging.message.conversation_id": "flow-2",
                "cloudevents.event_type": Entry.message_type,
            }.items()
        )
        assert (await world.noted.of_session(session))[1].traceparent == f"00-{TRACE}-{step.context.span_id:016x}-01"


async def test_the_trace_is_in_the_row_that_commits_with_the_state(site: Site) -> None:
    async with World.around(
        site, broker_url="amqp://nobody:x@127.0.0.1:1/", stop_timeout_s=0.5, wait_ready=False
    ) as world:
        session = a_session()
        await world.http.post(f"/api/v1/journals/{session}", json={"number": 1}, headers={"traceparent": SAMPLED})
        properties = json.loads(await world.database.fetchval("SELECT properties FROM outbox"))
        assert properties["headers"]["cloudEvents_traceparent"] == SAMPLED
        await world.database.execute("DELETE FROM outbox")


@pytest.mark.parametrize("header", [NOT_SAMPLED, None, "nonsense", "00-" + "x" * 500])
async def test_what_is_not_sampled_costs_no_span(site: Site, header: str | None) -> None:
    async with traced(site) as (world, exporter):
        session = a_session()
        headers = {"traceparent": header} if header else {}
        response = await world.http.post(f"/api/v1/journals/{session}", json={"number": 1}, headers=headers)
        assert response.status_code == 201
        await world.has(session, 1)
        await world.send(Entry(session=session, number=2), traceparent=header)
        await world.has(session, 1, 2)
        assert spans(world, exporter) == []
        for event in await world.noted.of_session(session):
            assert event.traceparent is not None
            assert not is_sampled(event.traceparent), "whoever comes next does not sample either"
            if header == NOT_SAMPLED:
                assert TRACE in event.traceparent


async def test_log_lines_say_which_message_they_are_about(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    misbehave = consumers.misbehave

    async def talk(entry: Entry, work: UnitOfWork) -> None:
        logging.getLogger("journal_service").warning("a line of the handler")
        await misbehave(entry, work)

    monkeypatch.setattr(consumers, "misbehave", talk)
    async with traced(site) as (world, _):
        output = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(output)
        session = a_session()
        bad = Entry(session=session, number=1, how="refuse")
        (envelope,) = await world.send(bad, traceparent=SAMPLED, correlation_id="flow-1")

        async def written() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in output.getvalue().splitlines()]
            return [line for line in lines if line["event"] == "message_dead_lettered"] and lines

        lines = {line["event"]: line for line in await eventually(written)}
        about = {
            "session_id": session,
            "correlation_id": "flow-1",
            "message_id": str(envelope.id),
            "service": "journal",
        }
        assert lines["a line of the handler"].items() >= (about | {"trace_id": TRACE}).items()
        assert lines["message_dead_lettered"].items() >= (about | {"reason": "not_today", "level": "warning"}).items()
