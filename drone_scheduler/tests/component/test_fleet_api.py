"""The fleet over HTTP."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from shared_contracts.drone_scheduler.v1 import DroneScheduled, DroneSchedulingFailed, DroneSchedulingFailureReason

from .conftest import NOBODY, STAFF, Scheduler
from .stories import Town, headed_to_pickup, report

PATH = "/api/v1/drones"


def new_drone(town: Town, **changes: Any) -> dict[str, Any]:
    """The body of a valid registration, but for the changes."""
    return {
        "payload_kg": 5,
        "range_m": 20_000,
        "cruise_speed_mps": 15,
        "location": town.at(0).model_dump(),
        "battery_percent": 90,
    } | changes


async def test_a_drone_joins_the_fleet(scheduler: Scheduler, town: Town) -> None:
    answer = await scheduler.client.post(PATH, json=new_drone(town), headers=STAFF)
    assert answer.status_code == 201
    drone = answer.json()
    assert answer.headers["Location"] == f"{PATH}/{drone['drone_id']}"
    assert drone == new_drone(town) | {
        "drone_id": drone["drone_id"],
        "status": "Free",
        "observed_at": drone["observed_at"],
        "delivery_id": None,
    }
    assert await scheduler.drone(drone["drone_id"]) == drone


async def test_charges_first_when_it_joins_with_little_charge(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0), battery_percent=24)
    assert (await scheduler.drone(drone_id))["status"] == "Charging"


async def test_nothing_changes_when_it_is_registered_again(scheduler: Scheduler, town: Town) -> None:
    path = f"{PATH}/{uuid4()}"
    assert (await scheduler.client.put(path, json=new_drone(town), headers=STAFF)).status_code == 201
    again = await scheduler.client.put(path, json=new_drone(town), headers=STAFF)
    assert (again.status_code, again.json()["battery_percent"]) == (200, 90)


async def test_place_and_charge_stay_when_the_design_changes(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    await scheduler.hear(report(drone_id, town.at(400), battery_percent=66))
    path = f"{PATH}/{drone_id}"
    answer = await scheduler.client.put(path, json=new_drone(town, payload_kg=7), headers=STAFF)
    drone = answer.json()
    assert (answer.status_code, drone["payload_kg"], drone["battery_percent"]) == (200, 7, 66)
    assert drone["location"] == town.at(400).model_dump()


async def test_goes_to_the_next_in_line_when_it_joins(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0), battery_percent=10)
    request = town.request()
    await scheduler.hear(request)
    answer = await scheduler.client.post(PATH, json=new_drone(town), headers=STAFF)
    assert answer.json()["delivery_id"] == str(request.delivery_id)
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)


async def test_listed_by_status_and_page_by_page(scheduler: Scheduler, town: Town) -> None:
    mine = {str(await scheduler.register(town.at(0))) for _ in range(3)}
    for drone_id in mine:
        await scheduler.client.post(f"{PATH}/{drone_id}/ground", headers=STAFF)
    listed: list[dict[str, Any]] = []
    after = ""
    while after is not None:
        query = f"?status=Grounded&limit=2{after and f'&after={after}'}"
        page = (await scheduler.client.get(PATH + query, headers=STAFF)).json()
        assert len(page["items"]) <= 2
        listed += page["items"]
        after = page["next_after"]
    assert mine <= {drone["drone_id"] for drone in listed}
    assert {drone["status"] for drone in listed} == {"Grounded"}
    ids = [drone["drone_id"] for drone in listed]
    assert ids == sorted(set(ids))


async def test_corrected_by_the_staff(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    place = {"location": town.at(200).model_dump()}
    moved = await scheduler.client.patch(f"{PATH}/{drone_id}", json=place, headers=STAFF)
    assert (moved.status_code, moved.json()["location"], moved.json()["battery_percent"]) == (
        200,
        town.at(200).model_dump(),
        100,
    )
    drained = await scheduler.client.patch(f"{PATH}/{drone_id}", json={"battery_percent": 5}, headers=STAFF)
    assert (drained.json()["status"], drained.json()["location"]) == ("Charging", town.at(200).model_dump())


async def test_goes_to_the_next_in_line_when_the_staff_says_it_is_charged(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0), battery_percent=10)
    requests = [town.request(), town.request(expedited=True)]
    await scheduler.hear(*requests)
    answer = await scheduler.client.patch(f"{PATH}/{drone_id}", json={"battery_percent": 100}, headers=STAFF)
    assert answer.json()["delivery_id"] == str(requests[1].delivery_id)


async def test_not_booked_when_it_is_grounded(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    for _ in range(2):
        answer = await scheduler.client.post(f"{PATH}/{drone_id}/ground", headers=STAFF)
        assert (answer.status_code, answer.json()["status"]) == (200, "Grounded")
    request = town.request()
    await scheduler.hear(request)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Waiting"


async def test_goes_to_the_next_in_line_when_the_grounding_is_lifted(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    await scheduler.client.post(f"{PATH}/{drone_id}/ground", headers=STAFF)
    request = town.request()
    await scheduler.hear(request)
    answer = await scheduler.client.post(f"{PATH}/{drone_id}/unground", headers=STAFF)
    assert (answer.json()["status"], answer.json()["delivery_id"]) == ("Booked", str(request.delivery_id))
    again = await scheduler.client.post(f"{PATH}/{drone_id}/unground", headers=STAFF)
    assert again.json() == answer.json()
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)


async def test_its_delivery_fails_when_it_is_grounded_before_it_left(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request)
    answer = await scheduler.client.post(f"{PATH}/{drone_id}/ground", headers=STAFF)
    assert (answer.json()["status"], answer.json()["delivery_id"]) == ("Grounded", None)
    _, failed = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneSchedulingFailed)
    assert failed.reason is DroneSchedulingFailureReason.DRONE_GROUNDED
    # The departure that was on its way changes nothing any more.
    await scheduler.hear(headed_to_pickup(request, drone_id))
    assert (await scheduler.booking(request.delivery_id))["status"] == "Refused"
    assert (await scheduler.drone(drone_id))["status"] == "Grounded"


async def test_flies_on_when_the_grounding_is_lifted_in_time(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, headed_to_pickup(request, drone_id))
    assert (await scheduler.client.post(f"{PATH}/{drone_id}/ground", headers=STAFF)).json()["status"] == "Grounding"
    answer = await scheduler.client.post(f"{PATH}/{drone_id}/unground", headers=STAFF)
    assert (answer.json()["status"], answer.json()["delivery_id"]) == ("InFlight", str(request.delivery_id))


BAD_REGISTRATIONS: dict[str, Callable[[Town], Any]] = {
    "a list": lambda town: [],
    "an empty object": lambda town: {},
    "no place": lambda town: {key: value for key, value in new_drone(town).items() if key != "location"},
    "a latitude beyond the pole": lambda town: new_drone(town, location={"latitude": 90.1, "longitude": 0}),
    "a longitude beyond the date line": lambda town: new_drone(town, location={"latitude": 0, "longitude": -180.1}),
    "no longitude": lambda town: new_drone(town, location={"latitude": 0}),
    "a negative payload": lambda town: new_drone(town, payload_kg=-1),
    "no payload at all": lambda town: new_drone(town, payload_kg=0),
    "a huge payload": lambda town: new_drone(town, payload_kg=1_001),
    "no range": lambda town: new_drone(town, range_m=0),
    "a range around the world": lambda town: new_drone(town, range_m=40_000_000),
    "no speed": lambda town: new_drone(town, cruise_speed_mps=0),
    "a speed in words": lambda town: new_drone(town, cruise_speed_mps="fast"),
    "a charge above full": lambda town: new_drone(town, battery_percent=100.5),
    "a negative charge": lambda town: new_drone(town, battery_percent=-1),
    "null for the charge": lambda town: new_drone(town, battery_percent=None),
    "an unknown field": lambda town: new_drone(town, colour="red"),
    "a payload as a text": lambda town: new_drone(town, payload_kg="5"),
    "a payload that is true": lambda town: new_drone(town, payload_kg=True),
    "a charge that is true": lambda town: new_drone(town, battery_percent=True),
    "a latitude as a text": lambda town: new_drone(town, location={"latitude": "1", "longitude": 1}),
    "a longitude that is false": lambda town: new_drone(town, location={"latitude": 1, "longitude": False}),
    "a misspelt altitude": lambda town: new_drone(town, location={"latitude": 1, "longitude": 1, "altitude": 30}),
}


@pytest.mark.parametrize("kind", BAD_REGISTRATIONS)
async def test_refused_and_nothing_left_behind_when_the_registration_is_bad(
    scheduler: Scheduler, town: Town, kind: str
) -> None:
    before = await scheduler.everything()
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/{NOBODY}")):
        answer = await scheduler.client.request(method, path, json=BAD_REGISTRATIONS[kind](town), headers=STAFF)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("/problems/invalid-request")
        assert answer.json()["errors"]
    assert await scheduler.everything() == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_refused_when_a_number_is_none(scheduler: Scheduler, town: Town, number: str) -> None:
    body = json.dumps(new_drone(town, payload_kg=12_345)).replace("12345", number)
    headers = STAFF | {"Content-Type": "application/json"}
    answer = await scheduler.client.post(PATH, content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, b"", 400),
        ("POST", PATH, b"null", 422),
        ("POST", PATH, b"{", 400),
        ("POST", f"{PATH}/", b"{}", 404),
        ("POST", PATH, b"\xff", 400),
        ("PUT", f"{PATH}/no-identifier", b"{}", 422),
        ("GET", f"{PATH}/no-identifier", None, 422),
        ("GET", f"{PATH}/{NOBODY}", None, 404),
        ("GET", f"{PATH}?status=Happy", None, 422),
        ("GET", f"{PATH}?limit=0", None, 422),
        ("GET", f"{PATH}?limit=501", None, 422),
        ("GET", f"{PATH}?after=x", None, 422),
        ("DELETE", f"{PATH}/{NOBODY}", None, 405),
        ("PATCH", f"{PATH}/{NOBODY}", b'{"battery_percent": 50}', 404),
        ("PATCH", f"{PATH}/{NOBODY}", b"{}", 422),
        ("PATCH", f"{PATH}/{NOBODY}", b'{"battery_percent": 101}', 422),
        ("PATCH", f"{PATH}/{NOBODY}", b'{"battery_percent": "50"}', 422),
        ("PATCH", f"{PATH}/{NOBODY}", b'{"battery_percent": true}', 422),
        ("PATCH", f"{PATH}/{NOBODY}", b'{"battery_percent": 50, "status": "Free"}', 422),
        ("POST", f"{PATH}/{NOBODY}/ground", None, 404),
        ("POST", f"{PATH}/{NOBODY}/unground", None, 404),
        ("POST", f"{PATH}/no-identifier/ground", None, 422),
    ],
)
async def test_refused_with_a_problem_and_nothing_left_behind(
    scheduler: Scheduler, method: str, path: str, body: bytes | None, status: int
) -> None:
    before = await scheduler.everything()
    headers = STAFF | {"Content-Type": "application/json"}
    answer = await scheduler.client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= set(answer.json())
    assert await scheduler.everything() == before


CALLERS: list[tuple[dict[str, str], int]] = [
    ({}, 401),
    ({"X-Subject": "alice"}, 403),
    ({"X-Subject": "eve", "X-Roles": "fleets"}, 403),
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PATH),
        ("PUT", f"{PATH}/{NOBODY}"),
        ("GET", PATH),
        ("GET", f"{PATH}/{NOBODY}"),
        ("PATCH", f"{PATH}/{NOBODY}"),
        ("POST", f"{PATH}/{NOBODY}/ground"),
        ("POST", f"{PATH}/{NOBODY}/unground"),
        ("GET", "/api/v1/dronedeliveries"),
    ],
)
async def test_refused_when_the_caller_does_not_look_after_the_fleet(
    scheduler: Scheduler, town: Town, method: str, path: str
) -> None:
    body = new_drone(town) if method in {"POST", "PUT"} else {"battery_percent": 1}
    before = await scheduler.everything()
    for headers, status in CALLERS:
        answer = await scheduler.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert await scheduler.everything() == before
