"""Drones report where they are and how much charge they have."""

from datetime import timedelta

from shared_contracts.drone_scheduler.v1 import DroneScheduled
from shared_contracts.fleet.v1 import DroneActivity
from shared_runtime.envelope import new_id, utc_now

from .conftest import STAFF, Scheduler
from .stories import Town, cancelled, completed, flight, report


async def test_place_and_charge_follow_the_report(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    await scheduler.hear(report(drone_id, town.at(600), battery_percent=44))
    drone = await scheduler.drone(drone_id)
    assert (drone["location"], drone["battery_percent"]) == (town.at(600).model_dump(), 44)
    request = town.request()
    await scheduler.broker.publish(request)
    (scheduled,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert scheduled.drone_location == town.at(600)


async def test_nothing_changes_when_the_report_comes_again(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    observed = report(drone_id, town.at(600))
    envelope = await scheduler.hear(observed)
    before = await scheduler.drone(drone_id)
    await scheduler.hear_again(envelope, observed)
    assert await scheduler.drone(drone_id) == before


async def test_the_later_report_counts_when_they_come_out_of_order(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    moment = utc_now()
    later = report(drone_id, town.at(600), observed_at=moment + timedelta(seconds=0.2))
    await scheduler.hear(later, report(drone_id, town.at(300), observed_at=moment))
    assert (await scheduler.drone(drone_id))["location"] == town.at(600).model_dump()


async def test_ignored_when_the_drone_is_not_in_the_fleet(scheduler: Scheduler, town: Town) -> None:
    drone_id = new_id()
    await scheduler.hear(report(drone_id, town.at(0)))
    answer = await scheduler.client.get(f"/api/v1/drones/{drone_id}", headers=STAFF)
    assert answer.status_code == 404


async def test_in_flight_when_it_reports_flying_for_its_delivery(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    flying = report(drone_id, town.at(50), delivery_id=request.delivery_id, activity=DroneActivity.HEADING_TO_PICKUP)
    await scheduler.hear(request, flying)
    assert (await scheduler.drone(drone_id))["status"] == "InFlight"


async def test_stays_free_when_it_reports_flying_after_the_end(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, cancelled(request))
    await scheduler.hear(
        report(drone_id, town.at(50), delivery_id=request.delivery_id, activity=DroneActivity.HEADING_TO_PICKUP)
    )
    assert (await scheduler.drone(drone_id))["status"] == "Free"


async def test_goes_to_the_next_in_line_when_it_has_charged(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0), battery_percent=10)
    request = town.request()
    await scheduler.hear(request, report(drone_id, town.at(0), battery_percent=79))
    assert (await scheduler.drone(drone_id))["status"] == "Charging"
    assert (await scheduler.booking(request.delivery_id))["status"] == "Waiting"
    await scheduler.hear(report(drone_id, town.at(0), battery_percent=80, activity=DroneActivity.CHARGING))
    assert (await scheduler.booking(request.delivery_id))["drone_id"] == str(drone_id)
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)


async def test_found_by_the_search_of_the_line_when_it_charges_until_it_suits(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0), range_m=2_000, battery_percent=50)
    request = town.request()
    await scheduler.hear(request)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Waiting"
    await scheduler.hear(report(drone_id, town.at(0), battery_percent=75))
    (scheduled,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert scheduled.drone_id == drone_id


async def test_counts_when_the_drones_clock_is_behind_that_of_the_scheduler(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    behind = utc_now() - timedelta(minutes=5)
    await scheduler.hear(report(drone_id, town.at(300), observed_at=behind))
    assert (await scheduler.drone(drone_id))["location"] == town.at(300).model_dump()
    request = town.request()
    flown = flight(drone_id, town.at(600), last_observed_at=behind + timedelta(seconds=1))
    await scheduler.hear(request, completed(request, flown))
    assert (await scheduler.drone(drone_id))["location"] == town.at(600).model_dump()
    await scheduler.hear(report(drone_id, town.at(900), observed_at=behind + timedelta(seconds=2)))
    assert (await scheduler.drone(drone_id))["location"] == town.at(900).model_dump()
