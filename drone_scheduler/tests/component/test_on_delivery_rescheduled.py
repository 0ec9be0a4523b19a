"""A delivery has other times."""

from datetime import datetime, timedelta

from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailed

from .conftest import Scheduler
from .stories import Town, cancelled, failed, rescheduled


async def test_the_new_times_are_kept(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, rescheduled(request, minutes=30))
    booking = await scheduler.booking(request.delivery_id)
    assert (booking["status"], booking["drone_id"]) == ("Booked", str(drone_id))
    assert datetime.fromisoformat(booking["deadline"]) == request.deadline + timedelta(minutes=30)
    assert datetime.fromisoformat(booking["pickup_time"]) == request.pickup_time + timedelta(minutes=30)


async def test_nothing_changes_when_it_is_told_again(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    request = town.request()
    event = rescheduled(request, minutes=30)
    envelope = await scheduler.hear(request, event)
    before = await scheduler.booking(request.delivery_id)
    await scheduler.hear_again(envelope, event)
    assert await scheduler.booking(request.delivery_id) == before


async def test_nothing_changes_when_it_comes_before_the_request(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(rescheduled(request, minutes=30), request)
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert datetime.fromisoformat((await scheduler.booking(request.delivery_id))["deadline"]) == request.deadline


async def test_nothing_changes_after_the_end(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, failed(request))
    before = await scheduler.booking(request.delivery_id)
    await scheduler.hear(rescheduled(request, minutes=30))
    assert await scheduler.booking(request.delivery_id) == before


async def test_released_when_it_is_cancelled_afterwards(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, rescheduled(request, minutes=30), cancelled(request))
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneReleased)


async def test_waits_until_the_new_deadline_when_in_line(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    holder, waiting = town.request(), town.request()
    await scheduler.hear(holder, waiting, rescheduled(waiting, minutes=-60 + 1 / 60))
    await scheduler.mailbox.wait_for(waiting.delivery_id, DroneSchedulingFailed)
