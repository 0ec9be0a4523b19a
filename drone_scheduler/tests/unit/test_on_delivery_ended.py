"""A delivery is completed, cancelled or failed: its drone is released and goes to the next in line."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.decisions import NOTHING, Decision, DeliveryEnded, decide_end
from drone_scheduler.domain.fleet import Drone, DroneStatus, decide_telemetry
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailureReason

from .examples import (
    DELIVERY,
    DRONE,
    LOUVRE,
    OTHER_DELIVERY,
    VERSAILLES,
    after,
    booked,
    cancelled,
    completed,
    drone,
    failed,
    flight,
    held_drone,
    message,
    report,
    state,
    waiting,
)

LATER = after(11)
COMPENSATED = [cancelled(), failed()]
ENDS = [completed(), *COMPENSATED]


def decide(
    event: DeliveryEnded, booking: Booking | None = None, held: Drone | None = None, successor: Booking | None = None
) -> Decision:
    return decide_end(booking, held, event, successor, LATER)


def test_drone_is_free_where_the_flight_ended_when_completed() -> None:
    decision = decide(completed(), booked(), held_drone(DroneStatus.IN_FLIGHT))
    assert state(decision, Drone) == drone(at=LOUVRE, observed_at=after(10))
    assert decision.messages == ()


def test_the_flight_is_kept_for_utilization_when_completed() -> None:
    ended = state(decide(completed(), booked(), held_drone(DroneStatus.IN_FLIGHT)), Booking)
    assert ended.status is BookingStatus.COMPLETED
    assert (ended.ended_at, ended.flown_distance_m, ended.flown_duration_s) == (after(10), 2_500, 300)


@pytest.mark.parametrize("ended_at", [after(10), after(-50), after(500)], ids=["right", "slow", "fast"])
def test_drone_stays_where_it_reported_to_be_since_whatever_the_clock_of_the_delivery_service(
    ended_at: datetime,
) -> None:
    event = cancelled(flown=flight(ended_at=ended_at, last_observed_at=after(9)))
    seen_later = held_drone(DroneStatus.IN_FLIGHT, at=VERSAILLES, reported_at=after(9.1))
    assert state(decide(event, booked(), seen_later), Drone).location == VERSAILLES
    seen_before = held_drone(DroneStatus.IN_FLIGHT, at=VERSAILLES, reported_at=after(8.9))
    released = state(decide(event, booked(), seen_before), Drone)
    assert (released.location, released.reported_at) == (LOUVRE, after(9))


@pytest.mark.parametrize("ended_at", [after(10), after(500)], ids=["right", "fast"])
def test_reports_count_after_the_end_whatever_the_clock_of_the_delivery_service(ended_at: datetime) -> None:
    for last_observed_at in (None, after(9)):
        event = cancelled(flown=flight(ended_at=ended_at, last_observed_at=last_observed_at))
        released = state(decide(event, booked(), held_drone(DroneStatus.IN_FLIGHT)), Drone)
        landed = report(location=VERSAILLES, battery_percent=40, observed_at=after(10.1))
        assert decide_telemetry(released, landed, after(10.1)).location == VERSAILLES


@pytest.mark.parametrize("event", COMPENSATED, ids=lambda event: type(event).__name__)
def test_drone_is_released_when_the_delivery_does_not_happen(event: DeliveryEnded) -> None:
    decision = decide(event, booked(), held_drone())
    assert state(decision, Drone) == drone()
    assert state(decision, Booking) == replace(booked(), status=BookingStatus.RELEASED, ended_at=LATER)
    assert message(decision, DroneReleased) == DroneReleased(delivery_id=DELIVERY, drone_id=DRONE)


def test_what_was_flown_counts_when_cancelled_on_the_way_to_the_pickup() -> None:
    event = cancelled(flown=flight(ended_at=after(10)))
    ended = state(decide(event, booked(), held_drone(DroneStatus.IN_FLIGHT)), Booking)
    assert (ended.status, ended.flown_distance_m) == (BookingStatus.RELEASED, 2_500)


@pytest.mark.parametrize("event", ENDS, ids=lambda event: type(event).__name__)
def test_drone_goes_to_the_next_in_line_when_released(event: DeliveryEnded) -> None:
    decision = decide(event, booked(), held_drone(DroneStatus.IN_FLIGHT), successor=waiting(OTHER_DELIVERY))
    held = state(decision, Drone)
    assert (held.status, held.delivery_id) == (DroneStatus.BOOKED, OTHER_DELIVERY)
    (scheduled,) = [one for one in decision.messages if isinstance(one, DroneScheduled)]
    assert (scheduled.delivery_id, scheduled.drone_id) == (OTHER_DELIVERY, DRONE)
    assert booked(OTHER_DELIVERY) in decision.states


def test_drone_charges_first_when_its_charge_is_low() -> None:
    exhausted = held_drone(DroneStatus.IN_FLIGHT, battery_percent=24.9)
    decision = decide(completed(), booked(), exhausted, successor=waiting(OTHER_DELIVERY))
    assert state(decision, Drone).status is DroneStatus.CHARGING
    assert decision.messages == ()


def test_drone_is_grounded_when_that_was_asked_for_during_the_flight() -> None:
    decision = decide(completed(), booked(), held_drone(DroneStatus.GROUNDING), successor=waiting(OTHER_DELIVERY))
    grounded = state(decision, Drone)
    assert (grounded.status, grounded.delivery_id) == (DroneStatus.GROUNDED, None)
    assert decision.messages == ()


@pytest.mark.parametrize("event", ENDS, ids=lambda event: type(event).__name__)
def test_leaves_the_line_without_a_word_when_it_was_waiting(event: DeliveryEnded) -> None:
    decision = decide(event, waiting())
    left = state(decision, Booking)
    assert (left.status, left.due_at) == (BookingStatus.WITHDRAWN, None)
    assert decision.messages == ()


@pytest.mark.parametrize("event", ENDS, ids=lambda event: type(event).__name__)
def test_a_tombstone_is_left_when_the_request_has_not_come(event: DeliveryEnded) -> None:
    decision = decide(event)
    tombstone = state(decision, Booking)
    assert (tombstone.status, tombstone.deadline) == (BookingStatus.WITHDRAWN, None)
    assert decision.messages == ()


@pytest.mark.parametrize("event", ENDS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize(
    "status",
    [BookingStatus.COMPLETED, BookingStatus.RELEASED, BookingStatus.REFUSED, BookingStatus.WITHDRAWN],
)
def test_nothing_happens_after_the_end(event: DeliveryEnded, status: BookingStatus) -> None:
    assert decide(event, replace(booked(), status=status), drone()) == NOTHING


@pytest.mark.parametrize(
    "event", [completed(), cancelled(flown=flight(ended_at=after(10)))], ids=lambda event: type(event).__name__
)
def test_what_a_grounded_drone_flew_counts_when_it_had_left_already(event: DeliveryEnded) -> None:
    grounded = replace(
        booked(), status=BookingStatus.REFUSED, failure_reason=DroneSchedulingFailureReason.DRONE_GROUNDED
    )
    decision = decide(event, grounded)
    ended = state(decision, Booking)
    assert (ended.status, ended.flown_distance_m) == (BookingStatus.REFUSED, 2_500)
    assert decision.messages == ()
    assert decide(event, ended) == NOTHING


def test_a_drone_that_has_gone_to_another_delivery_is_left_alone() -> None:
    elsewhere = held_drone(delivery_id=OTHER_DELIVERY)
    decision = decide(cancelled(), booked(), elsewhere)
    assert [type(changed) for changed in decision.states] == [Booking]
    assert decision.messages == ()
