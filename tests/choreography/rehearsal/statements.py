"""A connection for the services' own loaders: each of their statements has an equivalent here, on dictionaries.

The loaders themselves are run, with what they make of the records: who is allotted which drone, who is next in line. So
only what PostgreSQL would do is pretended, and a statement that is new or has been changed is refused until its
equivalent is written.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import astuple

from delivery.domain.notifying import NotifyMeRequest
from drone_scheduler import queries
from drone_scheduler.domain.bookings import Booking, BookingStatus
from drone_scheduler.domain.fleet import Drone, DroneStatus
from drone_scheduler.domain.geography import great_circle_m
from ingestion.domain.commands import IdempotentAnswer

Tables = dict[type, dict[Any, Any]]
Equivalent = Callable[["Connection", Sequence[Any]], Iterable[Sequence[Any]]]

HOLDING = {BookingStatus.BOOKED, BookingStatus.IN_FLIGHT}


class Connection:
    """What a loader sees of the database of one service."""

    def __init__(self, tables: Tables, now: datetime, *, others_hold_rows: bool = False) -> None:
        self.tables = tables
        self.now = now
        self.others_hold_rows = others_hold_rows
        """Whether another transaction has locked whatever a statement passes over when it is locked."""

    async def fetch(self, statement: str, *arguments: Any) -> list[Sequence[Any]]:
        for known, equivalent in EQUIVALENTS:
            if known == statement or (known.startswith("...") and known[3:] in statement):
                return list(equivalent(self, arguments))
        raise LookupError(f"this statement has no equivalent yet: {statement}")

    async def execute(self, statement: str, *arguments: Any) -> str:
        await self.fetch(statement, *arguments)
        return ""

    def rows(self, state: type) -> list[Any]:
        """All rows of a table, by their keys."""
        return [row for _, row in sorted(self.tables[state].items())]


def _nothing(_: Connection, __: Sequence[Any]) -> list[Sequence[Any]]:
    return []


def _nearest_candidates(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    *columns, looked_at, count = arguments
    return _suited(connection, columns, excluded=(), looked_at=looked_at, count=count)


def _candidates(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    *columns, excluded, count = arguments
    return _suited(connection, columns, excluded=excluded, looked_at=None, count=count)


def _suited(
    connection: Connection, columns: Sequence[Any], *, excluded: Sequence[Any], looked_at: int | None, count: int
) -> Iterable[Sequence[Any]]:
    free = [one for one in connection.rows(Drone) if one.status is DroneStatus.FREE and one.drone_id not in excluded]
    for ordinal, (latitude, longitude, weight_kg, distance_m) in enumerate(zip(*columns, strict=True), 1):
        approaches = sorted(
            (great_circle_m(one.latitude, one.longitude, latitude, longitude), one.drone_id, one) for one in free
        )
        suited = [
            (ordinal, key, far)
            for far, key, one in approaches[:looked_at]
            if one.payload_kg >= weight_kg and one.usable_range_m >= distance_m + far
        ]
        yield from suited[:count]


def _lock_free_drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    if connection.others_hold_rows:
        return []
    (wanted,) = arguments
    free = (one for one in connection.rows(Drone) if one.status is DroneStatus.FREE)
    return [astuple(one) for one in free if one.drone_id in wanted]


def _within_the_fleets_power(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    weights_kg, distances_m, share = arguments
    for ordinal, (weight_kg, distance_m) in enumerate(zip(weights_kg, distances_m, strict=True), 1):
        drones = connection.rows(Drone)
        if any(one.payload_kg >= weight_kg and one.range_m * share >= distance_m for one in drones):
            yield (ordinal,)


def _held_drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (deliveries,) = arguments
    held = {
        (one.drone_id, one.delivery_id)
        for one in connection.rows(Booking)
        if one.delivery_id in deliveries and one.status in HOLDING
    }
    return [astuple(one) for one in connection.rows(Drone) if (one.drone_id, one.delivery_id) in held]


def _line(connection: Connection) -> list[Booking]:
    waiting = [
        one for one in connection.rows(Booking) if one.status is BookingStatus.WAITING and one.deadline > connection.now
    ]
    return sorted(waiting, key=lambda one: (not one.expedited, one.requested_at, one.delivery_id))


def _line_for_drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    if connection.others_hold_rows:
        return []
    *columns, depth, count = arguments
    drones = list(zip(*columns, strict=True))
    suited = [
        booking
        for booking in _line(connection)[:depth]
        if any(
            payload_kg >= booking.weight_kg
            and range_m
            >= booking.distance_m
            + great_circle_m(latitude, longitude, booking.pickup_latitude, booking.pickup_longitude)
            for latitude, longitude, payload_kg, range_m in drones
        )
    ]
    return [astuple(one) for one in suited[:count]]


def _line_page(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    *after, limit = arguments
    if not any(one.status is DroneStatus.FREE for one in connection.rows(Drone)):
        return []
    page = [one for one in _line(connection) if [not one.expedited, one.requested_at, one.delivery_id] > after]
    return [astuple(one) for one in page[:limit]]


def _lock_waiting_bookings(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    if connection.others_hold_rows:
        return []
    (wanted,) = arguments
    waiting = (one for one in connection.rows(Booking) if one.status is BookingStatus.WAITING)
    return [astuple(one) for one in waiting if one.delivery_id in wanted]


def _charging_drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (wanted,) = arguments
    charging = (one for one in connection.rows(Drone) if one.status is DroneStatus.CHARGING)
    return [astuple(one) for one in charging if one.drone_id in wanted]


def _bookings_of_drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (drones,) = arguments
    return [astuple(one) for one in connection.rows(Booking) if one.drone_id in drones and one.status in HOLDING]


def _drones(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (wanted,) = arguments
    return [astuple(one) for one in connection.rows(Drone) if one.drone_id in wanted]


def _standing_wishes(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (deliveries,) = arguments
    standing = [
        one for one in connection.rows(NotifyMeRequest) if one.delivery_id in deliveries and one.withdrawn_at is None
    ]
    return [astuple(one) for one in sorted(standing, key=lambda one: (one.created_at, one.request_id))]


def _forget_expired_answers(connection: Connection, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
    (limit,) = arguments
    expired = [one.key for one in connection.rows(IdempotentAnswer) if one.expires_at <= connection.now]
    for key in expired[:limit]:
        del connection.tables[IdempotentAnswer][key]
    return []


EQUIVALENTS: Sequence[tuple[str, Equivalent]] = (
    (queries.WALK_THE_INDEX, _nothing),
    (queries.NEAREST_CANDIDATES, _nearest_candidates),
    (queries.CANDIDATES, _candidates),
    (queries.LOCK_FREE_DRONES, _lock_free_drones),
    (queries.ERRANDS_WITHIN_THE_FLEETS_POWER, _within_the_fleets_power),
    (queries.HELD_DRONES, _held_drones),
    (queries.LINE_FOR_DRONES, _line_for_drones),
    (queries.LINE_PAGE, _line_page),
    (queries.LOCK_WAITING_BOOKINGS, _lock_waiting_bookings),
    (queries.CHARGING_DRONES, _charging_drones),
    (queries.BOOKINGS_OF_DRONES, _bookings_of_drones),
    # Statements without a name of their own are known by what stands only in them.
    ('...FROM "drone" WHERE "drone_id" = ANY', _drones),
    ("...WHERE delivery_id = ANY($1::uuid[]) AND withdrawn_at IS NULL", _standing_wishes),
    ("...DELETE FROM idempotent_answer", _forget_expired_answers),
)
"""Statement and equivalent; three dots in front stand for any text around it."""
