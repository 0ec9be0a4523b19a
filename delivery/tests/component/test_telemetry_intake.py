"""Drones that do not speak to the broker report over HTTP."""

from typing import Any
from uuid import uuid4

import pytest
from delivery_journeys import Journey, now
from delivery_stories import BASE

from shared_contracts.delivery.v1 import (
    DeliveryCompleted,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryScheduled,
)
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_runtime.testing import eventually

PATH = "/api/v1/deliveries/telemetry"
AS_FLEET = {"X-Subject": "gateway-of-drones", "X-Roles": "fleet"}


def report(**changes: Any) -> dict[str, Any]:
    return {
        "drone_id": str(uuid4()),
        "activity": "Idle",
        "location": BASE.model_dump(),
        "speed_mps": 0,
        "battery_percent": 55.5,
        "observed_at": now().isoformat(),
    } | changes


async def test_one_report_reaches_everybody_who_listens(client, world) -> None:
    journey = await world.scheduled()
    body = journey.leaving().model_dump(mode="json")
    answer = await client.post(PATH, json=body, headers=AS_FLEET)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    (heard,) = await world.telemetry.wait_for(journey.drone_id, DroneTelemetryReported)
    assert heard.model_dump(mode="json") == body
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryHeadedToPickup)


async def test_many_reports_are_taken_in_their_order(client, world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    reports = [one.model_dump(mode="json") for one in (journey.leaving(), journey.on_board(), journey.landed())]
    answer = await client.post(PATH, json=reports, headers=AS_FLEET)
    assert answer.json() == {"accepted": 3}
    await world.events.wait_for(
        journey.delivery_id, DeliveryScheduled, DeliveryHeadedToPickup, DeliveryHeadedToDropoff, DeliveryCompleted
    )
    heard = await world.telemetry.wait_for(journey.drone_id, *[DroneTelemetryReported] * 3)
    assert [one.activity for one in heard] == ["HeadingToPickup", "HeadingToDropoff", "AtDropoff"]


async def test_five_hundred_reports_fit_into_one_request(client, world) -> None:
    drone_id = str(uuid4())
    reports = [report(drone_id=drone_id, delivery_id=None) for _ in range(500)]
    assert (await client.post(PATH, json=reports, headers=AS_FLEET)).status_code == 202

    async def all_heard() -> bool:
        return len(await world.telemetry.of_session(drone_id)) == 500

    await eventually(all_heard)
    refused = await client.post(PATH, json=[*reports, report()], headers=AS_FLEET)
    assert refused.status_code == 422


async def test_only_the_fleet_reports(client, world) -> None:
    drone_id = str(uuid4())
    refused = await client.post(PATH, json=report(drone_id=drone_id), headers={"X-Subject": "anna"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await client.post(PATH, json=report(drone_id=drone_id))).status_code == 401
    await world.tells(Journey().landed())
    assert await world.telemetry.of_session(drone_id) == []


@pytest.mark.parametrize(
    "change",
    [
        {"drone_id": "seven"},
        {"activity": "Loitering"},
        {"location": {"latitude": 0, "longitude": 181}},
        {"location": None},
        {"location": {"latitude": "0", "longitude": 0}},
        {"location": {"latitude": 0, "longitude": True}},
        {"location": {"latitude": 0, "longitude": 0, "altitude": 30}},
        {"speed_mps": -1},
        {"speed_mps": "3"},
        {"speed_mps": True},
        {"battery_percent": "55"},
        {"battery_percent": False},
        {"observed_at": 1772363400},
        {"observed_at": "1772363400"},
        {"battery_percent": 101},
        {"observed_at": "2026-03-02T12:00:00"},
        {"observed_at": "noon"},
        {"delivery_id": "x"},
        {"colour": "red"},
    ],
)
@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [report(drone_id=one["drone_id"]), one]], ids=["1", "n"])
async def test_bad_reports_are_refused_and_none_of_the_request_is_published(client, world, change, wrap) -> None:
    bad = report(**change)
    refused = await client.post(PATH, json=wrap(bad), headers=AS_FLEET)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"]
    assert await world.telemetry.of_session(bad["drone_id"]) == []
    assert await world.database.fetchval("SELECT count(*) FROM outbox WHERE body::text LIKE $1", bad["drone_id"]) == 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
async def test_numbers_that_are_none_are_refused(client, value) -> None:
    for field in ("speed_mps", "battery_percent"):
        body = str(report(**{field: "@"})).replace("'@'", value).replace("'", '"')
        refused = await client.post(PATH, content=body, headers=AS_FLEET | {"Content-Type": "application/json"})
        assert refused.status_code in {400, 422}, refused.text


async def test_no_reports_are_refused(client) -> None:
    assert (await client.post(PATH, json=[], headers=AS_FLEET)).status_code == 422
    assert (await client.post(PATH, headers=AS_FLEET)).status_code == 400
