"""The installed command against the service on real servers, with dead letters as services send them."""

import asyncio
import csv
import io
import json
import os
import pty
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import uvicorn
from dead_letter_examples import REQUESTS, Sender, an_event, letter_id
from dead_letter_processes import make_app

from shared_runtime.envelope import Envelope
from shared_runtime.testing import PARTITIONS, Broker, Mailbox, eventually

DLQ = shutil.which("dlq", path=str(Path(sys.executable).parent)) or "dlq"
WHY = ("--why", "the weight was wrong")


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Dlq = Callable[..., Awaitable[Ended]]


@pytest_asyncio.fixture(scope="module")
async def url(places) -> AsyncIterator[str]:
    """The service, listening."""
    places.migrated("dead_letters")
    server = uvicorn.Server(uvicorn.Config(make_app(places), port=0, log_level="error", lifespan="on", ws="none"))
    serving = asyncio.create_task(server.serve())

    async def has_started() -> bool:
        assert not serving.done()
        return server.started

    await eventually(has_started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
def dlq(url: str) -> Dlq:
    """Run the command. What somebody types, they type at a terminal."""
    environment = {**os.environ, "DLQ_URL": url, "DLQ_SUBJECT": "sam"}

    async def run(*arguments: str, types: str | None = None) -> Ended:
        controller, terminal = pty.openpty()
        os.write(controller, (types or "").encode())
        try:
            process = await asyncio.create_subprocess_exec(
                DLQ,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL if types is None else terminal,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
            async with asyncio.timeout(60):
                out, err = await process.communicate()
        finally:
            os.close(terminal)
            os.close(controller)
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Ended(process.returncode, out.decode(), err.decode())

    return run


@pytest_asyncio.fixture(scope="module")
async def sender(broker: Broker) -> Sender:
    return Sender(broker)


@pytest_asyncio.fixture(scope="module")
async def mailbox(url: str, broker: Broker) -> Mailbox:
    """What is replayed to the package service."""
    return await Mailbox.of(broker, [REQUESTS.queue(partition) for partition in range(PARTITIONS)])


@pytest_asyncio.fixture(scope="module")
async def package_service(mailbox: Mailbox, sender: Sender) -> AsyncIterator[set[Any]]:
    """Handles what is replayed to it, except the messages with these ids, which fail again."""
    stubborn: set[Any] = set()

    async def work() -> None:
        done = 0
        while True:
            for event in mailbox.events[done:]:
                done += 1
                if event.id in stubborn:
                    await sender.fail(event, description="still stuck")
                else:
                    await sender.answer(event)
            await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    yield stubborn
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


@pytest.fixture
def failed(sender: Sender, dlq: Dlq) -> Callable[..., Awaitable[tuple[str, list[Envelope]]]]:
    """Dead letters with a reason of their own, which the service knows."""

    async def make(size: int = 1, **facts: Any) -> tuple[str, list[Envelope]]:
        reason = f"reason-{uuid4()}"
        events = [an_event() for _ in range(size)]
        for event in events:
            await sender.fail(event, reason=reason, **facts)

        async def all_known() -> bool:
            return len((await dlq("list", "--reason", reason, "--json")).json["items"]) == size

        await eventually(all_known)
        return reason, events

    return make


async def test_look_at_one(dlq: Dlq, failed) -> None:
    reason, (event,) = await failed(is_parked=True)
    dead_letter_id = str(letter_id(event))
    assert dead_letter_id in (await dlq("list", "--session", event.session_id)).out
    (group,) = (await dlq("groups", "--reason", reason, "--json")).json["items"]
    assert group["example_id"] == dead_letter_id
    shown = (await dlq("show", dead_letter_id)).out
    assert "DroneStuck: the drone is stuck" in shown
    assert "later messages of its session wait behind it" in shown
    assert event.session_id in (await dlq("story", dead_letter_id)).out
    assert (await dlq("body", dead_letter_id)).out.encode() == bytes(event.data)
    assert (await dlq("body", dead_letter_id, "--version", "7")).code == 3
    assert (await dlq("show", str(uuid4()))).code == 3


async def test_mend_and_replay(dlq: Dlq, failed, package_service, mailbox: Mailbox) -> None:
    _, (event,) = await failed()
    dead_letter_id = str(letter_id(event))
    mended = await dlq("edit", dead_letter_id, "--set", "/package/weight_kg=2.5", *WHY)
    assert mended.code == 0
    assert '+    "weight_kg": 2.5' in mended.err
    replayed = await dlq("replay", dead_letter_id, *WHY, "--wait", "--json")
    assert (replayed.code, replayed.json["state"]) == (0, "resolved")
    (sent,) = [one for one in mailbox.events if one.id == event.id]
    assert json.loads(bytes(sent.data))["package"]["weight_kg"] == 2.5
    again = await dlq("replay", dead_letter_id, *WHY)
    assert again.code == 4
    audit = (await dlq("audit", "--id", dead_letter_id, "--json")).json["items"]
    assert [(one["actor"], one["action"]) for one in audit] == [("sam", "replay"), ("sam", "edit")]
    assert (await dlq("story", dead_letter_id)).out.count("handled") >= 1


async def test_what_fails_again_is_a_failure(dlq: Dlq, failed, package_service) -> None:
    _, (event,) = await failed()
    package_service.add(event.id)
    ended = await dlq("replay", str(letter_id(event)), *WHY, "--wait", "--json")
    assert (ended.code, ended.json["state"], ended.json["failures"]) == (1, "open", 2)
    assert "still stuck" in ended.err


async def test_mend_what_somebody_else_mends(dlq: Dlq, failed) -> None:
    _, (event,) = await failed()
    dead_letter_id = str(letter_id(event))
    assert (await dlq("edit", dead_letter_id, "--set", "/package/tag=a", *WHY)).code == 0
    late = await dlq("edit", dead_letter_id, "--set", "/package/tag=b", "--if-version", "0", *WHY)
    assert late.code == 4


async def test_replay_a_group(dlq: Dlq, failed, package_service) -> None:
    reason, events = await failed(12)
    preview = await dlq("replay", "--reason", reason, "--dry-run", "--json")
    assert (preview.json["selected"], len(preview.json["examples"])) == (12, 10)
    unasked = await dlq("replay", "--reason", reason, *WHY)
    assert unasked.code == 2
    declined = await dlq("replay", "--reason", reason, *WHY, types="n\n")
    assert declined.code == 1
    ended = await dlq("replay", "--reason", reason, "--rate", "50", *WHY, "--wait", types="y\n")
    assert ended.code == 0, ended.err
    assert "12/12 handled" in ended.out
    assert (await dlq("list", "--reason", reason, "--json")).json["items"] == []
    assert len((await dlq("list", "--reason", reason, "--state", "resolved", "--json")).json["items"]) == len(events)


async def test_a_canary_that_fails_stops_the_rest(dlq: Dlq, failed, package_service) -> None:
    reason, events = await failed(5)
    package_service.update(event.id for event in events)
    ended = await dlq("replay", "--reason", reason, *WHY, "--yes", "--wait", "--json")
    assert (ended.code, ended.json["state"], ended.json["waiting"]) == (1, "stopped", 4)
    bulk_id = ended.json["bulk_replay_id"]
    (item,) = (await dlq("bulk", "show", bulk_id, "--items", "failed", "--json")).json["items"]
    assert item["dead_letter_id"] in {str(letter_id(event)) for event in events}
    assert bulk_id in (await dlq("bulk", "list")).out
    package_service.clear()
    resumed = await dlq("bulk", "resume", bulk_id, *WHY, "--wait", "--json")
    assert (resumed.json["state"], resumed.json["handled"]) == ("finished", 4)
    assert (await dlq("bulk", "cancel", bulk_id, *WHY)).code == 4


async def test_pause_and_cancel(dlq: Dlq, failed, package_service) -> None:
    reason, _ = await failed(5)
    begun = await dlq("replay", "--reason", reason, "--rate", "0.1", *WHY, "--yes", "--json")
    bulk_id = begun.json["bulk_replay_id"]
    assert (await dlq("bulk", "pause", bulk_id, *WHY, "--json")).json["state"] == "paused"
    assert (await dlq("bulk", "show", bulk_id, "--wait")).code == 1
    assert (await dlq("bulk", "cancel", bulk_id, *WHY, "--json")).json["state"] == "cancelled"


async def test_discard_and_restore(dlq: Dlq, failed) -> None:
    reason, events = await failed(3)
    ids = [str(letter_id(event)) for event in events]
    assert (await dlq("discard", "--reason", reason, "--dry-run")).code == 0
    assert "3 of 3 discarded" in (await dlq("discard", "--reason", reason, *WHY, "--yes")).out
    assert (await dlq("discard", *ids, *WHY, "--yes", "--json")).code == 1
    assert (await dlq("discard", "--reason", reason, *WHY, "--yes")).code == 4
    restored = await dlq("restore", *ids, *WHY, "--yes", "--json")
    assert (restored.code, {one["state"] for one in restored.json["items"]}) == (0, {"open"})
    assert (await dlq("restore", ids[0], *WHY)).code == 4


async def test_export(dlq: Dlq, failed, tmp_path: Path) -> None:
    reason, events = await failed(3)
    ids = {str(letter_id(event)) for event in events}
    lines = (await dlq("export", "--reason", reason)).out.splitlines()
    assert {json.loads(line)["dead_letter_id"] for line in lines} == ids
    file = tmp_path / "all.csv"
    assert (await dlq("export", "--reason", reason, "--output", str(file))).code == 0
    assert {row["dead_letter_id"] for row in csv.DictReader(io.StringIO(file.read_text()))} == ids


async def test_watch(dlq: Dlq, sender: Sender) -> None:
    reason = f"reason-{uuid4()}"
    watching = asyncio.create_task(dlq("watch", "--reason", reason, "--count", "1", "--json"))
    # It is not known from outside when it listens: there is something new until it has seen one.
    while not watching.done():
        await sender.fail(an_event(), reason=reason)
        await asyncio.wait([watching], timeout=0.5)
    ended = await watching
    assert (ended.code, json.loads(ended.out)["reason"]) == (0, reason)
