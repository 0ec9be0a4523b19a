"""Every effect happens once: compensations, flights, what is booked for them, notifications."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self
from uuid import UUID

from demo.evidence import BookingFact, DeliveryFact, Evidence, PackageFact
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled, DroneSchedulingFailureReason
from shared_contracts.package_service.v1 import PackageReady, PackageWithdrawn

RELATIVE_TOLERANCE = 1e-6
"""Sums of the same figures, taken in another order, differ a little."""

Counts = Mapping[tuple[UUID, str], int]


def compensated_exactly_once(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """What had succeeded for a request that failed or was cancelled was undone once, and nothing else was undone."""
    counts = Counter((message.delivery_id, message.message_type) for message in evidence.published)
    packages = {package.package_id: package for package in evidence.packages}
    bookings = {booking.delivery_id: booking for booking in evidence.bookings}
    heard_of = [delivery for delivery in evidence.deliveries if delivery.delivery_id in evidence.accepted]

    def offenders() -> Iterator[str]:
        for delivery in heard_of:
            yield from _package_offences(delivery, packages.get(delivery.delivery_id), counts)
            yield from _booking_offences(delivery, bookings.get(delivery.delivery_id), counts)

    return len(heard_of), offenders()


def _package_offences(delivery: DeliveryFact, package: PackageFact | None, counts: Counts) -> Iterator[str]:
    ready = counts.get((delivery.delivery_id, PackageReady.message_type), 0)
    withdrawn = counts.get((delivery.delivery_id, PackageWithdrawn.message_type), 0)
    is_withdrawn = package is not None and package.status == "Withdrawn" and not package.is_tombstone
    is_right = ready <= 1 and withdrawn == (0 if delivery.stage == DeliveryStage.COMPLETED else ready)
    if not is_right or not is_withdrawn == delivery.is_package_withdrawn == (withdrawn == 1):
        yield (
            f"{delivery.delivery_id} is {delivery.stage}: package ready {ready} times, withdrawn {withdrawn} times, "
            f"is {package.status if package else None}, withdrawal known to delivery: {delivery.is_package_withdrawn}"
        )


def _booking_offences(delivery: DeliveryFact, booking: BookingFact | None, counts: Counts) -> Iterator[str]:
    scheduled = counts.get((delivery.delivery_id, DroneScheduled.message_type), 0)
    released = counts.get((delivery.delivery_id, DroneReleased.message_type), 0)
    # Grounding a drone that has not left takes its booking back at once, so that nothing is left to release.
    was_grounded = booking is not None and booking.failure_reason == DroneSchedulingFailureReason.DRONE_GROUNDED
    nothing_to_release = delivery.stage == DeliveryStage.COMPLETED or was_grounded
    is_released = booking is not None and booking.status == "Released"
    is_right = scheduled <= 1 and released == (0 if nothing_to_release else scheduled)
    if not is_right or not is_released == delivery.is_drone_released == (released == 1):
        yield (
            f"{delivery.delivery_id} is {delivery.stage}: drone booked {scheduled} times, released {released} times, "
            f"booking {booking.status if booking else None}, release known to delivery: {delivery.is_drone_released}"
        )


def flights_follow_each_other(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """No drone left for a delivery before its delivery before had ended."""
    flights = sorted(
        (delivery.drone_id, delivery.departed_at, delivery.ended_at, delivery.delivery_id)
        for delivery in evidence.deliveries
        if delivery.drone_id and delivery.departed_at and delivery.ended_at
    )
    return len(flights), (
        f"{drone_id} left for {following_id} before the end of {delivery_id}"
        for (drone_id, _, ended_at, delivery_id), (following_drone, departed_at, _, following_id) in pairwise(flights)
        if drone_id == following_drone and departed_at < ended_at
    )


@dataclass(frozen=True)
class Flown:
    """What was flown for an owner in a month."""

    flights: int = 0
    distance_m: float = 0.0
    duration_s: float = 0.0

    def __add__(self, other: "Flown") -> Self:
        return type(self)(
            self.flights + other.flights, self.distance_m + other.distance_m, self.duration_s + other.duration_s
        )

    def equals(self, other: "Flown") -> bool:
        return (
            self.flights == other.flights
            and _is_near(self.distance_m, other.distance_m)
            and _is_near(self.duration_s, other.duration_s)
        )

    def __str__(self) -> str:
        return f"{self.flights} flights, {self.distance_m:.1f} m, {self.duration_s:.3f} s"


def utilization_equals_the_flights(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """The flights, metres and seconds that are booked per owner and month are those of the deliveries."""
    flown: dict[tuple[str, str], Flown] = defaultdict(Flown)
    booked: dict[tuple[str, str], Flown] = defaultdict(Flown)
    for delivery in evidence.deliveries:
        if delivery.departed_at and delivery.ended_at:
            duration_s = (delivery.ended_at - delivery.departed_at).total_seconds()
            key = (delivery.owner_id, f"{delivery.ended_at:%Y-%m}")
            flown[key] += Flown(1, delivery.distance_flown_m, duration_s)
    for booking in evidence.bookings:
        if booking.ended_at and booking.flown_distance_m is not None:
            key = (booking.owner_id, f"{booking.ended_at:%Y-%m}")
            booked[key] += Flown(1, booking.flown_distance_m, booking.flown_duration_s or 0.0)
    return sum(one.flights for one in flown.values()), (
        f"{owner_id} in {month}: flown {flown[owner_id, month]}; booked {booked[owner_id, month]}"
        for owner_id, month in sorted({*flown, *booked})
        if not flown[owner_id, month].equals(booked[owner_id, month])
    )


def _is_near(figure: float, other: float) -> bool:
    return abs(figure - other) <= RELATIVE_TOLERANCE * max(1.0, abs(figure))


def who_asked_was_told_once(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Who asked to be told of the end was notified of it, and nobody was notified of a stage twice."""
    stages = {delivery.delivery_id: delivery.stage for delivery in evidence.deliveries}
    told = Counter((one.request_id, one.stage) for one in evidence.notifications)
    # A wish of an earlier run was answered then, and its notification taken then.
    wishes = [wish for wish in evidence.wishes if wish.delivery_id in evidence.accepted]

    def offenders() -> Iterator[str]:
        for wish in wishes:
            is_due = wish.stage in TERMINAL_STAGES and stages.get(wish.delivery_id) == wish.stage
            if is_due and (wish.request_id, wish.stage) not in told:
                yield f"nobody was told that {wish.delivery_id} is {wish.stage}"
        for (request_id, stage), count in told.items():
            if count > 1:
                yield f"notify-me request {request_id} was told of {stage} {count} times"

    return len(wishes), offenders()
