"""Bookings and utilization over HTTP."""

import pytest

from shared_runtime.envelope import new_id

from .conftest import NOBODY, STAFF, Scheduler
from .stories import Town, cancelled, completed, flight

PATH = "/api/v1/dronedeliveries"


async def test_shown_to_its_owner_and_to_the_staff_only(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request(weight_kg=2, owner_id="alice")
    await scheduler.hear(request)
    path = f"{PATH}/{request.delivery_id}"
    answer = await scheduler.client.get(path, headers={"X-Subject": "alice"})
    assert answer.status_code == 200
    booking = answer.json()
    assert booking["pickup"] == request.pickup.model_dump()
    assert booking["dropoff"] == request.dropoff.model_dump()
    assert (booking["status"], booking["drone_id"], booking["weight_kg"]) == ("Booked", str(drone_id), 2)
    assert (await scheduler.client.get(path, headers=STAFF)).json() == booking
    hidden = await scheduler.client.get(path, headers={"X-Subject": "mallory"})
    unknown = await scheduler.client.get(f"{PATH}/{NOBODY}", headers={"X-Subject": "mallory"})
    assert (hidden.status_code, hidden.json()["type"]) == (404, unknown.json()["type"])
    assert (await scheduler.client.get(path)).status_code == 401


async def test_listed_by_status_and_page_by_page(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    released = [town.request() for _ in range(3)]
    for request in released:
        await scheduler.hear(request, cancelled(request))
    done = town.request()
    await scheduler.hear(done, completed(done, flight(drone_id, town.at(0))))
    seen: list[str] = []
    after = ""
    while after is not None:
        query = f"?status=Released&limit=2{after and f'&after={after}'}"
        page = (await scheduler.client.get(PATH + query, headers=STAFF)).json()
        assert {booking["status"] for booking in page["items"]} <= {"Released"}
        seen += [booking["delivery_id"] for booking in page["items"]]
        after = page["next_after"]
    assert {str(request.delivery_id) for request in released} <= set(seen)
    assert str(done.delivery_id) not in seen
    assert seen == sorted(set(seen))


async def test_nothing_flown_is_nothing_used(scheduler: Scheduler) -> None:
    owner = f"owner-{new_id()}"
    answer = await scheduler.client.get("/api/v1/utilization?year=2026&month=1", headers={"X-Subject": owner})
    assert answer.json() == {
        "owner": owner,
        "year": 2026,
        "month": 1,
        "flights": 0,
        "distance_m": 0,
        "duration_s": 0,
        "traveled_miles": 0,
        "assigned_hours": 0,
    }


async def test_utilization_of_others_is_for_the_staff_only(scheduler: Scheduler) -> None:
    path = "/api/v1/utilization?year=2026&month=1&owner=alice"
    assert (await scheduler.client.get(path, headers={"X-Subject": "alice"})).status_code == 200
    assert (await scheduler.client.get(path, headers=STAFF)).json()["owner"] == "alice"
    refused = await scheduler.client.get(path, headers={"X-Subject": "mallory"})
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PATH}/no-identifier", 422),
        (f"{PATH}/{NOBODY}", 404),
        (f"{PATH}?status=Happy", 422),
        (f"{PATH}?limit=0", 422),
        (f"{PATH}?after=x", 422),
        ("/api/v1/utilization", 422),
        ("/api/v1/utilization?year=2026", 422),
        ("/api/v1/utilization?year=2026&month=0", 422),
        ("/api/v1/utilization?year=2026&month=13", 422),
        ("/api/v1/utilization?year=1&month=1", 422),
        ("/api/v1/utilization?year=2026&month=1&owner=", 422),
        ("/api/v1/nothing", 404),
    ],
)
async def test_refused_with_a_problem(scheduler: Scheduler, path: str, status: int) -> None:
    answer = await scheduler.client.get(path, headers=STAFF)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
