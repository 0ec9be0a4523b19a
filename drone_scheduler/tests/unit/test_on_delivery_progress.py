"""A delivery's drone leaves, or its times change."""

import pytest
from msgspec.structs import replace

from drone_scheduler.domain.bookings import BookingStatus
from drone_scheduler.domain.decisions import NOTHING, Decision, decide_departure, decide_reschedule
from drone_scheduler.domain.fleet import DroneStatus

from .examples import OTHER_DRONE, after, booked, headed_to_pickup, held_drone, rescheduled, waiting

ENDED = [BookingStatus.COMPLETED, BookingStatus.RELEASED, BookingStatus.REFUSED, BookingStatus.WITHDRAWN]


def test_in_flight_when_the_drone_has_left() -> None:
    in_flight = replace(booked(), status=BookingStatus.IN_FLIGHT)
    decision = decide_departure(booked(), held_drone(), headed_to_pickup())
    assert decision == Decision((in_flight, held_drone(DroneStatus.IN_FLIGHT)))
    assert decide_departure(in_flight, held_drone(DroneStatus.IN_FLIGHT), headed_to_pickup()) == NOTHING


def test_departure_changes_nothing_when_another_drone_left() -> None:
    assert decide_departure(booked(), held_drone(), headed_to_pickup(drone_id=OTHER_DRONE)) == NOTHING


@pytest.mark.parametrize("status", ENDED)
def test_departure_changes_nothing_after_the_end(status: BookingStatus) -> None:
    assert decide_departure(replace(booked(), status=status), None, headed_to_pickup()) == NOTHING


def test_departure_changes_nothing_before_the_request() -> None:
    assert decide_departure(None, None, headed_to_pickup()) == NOTHING


def test_the_times_change_when_rescheduled() -> None:
    moved = replace(booked(), pickup_time=after(60), deadline=after(120))
    assert decide_reschedule(booked(), rescheduled()) == Decision((moved,))
    assert decide_reschedule(moved, rescheduled()) == Decision((moved,))


def test_waits_until_the_new_deadline_when_rescheduled_in_line() -> None:
    (moved,) = decide_reschedule(waiting(), rescheduled()).states
    assert moved == replace(waiting(), pickup_time=after(60), deadline=after(120), due_at=after(120))


@pytest.mark.parametrize("status", ENDED)
def test_reschedule_changes_nothing_after_the_end(status: BookingStatus) -> None:
    assert decide_reschedule(replace(booked(), status=status), rescheduled()) == NOTHING


def test_reschedule_changes_nothing_before_the_request() -> None:
    assert decide_reschedule(None, rescheduled()) == NOTHING
