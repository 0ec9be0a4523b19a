"""What gets into each other's way: commands of the same moment, the same event twice, a subscription that is gone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from dead_letter_examples import REQUESTS, a_dead_letter, an_event, letter_id

from dead_letters.domain.dead_letter import replay_id_of
from shared_runtime.envelope import JSON, STRUCTURED, Envelope, Undecodable, encode_batch
from shared_runtime.testing import eventually

WHY = {"why": "the drone is free again"}
LETTERS = "/api/v1/deadletters"
BULK = "/api/v1/bulkreplays"


@pytest.fixture
async def opened(sender, taken_in):
    """An open dead letter: its event."""

    async def open_one(**facts: Any) -> Envelope:
        event = an_event()
        await taken_in(await sender.fail(event, **facts))
        return event

    return open_one


@pytest.fixture
async def around(client, sender, taken_in):
    """What was no event, mended into this one: its identifier."""

    async def mend(event: Envelope) -> str:
        broken = Undecodable(b"{", JSON, {}, "DecodeError: it ends too early")
        dead_letter_id = await sender.send(a_dead_letter(broken, reason="malformed"))
        await taken_in(dead_letter_id)
        (element,) = json.loads(encode_batch([event]))
        mended = {"body": json.dumps(element), "content_type": STRUCTURED, "if_version": 0, "why": "mend it"}
        assert (await client.put(f"{LETTERS}/{dead_letter_id}/body", json=mended)).status_code == 200
        return str(dead_letter_id)

    return mend


@pytest.fixture
def all_wait(app):
    """Wait until so many commands wait for the next transaction."""

    async def wait(count: int) -> None:
        async def is_so() -> bool:
            return app.state.service.commands.waiting == count

        await eventually(is_so)

    return wait


@pytest.fixture
def one_batch(client, database, opened, all_wait):
    """The two commands of this block share one transaction: they wait behind one that waits for a lock."""

    @asynccontextmanager
    async def block() -> AsyncIterator[None]:
        event = await opened()

        async def is_locked() -> bool:
            return await database.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )

        async with database.transaction():
            await database.execute("SELECT FROM dead_letter WHERE dead_letter_id = $1 FOR UPDATE", letter_id(event))
            first = asyncio.create_task(client.post(f"{LETTERS}/{letter_id(event)}/discard", json=WHY))
            await eventually(is_locked)
            yield
            await all_wait(2)
        await first

    return block


async def finished(client, bulk: dict[str, Any], **expected: Any) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}")).json()
        return found if all(found[name] == value for name, value in expected.items()) else None

    return await eventually(look)


async def started(client, ids: list[Any]) -> dict[str, Any]:
    body = {"ids": [str(one) for one in ids], "why": "the cause is gone", "canary": 0, "rate_per_s": 500}
    answer = await client.post(BULK, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_replay_never_sends_another_body_than_it_says(
    client, opened, one_batch, all_wait, requests_mailbox
) -> None:
    event = await opened()
    path = f"{LETTERS}/{letter_id(event)}"
    async with one_batch():
        edit = {"body": '{"mended": true}', "if_version": 0, "why": "a typing error"}
        editing = asyncio.create_task(client.put(f"{path}/body", json=edit))
        await all_wait(1)
        replaying = asyncio.create_task(client.post(f"{path}/replay", json=WHY))
    assert (await editing).status_code == 200
    answer = await replaying
    # Who asked for the replay has not seen the new version.
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "version-conflict")
    assert (await client.post(f"{path}/replay", json=WHY)).status_code == 200

    async def look() -> list[Envelope]:
        return [one for one in requests_mailbox.events if one.id == event.id]

    (replay,) = await eventually(look)
    assert bytes(replay.data) == b'{"mended": true}'


async def test_an_edit_builds_on_the_version_that_it_names(client, opened, one_batch, all_wait) -> None:
    event = await opened()
    path = f"{LETTERS}/{letter_id(event)}/body"
    async with one_batch():
        first = asyncio.create_task(client.put(path, json={"body": "[1]", "if_version": 0, "why": "mend it"}))
        await all_wait(1)
        blind = {"expires_at": None, "if_version": 1, "why": "nobody has seen version 1 yet"}
        second = asyncio.create_task(client.put(path, json=blind))
    assert [(await one).status_code for one in (first, second)] == [200, 409]
    assert (await client.put(path, json=blind)).status_code == 200
    assert (await client.get(path)).text == "[1]"


async def test_the_same_event_in_two_dead_letters_is_sent_once(client, around, sender, taken_in, count) -> None:
    event = an_event()
    ids = [await around(event), await around(event)]
    bulk = await started(client, ids)
    await finished(client, bulk, waiting=0)
    assert await count("replay", "message_id = $1", event.id) == 1
    (row,) = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}/items", params={"state": "sent"})).json()["items"]
    await sender.answer(replayed_as(event, 1))
    await finished(client, bulk, state="finished", handled=2)
    for one in ids:
        assert (await taken_in(one))["state"] == "resolved"
    assert row["dead_letter_id"] in ids


async def test_an_event_that_is_under_way_for_another_dead_letter_is_not_sent_again(
    client, around, sender, taken_in, count
) -> None:
    event = an_event()
    outer = await around(event)
    assert (await client.post(f"{LETTERS}/{outer}/replay", json=WHY)).json()["state"] == "replaying"
    # The event failed on its own as well, and that arrives late.
    own = await sender.fail(event)
    await taken_in(own, state="open")
    answer = await client.post(f"{LETTERS}/{own}/replay", json=WHY)
    assert (answer.status_code, answer.json()["state"]) == (200, "resolved"), answer.text
    assert await count("replay", "replay_id = $1", replay_id_of(REQUESTS.name, event.id, 1)) == 1
    await sender.answer(replayed_as(event, 1))
    await taken_in(outer, state="resolved")


async def test_a_subscription_that_is_gone_stops_neither_bulk_replays_nor_a_discard(
    client, opened, database, sender, taken_in
) -> None:
    gone, event = await opened(is_parked=True), await opened()
    await database.execute(
        "UPDATE dead_letter SET subscription = 'package-service.gone' WHERE dead_letter_id = $1", letter_id(gone)
    )
    path = f"{LETTERS}/{letter_id(gone)}"
    answer = await client.post(f"{path}/replay", json=WHY)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "subscription-unknown")
    bulk = await started(client, [letter_id(gone), letter_id(event)])
    await finished(client, bulk, waiting=0, skipped=1, sent=1)
    await sender.answer(replayed_as(event, 1))
    await finished(client, bulk, state="finished", handled=1, skipped=1)
    assert (await client.post(f"{path}/discard", json=WHY)).json()["state"] == "discarded"


async def test_an_event_that_claims_too_many_replays_does_not_stop_the_others(client, opened, sender, taken_in) -> None:
    event = await opened()
    worn = replayed_as(an_event(), 2**31 - 1)
    await taken_in(await sender.fail(worn))
    answer = await client.post(f"{LETTERS}/{letter_id(worn)}/replay", json=WHY)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "too-many-replays")
    bulk = await started(client, [letter_id(worn), letter_id(event)])
    await finished(client, bulk, waiting=0, skipped=1, sent=1)


def replayed_as(event: Envelope, epoch: int) -> Envelope:
    return msgspec.structs.replace(event, attempt_epoch=epoch)
