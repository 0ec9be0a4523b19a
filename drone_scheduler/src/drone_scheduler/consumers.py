"""What the scheduler does with each message and with each command of the staff: load, decide, record."""

from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from drone_scheduler.commands import CorrectDrone, GroundDrone, RegisterDrone, Registration, UngroundDrone
from drone_scheduler.domain.bookings import Booking
from drone_scheduler.domain.decisions import (
    Decision,
    DeliveryEnded,
    decide_booking,
    decide_departure,
    decide_end,
    decide_expiry,
    decide_grounding,
    decide_handover,
    decide_overdue,
    decide_reschedule,
    decide_succession,
)
from drone_scheduler.domain.fleet import (
    Drone,
    decide_observation,
    decide_registration,
    decide_telemetry,
    lift_grounding,
)
from drone_scheduler.loaders import (
    LineSearch,
    Matches,
    Prospect,
    Successor,
    bookings_of_drones,
    charged_drones,
    held_drones,
    prospects,
    serviceable_drones,
)
from drone_scheduler.tables import BOOKINGS, DRONES
from shared_contracts.delivery.v1 import (
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
)
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.topology import subscriptions_of
from shared_runtime import Consumer, Problem, Tick, UnitOfWork, loaded_by

LINE_SEARCH_INTERVAL_S = 0.5

T = TypeVar("T")

# Bookings are locked before drones, by everybody.
consumer = Consumer("drone-scheduler", subscriptions_of("drone-scheduler"), stores=[BOOKINGS, DRONES])

THE_DRONE = loaded_by(Drone, attrgetter("drone_id"))


@consumer.handles(DeliveryRequested, loads=[Booking, prospects], even_expired=True)
def on_delivery_requested(request: DeliveryRequested, work: UnitOfWork) -> None:
    """Book the nearest drone that suits, or put the delivery in line, or say why no drone will ever come."""
    prospect = _known(work.get(Prospect, request.delivery_id))
    decision = decide_booking(
        work.get(Booking, request.delivery_id),
        request,
        drone=work.get(Drone, prospect.drone_id) if prospect.drone_id else None,
        outlook=prospect.outlook,
        requested_at=work.envelope.time,
        now=work.now,
    )
    _record(work, decision)


@consumer.handles(DeliveryRescheduled, loads=[Booking])
def on_delivery_rescheduled(event: DeliveryRescheduled, work: UnitOfWork) -> None:
    """Keep the new times."""
    _record(work, decide_reschedule(work.get(Booking, event.delivery_id), event))


@consumer.handles(DeliveryHeadedToPickup, loads=[Booking, held_drones])
def on_delivery_headed_to_pickup(event: DeliveryHeadedToPickup, work: UnitOfWork) -> None:
    """Note that the drone has left."""
    booking = work.get(Booking, event.delivery_id)
    _record(work, decide_departure(booking, _held_drone(work, booking), event))


@consumer.handles(DeliveryCompleted, loads=[Booking, held_drones])
def on_delivery_completed(event: DeliveryCompleted, work: UnitOfWork) -> None:
    """Keep what was flown, and give the drone to the next in line."""
    _release_drone(event, work)


@consumer.handles(DeliveryCancelled, loads=[Booking, held_drones])
def on_delivery_cancelled(event: DeliveryCancelled, work: UnitOfWork) -> None:
    """Compensate: release the drone, and give it to the next in line."""
    _release_drone(event, work)


@consumer.handles(DeliveryFailed, loads=[Booking, held_drones])
def on_delivery_failed(event: DeliveryFailed, work: UnitOfWork) -> None:
    """Compensate: release the drone, and give it to the next in line."""
    _release_drone(event, work)


@consumer.handles(DroneTelemetryReported, loads=[THE_DRONE, charged_drones])
def on_drone_telemetry_reported(report: DroneTelemetryReported, work: UnitOfWork) -> None:
    """Follow place and charge. A drone that has charged goes to the next in line; one that is not ours is ignored."""
    drone = work.get(Drone, report.drone_id)
    if drone is not None:
        _change_drone(work, drone, decide_telemetry(drone, report, work.now))


@consumer.when_due(Booking, "due_at")
def on_booking_due(booking: Booking, work: UnitOfWork) -> None:
    """Tell who has waited until the deadline that no drone became free."""
    _record(work, decide_expiry(booking, work.now))


@consumer.every(LINE_SEARCH_INTERVAL_S, loads=[LineSearch()])
def on_line_searched(_: Tick, work: UnitOfWork) -> None:
    """Book the drones that were found for deliveries in line."""
    for delivery_id, drone_id in _known(work.get(Matches, Matches.key)).pairs:
        drone, booking = work.get(Drone, drone_id), work.get(Booking, delivery_id)
        _record(work, decide_handover(drone, booking, work.now) or decide_overdue(booking, work.now))


@consumer.handles(RegisterDrone, loads=[THE_DRONE, serviceable_drones])
def on_register_drone(command: RegisterDrone, work: UnitOfWork) -> Registration:
    """Take the drone into the fleet and give it to the next in line."""
    known = work.get(Drone, command.drone_id)
    drone = decide_registration(
        known,
        command.drone_id,
        command.design,
        location=command.location,
        battery_percent=command.battery_percent,
        now=work.now,
    )
    return Registration(_change_drone(work, known, drone), is_new=known is None)


@consumer.handles(CorrectDrone, loads=[THE_DRONE, serviceable_drones])
def on_correct_drone(command: CorrectDrone, work: UnitOfWork) -> Drone:
    """Believe the staff about place and charge. Raises Problem 404 when the drone is not in the fleet."""
    drone = _drone_of_fleet(work, command.drone_id)
    return _change_drone(work, drone, decide_observation(drone, command.observation))


@consumer.handles(GroundDrone, loads=[THE_DRONE, bookings_of_drones])
def on_ground_drone(command: GroundDrone, work: UnitOfWork) -> Drone:
    """Take the drone out of service. Raises Problem 404 when the drone is not in the fleet."""
    drone = _drone_of_fleet(work, command.drone_id)
    booking = work.get(Booking, drone.delivery_id) if drone.delivery_id else None
    _record(work, decide_grounding(drone, booking, work.now))
    return _drone_of_fleet(work, command.drone_id)


@consumer.handles(UngroundDrone, loads=[THE_DRONE, serviceable_drones])
def on_unground_drone(command: UngroundDrone, work: UnitOfWork) -> Drone:
    """Put the drone into service and give it to the next in line. Raises Problem 404 when it is not in the fleet."""
    drone = _drone_of_fleet(work, command.drone_id)
    return _change_drone(work, drone, lift_grounding(drone))


def _release_drone(event: DeliveryEnded, work: UnitOfWork) -> None:
    booking = work.get(Booking, event.delivery_id)
    decision = decide_end(
        booking, _held_drone(work, booking), event, successor=_successor(work, event.delivery_id), now=work.now
    )
    _record(work, decision)


def _change_drone(work: UnitOfWork, before: Drone | None, after: Drone) -> Drone:
    """Record the change, if it is one. A drone that is free goes to the next in line. Returns what became of it."""
    if after == before:
        return after
    _record(work, decide_succession(after, _successor(work, after.drone_id), work.now))
    return work.get(Drone, after.drone_id) or after


def _held_drone(work: UnitOfWork, booking: Booking | None) -> Drone | None:
    if booking is None or booking.drone_id is None or not booking.holds_drone:
        return None
    return work.get(Drone, booking.drone_id)


def _successor(work: UnitOfWork, session: UUID) -> Booking | None:
    successor = _known(work.get(Successor, session))
    return work.get(Booking, successor.delivery_id) if successor.delivery_id else None


def _drone_of_fleet(work: UnitOfWork, drone_id: UUID) -> Drone:
    drone = work.get(Drone, drone_id)
    if drone is None:
        raise Problem(404, "drone-not-found", f"No drone {drone_id} is in the fleet.")
    return drone


def _known(value: T | None) -> T:
    assert value is not None  # noqa: S101 - the loader answers for every message
    return value


def _record(work: UnitOfWork, decision: Decision) -> None:
    for state in decision.states:
        work.put(state)
    for message in decision.messages:
        work.publish(message)
