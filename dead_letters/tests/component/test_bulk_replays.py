"""Many at once: a frozen set, canaries, a steady rate, a stop by itself; and bulk discards."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from dead_letter_examples import a_dead_letter, an_event, letter_id
from dead_letter_processes import SUPPORT, make_app

from shared_runtime.envelope import JSON, Envelope, Undecodable
from shared_runtime.testing import Mailbox, eventually, running

BULK = "/api/v1/bulkreplays"


@pytest.fixture
def group(sender, client):
    """Open dead letters of one group: their events, and the filter that finds them."""

    async def make(size: int) -> tuple[list[Envelope], dict[str, Any]]:
        reason = f"group-{uuid4()}"
        events = [an_event() for _ in range(size)]
        for event in events:
            await sender.fail(event, reason=reason)

        async def all_known() -> bool:
            groups = (await client.get("/api/v1/deadletters/groups", params={"reason": reason})).json()["items"]
            return sum(one["count"] for one in groups) == size

        await eventually(all_known)
        return events, {"reason": reason}

    return make


@pytest.fixture
def progress(client):
    """Wait until a bulk replay is as expected, and return it."""

    async def wait(bulk: dict[str, Any], **expected: Any) -> dict[str, Any]:
        last: dict[str, Any] = {}

        async def look() -> bool:
            last.update((await client.get(f"{BULK}/{bulk['bulk_replay_id']}")).json())
            return all(last[name] == value for name, value in expected.items())

        try:
            await eventually(look)
        except AssertionError:
            raise AssertionError(f"expected {expected}, last seen {last}") from None
        return last

    return wait


class Replays:
    """What was replayed."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def of(self, events: list[Envelope]) -> list[Envelope]:
        """Of these events, up to now."""
        wanted = {event.id for event in events}
        return [one for one in self._mailbox.events if one.id in wanted]

    async def __call__(self, events: list[Envelope], number: int) -> list[Envelope]:
        """Wait until so many of the events were replayed; more are too many."""

        async def look() -> bool:
            return len(self.of(events)) >= number

        await eventually(look)
        found = self.of(events)
        assert len(found) == number
        return found


@pytest.fixture
def replays(requests_mailbox: Mailbox) -> Replays:
    return Replays(requests_mailbox)


async def started(client, chosen: dict[str, Any], **settings: Any) -> dict[str, Any]:
    body = {"filter": chosen, "why": "the constraint is gone", "rate_per_s": 500} | settings
    answer = await client.post(BULK, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{BULK}/{answer.json()['bulk_replay_id']}"
    return answer.json()


async def test_the_canary_goes_first_and_the_rest_when_it_is_handled(client, group, progress, replays, sender) -> None:
    events, chosen = await group(30)
    bulk = await started(client, chosen)
    assert (bulk["total"], bulk["waiting"], bulk["state"]) == (30, 30, "running")
    (canary,) = await replays(events, 1)
    # The one that failed first.
    assert canary.id == events[0].id
    await progress(bulk, sent=1, waiting=29)
    await sender.answer(canary)
    for replay in await replays(events, 30):
        if replay is not canary:
            await sender.answer(replay)
    last = await progress(bulk, state="finished", handled=30, sent=0, waiting=0, failed=0)
    assert last["finished_at"]
    found = (await client.get("/api/v1/deadletters", params=chosen | {"state": "resolved", "limit": 500})).json()
    assert len(found["items"]) == 30
    audit = (await client.get("/api/v1/audit", params={"bulk_replay_id": bulk["bulk_replay_id"], "limit": 100})).json()
    actions = [one["action"] for one in audit["items"]]
    assert (actions[0], actions[-1], actions.count("replay")) == ("bulk-finish", "bulk-start", 30)


async def test_stops_when_the_canary_fails_and_begins_with_another_when_resumed(
    client, group, progress, replays, sender
) -> None:
    events, chosen = await group(5)
    bulk = await started(client, chosen)
    (canary,) = await replays(events, 1)
    await sender.send(a_dead_letter(canary))
    stopped = await progress(bulk, state="stopped", failed=1, waiting=4)
    assert stopped["stop_reason"] == "a canary failed"
    failed = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}/items", params={"state": "failed"})).json()["items"]
    assert [one["dead_letter_id"] for one in failed] == [str(letter_id(canary))]
    assert "the drone is stuck" in failed[0]["note"]
    resumed = await client.post(f"{BULK}/{bulk['bulk_replay_id']}/resume", json={"why": "mended"})
    assert (resumed.status_code, resumed.json()["state"]) == (200, "running")
    second = (await replays(events, 2))[-1]
    await sender.answer(second)
    for replay in (await replays(events, 5))[2:]:
        await sender.answer(replay)
    await progress(bulk, state="finished", handled=4, failed=1)


async def test_stops_when_too_much_fails(client, group, progress, replays, sender) -> None:
    events, chosen = await group(30)
    bulk = await started(client, chosen, canary=0, rate_per_s=10, max_failure_ratio=0.2)
    done: set[Any] = set()

    async def answer_new() -> bool:
        found = [one for one in replays.of(events) if one.id not in done]
        for number, replay in enumerate(found, len(done)):
            done.add(replay.id)
            if number % 3 == 2:
                await sender.send(a_dead_letter(replay))
            else:
                await sender.answer(replay)
        return (await client.get(f"{BULK}/{bulk['bulk_replay_id']}")).json()["state"] == "stopped"

    await eventually(answer_new)
    stopped = await progress(bulk, state="stopped")
    assert "failed, more than 20%" in stopped["stop_reason"]
    assert stopped["waiting"] > 0


async def test_paused_goes_on_when_resumed_and_never_when_cancelled(client, group, progress, replays, sender) -> None:
    events, chosen = await group(6)
    bulk = await started(client, chosen, canary=2)
    path = f"{BULK}/{bulk['bulk_replay_id']}"
    canaries = await replays(events, 2)
    paused = await client.post(f"{path}/pause", json={"why": "lunch"})
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    assert (await client.post(f"{path}/pause", json={"why": "lunch"})).status_code == 409
    for canary in canaries:
        await sender.answer(canary)
    await progress(bulk, state="paused", handled=2, sent=0)
    assert len(replays.of(events)) == 2
    assert (await client.post(f"{path}/resume", json={"why": "go on"})).json()["state"] == "running"
    for replay in (await replays(events, 6))[2:]:
        await sender.answer(replay)
    await progress(bulk, state="finished", handled=6)
    for action in ("pause", "resume", "cancel"):
        refused = await client.post(f"{path}/{action}", json={"why": "too late"})
        assert (refused.status_code, refused.json()["state"]) == (409, "finished")
    other_events, other = await group(3)
    second = await started(client, other)
    await replays(other_events, 1)
    assert (await client.post(f"{BULK}/{second['bulk_replay_id']}/cancel", json={"why": "wrong group"})).json()[
        "state"
    ] == "cancelled"
    (canary,) = replays.of(other_events)
    await sender.answer(canary)
    await progress(second, state="cancelled", handled=1, waiting=2)


async def test_the_set_is_frozen_and_what_is_not_open_any_more_is_skipped(
    client, group, progress, replays, sender, taken_in
) -> None:
    events, chosen = await group(4)
    broken = Undecodable(b"{", JSON, {}, "DecodeError: it ends too early")
    failure_id = await sender.send(a_dead_letter(broken, reason=chosen["reason"]))
    await taken_in(failure_id)
    bulk = await started(client, chosen)
    assert bulk["total"] == 5
    (canary,) = await replays(events, 1)
    await client.post(f"/api/v1/deadletters/{letter_id(events[1])}/discard", json={"why": "not that one"})
    late = an_event()
    await taken_in(await sender.fail(late, reason=chosen["reason"]))
    await sender.answer(canary)
    for replay in (await replays(events, 3))[1:]:
        await sender.answer(replay)
    await progress(bulk, state="finished", handled=3, skipped=2, total=5)
    items = (await client.get(f"{BULK}/{bulk['bulk_replay_id']}/items", params={"state": "skipped"})).json()["items"]
    assert {one["dead_letter_id"]: one["note"] for one in items} == {
        str(letter_id(events[1])): "the dead letter is discarded already",
        str(failure_id): "the body is no event: mend it first",
    }
    assert (await taken_in(letter_id(late)))["state"] == "open"


async def test_each_is_replayed_once_when_several_processes_work_on_it(
    places, client, group, progress, replays, sender, count
) -> None:
    events, chosen = await group(60)
    async with running(make_app(places)) as second, running(make_app(places)) as third:
        for one in (second, third):
            one.headers.update(SUPPORT)
        bulk = await started(client, chosen, canary=0)
        for replay in await replays(events, 60):
            await sender.answer(replay)
        await progress(bulk, state="finished", handled=60)
    assert await count("replay", "bulk_replay_id = $1", bulk["bulk_replay_id"]) == 60
    assert await count("audit_entry", "bulk_replay_id = $1 AND action = 'replay'", bulk["bulk_replay_id"]) == 60
    assert await count("audit_entry", "bulk_replay_id = $1 AND action = 'bulk-finish'", bulk["bulk_replay_id"]) == 1


async def test_two_bulk_replays_of_the_same_set_replay_each_once(client, group, progress, replays, sender) -> None:
    events, chosen = await group(20)
    bulks = await asyncio.gather(*(started(client, chosen, canary=0) for _ in range(2)))
    for replay in await replays(events, 20):
        await sender.answer(replay)
    ended = [await progress(bulk, state="finished") for bulk in bulks]
    assert sum(one["handled"] for one in ended) == 20
    assert sum(one["skipped"] for one in ended) == 20


async def test_the_rate_is_kept(client, group, replays) -> None:
    events, chosen = await group(40)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    bulk = await started(client, chosen, canary=0, rate_per_s=5)

    async def look() -> bool:
        return len(replays.of(events)) >= 10

    await eventually(look)
    # The first second's worth may come at once.
    assert loop.time() - begin > 0.8
    await client.post(f"{BULK}/{bulk['bulk_replay_id']}/cancel", json={"why": "seen enough"})


async def test_a_dry_run_changes_nothing(client, group, count) -> None:
    events, chosen = await group(3)
    before = await count("bulk_replay"), await count("audit_entry")
    answer = await client.post(BULK, json={"filter": chosen, "why": "look first", "dry_run": True})
    assert (answer.status_code, answer.json()) == (200, {"selected": 3, "undecodable": 0, "dry_run": True})
    ids = [str(letter_id(event)) for event in events[:2]]
    answer = await client.post("/api/v1/discards", json={"ids": ids, "why": "look first", "dry_run": True})
    assert (answer.status_code, answer.json()["selected"], answer.json()["discarded"]) == (200, 2, 0)
    assert (await count("bulk_replay"), await count("audit_entry")) == before


@pytest.mark.parametrize(
    "body",
    [
        {"why": "x"},
        {"filter": {}, "ids": [str(uuid4())], "why": "x"},
        {"ids": [], "why": "x"},
        {"ids": ["no id"], "why": "x"},
        {"filter": {"reason": "there is none like that"}, "why": "x"},
        {"filter": {"colour": "red"}, "why": "x"},
        {"filter": {"exception": ""}, "why": "x"},
        {"filter": {"exception": "nul \x00"}, "why": "x"},
        {"filter": {"state": "closed"}, "why": "x"},
        {"filter": {}, "why": ""},
        {"filter": {}},
    ],
)
@pytest.mark.parametrize("path", [BULK, "/api/v1/discards"])
async def test_a_selection_that_makes_no_sense_leaves_nothing_behind(client, group, count, path, body) -> None:
    await group(1)
    before = await count("bulk_replay"), await count("bulk_item"), await count("audit_entry")
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert (await count("bulk_replay"), await count("bulk_item"), await count("audit_entry")) == before


@pytest.mark.parametrize(
    "settings", [{"canary": -1}, {"rate_per_s": 0}, {"rate_per_s": 10_000}, {"max_failure_ratio": 1.5}, {"canary": "1"}]
)
async def test_settings_that_make_no_sense_are_refused(client, settings) -> None:
    assert (await client.post(BULK, json={"filter": {}, "why": "x"} | settings)).status_code == 422


async def test_many_are_discarded_and_those_not_open_left_alone(client, group, requests_mailbox, taken_in) -> None:
    events, chosen = await group(1_100)
    first = letter_id(events[0])
    await client.post(f"/api/v1/deadletters/{first}/replay", json={"why": "this one"})
    body = {"filter": chosen | {"state": "any"}, "why": "test data"}
    answer = await client.post("/api/v1/discards", json=body)
    assert (answer.status_code, answer.json()) == (
        200, {"selected": 1_100, "discarded": 1_099, "left_alone": 1, "dry_run": False},
    )  # fmt: skip
    assert (await taken_in(first))["state"] == "replaying"
    audit = (await client.get("/api/v1/audit", params={"action": "discard", "limit": 5})).json()
    assert [one["why"] for one in audit["items"]] == ["test data"] * 5
    assert audit["next_after"]


async def test_unknown_bulk_replays_are_not_found(client) -> None:
    for suffix in ("", "/items"):
        assert (await client.get(f"{BULK}/{uuid4()}{suffix}")).status_code == 404
    assert (await client.post(f"{BULK}/{uuid4()}/pause", json={"why": "x"})).status_code == 404
