"""The drone leaves for the pickup."""

from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_runtime.envelope import new_id

from .conftest import STAFF, Scheduler
from .stories import Town, cancelled, completed, flight, headed_to_pickup


async def test_in_flight_when_the_drone_has_left(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, headed_to_pickup(request, drone_id))
    assert (await scheduler.booking(request.delivery_id))["status"] == "InFlight"
    assert (await scheduler.drone(drone_id))["status"] == "InFlight"


async def test_nothing_changes_when_it_is_told_again(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    departure = headed_to_pickup(request, drone_id)
    envelope = await scheduler.hear(request, departure)
    before = (await scheduler.booking(request.delivery_id), await scheduler.drone(drone_id))
    await scheduler.hear_again(envelope, departure)
    assert (await scheduler.booking(request.delivery_id), await scheduler.drone(drone_id)) == before


async def test_nothing_changes_when_it_comes_before_the_request(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(headed_to_pickup(request, drone_id), request)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Booked"


async def test_nothing_changes_after_the_end(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, completed(request, flight(drone_id, town.at(0))), headed_to_pickup(request, drone_id))
    assert (await scheduler.booking(request.delivery_id))["status"] == "Completed"
    assert (await scheduler.drone(drone_id))["status"] == "Free"


async def test_nothing_changes_when_another_drone_left(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, headed_to_pickup(request, new_id()))
    assert (await scheduler.drone(drone_id))["status"] == "Booked"


async def test_released_when_it_is_cancelled_on_the_way(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    flown = flight(drone_id, town.at(700))
    await scheduler.hear(request, headed_to_pickup(request, drone_id), cancelled(request, flown))
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneReleased)
    drone = await scheduler.drone(drone_id)
    assert (drone["status"], drone["location"]) == ("Free", town.at(700).model_dump())
    assert (await scheduler.booking(request.delivery_id))["flown_distance_m"] == 2_500


async def test_grounded_only_after_the_flight_when_it_has_left(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request, waiting = town.request(), town.request()
    await scheduler.hear(request, waiting, headed_to_pickup(request, drone_id))
    answer = await scheduler.client.post(f"/api/v1/drones/{drone_id}/ground", headers=STAFF)
    assert answer.json()["status"] == "Grounding"
    await scheduler.hear(completed(request, flight(drone_id, town.at(0))))
    assert (await scheduler.drone(drone_id))["status"] == "Grounded"
    assert (await scheduler.booking(waiting.delivery_id))["status"] == "Waiting"
