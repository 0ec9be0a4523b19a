"""Deliveries as owner, fleet and public see them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from delivery_journeys import Journey, now
from delivery_stories import ANNA, BASE, DROPOFF, PICKUP

from delivery.queries import to_cursor
from shared_contracts.domain_types import ConfirmationType, Location
from shared_runtime.testing import eventually

AS_ANNA = {"X-Subject": ANNA}
AS_BEN = {"X-Subject": "ben"}
AS_FLEET = {"X-Subject": "dispatcher-1", "X-Roles": "support, fleet"}
OWNER_VIEWS = ("", "/owner", "/status", "/events", "/confirmations", "/notifymerequests")


def moment(given: str) -> datetime:
    return datetime.fromisoformat(given)


async def landed(world) -> Journey:
    """Landed, waiting for a picture."""
    journey = await world.scheduled()
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    return journey


async def test_the_owner_sees_everything(client, world) -> None:
    journey = await world.scheduled()
    seen = (await client.get(journey.path, headers=AS_ANNA)).json()
    assert seen["delivery_id"] == str(journey.delivery_id)
    assert (seen["stage"], seen["owner_id"], seen["drone_id"]) == ("Created", ANNA, str(journey.drone_id))
    assert Location(**seen["pickup"]) == PICKUP
    assert Location(**seen["dropoff"]) == DROPOFF
    assert Location(**seen["drone_location"]) == BASE
    assert seen["package"] == {"size": "Small", "weight_kg": 1.5, "tag": "books"}
    assert seen["confirmation_required"] == "Picture"
    assert 80 < (moment(seen["pickup_eta"]) - now()).total_seconds() <= 100
    assert 580 < (moment(seen["dropoff_eta"]) - now()).total_seconds() <= 600
    assert moment(seen["deadline"]) == journey.deadline
    assert (seen["confirmation"], seen["failure"], seen["flight"]) == (None, None, None)


async def test_the_owner_sees_why_it_failed(client, world) -> None:
    journey = Journey()
    await world.tells(journey.package_rejected())
    seen = (await client.get(journey.path, headers=AS_ANNA)).json()
    assert seen["failure"] == {
        "reason": "package_too_heavy",
        "description": "A Small package weighs at most 2 kg.",
    }


async def test_the_owner_sees_the_flight_when_it_has_ended(client, world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    seen = (await client.get(journey.path, headers=AS_ANNA)).json()
    assert seen["stage"] == "Completed"
    assert seen["confirmation"]["type"] == "None"
    assert seen["flight"]["distance_m"] == pytest.approx(12_000, rel=1e-3)


async def test_status_tells_place_and_times(client, world) -> None:
    journey = await world.scheduled()
    before = (await client.get(f"{journey.path}/status", headers=AS_ANNA)).json()
    assert (before["stage"], before["last_known_location"], before["is_at_dropoff"]) == ("Created", None, False)
    await world.tells(journey.leaving(), journey.on_board())
    flying = (await client.get(f"{journey.path}/status", headers=AS_ANNA)).json()
    assert flying["stage"] == "HeadedToDropoff"
    assert Location(**flying["last_known_location"]) == PICKUP
    assert moment(flying["pickup_eta"]) <= now()
    assert 480 < (moment(flying["dropoff_eta"]) - now()).total_seconds() <= 500
    await world.tells(journey.landed())
    assert (await client.get(f"{journey.path}/status", headers=AS_ANNA)).json()["is_at_dropoff"]


async def test_the_public_sees_no_person_and_no_exact_place_or_time(client, world) -> None:
    journey = await landed(world)
    answer = await client.get(f"{journey.path}/public")
    seen = answer.json()
    assert set(seen) == {"delivery_id", "stage", "pickup_eta", "dropoff_eta", "area"}
    assert seen["area"] == {"latitude": 0.0, "longitude": round(DROPOFF.longitude, 2), "altitude_m": 0.0}
    assert moment(seen["dropoff_eta"]).second == 0
    assert ANNA not in answer.text
    assert str(journey.drone_id) not in answer.text


async def test_owner_is_named_with_what_they_have(client, world) -> None:
    owner = f"owner-{uuid4()}"
    first, second = Journey(owner_id=owner), Journey(owner_id=owner)
    await world.tells(*first.answers, *second.answers)
    await world.tells(second.cancellation())
    seen = (await client.get(f"{first.path}/owner", headers={"X-Subject": owner})).json()
    assert seen == {"delivery_id": str(first.delivery_id), "owner_id": owner, "deliveries": 2, "under_way": 1}


async def test_history_comes_in_pages(client, world) -> None:
    journey = await landed(world)
    first = (await client.get(f"{journey.path}/events?limit=3", headers=AS_ANNA)).json()
    assert [event["sequence"] for event in first["events"]] == [1, 2, 3]
    rest = (await client.get(f"{journey.path}/events?limit=3&cursor={first['next']}", headers=AS_ANNA)).json()
    assert [(event["kind"], event["stage"]) for event in rest["events"]] == [("ArrivedAtDropoff", "HeadedToDropoff")]
    assert Location(**rest["events"][0]["location"]) == DROPOFF
    assert rest["next"] is None


@pytest.mark.parametrize("view", OWNER_VIEWS)
async def test_somebody_elses_delivery_is_not_there(client, world, view) -> None:
    journey = await world.scheduled()
    refused = await client.get(journey.path + view, headers=AS_BEN)
    unknown = await client.get(Journey().path + view, headers=AS_BEN)
    assert refused.status_code == unknown.status_code == 404
    assert refused.json()["type"] == unknown.json()["type"]
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await client.get(journey.path + view)).status_code == 401
    assert (await client.get(journey.path + view, headers=AS_FLEET)).status_code == 200


async def test_unknown_to_the_public_is_not_there(client) -> None:
    refused = await client.get(f"{Journey().path}/public")
    assert refused.status_code == 404
    assert refused.json()["type"].endswith("/delivery-not-found")


async def test_list_has_the_callers_deliveries_only_in_pages(client, world) -> None:
    owner = f"owner-{uuid4()}"
    journeys = [Journey(owner_id=owner) for _ in range(5)]
    for journey in journeys:
        await world.tells(*journey.answers)
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = (await client.get(f"/api/v1/deliveries?limit=2{cursor}", headers={"X-Subject": owner})).json()
        seen += [one["delivery_id"] for one in page["deliveries"]]
        cursor = f"&cursor={page['next']}"
    assert seen == [str(journey.delivery_id) for journey in journeys]
    assert page["next"] is None
    assert (await client.get("/api/v1/deliveries", headers={"X-Subject": f"nobody-{uuid4()}"})).json()[
        "deliveries"
    ] == []


async def test_list_is_narrowed_by_stage_and_drone(client, world) -> None:
    owner = f"owner-{uuid4()}"
    created, rescheduled, cancelled = (Journey(owner_id=owner) for _ in range(3))
    for journey in (created, rescheduled, cancelled):
        await world.tells(*journey.answers)
    await world.tells(rescheduled.reschedule(), cancelled.cancellation())

    async def listed(query: str, headers: dict[str, str]) -> set[str]:
        page = (await client.get(f"/api/v1/deliveries?{query}", headers=headers)).json()
        return {one["delivery_id"] for one in page["deliveries"]}

    to_be_flown = {str(created.delivery_id), str(rescheduled.delivery_id)}
    as_owner = {"X-Subject": owner}
    assert await listed("stage=Created,Rescheduled", as_owner) == to_be_flown
    assert await listed("stage=Created&stage=Rescheduled", as_owner) == to_be_flown
    assert await listed(f"stage=Created,Rescheduled&owner_id={owner}", AS_FLEET) == to_be_flown
    assert await listed(f"drone_id={cancelled.drone_id}", AS_FLEET) == {str(cancelled.delivery_id)}
    assert to_be_flown <= await listed("stage=Created,Rescheduled&limit=500", AS_FLEET)
    assert (await client.get("/api/v1/deliveries?owner_id=anna", headers=as_owner)).status_code == 403


async def test_summary_counts_stages_and_the_share_on_time_by_month_and_owner(client, world) -> None:
    owner = f"owner-{uuid4()}"
    completed = Journey(owner_id=owner, confirmation=ConfirmationType.NONE)
    waiting, late = Journey(owner_id=owner), Journey(owner_id=owner, deadline=now() + timedelta(seconds=1))
    for journey in (completed, waiting, late):
        await world.tells(*journey.answers)
    await world.tells(completed.leaving(), completed.on_board(), completed.landed())
    await world.tells(late.no_outcome())
    await world.database.execute(
        "UPDATE delivery SET created_at = '2026-01-31T23:59:59Z' WHERE delivery_id = $1", waiting.delivery_id
    )

    async def is_late() -> bool:
        return (await world.row(late.delivery_id))["stage"] == "Failed"

    await eventually(is_late)
    this_month = datetime.now(UTC).strftime("%Y-%m")
    query = "/api/v1/deliveries/summary?since=2026-01&until=2098-12"
    seen = (await client.get(query, headers={"X-Subject": owner})).json()
    assert {stage: count for stage, count in seen["stages"].items() if count} == {
        "Created": 1,
        "Completed": 1,
        "Failed": 1,
    }
    assert seen["on_time_share"] == 0.5
    assert seen["distance_flown_m"] == pytest.approx(12_000, rel=1e-3)
    by_month = {one["month"]: one for one in seen["months"]}
    assert {one["owner_id"] for one in seen["months"]} == {owner}
    assert by_month["2026-01"]["stages"]["Created"] == 1
    assert by_month["2026-01"]["on_time_share"] is None
    assert by_month[this_month]["on_time_share"] == 0.5
    paged = (await client.get(f"{query}&limit=1", headers={"X-Subject": owner})).json()
    rest = (await client.get(f"{query}&cursor={paged['next']}", headers={"X-Subject": owner})).json()
    assert paged["months"] + rest["months"] == seen["months"]
    assert paged["stages"] == seen["stages"]
    everybody = (await client.get(f"{query}&limit=500", headers=AS_FLEET)).json()
    assert {ANNA, owner} <= {one["owner_id"] for one in everybody["months"]}
    assert (await client.get(f"{query}&owner_id={owner}", headers=AS_FLEET)).json()["months"] == seen["months"]


@pytest.mark.parametrize(
    "query",
    [
        "/api/v1/deliveries?stage=Flying",
        "/api/v1/deliveries?stage=",
        "/api/v1/deliveries?drone_id=7",
        "/api/v1/deliveries?limit=0",
        "/api/v1/deliveries?limit=501",
        "/api/v1/deliveries?cursor=never",
        "/api/v1/deliveries?cursor=%C3%A9",
        "/api/v1/deliveries?cursor=MjAyNi0wMS0wMSB4",
        # Before the first and after the last moment of UTC.
        f"/api/v1/deliveries?cursor={to_cursor('0001-01-01T00:00:00+23:59', str(UUID(int=0)))}",
        f"/api/v1/deliveries?cursor={to_cursor('9999-12-31T23:59:59-23:59', str(UUID(int=0)))}",
        "/api/v1/deliveries?owner_id=%00",
        "/api/v1/deliveries/summary?since=2026-13",
        "/api/v1/deliveries/summary?until=tomorrow",
        "/api/v1/deliveries/summary?since=2026-03&until=2026-02",
        "/api/v1/deliveries/summary?cursor=never",
        "/api/v1/deliveries/no-id",
        "/api/v1/deliveries/no-id/public",
    ],
)
async def test_bad_questions_are_refused(client, query) -> None:
    refused = await client.get(query, headers=AS_FLEET)
    assert refused.status_code == 422, refused.text
    assert refused.headers["content-type"] == "application/problem+json"


async def test_bad_pages_of_the_history_are_refused(client, world) -> None:
    journey = await world.scheduled()
    for query in ("cursor=-1", "cursor=99999999999", "cursor=x", "limit=0"):
        assert (await client.get(f"{journey.path}/events?{query}", headers=AS_ANNA)).status_code == 422


async def test_every_path_is_in_the_openapi_document(client) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert {path.removeprefix("/api/v1/deliveries"): set(methods) for path, methods in paths.items()} == {
        "/support/sessions/{session_id}": {"get"},
        "": {"get"},
        "/summary": {"get"},
        "/telemetry": {"post"},
        "/{delivery_id}": {"get"},
        "/{delivery_id}/public": {"get"},
        "/{delivery_id}/owner": {"get"},
        "/{delivery_id}/status": {"get"},
        "/{delivery_id}/events": {"get"},
        "/{delivery_id}/confirmations": {"get", "post"},
        "/{delivery_id}/notifymerequests": {"get", "post"},
        "/{delivery_id}/notifymerequests/{request_id}": {"get", "delete"},
    }
