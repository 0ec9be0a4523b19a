"""Who is given which drone when several wait: expedited deliveries first, then in the order of their requests."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from drone_scheduler.domain.bookings import Booking
from drone_scheduler.domain.fleet import Drone, Errand


class Candidate(NamedTuple):
    """A free drone that suits an errand. The nearest comes first in order."""

    approach_m: float
    """How far the pickup is from the drone."""
    drone_id: UUID


def allot(errands: Sequence[Errand], candidates: Mapping[UUID, Sequence[Candidate]]) -> dict[UUID, UUID]:
    """The nearest drone for each delivery, expedited ones first, then as they come; no drone twice.

    `candidates` are by delivery. Deliveries that go empty are left out. The answer is drone by delivery.
    """
    allotted: dict[UUID, UUID] = {}
    taken: set[UUID] = set()
    for errand in sorted(errands, key=_ordinary):
        for candidate in sorted(candidates.get(errand.delivery_id, ())):
            if candidate.drone_id not in taken:
                taken.add(candidate.drone_id)
                allotted[errand.delivery_id] = candidate.drone_id
                break
    return allotted


def hand_on(drones: Sequence[Drone], line: Sequence[Booking]) -> dict[UUID, UUID]:
    """The first in line that each free drone suits. `line` is in its order. The answer is delivery by drone."""
    handed_on: dict[UUID, UUID] = {}
    waiting = list(line)
    for drone in drones:
        first = next((booking for booking in waiting if drone.suits(booking.errand)), None)
        if first is not None:
            waiting.remove(first)
            handed_on[drone.drone_id] = first.delivery_id
    return handed_on


def _ordinary(errand: Errand) -> bool:
    return not errand.expedited
