"""What support sees: lists by every filter, groups, stories, exports and the changes as they happen."""

import asyncio
import contextlib
import csv
import io
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec
import pytest
import uvicorn
from dead_letter_examples import EVENTS, REQUESTS, an_event, letter_id
from dead_letter_processes import SUPPORT, make_app

from dead_letters.api.streams import EXPORTS_MAX
from shared_runtime.envelope import Envelope, utc_now
from shared_runtime.testing import eventually, running

LETTERS = "/api/v1/deadletters"


class BookingRefused(Exception):
    """Another failure."""


@pytest.fixture
def known(sender, taken_in):
    """A dead letter that is taken in: its event."""

    async def make(**facts: Any) -> Envelope:
        attributes = {name: facts.pop(name) for name in ("correlation_id", "message_id") if name in facts}
        event = an_event(**attributes)
        await taken_in(await sender.fail(event, **facts))
        return event

    return make


async def found_ids(client: httpx.AsyncClient, **parameters: Any) -> set[str]:
    answer = await client.get(LETTERS, params={"limit": 500, **parameters})
    assert answer.status_code == 200, answer.text
    return {one["dead_letter_id"] for one in answer.json()["items"]}


async def test_every_filter_finds_its_own_and_leaves_out_the_others(client, known) -> None:
    begin = utc_now()
    mine = await known(
        correlation_id="flow-9", reason="constraint", error=BookingRefused("50% of drone_7 is taken"),
        description="BookingRefused: 50% of drone_7 is TAKEN", subscription=EVENTS,
    )  # fmt: skip
    other = await known()
    own, others = str(letter_id(mine, EVENTS)), str(letter_id(other))
    detail = (await client.get(f"{LETTERS}/{own}")).json()
    filters = [
        {"subscription": EVENTS.name},
        {"reason": "constraint"},
        {"session_id": mine.session_id},
        {"correlation_id": "flow-9"},
        {"message_id": str(mine.id)},
        {"fingerprint": detail["fingerprint"]},
        {"exception": "50% of DRONE_7"},
        {"exception": "bookingrefused"},
        {"service": "package-service", "reason": "constraint", "since": begin.isoformat()},
    ]
    for one in filters:
        assert own in await found_ids(client, **one), one
        assert others not in await found_ids(client, **one), one
    for one in ({"since": (utc_now() + timedelta(hours=1)).isoformat()}, {"until": begin.isoformat()},
                {"exception": "5_%"}, {"service": "delivery"}, {"state": "resolved"}):  # fmt: skip
        assert own not in await found_ids(client, **one), one
    assert {own, others} <= await found_ids(client, state="any", message_type=mine.type)


async def test_pages_tell_everything_once_and_the_newest_first(client, known) -> None:
    reason = f"paged-{uuid4()}"
    events = [await known(reason=reason) for _ in range(7)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"reason": reason, "limit": 3}
    while True:
        page = (await client.get(LETTERS, params=parameters)).json()
        seen += [one["dead_letter_id"] for one in page["items"]]
        if page["next_after"] is None:
            break
        parameters["after"] = page["next_after"]
    assert seen == [str(letter_id(event)) for event in reversed(events)]


async def test_groups_count_by_fingerprint_within_the_filter(client, known) -> None:
    reason = f"grouped-{uuid4()}"
    first = [await known(reason=reason, error=BookingRefused("no")) for _ in range(3)]
    await known(reason=reason, error=BookingRefused("no"), subscription=EVENTS)
    await known(reason=reason, error=KeyError("x"))
    await client.post(f"{LETTERS}/{letter_id(first[0])}/discard", json={"why": "one less"})
    page = (await client.get(f"{LETTERS}/groups", params={"reason": reason, "state": "any"})).json()
    assert (page["total"], [one["count"] for one in page["items"]]) == (2, [4, 1])
    largest = page["items"][0]
    assert (largest["exception_type"], largest["open_count"]) == ("BookingRefused", 3)
    assert largest["subscriptions"] == sorted([EVENTS.name, REQUESTS.name])
    assert largest["first_failed_at"] < largest["last_failed_at"]
    example = (await client.get(f"{LETTERS}/{largest['example_id']}")).json()
    assert example["last_failed_at"] == largest["last_failed_at"]
    open_only = (await client.get(f"{LETTERS}/groups", params={"reason": reason, "limit": 1})).json()
    assert (open_only["total"], open_only["items"][0]["count"]) == (2, 3)
    none = (await client.get(f"{LETTERS}/groups", params={"reason": "none such"})).json()
    assert none == {"items": [], "total": 0}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=many", "after=nonsense", "after=%00", "after=MjAyNi8x", "state=closed",
        "reason=%00", "exception=a%00b", "exception=", "fingerprint=",
        "since=yesterday", "since=2026-01-01T00:00:00", "message_id=7", "colour=red",
        "service=" + "x" * 256,
    ],
)  # fmt: skip
async def test_a_query_that_makes_no_sense_is_refused(client, query) -> None:
    for path in (LETTERS, f"{LETTERS}/groups", f"{LETTERS}/export", f"{LETTERS}/live"):
        if query.startswith(("limit", "after")) and path.endswith(("export", "live", "groups")):
            continue
        answer = await client.get(f"{path}?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), path


@pytest.mark.parametrize("query", ["after=bm8", "limit=x", "since=never", "action=%00"])
async def test_an_audit_query_that_makes_no_sense_is_refused(client, query) -> None:
    assert (await client.get(f"/api/v1/audit?{query}")).status_code == 422


async def test_the_audit_is_paged_and_filtered(client, known) -> None:
    event = await known()
    begin = utc_now()
    for action in ("discard", "restore", "discard", "restore"):
        await client.post(f"{LETTERS}/{letter_id(event)}/{action}", json={"why": action})
    seen: list[str] = []
    parameters: dict[str, Any] = {"dead_letter_id": str(letter_id(event)), "limit": 3, "actor": "sam"}
    while True:
        page = (await client.get("/api/v1/audit", params=parameters)).json()
        seen += [one["action"] for one in page["items"]]
        if page["next_after"] is None:
            break
        parameters["after"] = page["next_after"]
    assert seen == ["restore", "discard", "restore", "discard"]
    only = {"dead_letter_id": str(letter_id(event)), "action": "restore", "since": begin.isoformat()}
    assert len((await client.get("/api/v1/audit", params=only)).json()["items"]) == 2
    assert (await client.get("/api/v1/audit", params=only | {"actor": "eve"})).json()["items"] == []
    assert (await client.get("/api/v1/audit", params={**only, "until": begin.isoformat()})).json()["items"] == []


async def test_export_tells_all_of_it(client, known) -> None:
    reason = f"exported-{uuid4()}"
    events = [await known(reason=reason, description='=HYPERLINK("evil"), "quoted"\nline') for _ in range(3)]
    hidden = await known(reason=reason, description="\n =1+1")
    ids = [str(letter_id(event)) for event in (hidden, *reversed(events))]
    as_lines = await client.get(f"{LETTERS}/export", params={"reason": reason})
    assert as_lines.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in as_lines.text.splitlines()]
    assert [one["dead_letter_id"] for one in lines] == ids
    listed = (await client.get(LETTERS, params={"reason": reason})).json()["items"]
    assert lines == listed
    as_table = await client.get(f"{LETTERS}/export", params={"reason": reason, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(as_table.text)))
    assert [row["dead_letter_id"] for row in rows] == ids
    # A spreadsheet would take it for a formula.
    assert rows[0]["description"] == "'\n =1+1"
    assert rows[1]["description"].startswith("'=HYPERLINK")
    empty = await client.get(f"{LETTERS}/export", params={"reason": "none such", "format": "csv"})
    assert empty.text.count("\n") == 1
    assert empty.text.startswith("dead_letter_id,state,")


async def test_the_story_tells_all_subscriptions_of_a_session_in_order(client, sender, taken_in, known) -> None:
    event = await known(is_parked=True)
    await taken_in(await sender.fail(event, subscription=EVENTS, description="and here, too"))
    path = f"{LETTERS}/{letter_id(event)}"
    await client.put(f"{path}/body", json={"body": "{}", "if_version": 0, "why": "mend it"})
    await client.post(f"{path}/replay", json={"why": "try again"})
    (replay,) = (await client.get(path)).json()["replay_list"]
    await sender.answer(replayed(event, replay["attempt_epoch"]))
    await taken_in(letter_id(event), state="resolved")
    await client.post(f"{LETTERS}/{letter_id(event, EVENTS)}/discard", json={"why": "not wanted"})
    story = (await client.get(f"{path}/story")).json()
    assert story["session_id"] == event.session_id
    assert {one["subscription"] for one in story["dead_letters"]} == {REQUESTS.name, EVENTS.name}
    assert [one["kind"] for one in story["events"]] == ["failed", "failed", "edited", "replayed", "handled", "did"]
    assert [one["at"] for one in story["events"]] == sorted(one["at"] for one in story["events"])
    assert (story["waiting"], story["silent_services"]) == ([], [])


async def test_the_story_names_what_waits_and_who_does_not_answer(places, known, client) -> None:
    event = await known()
    asked: list[tuple[str, str | None]] = []
    position = {"position": 7, "subscription": REQUESTS.name, "message_id": str(event.id), "type": event.type,
                "attempt_epoch": 0, "attempts": 5, "first_failed_at": None, "error": "stuck", "is_parked": True,
                "due_at": utc_now().isoformat()}  # fmt: skip

    async def service(scope, receive, send) -> None:
        headers = dict(scope["headers"])
        asked.append((scope["raw_path"].decode(), headers.get(b"x-roles", b"").decode()))
        body = {"/good": json.dumps([position]), "/bad": '{"not": "a list"}'}[
            scope["path"][: scope["path"].index("/", 1)]
        ]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body.encode()})

    async with Served(service) as base_url:
        urls = {"package-service": f"{base_url}/good", "delivery": f"{base_url}/bad",
                "ingestion": "http://127.0.0.1:9"}  # fmt: skip
        async with running(make_app(places, support_urls=urls)) as other:
            other.headers.update(SUPPORT)
            story = (await other.get(f"{LETTERS}/{letter_id(event)}/story")).json()
    (waiting,) = story["waiting"]
    assert (waiting["service"], waiting["position"], waiting["is_parked"]) == ("package-service", 7, True)
    assert {one["service"] for one in story["silent_services"]} == {"delivery", "ingestion"}
    assert (f"/good/support/sessions/{quote(event.session_id)}", "support") in asked


async def test_changes_are_told_as_they_happen_and_from_where_one_was(places, client, sender, taken_in, known) -> None:
    async with Served(make_app(places)) as base_url, httpx.AsyncClient(base_url=base_url, headers=SUPPORT) as live:
        reason = f"live-{uuid4()}"
        async with live.stream("GET", f"{LETTERS}/live", params={"reason": reason}, timeout=15) as stream:
            events = told(stream)
            assert (await anext(events))["event"] == "ready"
            event = await known(reason=reason)
            first = await anext(events)
            assert (first["event"], first["data"]["state"]) == ("dead-letter", "open")
            assert first["data"]["dead_letter_id"] == str(letter_id(event))
            await known()
            await client.post(f"{LETTERS}/{letter_id(event)}/discard", json={"why": "seen"})
            assert (await anext(events))["data"]["state"] == "discarded"
        # Nothing that happened in between is missed.
        await client.post(f"{LETTERS}/{letter_id(event)}/restore", json={"why": "meanwhile"})
        await client.post(f"{LETTERS}/{letter_id(event)}/replay", json={"why": "meanwhile"})
        again = {"Last-Event-ID": first["id"]}
        async with live.stream(
            "GET", f"{LETTERS}/live", params={"reason": reason}, headers=again, timeout=15
        ) as stream:
            events = told(stream)
            assert (await anext(events))["event"] == "ready"
            assert (await anext(events))["data"]["state"] == "replaying"
        refused = await live.get(f"{LETTERS}/live", headers={"X-Roles": "customer"})
        assert refused.status_code == 403


async def test_not_ready_while_a_queue_has_no_consumer(places, client, broker, sender, taken_in) -> None:
    queue = await broker.channel.get_queue(EVENTS.dead_letter_queue, ensure=False)
    arguments = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1_000_000_000}
    await queue.delete(if_unused=False, if_empty=False)

    async def problem() -> str | None:
        return (await client.get("/health/ready")).json()["problems"].get("dead-letter-intake")

    assert f"missing on {EVENTS.dead_letter_queue}" in str(await eventually(problem))
    # The others go on meanwhile.
    await taken_in(await sender.fail(an_event()))
    again = await broker.channel.declare_queue(EVENTS.dead_letter_queue, durable=True, arguments=arguments)
    exchange = await broker.channel.get_exchange("dead-letters", ensure=False)
    await again.bind(exchange, EVENTS.name)

    async def is_ready() -> bool:
        return await problem() is None

    await eventually(is_ready)
    await taken_in(await sender.fail(an_event(), subscription=EVENTS))


def replayed(event: Envelope, epoch: int) -> Envelope:
    return msgspec.structs.replace(event, attempt_epoch=epoch)


async def told(stream: httpx.Response):
    """The events of a stream, without the comments."""
    fields: dict[str, Any] = {}
    async for line in stream.aiter_lines():
        if not line and "event" in fields:
            yield fields | {"data": json.loads(fields["data"])}
        if not line:
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


class Served:
    """An application that listens on a port."""

    def __init__(self, app: Any) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_config=None, lifespan="auto", timeout_graceful_shutdown=1)
        )
        # The handlers of signals are the test run's.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]

    async def __aenter__(self) -> str:
        self._task = asyncio.create_task(self._server.serve())

        async def is_started() -> bool:
            return self._server.started

        await eventually(is_started)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task


async def test_no_more_exports_at_once_than_there_are_seats(client, known) -> None:
    await known()
    answers = await asyncio.gather(*(client.get(f"{LETTERS}/export") for _ in range(12)))
    refused = [one for one in answers if one.status_code == 503]
    assert len(refused) == 12 - EXPORTS_MAX
    assert {one.json()["type"].rpartition("/")[2] for one in refused} == {"too-many-streams"}
    # The seats are free again.
    assert (await client.get(f"{LETTERS}/export")).status_code == 200


async def test_a_position_that_is_not_reached_yet_is_now(places, known) -> None:
    reason = f"live-{uuid4()}"
    # As after the database was replaced by another one.
    ahead = {"Last-Event-ID": f"{10**17}.{uuid4()}"}
    async with (
        Served(make_app(places)) as base_url,
        httpx.AsyncClient(base_url=base_url, headers=SUPPORT) as live,
        live.stream("GET", f"{LETTERS}/live", params={"reason": reason}, headers=ahead, timeout=5) as stream,
    ):
        events = told(stream)
        assert (await anext(events))["event"] == "ready"
        event = await known(reason=reason)
        assert (await anext(events))["data"]["dead_letter_id"] == str(letter_id(event))
