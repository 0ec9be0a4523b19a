"""What happens to bookings and drones: a state and a message in, the new states and the answers out."""

from datetime import datetime
from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from drone_scheduler.domain.bookings import Booking, BookingStatus, asked, waiting_for
from drone_scheduler.domain.fleet import Drone, DroneStatus, Observation, hold, let_go, replace, take_off
from shared_contracts.delivery.v1 import (
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
)
from shared_contracts.domain_types import FlightSummary
from shared_contracts.drone_scheduler.v1 import (
    DroneReleased,
    DroneScheduled,
    DroneSchedulingFailed,
    DroneSchedulingFailureReason,
)
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Message

DeliveryEnded = DeliveryCompleted | DeliveryCancelled | DeliveryFailed


class FleetOutlook(StrEnum):
    """Whether waiting for a drone makes sense."""

    SUITABLE_DRONES_EXIST = "SuitableDronesExist"
    NO_SUITABLE_DRONE = "NoSuitableDrone"
    """No drone of the fleet can carry the weight or fly the distance, not even on a full battery."""


class Decision(Struct, frozen=True):
    """The states that change, and what the others are told."""

    states: tuple[Booking | Drone, ...] = ()
    messages: tuple[Message, ...] = ()

    def __add__(self, other: "Decision") -> "Decision":
        return Decision((*self.states, *other.states), (*self.messages, *other.messages))

    def __bool__(self) -> bool:
        return bool(self.states or self.messages)


NOTHING = Decision()


def decide_booking(
    booking: Booking | None,
    request: DeliveryRequested,
    *,
    drone: Drone | None,
    outlook: FleetOutlook,
    requested_at: datetime,
    now: datetime,
) -> Decision:
    """Book the drone, or wait in line, or say why no drone will ever come.

    A delivery that has a booking already was requested before, or ended before its request came.
    """
    if booking is not None:
        return NOTHING
    waiting = waiting_for(request, requested_at)
    if request.deadline <= now:
        description = "The request expired before a drone was looked for."
        return _refuse(waiting, DroneSchedulingFailureReason.REQUEST_EXPIRED, description, now)
    match outlook:
        case FleetOutlook.SUITABLE_DRONES_EXIST:
            return decide_handover(drone, waiting, now) or Decision((waiting,))
        case FleetOutlook.NO_SUITABLE_DRONE:
            asked_for = f"{request.package.weight_kg:g} kg over {asked(waiting.distance_m):.0f} m"
            description = f"No drone of the fleet can carry {asked_for}."
            return _refuse(waiting, DroneSchedulingFailureReason.NO_SUITABLE_DRONE, description, now)
        case _:
            assert_never(outlook)


def decide_handover(drone: Drone | None, waiting: Booking | None, now: datetime) -> Decision:
    """Give the drone to the one that waits. Nothing, unless it is free and suits, and the other still waits."""
    if drone is None or drone.status is not DroneStatus.FREE:
        return NOTHING
    if waiting is None or waiting.status is not BookingStatus.WAITING:
        return NOTHING
    deadline = asked(waiting.deadline)
    if deadline <= now or not drone.suits(waiting.errand):
        return NOTHING
    booked = replace(waiting, status=BookingStatus.BOOKED, drone_id=drone.drone_id, due_at=None)
    scheduled = DroneScheduled(
        delivery_id=booked.delivery_id,
        owner_id=booked.owner_id,
        drone_id=drone.drone_id,
        drone_location=drone.location,
        cruise_speed_mps=drone.cruise_speed_mps,
        pickup=booked.pickup,
        dropoff=booked.dropoff,
        pickup_time=asked(booked.pickup_time),
        deadline=deadline,
        expedited=booked.expedited,
    )
    return Decision((booked, hold(drone, booked.delivery_id)), (scheduled,))


def decide_succession(drone: Drone, successor: Booking | None, now: datetime) -> Decision:
    """Give the drone to its successor, or leave it free for others."""
    return decide_handover(drone, successor, now) or Decision((drone,)) + decide_overdue(successor, now)


def decide_overdue(waiting: Booking | None, now: datetime) -> Decision:
    """Who cannot have the drone that was found for it, because its deadline is past, is told so.

    Drones are found by the clock of the database, which may be minutes behind ours: found and turned away again and
    again, one whose deadline is between the two would keep its drone from those behind it in line.
    """
    if waiting is None or waiting.status is not BookingStatus.WAITING or now < asked(waiting.deadline):
        return NOTHING
    return decide_expiry(waiting, now)


def decide_departure(booking: Booking | None, drone: Drone | None, event: DeliveryHeadedToPickup) -> Decision:
    """The drone left for the pickup: from now on it is grounded only after its flight."""
    if booking is None or booking.status is not BookingStatus.BOOKED or booking.drone_id != event.drone_id:
        return NOTHING
    in_flight = replace(booking, status=BookingStatus.IN_FLIGHT)
    if drone is None or drone.delivery_id != booking.delivery_id:
        return Decision((in_flight,))
    return Decision((in_flight, take_off(drone)))


def decide_reschedule(booking: Booking | None, event: DeliveryRescheduled) -> Decision:
    """The delivery has other times. The drone stays the same."""
    if booking is None:
        return NOTHING
    moved = replace(booking, pickup_time=event.pickup_time, deadline=event.deadline)
    match booking.status:
        case BookingStatus.WAITING:
            return Decision((replace(moved, due_at=event.deadline),))
        case BookingStatus.BOOKED | BookingStatus.IN_FLIGHT:
            return Decision((moved,))
        case BookingStatus.COMPLETED | BookingStatus.RELEASED | BookingStatus.REFUSED | BookingStatus.WITHDRAWN:
            return NOTHING
        case _:
            assert_never(booking.status)


def decide_end(
    booking: Booking | None, drone: Drone | None, event: DeliveryEnded, successor: Booking | None, now: datetime
) -> Decision:
    """The delivery ended: its drone is free again and goes to the next in line, who is `successor`.

    A delivery that ends before its request came leaves a tombstone, so that the request changes nothing any more.
    """
    if booking is None:
        tombstone = Booking(delivery_id=event.delivery_id, owner_id=event.owner_id, status=BookingStatus.WITHDRAWN)
        return Decision((_ended(tombstone, event.flight, now),))
    match booking.status:
        case BookingStatus.WAITING:
            withdrawn = replace(booking, status=BookingStatus.WITHDRAWN)
            return Decision((_ended(withdrawn, event.flight, now),))
        case BookingStatus.BOOKED | BookingStatus.IN_FLIGHT:
            return _decide_release(booking, drone, event, successor, now)
        case BookingStatus.REFUSED:
            return _decide_flight_after_all(booking, event, now)
        case BookingStatus.COMPLETED | BookingStatus.RELEASED | BookingStatus.WITHDRAWN:
            return NOTHING
        case _:
            assert_never(booking.status)


def released(drone: Drone, event: DeliveryEnded) -> Drone:
    """The drone after the end of its delivery, where its flight ended."""
    flight = event.flight
    if flight is None:
        return let_go(drone, None)
    landing = Observation(flight.ended_at, flight.last_location, reported_at=flight.last_observed_at)
    return let_go(drone, landing)


def decide_expiry(booking: Booking, now: datetime) -> Decision:
    """Who has waited until the deadline is told that no drone became free."""
    if booking.status is not BookingStatus.WAITING:
        return Decision((replace(booking, due_at=None),))
    if now < asked(booking.deadline):
        return Decision((replace(booking, due_at=booking.deadline),))
    description = "No suitable drone became free before the deadline."
    return _refuse(booking, DroneSchedulingFailureReason.NO_DRONE_AVAILABLE, description, now)


def decide_grounding(drone: Drone, booking: Booking | None, now: datetime) -> Decision:
    """Take the drone out of service, at once or, when it flies, after its delivery.

    A delivery that holds a drone which has not left yet fails: it was promised this drone and its times.
    """
    grounded = Decision((replace(drone, status=DroneStatus.GROUNDED, delivery_id=None),))
    match drone.status:
        case DroneStatus.FREE | DroneStatus.CHARGING:
            return grounded
        case DroneStatus.BOOKED:
            if booking is None or not booking.holds_drone or booking.drone_id != drone.drone_id:
                return grounded
            description = "The drone was taken out of service before it left."
            return grounded + _refuse(booking, DroneSchedulingFailureReason.DRONE_GROUNDED, description, now)
        case DroneStatus.IN_FLIGHT:
            return Decision((replace(drone, status=DroneStatus.GROUNDING),))
        case DroneStatus.GROUNDED | DroneStatus.GROUNDING:
            return NOTHING
        case _:
            assert_never(drone.status)


def _decide_release(
    booking: Booking, drone: Drone | None, event: DeliveryEnded, successor: Booking | None, now: datetime
) -> Decision:
    ended = Decision((_ended(replace(booking, status=_status_after(event)), event.flight, now),))
    if drone is None or drone.delivery_id != booking.delivery_id:
        return ended
    free = released(drone, event)
    return ended + Decision((), _compensation(drone, event)) + decide_succession(free, successor, now)


def _decide_flight_after_all(booking: Booking, event: DeliveryEnded, now: datetime) -> Decision:
    """A drone that was grounded may have left just before: what it flew counts for utilization all the same."""
    was_grounded = booking.failure_reason is DroneSchedulingFailureReason.DRONE_GROUNDED
    if not was_grounded or event.flight is None or booking.flown_distance_m is not None:
        return NOTHING
    return Decision((_ended(booking, event.flight, now),))


def _ended(booking: Booking, flight: FlightSummary | None, now: datetime) -> Booking:
    if flight is None:
        return replace(booking, due_at=None, ended_at=now)
    return replace(
        booking,
        drone_id=flight.drone_id,
        due_at=None,
        ended_at=flight.ended_at,
        flown_distance_m=flight.distance_m,
        flown_duration_s=max(0.0, flight.duration_s),
    )


def _status_after(event: DeliveryEnded) -> BookingStatus:
    match event:
        case DeliveryCompleted():
            return BookingStatus.COMPLETED
        case DeliveryCancelled() | DeliveryFailed():
            return BookingStatus.RELEASED
        case _:
            assert_never(event)


def _compensation(drone: Drone, event: DeliveryEnded) -> tuple[Message, ...]:
    match event:
        case DeliveryCompleted():
            return ()
        case DeliveryCancelled() | DeliveryFailed():
            return (DroneReleased(delivery_id=event.delivery_id, drone_id=drone.drone_id),)
        case _:
            assert_never(event)


def _refuse(booking: Booking, reason: DroneSchedulingFailureReason, description: str, now: datetime) -> Decision:
    refused = replace(booking, status=BookingStatus.REFUSED, failure_reason=reason, due_at=None, ended_at=now)
    failed = DroneSchedulingFailed(
        delivery_id=booking.delivery_id, owner_id=booking.owner_id, reason=reason, description=description
    )
    return Decision((refused,), (failed,))
