"""What support does with one dead letter: each action once, in the right state only, with its audit entry."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from dead_letter_examples import REQUESTS, a_dead_letter, an_event, letter_id

from shared_runtime.envelope import JSON, STRUCTURED, Envelope, Undecodable, encode_batch, utc_now
from shared_runtime.testing import eventually

WHY = {"why": "the drone is free again"}


def path_of(dead_letter_id: object, action: str = "") -> str:
    return f"/api/v1/deadletters/{dead_letter_id}{action}"


async def sent_again(mailbox, event: Envelope) -> Envelope:
    """The last replay of the event, once it has come."""

    async def look() -> list[Envelope]:
        return [one for one in mailbox.events if one.id == event.id]

    return (await eventually(look))[-1]


@pytest.fixture
async def opened(sender, taken_in):
    """An open dead letter: its event."""

    async def open_one(**facts) -> Envelope:
        event = an_event()
        await taken_in(await sender.fail(event, **facts))
        return event

    return open_one


async def test_replayed_to_its_queue_of_origin_alone_and_resolved_when_handled(
    client, opened, sender, taken_in, requests_mailbox, broker
) -> None:
    event = await opened(is_parked=True)
    answer = await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    assert (answer.status_code, answer.json()["state"], answer.json()["attempt_epoch"]) == (200, "replaying", 1)
    replay = await sent_again(requests_mailbox, event)
    assert replay.attempt_epoch == 1
    assert (replay.session_id, replay.correlation_id, replay.type) == (
        event.session_id, event.correlation_id, event.type,
    )  # fmt: skip
    assert bytes(replay.data) == bytes(event.data)
    await sender.answer(replay)
    found = await taken_in(letter_id(event), state="resolved", is_parked=False)
    assert [one["state"] for one in found["replay_list"]] == ["handled"]
    assert found["replay_list"][0]["queue"].startswith(REQUESTS.name)
    assert [(one["action"], one["actor"], one["why"]) for one in found["audit_list"]] == [
        ("replay", "sam", "the drone is free again")
    ]
    assert (found["audit_list"][0]["before"]["state"], found["audit_list"][0]["after"]["state"]) == (
        "open", "replaying",
    )  # fmt: skip
    # The other subscribers of the topic see nothing of it.
    for queue in ("drone-scheduler.delivery-requests.0", "drone-scheduler.delivery-requests.1"):
        assert await broker.depth(queue) == 0


async def test_open_again_with_the_new_failure_when_the_replay_fails(client, opened, sender, taken_in) -> None:
    event = await opened()
    await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    again = replayed_as(event, 1)
    await sender.send(a_dead_letter(again, description="still stuck", reason="refused"))
    found = await taken_in(letter_id(event), state="open", failures=2)
    assert (found["attempt_epoch"], found["description"], found["reason"]) == (1, "still stuck", "refused")
    assert [one["state"] for one in found["replay_list"]] == ["failed"]
    # And once more.
    answer = await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    assert answer.json()["attempt_epoch"] == 2


async def test_an_answer_changes_nothing_when_it_comes_twice_or_is_of_no_replay(
    client, opened, sender, taken_in
) -> None:
    event = await opened()
    await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    replay = replayed_as(event, 1)
    await sender.answer(replay)
    before = await taken_in(letter_id(event), state="resolved")
    await sender.answer(replay)
    await sender.answer(replayed_as(event, 2))
    await sender.answer(an_event(message_id=uuid4()))
    late = await opened()
    await client.post(path_of(letter_id(late), "/replay"), json=WHY)
    await sender.answer(replayed_as(late, 1))
    await taken_in(letter_id(late), state="resolved")
    assert await taken_in(letter_id(event)) == before


async def test_stays_resolved_when_an_old_failure_arrives_late(client, opened, sender, taken_in) -> None:
    event = await opened()
    await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    await sender.answer(replayed_as(event, 1))
    await taken_in(letter_id(event), state="resolved")
    await sender.send(a_dead_letter(event, description="from long ago"))
    found = await taken_in(letter_id(event), failures=2)
    assert (found["state"], found["description"]) == ("resolved", "the drone is stuck")


@pytest.mark.parametrize("action", ["/replay", "/discard"])
async def test_one_of_two_commands_at_once_counts(client, opened, count, requests_mailbox, action) -> None:
    event = await opened()
    answers = await asyncio.gather(
        *(client.post(path_of(letter_id(event), action), json=WHY) for _ in range(8)),
        *(client.post(path_of(letter_id(event), "/replay"), json=WHY) for _ in range(8)),
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [409] * 15
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("/dead-letter-not-open")
    assert await count("audit_entry", "dead_letter_id = $1", letter_id(event)) == 1
    assert await count("replay", "dead_letter_id = $1", letter_id(event)) <= 1


async def test_discarding_a_parked_one_lets_its_session_go_on(client, opened, taken_in, requests_mailbox) -> None:
    event = await opened(is_parked=True)
    answer = await client.post(path_of(letter_id(event), "/discard"), json=WHY)
    assert (answer.status_code, answer.json()["state"], answer.json()["is_parked"]) == (200, "discarded", False)

    async def told() -> list[Envelope]:
        events = await requests_mailbox.of_session(event.session_id)
        return [one for one in events if one.type == "runtime.dead_letter_discarded.v1"]

    (discarded,) = await eventually(told)
    assert json.loads(bytes(discarded.data)) == {"session_id": event.session_id, "message_id": str(event.id)}
    refused = await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    assert (refused.status_code, refused.json()["state"]) == (409, "discarded")


async def test_a_discarded_one_can_be_restored_and_replayed(client, opened, taken_in, requests_mailbox) -> None:
    event = await opened()
    not_yet = await client.post(path_of(letter_id(event), "/restore"), json=WHY)
    assert (not_yet.status_code, not_yet.json()["type"].rpartition("/")[2]) == (409, "dead-letter-not-discarded")
    await client.post(path_of(letter_id(event), "/discard"), json=WHY)
    restored = await client.post(path_of(letter_id(event), "/restore"), json=WHY)
    assert (restored.status_code, restored.json()["state"]) == (200, "open")
    assert (await client.post(path_of(letter_id(event), "/replay"), json=WHY)).status_code == 200
    assert (await sent_again(requests_mailbox, event)).attempt_epoch == 1
    found = await taken_in(letter_id(event))
    assert [one["action"] for one in found["audit_list"]] == ["discard", "restore", "replay"]


async def test_the_mended_body_is_replayed_and_the_old_one_kept(client, opened, requests_mailbox, taken_in) -> None:
    event = await opened()
    path = path_of(letter_id(event), "/body")
    mended = '{"mended": true,  "white": "space"}'
    later = utc_now() + timedelta(hours=5)
    body = {"body": mended, "expires_at": later.isoformat(), "if_version": 0, "why": "a typing error"}
    answer = await client.put(path, json=body)
    assert (answer.status_code, answer.json()["version"], answer.json()["body_bytes"]) == (200, 1, len(mended))
    assert (await client.get(path)).text == mended
    original = await client.get(path, params={"version": "original"})
    assert (original.content, original.headers["x-body-version"]) == (bytes(event.data), "0")
    assert (await client.get(path, params={"version": "1"})).text == mended
    assert (await client.get(path, params={"version": "2"})).status_code == 404
    await client.post(path_of(letter_id(event), "/replay"), json=WHY)
    replay = await sent_again(requests_mailbox, event)
    assert (bytes(replay.data).decode(), replay.expires_at) == (mended, later)
    assert (replay.id, replay.source, replay.time) == (event.id, event.source, event.time)
    found = await taken_in(letter_id(event))
    assert [(one["version"], one["actor"], one["why"]) for one in found["version_list"]] == [
        (0, None, None), (1, "sam", "a typing error"),
    ]  # fmt: skip
    assert "mended" not in json.dumps([found["audit_list"]])


async def test_the_second_of_two_editors_is_refused(client, opened) -> None:
    event = await opened()
    path = path_of(letter_id(event), "/body")
    bodies = [{"body": f'{{"from": {number}}}', "if_version": 0, "why": "mend it"} for number in range(6)]
    answers = await asyncio.gather(*(client.put(path, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert (refused["type"].rpartition("/")[2], refused["version"]) == ("version-conflict", 1)
    assert (await client.get(path_of(letter_id(event)))).json()["version"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"body": "no json", "if_version": 0, "why": "x"}, 422),
        ({"body": '"' + "x" * 600_000 + '"', "if_version": 0, "why": "x"}, 422),
        ({"body": "{}", "content_type": "text/html", "if_version": 0, "why": "x"}, 422),
        ({"body_base64": "//4=", "if_version": 0, "why": "x"}, 422),
        ({"body": "{}", "body_base64": "e30=", "if_version": 0, "why": "x"}, 422),
        ({"if_version": 0, "why": "x"}, 422),
        ({"body": "{}", "if_version": 0, "why": "  "}, 422),
        ({"body": "{}", "if_version": 0, "why": "nul \x00"}, 422),
        ({"body": "{}", "if_version": 0}, 422),
        ({"body": "{}", "why": "x"}, 422),
        ({"body": "{}", "if_version": 0, "why": "x", "session_id": "another"}, 422),
        ({"body": "{}", "if_version": 0, "why": "x", "expires_at": "2026-01-01T00:00:00"}, 422),
        ({"body": "{}", "if_version": 1, "why": "x"}, 409),
        ({"body": "x" * 7_000_000, "if_version": 0, "why": "x"}, 413),
    ],
)
async def test_an_edit_that_nobody_could_accept_leaves_nothing_behind(client, opened, count, body, status) -> None:
    event = await opened()
    answer = await client.put(path_of(letter_id(event), "/body"), json=body)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert await count("version", "dead_letter_id = $1", letter_id(event)) == 1
    assert await count("audit_entry", "dead_letter_id = $1", letter_id(event)) == 0


async def test_what_is_no_event_is_replayed_once_it_is_mended(client, sender, taken_in, requests_mailbox) -> None:
    events = [an_event(), an_event()]
    broken = Undecodable(encode_batch(events)[:-5], JSON, {}, "DecodeError: it ends too early")
    failure_id = await sender.send(a_dead_letter(broken, reason="malformed"))
    await taken_in(failure_id)
    refused = await client.post(path_of(failure_id, "/replay"), json=WHY)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "still-undecodable")
    still = {"body": "[{}]", "content_type": "application/cloudevents-batch+json", "if_version": 0, "why": "try"}
    assert (await client.put(path_of(failure_id, "/body"), json=still)).status_code == 422
    mended = still | {"body": encode_batch(events).decode()}
    assert (await client.put(path_of(failure_id, "/body"), json=mended)).status_code == 200
    assert (await client.post(path_of(failure_id, "/replay"), json=WHY)).json()["state"] == "replaying"
    replays = [await sent_again(requests_mailbox, event) for event in events]
    assert [one.attempt_epoch for one in replays] == [1, 1]
    # One is handled, the other fails and is a dead letter of its own from then on.
    await sender.answer(replays[0])
    await sender.send(a_dead_letter(replays[1], description="still stuck"))
    own = await taken_in(letter_id(events[1]), state="open")
    assert own["attempt_epoch"] == 1
    parent = await taken_in(failure_id, state="resolved")
    assert sorted(one["state"] for one in parent["replay_list"]) == ["failed", "handled"]


async def test_an_event_with_a_dead_letter_of_its_own_is_not_sent_twice(
    client, opened, sender, taken_in, count
) -> None:
    event = await opened()
    broken = Undecodable(b"{", JSON, {}, "DecodeError: it ends too early")
    failure_id = await sender.send(a_dead_letter(broken, reason="malformed"))
    await taken_in(failure_id)
    (element,) = json.loads(encode_batch([event]))
    mended = {"body": json.dumps(element), "content_type": STRUCTURED, "if_version": 0, "why": "mend it"}
    assert (await client.put(path_of(failure_id, "/body"), json=mended)).status_code == 200
    assert (await client.post(path_of(failure_id, "/replay"), json=WHY)).json()["state"] == "resolved"
    assert await count("replay", "message_id = $1", event.id) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"X-Subject": "eve"}, 403), ({"X-Subject": "eve", "X-Roles": "fleet, customer"}, 403)],
)
@pytest.mark.parametrize("action", ["", "/story", "/body"])
async def test_only_support_sees_anything(client, opened, headers, status, action) -> None:
    event = await opened()
    bare = {"X-Subject": "", "X-Roles": ""} | headers
    answer = await client.get(path_of(letter_id(event), action), headers=bare)
    assert answer.status_code == status
    assert "pickup" not in answer.text


@pytest.mark.parametrize("action", ["/replay", "/discard", "/restore"])
async def test_unknown_ones_and_bad_bodies_are_refused(client, opened, count, action) -> None:
    assert (await client.post(path_of(uuid4(), action), json=WHY)).status_code == 404
    assert (await client.post(path_of("no-id", action), json=WHY)).status_code == 422
    event = await opened()
    for body in ({}, {"why": ""}, {"why": 7}, {"why": "x", "force": True}, {"why": "x" * 1_001}, []):
        answer = await client.post(path_of(letter_id(event), action), json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert (await client.post(path_of(letter_id(event), action), content=b"{")).status_code in {400, 415}
    assert await count("audit_entry", "dead_letter_id = $1", letter_id(event)) == 0


async def test_the_audit_cannot_be_changed(client, opened, database) -> None:
    event = await opened()
    await client.post(path_of(letter_id(event), "/discard"), json=WHY)
    for statement in ("UPDATE audit_entry SET why = ''", "DELETE FROM audit_entry", "TRUNCATE audit_entry"):
        with pytest.raises(Exception, match="never changed or removed"):
            await database.execute(statement)


def replayed_as(event: Envelope, epoch: int) -> Envelope:
    return msgspec.structs.replace(event, attempt_epoch=epoch)


async def test_a_body_that_breaks_the_contract_is_told_of_and_changes_nothing(client, opened, taken_in) -> None:
    event = await opened()
    before = await taken_in(letter_id(event))
    path = path_of(letter_id(event), "/body/check")
    good = json.loads(bytes(event.data))
    bad = good | {"package": good["package"] | {"weight_kg": -1}}
    assert (await client.post(path, json={"body": json.dumps(good)})).json() == {"violations": []}
    answer = await client.post(path, json={"body": json.dumps(bad)})
    assert answer.status_code == 200
    (violation,) = answer.json()["violations"]
    assert violation.startswith("package.weight_kg: ")
    assert len((await client.post(path, json={"body": "{"})).json()["violations"]) == 1
    assert (await client.post(path, json={})).status_code == 422
    assert (await client.post(path_of(uuid4(), "/body/check"), json={"body": "{}"})).status_code == 404
    assert await taken_in(letter_id(event)) == before
