"""A delivery is requested: the drone that was found is booked, or the delivery waits, or it hears why not."""

from uuid import UUID

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.decisions import NOTHING, Decision, FleetOutlook, decide_booking, decide_end
from drone_scheduler.domain.fleet import Drone, DroneStatus
from shared_contracts.drone_scheduler.v1 import DroneScheduled, DroneSchedulingFailed, DroneSchedulingFailureReason
from shared_contracts.ingestion.v1 import DeliveryRequested

from .examples import (
    DELIVERY,
    DRONE,
    LOUVRE,
    NOW,
    OPERA,
    OWNER,
    VERSAILLES,
    after,
    booked,
    cancelled,
    drone,
    held_drone,
    message,
    request,
    state,
    waiting,
)


def decide(
    asked: DeliveryRequested,
    *,
    found: Drone | None,
    known: Booking | None = None,
    outlook: FleetOutlook = FleetOutlook.SUITABLE_DRONES_EXIST,
) -> Decision:
    return decide_booking(known, asked, drone=found, outlook=outlook, requested_at=NOW, now=NOW)


def test_booked_when_a_suitable_drone_is_free() -> None:
    decision = decide(request(), found=drone(at=LOUVRE))
    assert state(decision, Booking) == booked()
    assert state(decision, Drone) == held_drone(at=LOUVRE)
    assert message(decision, DroneScheduled) == DroneScheduled(
        delivery_id=DELIVERY,
        owner_id=OWNER,
        drone_id=DRONE,
        drone_location=LOUVRE,
        cruise_speed_mps=15,
        pickup=OPERA,
        dropoff=LOUVRE,
        pickup_time=NOW,
        deadline=after(60),
        expedited=False,
    )


def test_waits_until_the_deadline_when_nobody_is_free() -> None:
    decision = decide(request(), found=None)
    assert decision == Decision((waiting(),))
    assert state(decision, Booking).due_at == after(60)


def test_waits_when_the_drone_was_taken_by_an_earlier_request_of_the_batch() -> None:
    assert decide(request(), found=held_drone(delivery_id=UUID(int=9))) == Decision((waiting(),))


def test_waits_when_the_drone_moved_away_since_it_was_found() -> None:
    assert decide(request(), found=drone(at=VERSAILLES, range_m=5_000.0)) == Decision((waiting(),))


def test_waits_when_the_drone_is_charging() -> None:
    assert decide(request(), found=drone(status=DroneStatus.CHARGING)) == Decision((waiting(),))


def test_refused_at_once_when_no_drone_of_the_fleet_could_ever_do_it() -> None:
    decision = decide(request(weight_kg=80), found=None, outlook=FleetOutlook.NO_SUITABLE_DRONE)
    answer = message(decision, DroneSchedulingFailed)
    assert answer.reason is DroneSchedulingFailureReason.NO_SUITABLE_DRONE
    assert answer.description == "No drone of the fleet can carry 80 kg over 1331 m."
    refused = state(decision, Booking)
    assert (refused.status, refused.due_at, refused.ended_at) == (BookingStatus.REFUSED, None, NOW)


def test_refused_when_the_deadline_is_past() -> None:
    decision = decide(request(deadline=NOW), found=drone())
    assert message(decision, DroneSchedulingFailed).reason is DroneSchedulingFailureReason.REQUEST_EXPIRED
    assert [type(changed) for changed in decision.states] == [Booking]


def test_nothing_changes_when_it_is_requested_again() -> None:
    for known in (waiting(), booked()):
        assert decide(request(), found=drone(), known=known) == NOTHING


def test_nothing_happens_when_the_cancellation_came_first() -> None:
    tombstone = state(decide_end(None, None, cancelled(), None, NOW), Booking)
    assert decide(request(), found=drone(), known=tombstone) == NOTHING
