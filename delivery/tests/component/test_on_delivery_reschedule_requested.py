from delivery_journeys import Journey

from shared_contracts.delivery.v1 import (
    DeliveryCancelled,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.message import Topic


async def test_rescheduled_when_the_drone_has_not_left(world) -> None:
    journey = await world.scheduled()
    wanted = journey.reschedule()
    await world.tells(wanted)
    *_, fact = await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryRescheduled)
    assert (fact.pickup_time, fact.deadline) == (wanted.pickup_time, wanted.deadline)
    assert wanted.pickup_time <= fact.pickup_eta < fact.dropoff_eta < wanted.deadline
    row = await world.row(journey.delivery_id)
    assert (row["stage"], row["due_at"], row["drone_id"]) == ("Rescheduled", wanted.deadline, journey.drone_id)


async def test_rescheduled_once_when_it_comes_twice(world) -> None:
    journey = await world.scheduled()
    (first,) = await world.tells(journey.reschedule())
    await world.tells_again(first, Topic.DELIVERY)
    await world.tells(journey.cancellation())
    await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryRescheduled, DeliveryCancelled)


async def test_takes_effect_at_the_join_when_it_comes_earlier(world) -> None:
    journey = Journey()
    wanted = journey.reschedule()
    await world.tells(wanted, *journey.answers)
    _, fact = await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryRescheduled)
    assert fact.deadline == wanted.deadline


async def test_refused_when_the_drone_has_left_or_the_delivery_has_ended(world) -> None:
    journey = await world.scheduled()
    await world.tells(journey.leaving())
    await world.tells(journey.reschedule(), journey.cancellation(), journey.reschedule())
    *_, left, _, ended = await world.events.wait_for(
        journey.delivery_id,
        DeliveryScheduled,
        DeliveryHeadedToPickup,
        DeliveryRescheduleRefused,
        DeliveryCancelled,
        DeliveryRescheduleRefused,
    )
    assert (left.reason, ended.reason) == (RefusalReason.PICKUP_UNDER_WAY, RefusalReason.ALREADY_ENDED)


async def test_the_old_times_hold_when_the_new_ones_are_impossible(world) -> None:
    journey = await world.scheduled()
    pickup_time = journey.reschedule().pickup_time
    await world.tells(journey.reschedule().model_copy(update={"pickup_time": pickup_time, "deadline": pickup_time}))
    *_, fact = await world.events.wait_for(journey.delivery_id, DeliveryScheduled, DeliveryRescheduleRefused)
    assert fact.reason is RefusalReason.SCHEDULE_IMPOSSIBLE
    assert (fact.pickup_time, fact.deadline) == (pickup_time, pickup_time)
    assert (await world.row(journey.delivery_id))["deadline"] == journey.deadline
