"""Every request ends in exactly one way, and all services see the same end."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from uuid import UUID

from demo.evidence import Evidence
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage

TERMINAL_EVENTS = {event.message_type for event in (DeliveryCompleted, DeliveryCancelled, DeliveryFailed)}
ENDED_BOOKINGS = {"Completed", "Released", "Refused", "Withdrawn"}
HELD_DRONES = {"Booked", "InFlight", "Grounding"}
LEFT_PACKAGES = {"Ready", "Described"}


def accepted_requests_are_kept(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every request that was answered 202 is in ingestion's database."""
    kept = {request.delivery_id for request in evidence.requests}
    return len(evidence.accepted), (f"{one} is gone" for one in sorted(evidence.accepted - kept))


def each_request_ended_once(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every accepted request has reached exactly one terminal state, and no second one was ever announced."""
    deliveries = {delivery.delivery_id: delivery for delivery in evidence.deliveries}
    announced: dict[UUID, set[str]] = defaultdict(set)
    for message in evidence.published:
        if message.message_type in TERMINAL_EVENTS:
            announced[message.delivery_id].add(message.message_type)

    def offenders() -> Iterator[str]:
        for request in evidence.requests:
            delivery = deliveries.get(request.delivery_id)
            if delivery is None:
                yield f"{request.delivery_id} is unknown to delivery"
            elif delivery.stage not in TERMINAL_STAGES or delivery.ends_recorded != 1:
                yield f"{request.delivery_id} is {delivery.stage}, with {delivery.ends_recorded} ends recorded"
        for delivery_id, types in announced.items():
            if len(types) > 1:
                yield f"{delivery_id} was announced as {' and '.join(sorted(types))}"
        for delivery_id in evidence.accepted - announced.keys():
            yield f"the end of {delivery_id} was never announced"

    return len(evidence.requests), offenders()


def ingestion_and_delivery_agree(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Ingestion tells the stage and the reason that delivery recorded, and both know the same requests."""
    told = {request.delivery_id: (request.stage, request.reason) for request in evidence.requests}
    recorded = {delivery.delivery_id: (delivery.stage, delivery.reason) for delivery in evidence.deliveries}
    both = sorted(told.keys() | recorded.keys())
    return len(both), (
        f"{one} is {told.get(one)} to ingestion and {recorded.get(one)} to delivery"
        for one in both
        if told.get(one) != recorded.get(one)
    )


def no_drone_is_held(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """No drone is booked or in flight any more."""
    return len(evidence.drones), (
        f"{drone.drone_id} is {drone.status} for {drone.delivery_id}"
        for drone in evidence.drones
        if drone.delivery_id is not None or drone.status in HELD_DRONES
    )


def all_bookings_have_ended(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every accepted request has its booking, and none waits or holds a drone any more."""
    bookings = {booking.delivery_id: booking.status for booking in evidence.bookings}
    ids = {request.delivery_id for request in evidence.requests} | bookings.keys()
    return len(ids), (
        f"{one} has booking {bookings.get(one)}" for one in sorted(ids) if bookings.get(one) not in ENDED_BOOKINGS
    )


def no_package_is_left(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every accepted request has its package, and none is described or ready any more."""
    packages = {package.package_id: package.status for package in evidence.packages}
    ids = {request.delivery_id for request in evidence.requests} | packages.keys()
    return len(ids), (
        f"{one} has package {packages.get(one)}"
        for one in sorted(ids)
        if one not in packages or packages[one] in LEFT_PACKAGES
    )


def parts_agree_with_the_outcome(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """A package is delivered, and a booking completed, exactly when the delivery is completed."""
    packages = {package.package_id: package.status for package in evidence.packages}
    bookings = {booking.delivery_id: booking.status for booking in evidence.bookings}

    def offenders() -> Iterator[str]:
        for delivery in evidence.deliveries:
            package, booking = packages.get(delivery.delivery_id), bookings.get(delivery.delivery_id)
            is_completed = delivery.stage == DeliveryStage.COMPLETED
            if is_completed != (package == "Delivered") or is_completed != (booking == "Completed"):
                yield f"{delivery.delivery_id} is {delivery.stage}, its package {package}, its booking {booking}"

    return len(evidence.deliveries), offenders()
