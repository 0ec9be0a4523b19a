"""A request, from the topic to the answer in delivery's session queue."""

from datetime import timedelta
from itertools import islice
from uuid import UUID

from drone_scheduler.domain.fleet import RESERVE_PERCENT
from shared_contracts.drone_scheduler.v1 import (
    DroneReleased,
    DroneScheduled,
    DroneSchedulingFailed,
    DroneSchedulingFailureReason,
)
from shared_runtime.envelope import BATCH, encode_batch, new_id, utc_now
from shared_runtime.partition import partition_of
from shared_runtime.testing import PARTITIONS, envelope_of

from .conftest import OWN, Scheduler
from .stories import Town, cancelled


async def test_the_nearest_drone_is_booked_when_several_are_free(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(900))
    nearest = await scheduler.register(town.at(-300))
    await scheduler.register(town.at(500))
    request = town.request(expedited=True)
    await scheduler.broker.publish(request)
    (scheduled,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert scheduled == DroneScheduled(
        delivery_id=request.delivery_id,
        owner_id="alice",
        drone_id=nearest,
        drone_location=town.at(-300),
        cruise_speed_mps=15,
        pickup=request.pickup,
        dropoff=request.dropoff,
        pickup_time=request.pickup_time,
        deadline=request.deadline,
        expedited=True,
    )
    drone = await scheduler.drone(nearest)
    assert (drone["status"], drone["delivery_id"]) == ("Booked", str(request.delivery_id))


async def test_a_drone_that_suits_is_booked_when_nearer_ones_do_not(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0), payload_kg=1)
    await scheduler.register(town.at(10), range_m=1_000)
    await scheduler.register(town.at(20), battery_percent=30, range_m=5_000)
    suits = await scheduler.register(town.at(800))
    request = town.request(weight_kg=2)
    await scheduler.broker.publish(request)
    (scheduled,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert scheduled.drone_id == suits


async def test_nothing_changes_when_the_request_comes_again(scheduler: Scheduler, town: Town) -> None:
    drone_id, other = await scheduler.register(town.at(0)), await scheduler.register(town.at(100))
    request = town.request()
    envelope = await scheduler.hear(request)
    await scheduler.hear_again(envelope, request)
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
    assert (await scheduler.booking(request.delivery_id))["drone_id"] == str(drone_id)
    assert (await scheduler.drone(other))["status"] == "Free"


async def test_nothing_is_booked_when_the_cancellation_came_first(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(cancelled(request), request)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Withdrawn"
    assert (await scheduler.drone(drone_id))["status"] == "Free"
    assert await scheduler.mailbox.of_session(request.delivery_id) == []


async def test_nothing_is_booked_again_after_the_end(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, cancelled(request), request)
    assert (await scheduler.booking(request.delivery_id))["status"] == "Released"
    assert (await scheduler.drone(drone_id))["status"] == "Free"
    await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneReleased)


async def test_refused_at_once_when_no_drone_could_ever_carry_it(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    request = town.request(weight_kg=900)
    await scheduler.broker.publish(request)
    (failed,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneSchedulingFailed)
    assert failed.reason is DroneSchedulingFailureReason.NO_SUITABLE_DRONE
    booking = await scheduler.booking(request.delivery_id)
    assert (booking["status"], booking["failure_reason"]) == ("Refused", "no_suitable_drone")


async def test_refused_at_once_when_no_drone_could_ever_fly_that_far(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0), range_m=20_000)
    request = town.request(dropoff=town.at(20_000 * (100 - RESERVE_PERCENT) / 100 + 500))
    await scheduler.broker.publish(request)
    (failed,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneSchedulingFailed)
    assert failed.reason is DroneSchedulingFailureReason.NO_SUITABLE_DRONE


async def test_refused_when_the_request_has_expired(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request(deadline=utc_now() - timedelta(seconds=1))
    await scheduler.broker.publish(request, expires_at=request.deadline)
    (failed,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneSchedulingFailed)
    assert failed.reason is DroneSchedulingFailureReason.REQUEST_EXPIRED
    assert (await scheduler.drone(drone_id))["status"] == "Free"


async def test_waits_in_line_when_the_only_drone_is_busy(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    first, second = town.request(), town.request()
    await scheduler.hear(first, second)
    assert (await scheduler.booking(second.delivery_id))["status"] == "Waiting"
    assert await scheduler.mailbox.of_session(second.delivery_id) == []


async def test_told_that_no_drone_became_free_when_the_deadline_comes(scheduler: Scheduler, town: Town) -> None:
    await scheduler.register(town.at(0))
    first, second = town.request(), town.request(minutes=1 / 60)
    await scheduler.broker.publish(first)
    await scheduler.mailbox.wait_for(first.delivery_id, DroneScheduled)
    await scheduler.broker.publish(second, expires_at=second.deadline)
    (failed,) = await scheduler.mailbox.wait_for(second.delivery_id, DroneSchedulingFailed)
    assert failed.reason is DroneSchedulingFailureReason.NO_DRONE_AVAILABLE
    assert utc_now() >= second.deadline
    assert (await scheduler.booking(second.delivery_id))["status"] == "Refused"


async def test_expedited_goes_first_when_one_batch_wants_one_drone(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    *ordinary, last = _of_one_partition(5)
    requests = [*(town.request(delivery_id=one) for one in ordinary), town.request(delivery_id=last, expedited=True)]
    batch = encode_batch([envelope_of(request) for request in requests])
    await scheduler.broker.publish_raw("", OWN[0].queue(_partition(requests[0].delivery_id)), batch, BATCH)
    (scheduled,) = await scheduler.mailbox.wait_for(requests[-1].delivery_id, DroneScheduled)
    assert scheduled.drone_id == drone_id
    for request in requests[:-1]:
        assert (await scheduler.booking(request.delivery_id))["status"] == "Waiting"


async def test_everybody_is_served_when_one_batch_wants_more_than_the_nearest(scheduler: Scheduler, town: Town) -> None:
    """All pickups are at one depot, so all errands have the same nearest drones."""
    drones = {await scheduler.register(town.at(10 * number)) for number in range(30)}
    requests = [town.request(delivery_id=delivery_id) for delivery_id in _of_one_partition(30)]
    batch = encode_batch([envelope_of(request) for request in requests])
    await scheduler.broker.publish_raw("", OWN[0].queue(_partition(requests[0].delivery_id)), batch, BATCH)
    booked = set()
    for request in requests:
        (scheduled,) = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled)
        booked.add(scheduled.drone_id)
    assert booked == drones


def _partition(delivery_id: UUID) -> int:
    return partition_of(str(delivery_id), PARTITIONS)


def _of_one_partition(count: int) -> list[UUID]:
    """So many new deliveries whose messages come through the same queue."""
    fresh = (new_id() for _ in range(100 * count))
    return list(islice((delivery_id for delivery_id in fresh if _partition(delivery_id) == 0), count))


async def test_released_when_the_delivery_fails_afterwards(scheduler: Scheduler, town: Town) -> None:
    drone_id = await scheduler.register(town.at(0))
    request = town.request()
    await scheduler.hear(request, cancelled(request))
    _, released = await scheduler.mailbox.wait_for(request.delivery_id, DroneScheduled, DroneReleased)
    assert released.drone_id == drone_id
