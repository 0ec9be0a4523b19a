"""Replays that nobody answers: seen, given back after a while, and never handled twice."""

from typing import Any

import msgspec
import pytest
import pytest_asyncio
from dead_letter_examples import REQUESTS, a_dead_letter, an_event, letter_id

from dead_letters.domain.limits import ANSWER_EXPECTED_S
from shared_runtime.envelope import JSON, Envelope, Incoming, Undecodable, decode, encode_batch
from shared_runtime.testing import PARTITIONS, eventually

WHY = {"why": "nobody answers"}
LETTERS = "/api/v1/deadletters"
BULK = "/api/v1/bulkreplays"


@pytest.fixture
async def replaying(client, sender, taken_in):
    """A dead letter that is replayed and not answered: its event, and where it is."""

    async def make(**facts: Any) -> tuple[Envelope, str]:
        event = an_event()
        path = f"{LETTERS}/{await sender.fail(event, **facts)}"
        await taken_in(letter_id(event))
        assert (await client.post(f"{path}/replay", json=WHY)).json()["state"] == "replaying"
        return event, path

    return make


@pytest.fixture
async def reopened(client, replaying, wait_in_vain):
    """The same, given back."""

    async def make(**facts: Any) -> tuple[Envelope, str]:
        event, path = await replaying(**facts)
        await wait_in_vain(letter_id(event))
        assert (await client.post(f"{path}/reopen", json=WHY)).json()["state"] == "open"
        return event, path

    return make


@pytest.fixture
def wait_in_vain(database):
    """As long as an answer is expected."""

    async def wait(dead_letter_id: object) -> None:
        await database.execute(
            "UPDATE dead_letter SET changed_at = changed_at - make_interval(secs => $2) WHERE dead_letter_id = $1",
            dead_letter_id,
            float(ANSWER_EXPECTED_S),
        )

    return wait


@pytest_asyncio.fixture(scope="module")
async def all_sent(broker):
    """Wait for what is sent for an event, also when it is the same twice."""
    arrived: list[Any] = []

    async def arrive(message: Any) -> None:
        arrived.extend(decode(Incoming(message.body, message.content_type, message.headers)))

    for partition in range(PARTITIONS):
        queue = await broker.channel.get_queue(REQUESTS.queue(partition), ensure=False)
        await queue.consume(arrive, no_ack=True)

    async def wait(event: Envelope, number: int) -> list[bytes]:
        async def look() -> list[Any] | None:
            found = [one for one in arrived if one.id == event.id]
            return found if len(found) == number else None

        found = await eventually(look)
        assert {one.attempt_epoch for one in found} == {1}
        return [bytes(one.data) for one in found]

    return wait


def as_replayed(event: Envelope) -> Envelope:
    return msgspec.structs.replace(event, attempt_epoch=1)


async def test_given_back_only_when_no_answer_is_to_be_expected(client, replaying, wait_in_vain, taken_in) -> None:
    event, path = await replaying()
    early = await client.post(f"{path}/reopen", json=WHY)
    assert (early.status_code, early.json()["type"].rpartition("/")[2]) == (409, "answer-expected")
    assert early.json()["until"]
    await wait_in_vain(letter_id(event))
    answer = await client.post(f"{path}/reopen", json=WHY)
    assert (answer.status_code, answer.json()["state"], answer.json()["unanswered"]) == (200, "open", 1)
    again = await client.post(f"{path}/reopen", json=WHY)
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (409, "dead-letter-not-replaying")
    found = await taken_in(letter_id(event))
    assert [(one["action"], one["why"]) for one in found["audit_list"]][-1] == ("reopen", "nobody answers")


async def test_replayed_again_it_is_the_same_message_which_an_inbox_lets_in_once(
    client, reopened, all_sent, sender, taken_in
) -> None:
    event, path = await reopened()
    refused = await client.put(f"{path}/body", json={"body": "{}", "if_version": 0, "why": "mend it"})
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "replay-unanswered")
    answer = await client.post(f"{path}/replay", json={"why": "the queue was emptied"})
    assert (answer.status_code, answer.json()["state"], answer.json()["attempt_epoch"]) == (200, "replaying", 1)
    assert await all_sent(event, 2) == [bytes(event.data)] * 2
    await sender.answer(as_replayed(event))
    found = await taken_in(letter_id(event), state="resolved", unanswered=0)
    assert [(one["state"], one["why"]) for one in found["replay_list"]] == [("handled", "the queue was emptied")]


@pytest.mark.parametrize("action", [None, "discard"])
async def test_a_late_answer_counts(client, reopened, sender, taken_in, action) -> None:
    event, path = await reopened()
    if action:
        assert (await client.post(f"{path}/{action}", json=WHY)).json()["state"] == "discarded"
    await sender.answer(as_replayed(event))
    found = await taken_in(letter_id(event), state="resolved", unanswered=0)
    assert [one["state"] for one in found["replay_list"]] == ["handled"]


@pytest.mark.parametrize("action", [None, "discard"])
async def test_a_late_failure_counts(client, reopened, sender, taken_in, action) -> None:
    event, path = await reopened(is_parked=True)
    if action:
        assert (await client.post(f"{path}/{action}", json=WHY)).json()["state"] == "discarded"
    # Its session waits behind it again, whatever was decided meanwhile.
    await sender.send(a_dead_letter(as_replayed(event), is_parked=True, description="still stuck"))
    found = await taken_in(letter_id(event), failures=2)
    assert (found["state"], found["unanswered"], found["is_parked"]) == ("open", 0, True)
    assert [one["state"] for one in found["replay_list"]] == ["failed"]
    assert (await client.post(f"{path}/replay", json=WHY)).json()["attempt_epoch"] == 2


async def test_what_is_not_answered_of_a_batch_is_sent_again_alone(
    client, sender, taken_in, wait_in_vain, all_sent
) -> None:
    events = [an_event(), an_event()]
    dead_letter_id = await sender.send(a_dead_letter(Undecodable(b"{", JSON, {}, "DecodeError"), reason="malformed"))
    await taken_in(dead_letter_id)
    path = f"{LETTERS}/{dead_letter_id}"
    mended = {"body": encode_batch(events).decode(), "content_type": "application/cloudevents-batch+json"}
    await client.put(f"{path}/body", json=mended | {"if_version": 0, "why": "mend it"})
    await client.post(f"{path}/replay", json=WHY)
    await sender.answer(as_replayed(events[0]))
    await taken_in(dead_letter_id, unanswered=1)
    await wait_in_vain(dead_letter_id)
    assert (await client.post(f"{path}/reopen", json=WHY)).json()["state"] == "open"
    again = await client.post(f"{path}/replay", json=WHY)
    assert (again.json()["state"], again.json()["unanswered"]) == ("replaying", 1)
    assert len(await all_sent(events[1], 2)) == 2
    await sender.answer(as_replayed(events[1]))
    found = await taken_in(dead_letter_id, state="resolved")
    assert [one["state"] for one in found["replay_list"]] == ["handled", "handled"]


async def test_a_bulk_replay_ends_without_the_answer(client, sender, taken_in, wait_in_vain) -> None:
    events = [an_event(), an_event()]
    for event in events:
        await sender.fail(event)
        await taken_in(letter_id(event))
    body = {"ids": [str(letter_id(one)) for one in events], "why": "the cause is gone", "canary": 0, "rate_per_s": 500}
    bulk = (await client.post(BULK, json=body)).json()

    async def is_at(**expected: int | str) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}")).json()
            return found if all(found[name] == value for name, value in expected.items()) else None

        return await eventually(look)

    await is_at(sent=2)
    await sender.answer(as_replayed(events[0]))
    await is_at(sent=1, handled=1, state="running")
    await wait_in_vain(letter_id(events[1]))
    await client.post(f"{LETTERS}/{letter_id(events[1])}/reopen", json=WHY)
    await is_at(sent=0, failed=1, handled=1, state="finished")
    (item,) = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}/items", params={"state": "failed"})).json()["items"]
    assert item["note"] == "not answered, and reopened by sam"
    await sender.answer(as_replayed(events[1]))
    await taken_in(letter_id(events[1]), state="resolved")
