"""A delivery is completed, cancelled or failed: the drone is released, once, and goes to the next in line."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from drone_scheduler.domain.fleet import CHARGE_BELOW_PERCENT
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailed
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Message
from shared_runtime.envelope import new_id, utc_now

from .conftest import Scheduler
from .stories import Town, cancelled, completed, failed, flight, headed_to_pickup, report

UNDOING: list[Callable[[DeliveryRequested], Message]] = [cancelled, failed]


async def test_free_where_it_landed_when_completed(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    landing = flight(drone_id, town.at(1_000))
    await scheduler.hear(request, headed_to_pickup(request, drone_id), completed(request, landing))
    drone = await scheduler.drone(drone_id)
    assert (drone["status"], drone["delivery_id"]) == ("Free", None)
    assert drone["location"] == town.at(1_000).model_dump()
    booking = await scheduler.booking(request.delivery_id)
    assert (booking["status"], booking["flown_distance_m"], booking["flown_duration_s"]) == ("Completed", 2_500, 300)
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)


@pytest.mark.parametrize("undo", UNDOING)
async def test_released_once_when_the_delivery_does_not_happen(
    scheduler: Scheduler, town: Town, undo: Callable[[DeliveryRequested], Message]
) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request)
    envelope = await scheduler.hear(undo(request))
    await scheduler.hear_again(envelope, undo(request))
    await scheduler.hear(cancelled(request), failed(request))
    _, released = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneReleased)
    assert released.drone_id == drone_id
    assert (await scheduler.booking(request.delivery_id))["status"] == "Released"
    assert (await scheduler.drone(drone_id))["status"] == "Free"


async def test_goes_to_the_expedited_first_then_by_time_when_released(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    holder, early, late, expedited = (town.request(), town.request(), town.request(), town.request(expedited=True))
    await scheduler.hear(holder, early, late, expedited)
    order = [holder, expedited, early, late]
    for before, after in pairwise(order):
        await scheduler.hear(completed(before, flight(drone_id, town.at(0))))
        drone = await scheduler.drone(drone_id)
        assert (drone["status"], drone["delivery_id"]) == ("Booked", str(after.delivery_id))
        (scheduled,) = await scheduler.mailbox.wait_for(after.delivery_id, DroneScheduled)
        assert scheduled.drone_id == drone_id


async def test_passes_over_the_first_in_line_when_it_does_not_suit(scheduler: Scheduler, town: Town) -> None:
    light = await scheduler.register(town.at(0), payload_kg=2)
    await scheduler.register(town.at(0), payload_kg=8, battery_percent=CHARGE_BELOW_PERCENT - 1)
    holder, heavy, next_light = town.request(), town.request(weight_kg=6), town.request()
    await scheduler.hear(holder, heavy, next_light, cancelled(holder))
    assert (await scheduler.booking(heavy.delivery_id))["status"] == "Waiting"
    assert (await scheduler.booking(next_light.delivery_id))["drone_id"] == str(light)


async def test_charges_first_when_the_charge_is_low(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request, waiting = town.request(), town.request()
    await scheduler.hear(request, waiting, report(drone_id, town.at(0), battery_percent=12))
    await scheduler.hear(completed(request, flight(drone_id, town.at(1_000))))
    assert (await scheduler.drone(drone_id))["status"] == "Charging"
    assert (await scheduler.booking(waiting.delivery_id))["status"] == "Waiting"


@pytest.mark.parametrize("undo", UNDOING)
async def test_leaves_the_line_without_a_word_when_it_waits(
    scheduler: Scheduler, town: Town, undo: Callable[[DeliveryRequested], Message]
) -> None:
    drone_id = await scheduler.register(town.at(0))
    holder, waiting = town.request(), town.request()
    await scheduler.hear(holder, waiting, undo(waiting))
    assert (await scheduler.booking(waiting.delivery_id))["status"] == "Withdrawn"
    await scheduler.hear(completed(holder, flight(drone_id, town.at(0))))
    assert (await scheduler.drone(drone_id))["status"] == "Free"
    assert await scheduler.mailbox.of_session(waiting.delivery_id) == []


async def test_nothing_to_undo_when_it_was_refused(scheduler: Scheduler, town: Town) -> None:
    request = town.request(weight_kg=900)
    await scheduler.hear(request, failed(request), cancelled(request))
    await scheduler.mailbox.wait_for(request.delivery_id, DroneSchedulingFailed)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Refused"


async def test_nothing_happens_after_completion(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    end = completed(request, flight(drone_id, town.at(0)))
    await scheduler.hear(request, end)
    before = await scheduler.booking(request.delivery_id)
    await scheduler.hear(end, cancelled(request), failed(request), headed_to_pickup(request, drone_id), request)
    assert await scheduler.booking(request.delivery_id) == before
    assert (await scheduler.drone(drone_id))["status"] == "Free"
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)


async def test_a_tombstone_is_left_when_the_end_comes_before_the_request(scheduler: Scheduler, town: Town) -> None:
    request = town.request()
    await scheduler.hear(completed(request, flight(new_id(), town.at(0))), request)
    booking = await scheduler.booking(request.delivery_id)
    assert (booking["status"], booking["pickup"], booking["flown_distance_m"]) == ("Withdrawn", None, 2_500)
    assert await scheduler.mailbox.of_session(request.delivery_id) == []


async def test_utilization_sums_the_flights_of_owner_and_month(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    owner = f"owner-{new_id()}"
    may, june = datetime(2026, 5, 31, 23, 59, tzinfo=UTC), datetime(2026, 6, 1, 0, 1, tzinfo=UTC)
    for ended_at in (may, june, june):
        request = town.request(owner_id=owner)
        end = completed(request, flight(drone_id, town.at(0), ended_at=ended_at))
        # The same flight told twice counts once.
        await scheduler.hear(request, end, end)
    flown_in_vain = town.request(owner_id=owner)
    await scheduler.hear(flown_in_vain, cancelled(flown_in_vain, flight(drone_id, town.at(0), ended_at=june)))
    never_flown = town.request(owner_id=owner)
    await scheduler.hear(never_flown, cancelled(never_flown))

    async def utilization(month: int) -> dict[str, object]:
        path = f"/api/v1/utilization?year=2026&month={month}"
        answer = await scheduler.client.get(path, headers={"X-Subject": owner})
        assert answer.status_code == 200
        found: dict[str, object] = answer.json()
        return found

    assert await utilization(5) == {
        "owner": owner,
        "year": 2026,
        "month": 5,
        "flights": 1,
        "distance_m": 2_500,
        "duration_s": 300,
        "traveled_miles": pytest.approx(1.553, abs=0.001),
        "assigned_hours": pytest.approx(1 / 12),
    }
    assert (await utilization(6))["distance_m"] == 7_500
    assert (await utilization(7))["flights"] == 0


async def test_one_batch_releases_and_hands_on(scheduler: Scheduler, town: Town) -> None:
    """Many drones released at once go to as many in line, whatever order the rows are saved in."""
    drones = [await scheduler.register(town.at(10 * number)) for number in range(12)]
    holders = [town.request() for _ in drones]
    waiting = [town.request() for _ in drones]
    await scheduler.hear(*holders, *waiting)
    for holder in holders:
        await scheduler.broker.publish(cancelled(holder))
    for request in waiting:
        await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    held = {(await scheduler.booking(request.delivery_id))["drone_id"] for request in waiting}
    assert held == {str(drone_id) for drone_id in drones}
    assert utc_now() < waiting[0].deadline
