"""Whatever comes in whatever order, and however often: no drone is held twice, and everybody is answered once.

The test plays the part of the database: it finds drones and successors with the functions that the search uses too.
What was found may be out of date when it is used, so now and then the test comes with any drone, or any delivery.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.decisions import (
    Decision,
    DeliveryEnded,
    FleetOutlook,
    decide_booking,
    decide_departure,
    decide_end,
    decide_expiry,
    decide_grounding,
    decide_handover,
    decide_overdue,
    decide_reschedule,
    decide_succession,
    released,
)
from drone_scheduler.domain.fleet import Drone, DroneStatus, Errand, decide_telemetry, errand_of, lift_grounding
from drone_scheduler.domain.line import Candidate, allot, hand_on
from shared_contracts.domain_types import Location
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailed
from shared_contracts.fleet.v1 import DroneActivity
from shared_contracts.ingestion.v1 import DeliveryRequested

from .examples import (
    LOUVRE,
    NOW,
    OPERA,
    VERSAILLES,
    cancelled,
    completed,
    drone,
    failed,
    headed_to_pickup,
    report,
    request,
    rescheduled,
)

ENDED = {BookingStatus.COMPLETED, BookingStatus.RELEASED, BookingStatus.REFUSED, BookingStatus.WITHDRAWN}


@dataclass(frozen=True)
class Step:
    """What happens next, with whatever it happens with. Each kind of step uses what it needs."""

    what: str
    delivery_id: UUID
    drone_id: UUID
    outdated_drone: UUID | None
    outdated_delivery: UUID | None
    weight_kg: float
    expedited: bool
    place: Location
    battery_percent: float
    activity: DroneActivity
    minutes: int


DELIVERIES = st.integers(1, 6).map(lambda number: UUID(int=number))
DRONES = st.integers(101, 103).map(lambda number: UUID(int=number))
LIKELIHOODS = {
    "requested": 8,
    "completed": 2,
    "cancelled": 2,
    "failed": 2,
    "departed": 3,
    "rescheduled": 1,
    "reported": 4,
    "grounded": 1,
    "ungrounded": 1,
    "line_searched": 2,
    "time_passed": 1,
}
STEPS = st.builds(
    Step,
    what=st.sampled_from([what for what, count in LIKELIHOODS.items() for _ in range(count)]),
    delivery_id=DELIVERIES,
    drone_id=DRONES,
    outdated_drone=st.none() | DRONES,
    outdated_delivery=st.none() | DELIVERIES,
    weight_kg=st.sampled_from([1.0, 1.0, 4.0, 50.0]),
    expedited=st.booleans(),
    place=st.sampled_from([OPERA, LOUVRE, VERSAILLES]),
    battery_percent=st.sampled_from([15.0, 60.0, 90.0, 100.0]),
    activity=st.sampled_from(DroneActivity),
    minutes=st.integers(1, 40),
)


class Scheduler:
    """The scheduler with its tables in memory, and what it has said."""

    def __init__(self) -> None:
        self.now = NOW
        self.drones = {
            UUID(int=number): drone(UUID(int=number), payload_kg=number - 98.0, battery_percent=battery_percent)
            for number, battery_percent in ((101, 100.0), (102, 60.0), (103, 30.0))
        }
        self.bookings: dict[UUID, Booking] = {}
        self.requests: dict[UUID, DeliveryRequested] = {}
        self.scheduled: Counter[UUID] = Counter()
        self.refused: Counter[UUID] = Counter()
        self.compensated: Counter[UUID] = Counter()
        self.taken_back: set[UUID] = set()

    def take(self, step: Step) -> None:
        happen: Callable[[Step], None] = getattr(self, step.what)
        happen(step)
        self.check()

    def requested(self, step: Step) -> None:
        """A request, or its duplicate."""
        fresh = request(
            step.delivery_id,
            weight_kg=step.weight_kg,
            expedited=step.expedited,
            pickup=step.place,
            deadline=self.now + timedelta(minutes=60),
        )
        asked = self.requests.setdefault(step.delivery_id, fresh)
        errand = errand_of(asked)
        able = any(one.could_ever_fly(errand) for one in self.drones.values())
        found = step.outdated_drone or self.find([errand]).get(step.delivery_id)
        self.record(
            decide_booking(
                self.bookings.get(step.delivery_id),
                asked,
                drone=self.drones[found] if found else None,
                outlook=FleetOutlook.SUITABLE_DRONES_EXIST if able else FleetOutlook.NO_SUITABLE_DRONE,
                requested_at=self.now,
                now=self.now,
            )
        )

    def completed(self, step: Step) -> None:
        event = completed(step.delivery_id)
        flight = event.flight.model_copy(update={"ended_at": self.now, "last_location": step.place})
        self.end(event.model_copy(update={"flight": flight}), step.outdated_delivery)

    def cancelled(self, step: Step) -> None:
        self.end(cancelled(step.delivery_id), step.outdated_delivery)

    def failed(self, step: Step) -> None:
        self.end(failed(step.delivery_id), step.outdated_delivery)

    def departed(self, step: Step) -> None:
        booking = self.bookings.get(step.delivery_id)
        held = self.held_by(booking)
        event = headed_to_pickup(step.delivery_id, held.drone_id if held else step.drone_id)
        self.record(decide_departure(booking, held, event))

    def rescheduled(self, step: Step) -> None:
        self.record(decide_reschedule(self.bookings.get(step.delivery_id), rescheduled(step.delivery_id)))

    def reported(self, step: Step) -> None:
        known = self.drones[step.drone_id]
        seen = report(
            step.drone_id,
            location=step.place,
            battery_percent=step.battery_percent,
            activity=step.activity,
            delivery_id=known.delivery_id,
            observed_at=self.now,
        )
        self.change(decide_telemetry(known, seen, self.now), step.outdated_delivery)

    def grounded(self, step: Step) -> None:
        known = self.drones[step.drone_id]
        booking = self.bookings.get(known.delivery_id) if known.delivery_id else None
        if known.status is DroneStatus.BOOKED and known.delivery_id:
            self.taken_back.add(known.delivery_id)
        self.record(decide_grounding(known, booking, self.now))

    def ungrounded(self, step: Step) -> None:
        self.change(lift_grounding(self.drones[step.drone_id]), step.outdated_delivery)

    def line_searched(self, step: Step) -> None:
        found = self.find([booking.errand for booking in self.line()])
        for delivery_id, drone_id in found.items():
            drone_at_hand = self.drones[step.outdated_drone or drone_id]
            booking = self.bookings[delivery_id]
            self.record(decide_handover(drone_at_hand, booking, self.now) or decide_overdue(booking, self.now))

    def time_passed(self, step: Step) -> None:
        self.now += timedelta(minutes=step.minutes)
        for booking in list(self.bookings.values()):
            if booking.due_at is not None and booking.due_at <= self.now:
                self.record(decide_expiry(booking, self.now))

    def finish(self) -> None:
        """In the end nobody waits any more, and no drone is held."""
        self.now += timedelta(days=1)
        for delivery_id in list(self.bookings):
            if self.bookings[delivery_id].due_at is not None:
                self.record(decide_expiry(self.bookings[delivery_id], self.now))
            self.end(cancelled(delivery_id))
            self.check()
        assert all(booking.status in ENDED for booking in self.bookings.values())
        assert all(one.delivery_id is None for one in self.drones.values())

    def check(self) -> None:
        held = Counter(one.drone_id for one in self.bookings.values() if one.holds_drone)
        assert all(count == 1 for count in held.values()), "a drone is held twice"
        by_bookings = {(one.drone_id, one.delivery_id) for one in self.bookings.values() if one.holds_drone}
        by_drones = {(one.drone_id, one.delivery_id) for one in self.drones.values() if one.delivery_id}
        assert by_bookings == by_drones, "bookings and drones do not agree"
        holding = {DroneStatus.BOOKED, DroneStatus.IN_FLIGHT, DroneStatus.GROUNDING}
        assert all((one.delivery_id is not None) == (one.status in holding) for one in self.drones.values())
        for counts in (self.scheduled, self.refused, self.compensated):
            assert all(count == 1 for count in counts.values()), "somebody is told the same twice"
        # Only a drone that was grounded takes back what was promised.
        assert set(self.scheduled) & set(self.refused) <= self.taken_back
        for booking in self.bookings.values():
            answered = self.scheduled[booking.delivery_id] + self.refused[booking.delivery_id] > 0
            waits_or_left = booking.status in {BookingStatus.WAITING, BookingStatus.WITHDRAWN}
            assert answered is not waits_or_left, "somebody is not answered"
            assert (booking.due_at is not None) is (booking.status is BookingStatus.WAITING)
        undone = {one.delivery_id for one in self.bookings.values() if one.status is BookingStatus.RELEASED}
        assert set(self.compensated) == undone, "what is compensated is not what was undone"

    def end(self, event: DeliveryEnded, outdated: UUID | None = None) -> None:
        booking = self.bookings.get(event.delivery_id)
        held = self.held_by(booking)
        free = released(held, event) if held else None
        self.record(decide_end(booking, held, event, self.successor(free, outdated), self.now))

    def change(self, changed: Drone, outdated: UUID | None) -> None:
        self.record(decide_succession(changed, self.successor(changed, outdated), self.now))

    def successor(self, free: Drone | None, outdated: UUID | None) -> Booking | None:
        if outdated is not None:
            return self.bookings.get(outdated)
        if free is None or free.status is not DroneStatus.FREE:
            return None
        delivery_id = hand_on([free], self.line()).get(free.drone_id)
        return self.bookings[delivery_id] if delivery_id else None

    def line(self) -> list[Booking]:
        waiting = [one for one in self.bookings.values() if one.status is BookingStatus.WAITING]
        return sorted(waiting, key=_place_in_line)

    def held_by(self, booking: Booking | None) -> Drone | None:
        return self.drones[booking.drone_id] if booking and booking.holds_drone and booking.drone_id else None

    def find(self, errands: list[Errand]) -> dict[UUID, UUID]:
        free = [one for one in self.drones.values() if one.status is DroneStatus.FREE]
        candidates = {
            errand.delivery_id: [Candidate(one.approach_m(errand), one.drone_id) for one in free if one.suits(errand)]
            for errand in errands
        }
        return allot(errands, candidates)

    def record(self, decision: Decision) -> None:
        for state in decision.states:
            if isinstance(state, Drone):
                self.drones[state.drone_id] = state
            else:
                self.bookings[state.delivery_id] = state
        for message in decision.messages:
            match message:
                case DroneScheduled():
                    self.scheduled[message.delivery_id] += 1
                case DroneSchedulingFailed():
                    self.refused[message.delivery_id] += 1
                case DroneReleased():
                    self.compensated[message.delivery_id] += 1
                case _:
                    raise AssertionError(f"nobody expects {message!r}")


def _place_in_line(booking: Booking) -> tuple[bool, datetime, UUID]:
    assert booking.requested_at is not None
    return not booking.expedited, booking.requested_at, booking.delivery_id


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, min_size=20, max_size=60))
def test_no_drone_is_held_twice_and_everybody_is_answered_once(steps: list[Step]) -> None:
    scheduler = Scheduler()
    for step in steps:
        scheduler.take(step)
    scheduler.finish()


def test_the_check_goes_red_when_a_drone_is_held_twice() -> None:
    scheduler = Scheduler()
    scheduler.bookings = {
        UUID(int=number): Booking(UUID(int=number), "alice", BookingStatus.BOOKED, UUID(int=101)) for number in (1, 2)
    }
    with pytest.raises(AssertionError, match="held twice"):
        scheduler.check()


def test_the_check_goes_red_when_somebody_is_not_answered() -> None:
    scheduler = Scheduler()
    refused = replace(Booking(UUID(int=1), "alice", BookingStatus.REFUSED), ended_at=NOW)
    scheduler.bookings = {UUID(int=1): refused}
    with pytest.raises(AssertionError, match="not answered"):
        scheduler.check()
