"""The line: who is next, and until when."""

from uuid import UUID

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.decisions import (
    NOTHING,
    Decision,
    decide_expiry,
    decide_handover,
    decide_overdue,
    decide_succession,
)
from drone_scheduler.domain.fleet import Drone, DroneStatus, errand_of
from drone_scheduler.domain.line import Candidate, allot, hand_on
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailed, DroneSchedulingFailureReason

from .examples import (
    DELIVERY,
    DRONE,
    NOW,
    OTHER_DELIVERY,
    OTHER_DRONE,
    VERSAILLES,
    after,
    booked,
    drone,
    held_drone,
    message,
    request,
    state,
    waiting,
)

FIRST, SECOND = errand_of(request(DELIVERY)), errand_of(request(OTHER_DELIVERY))
NEAR, FAR = Candidate(100, DRONE), Candidate(200, OTHER_DRONE)


def test_the_nearest_drone_is_allotted() -> None:
    assert allot([FIRST], {DELIVERY: [FAR, NEAR]}) == {DELIVERY: DRONE}


def test_no_drone_is_allotted_twice() -> None:
    both = {DELIVERY: [NEAR, FAR], OTHER_DELIVERY: [NEAR, FAR]}
    assert allot([FIRST, SECOND], both) == {DELIVERY: DRONE, OTHER_DELIVERY: OTHER_DRONE}


def test_who_comes_later_goes_empty_when_there_is_one_drone() -> None:
    assert allot([FIRST, SECOND], {DELIVERY: [NEAR], OTHER_DELIVERY: [NEAR]}) == {DELIVERY: DRONE}


def test_expedited_goes_first_when_there_is_one_drone() -> None:
    expedited = errand_of(request(OTHER_DELIVERY, expedited=True))
    assert allot([FIRST, expedited], {DELIVERY: [NEAR], OTHER_DELIVERY: [NEAR]}) == {OTHER_DELIVERY: DRONE}


def test_nothing_is_allotted_when_nobody_is_free() -> None:
    assert allot([FIRST], {}) == {}


def test_a_free_drone_goes_to_the_first_in_line() -> None:
    assert hand_on([drone()], [waiting(), waiting(OTHER_DELIVERY)]) == {DRONE: DELIVERY}


def test_a_free_drone_passes_over_who_needs_more_than_it_can() -> None:
    assert hand_on([drone()], [waiting(weight_kg=50), waiting(OTHER_DELIVERY)]) == {DRONE: OTHER_DELIVERY}


def test_two_free_drones_go_to_two_in_line() -> None:
    line = [waiting(), waiting(OTHER_DELIVERY)]
    assert hand_on([drone(), drone(OTHER_DRONE)], line) == {DRONE: DELIVERY, OTHER_DRONE: OTHER_DELIVERY}


def test_booked_when_the_drone_is_handed_over() -> None:
    decision = decide_handover(drone(), waiting(), NOW)
    assert decision.states == (booked(), held_drone())


def test_nothing_is_handed_over_when_it_would_be_wrong() -> None:
    assert decide_handover(None, waiting(), NOW) == NOTHING
    assert decide_handover(drone(), None, NOW) == NOTHING
    assert decide_handover(drone(), booked(drone_id=UUID(int=9)), NOW) == NOTHING
    assert decide_handover(drone(), waiting(), after(60)) == NOTHING
    assert decide_handover(drone(at=VERSAILLES), waiting(), NOW) == NOTHING
    for status in set(DroneStatus) - {DroneStatus.FREE}:
        assert decide_handover(drone(status=status), waiting(), NOW) == NOTHING


def test_told_that_no_drone_became_free_when_the_deadline_is_reached() -> None:
    decision = decide_expiry(waiting(), after(60))
    assert message(decision, DroneSchedulingFailed).reason is DroneSchedulingFailureReason.NO_DRONE_AVAILABLE
    refused = state(decision, Booking)
    assert (refused.status, refused.due_at) == (BookingStatus.REFUSED, None)


def test_waits_on_when_the_deadline_has_moved() -> None:
    assert decide_expiry(waiting(deadline=after(120)), after(60)) == Decision((waiting(deadline=after(120)),))


def test_nothing_is_due_any_more_when_a_drone_was_booked() -> None:
    assert decide_expiry(booked(), after(60)) == Decision((booked(),))


def test_who_is_found_after_the_deadline_is_refused_and_leaves_the_drone_to_others() -> None:
    decision = decide_succession(drone(), waiting(), after(60))
    assert state(decision, Booking).status is BookingStatus.REFUSED
    assert state(decision, Drone) == drone()
    assert message(decision, DroneSchedulingFailed).reason is DroneSchedulingFailureReason.NO_DRONE_AVAILABLE


def test_nobody_is_refused_before_the_deadline_or_who_does_not_wait() -> None:
    assert decide_overdue(waiting(), after(59)) == NOTHING
    assert decide_overdue(booked(), after(61)) == NOTHING
    assert decide_overdue(None, after(61)) == NOTHING
    assert decide_succession(held_drone(), waiting(), NOW) == Decision((held_drone(),))
