from datetime import timedelta
from uuid import uuid4

from delivery_journeys import Journey, now
from delivery_stories import DROPOFF, HALFWAY, telemetry

from shared_contracts.delivery.v1 import (
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryFailureReason,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryScheduled,
)
from shared_contracts.domain_types import ConfirmationType
from shared_contracts.fleet.v1 import DroneActivity
from shared_contracts.message import Topic

FLOWN = (DeliveryScheduled, DeliveryHeadedToPickup, DeliveryHeadedToDropoff, DeliveryCompleted)


async def test_completed_when_it_lands_and_nobody_has_to_confirm(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    *_, fact = await world.events.wait_for(journey.delivery_id, *FLOWN)
    assert 11_990 < fact.flight.distance_m < 12_010
    assert (await world.row(journey.delivery_id))["stage"] == "Completed"
    assert await world.history(journey.delivery_id) == [
        ("StageEntered", "Created"),
        ("StageEntered", "HeadedToPickup"),
        ("StageEntered", "HeadedToDropoff"),
        ("ArrivedAtDropoff", "HeadedToDropoff"),
        ("StageEntered", "Completed"),
    ]


async def test_nothing_changes_when_it_comes_twice(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    sent = await world.tells(journey.leaving(), journey.on_board())
    before = await world.row(journey.delivery_id)
    for envelope in sent:
        await world.tells_again(envelope, Topic.DRONE_TELEMETRY)
    # Of the same drone, so it is handled after the repeated ones.
    await world.tells(telemetry(DroneActivity.IDLE, delivery_id=None, drone_id=journey.drone_id))
    assert await world.row(journey.delivery_id) == before


async def test_every_fact_is_told_in_order_when_reports_come_late_or_never(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    leaving, on_board, landed = journey.leaving(), journey.on_board(), journey.landed()
    await world.tells(on_board, leaving, landed)
    await world.events.wait_for(journey.delivery_id, *FLOWN)
    unseen = await world.scheduled(ConfirmationType.NONE)
    await world.tells(unseen.landed())
    await world.events.wait_for(unseen.delivery_id, *FLOWN)


async def test_nothing_happens_when_the_delivery_has_ended_or_the_drone_is_not_its_own(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    created = await world.row(journey.delivery_id)
    await world.tells(telemetry(DroneActivity.AT_DROPOFF, DROPOFF, now(), journey.delivery_id, uuid4()))
    assert await world.row(journey.delivery_id) == created
    await world.tells(journey.landed())
    ended = await world.row(journey.delivery_id)
    await world.tells(journey.leaving(), journey.on_board(), journey.landed())
    assert await world.row(journey.delivery_id) == ended
    await world.events.wait_for(journey.delivery_id, *FLOWN)


async def test_failed_in_flight_when_the_deadline_passes(world) -> None:
    journey = Journey(deadline=now() + timedelta(seconds=2))
    await world.tells(*journey.answers)
    await world.tells(journey.on_board())
    *_, fact = await world.events.wait_for(
        journey.delivery_id, DeliveryScheduled, DeliveryHeadedToPickup, DeliveryHeadedToDropoff, DeliveryFailed
    )
    assert fact.reason is DeliveryFailureReason.DEADLINE_PASSED
    assert fact.flight.drone_id == journey.drone_id


async def test_nothing_happens_when_the_drone_flies_for_no_delivery_or_an_unknown_one(world) -> None:
    stranger = Journey()
    await world.tells(telemetry(DroneActivity.CHARGING, delivery_id=None, drone_id=uuid4()), stranger.landed())
    assert await world.row(stranger.delivery_id) == {}


async def test_the_position_follows_when_the_drones_clock_was_fast_and_a_process_wrote_a_time_to_come(world) -> None:
    journey = await world.scheduled(ConfirmationType.NONE)
    ahead = "UPDATE delivery SET scheduled_at = scheduled_at + interval '5 minutes' WHERE delivery_id = $1"
    await world.database.execute(ahead, journey.delivery_id)
    fast = journey.on_board().model_copy(update={"observed_at": now() + timedelta(hours=1)})
    halfway = journey.on_board().model_copy(update={"location": HALFWAY})
    await world.tells(journey.leaving(), fast, halfway)
    assert (await world.row(journey.delivery_id))["last_longitude"] == HALFWAY.longitude
    await world.tells(journey.landed())
    await world.events.wait_for(journey.delivery_id, *FLOWN)
