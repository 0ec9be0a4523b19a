"""Finding drones for deliveries and deliveries for drones: a few statements for a whole batch of messages.

Drones and bookings that somebody else is about to take are passed over instead of waited for. Who goes empty stays in
line, where the periodic search finds them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, assert_never
from uuid import UUID

import asyncpg
from msgspec import Struct

from drone_scheduler import queries
from drone_scheduler.commands import CorrectDrone, GroundDrone, RegisterDrone, UngroundDrone
from drone_scheduler.domain.bookings import Booking
from drone_scheduler.domain.decisions import DeliveryEnded, FleetOutlook, released
from drone_scheduler.domain.fleet import (
    CHARGED_PERCENT,
    FULL_SHARE,
    Drone,
    DroneStatus,
    Errand,
    decide_observation,
    decide_registration,
    decide_telemetry,
    errand_of,
    lift_grounding,
)
from drone_scheduler.domain.line import Candidate, allot, hand_on
from drone_scheduler.tables import BOOKINGS, DRONES
from shared_contracts.delivery.v1 import DeliveryHeadedToPickup
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_runtime import Tick
from shared_runtime.envelope import utc_now

NEAREST_LOOKED_AT = 32
"""How many of the free drones around an errand are looked at first."""
NEAREST_TAKEN = 3
"""How many of those that suit are candidates."""
CANDIDATES_PER_ROUND = (8, 32, 128)
"""How far the search goes for the others: those whom none of the nearest suits, or whose candidates are all taken."""
FRONT_LENGTH = 64
"""How much of the line is searched for at every tick."""
PAGE_LENGTH = 512
"""How much of the rest is searched for at every tick, in turn."""
LINE_DEPTH = 1_000
"""How far from the front a free drone looks for somebody whom it suits."""

Place = tuple[bool, datetime, UUID]
"""A place in line: behind the expedited ones, since when, and the delivery."""


class Prospect(Struct, frozen=True):
    """What the fleet has for a requested delivery."""

    key: UUID
    """The delivery."""
    outlook: FleetOutlook
    drone_id: UUID | None
    """The drone that is set aside for it, None when none is free."""


class Successor(Struct, frozen=True):
    """Who is next in line for the drone that a message sets free."""

    key: UUID
    """The session of the message: the delivery that ends, or the drone."""
    delivery_id: UUID | None


class Matches(Struct, frozen=True):
    """Deliveries in line, and the free drones that are set aside for them."""

    pairs: tuple[tuple[UUID, UUID], ...]
    """Delivery and drone, in the order of the line."""
    key: ClassVar[str] = "matches"


@dataclass
class Search:
    """The free drones that are set aside for a batch of errands, their rows locked."""

    drones: dict[UUID, Drone] = field(default_factory=dict)
    allotted: dict[UUID, UUID] = field(default_factory=dict)
    """Drone by delivery."""
    tried: set[UUID] = field(default_factory=set)
    """The drones that were found, set aside or not."""
    unsuited: list[Errand] = field(default_factory=list)
    """The errands that none of the free drones suits that are left."""


async def prospects(connection: asyncpg.Connection, requests: Sequence[DeliveryRequested]) -> Iterable[object]:
    """Set the nearest suitable free drone aside for each request, expedited requests first."""
    errands = {request.delivery_id: errand_of(request) for request in requests}
    search = await _search(connection, list(errands.values()))
    hopeless = await _beyond_the_fleet(connection, search.unsuited)
    return [
        *search.drones.values(),
        *(
            Prospect(
                delivery_id,
                FleetOutlook.NO_SUITABLE_DRONE if delivery_id in hopeless else FleetOutlook.SUITABLE_DRONES_EXIST,
                search.allotted.get(delivery_id),
            )
            for delivery_id in errands
        ),
    ]


async def held_drones(
    connection: asyncpg.Connection, events: Sequence[DeliveryHeadedToPickup | DeliveryEnded]
) -> Iterable[object]:
    """The drones that the deliveries hold and, for those deliveries that end, who is next in line."""
    drones = await _drones(connection, queries.HELD_DRONES, [event.delivery_id for event in events])
    held = {drone.delivery_id: drone for drone in drones}
    freed = {
        event.delivery_id: released(held[event.delivery_id], event)
        for event in events
        if event.delivery_id in held and not isinstance(event, DeliveryHeadedToPickup)
    }
    return [*drones, *await _successors(connection, [event.delivery_id for event in events], freed)]


async def charged_drones(connection: asyncpg.Connection, reports: Sequence[DroneTelemetryReported]) -> Iterable[object]:
    """Who is next in line for the drones that report being charged."""
    charged = {report.drone_id: report for report in reports if report.battery_percent >= CHARGED_PERCENT}
    drones = await _drones(connection, queries.CHARGING_DRONES, list(charged)) if charged else []
    now = utc_now()
    freed = {drone.drone_id: decide_telemetry(drone, charged[drone.drone_id], now) for drone in drones}
    return await _successors(connection, [report.drone_id for report in reports], freed)


async def serviceable_drones(
    connection: asyncpg.Connection, commands: Sequence[RegisterDrone | CorrectDrone | UngroundDrone]
) -> Iterable[object]:
    """Who is next in line for the drones that the staff changes."""
    drone_ids = [command.drone_id for command in commands]
    known = {drone.drone_id: drone for drone in await DRONES.load(connection, drone_ids)}
    now = utc_now()
    changed = {command.drone_id: _changed(known.get(command.drone_id), command, now) for command in commands}
    freed = {drone_id: drone for drone_id, drone in changed.items() if drone is not None}
    return await _successors(connection, drone_ids, freed)


async def bookings_of_drones(connection: asyncpg.Connection, commands: Sequence[GroundDrone]) -> Iterable[object]:
    """The bookings that hold the drones."""
    return await _bookings(connection, queries.BOOKINGS_OF_DRONES, [command.drone_id for command in commands])


class LineSearch:
    """Looks for free drones for the front of the line, and for one further page of it after the other.

    A drone that becomes free goes to the next in line at once. This finds what that misses: a delivery that joined
    the line while the drone became free, and a drone that charges until it suits.
    """

    FRONT: Place = (False, datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))

    def __init__(self) -> None:
        self._after = self.FRONT

    async def __call__(self, connection: asyncpg.Connection, ticks: Sequence[Tick]) -> Iterable[object]:
        line = await self._part_of_line(connection)
        if not line:
            return [Matches(())]
        # Whose candidates are all taken is looked for again at the next tick.
        errands = [booking.errand for booking in line]
        search = await _search_far(connection, Search(), errands, CANDIDATES_PER_ROUND[:1])
        bookings = await _bookings(connection, queries.LOCK_WAITING_BOOKINGS, list(search.allotted))
        locked = {booking.delivery_id for booking in bookings}
        pairs = tuple(
            (booking.delivery_id, search.allotted[booking.delivery_id])
            for booking in line
            if booking.delivery_id in locked
        )
        return [*search.drones.values(), *bookings, Matches(pairs)]

    async def _part_of_line(self, connection: asyncpg.Connection) -> list[Booking]:
        await connection.execute(queries.WALK_THE_INDEX)
        front = await _bookings(connection, queries.LINE_PAGE, *self.FRONT, FRONT_LENGTH)
        if len(front) < FRONT_LENGTH:
            return front
        after = max(self._after, _place(front[-1]))
        page = await _bookings(connection, queries.LINE_PAGE, *after, PAGE_LENGTH)
        self._after = _place(page[-1]) if len(page) == PAGE_LENGTH else self.FRONT
        return [*front, *page]


async def _search(connection: asyncpg.Connection, errands: Sequence[Errand]) -> Search:
    """Look around each errand first, and far for those that this leaves empty; expedited errands before others."""
    await connection.execute(queries.WALK_THE_INDEX)
    search = Search()
    for group in ([one for one in errands if one.expedited], [one for one in errands if not one.expedited]):
        if not group:
            continue
        near = await _candidates(connection, queries.NEAREST_CANDIDATES, group, NEAREST_LOOKED_AT, NEAREST_TAKEN)
        left = {
            delivery_id: [one for one in candidates if one.drone_id not in search.tried]
            for delivery_id, candidates in near.items()
        }
        await _set_aside(connection, search, allot(group, left))
        remaining = [errand for errand in group if errand.delivery_id not in search.allotted]
        await _search_far(connection, search, remaining, CANDIDATES_PER_ROUND)
    return search


async def _search_far(
    connection: asyncpg.Connection, search: Search, errands: Sequence[Errand], rounds: Sequence[int]
) -> Search:
    remaining = errands
    for number, count in enumerate(rounds):
        if not remaining:
            break
        candidates = await _candidates(connection, queries.CANDIDATES, remaining, list(search.tried), count)
        if number == 0:
            search.unsuited += [errand for errand in remaining if errand.delivery_id not in candidates]
        allotted = allot(remaining, candidates)
        if not allotted:
            break
        await _set_aside(connection, search, allotted)
        remaining = [
            errand
            for errand in remaining
            if errand.delivery_id in candidates and errand.delivery_id not in search.allotted
        ]
    return search


async def _set_aside(connection: asyncpg.Connection, search: Search, allotted: Mapping[UUID, UUID]) -> None:
    """Lock the drones, as far as nobody else has them by now."""
    search.tried.update(allotted.values())
    drones = await _drones(connection, queries.LOCK_FREE_DRONES, list(allotted.values())) if allotted else []
    locked = {drone.drone_id: drone for drone in drones}
    search.drones.update(locked)
    search.allotted.update({delivery: drone for delivery, drone in allotted.items() if drone in locked})


async def _candidates(
    connection: asyncpg.Connection, query: str, errands: Sequence[Errand], *limits: object
) -> Mapping[UUID, Sequence[Candidate]]:
    records = await connection.fetch(
        query,
        [errand.pickup_latitude for errand in errands],
        [errand.pickup_longitude for errand in errands],
        [errand.weight_kg for errand in errands],
        [errand.distance_m for errand in errands],
        *limits,
    )
    candidates: dict[UUID, list[Candidate]] = {}
    for ordinal, drone_id, approach_m in records:
        candidates.setdefault(errands[ordinal - 1].delivery_id, []).append(Candidate(approach_m, drone_id))
    return candidates


async def _beyond_the_fleet(connection: asyncpg.Connection, errands: Sequence[Errand]) -> set[UUID]:
    if not errands:
        return set()
    records = await connection.fetch(
        queries.ERRANDS_WITHIN_THE_FLEETS_POWER,
        [errand.weight_kg for errand in errands],
        [errand.distance_m for errand in errands],
        FULL_SHARE,
    )
    possible = {errands[ordinal - 1].delivery_id for (ordinal,) in records}
    return {errand.delivery_id for errand in errands} - possible


async def _successors(
    connection: asyncpg.Connection, sessions: Iterable[UUID], freed: Mapping[UUID, Drone]
) -> list[object]:
    free = {session: drone for session, drone in freed.items() if drone.status is DroneStatus.FREE}
    drones = list({drone.drone_id: drone for drone in free.values()}.values())
    line = await _line_for(connection, drones) if drones else []
    handed_on = hand_on(drones, line)
    successors = {session: handed_on.get(drone.drone_id) for session, drone in free.items()}
    return [*line, *(Successor(session, successors.get(session)) for session in sessions)]


async def _line_for(connection: asyncpg.Connection, drones: Sequence[Drone]) -> list[Booking]:
    await connection.execute(queries.WALK_THE_INDEX)
    return await _bookings(
        connection,
        queries.LINE_FOR_DRONES,
        [drone.latitude for drone in drones],
        [drone.longitude for drone in drones],
        [drone.payload_kg for drone in drones],
        [drone.usable_range_m for drone in drones],
        LINE_DEPTH,
        len(drones),
    )


def _changed(drone: Drone | None, command: RegisterDrone | CorrectDrone | UngroundDrone, now: datetime) -> Drone | None:
    match command:
        case RegisterDrone():
            return decide_registration(
                drone,
                command.drone_id,
                command.design,
                location=command.location,
                battery_percent=command.battery_percent,
                now=now,
            )
        case CorrectDrone():
            return None if drone is None else decide_observation(drone, command.observation)
        case UngroundDrone():
            return None if drone is None else lift_grounding(drone)
        case _:
            assert_never(command)


def _place(booking: Booking) -> Place:
    assert booking.requested_at is not None  # noqa: S101 - who waits has asked
    return not booking.expedited, booking.requested_at, booking.delivery_id


async def _drones(connection: asyncpg.Connection, query: str, *arguments: object) -> list[Drone]:
    return [DRONES.from_record(record) for record in await connection.fetch(query, *arguments)]


async def _bookings(connection: asyncpg.Connection, query: str, *arguments: object) -> list[Booking]:
    return [BOOKINGS.from_record(record) for record in await connection.fetch(query, *arguments)]
